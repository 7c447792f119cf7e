"""What is said in a call, as TwiML: https://www.twilio.com/docs/voice/twiml

Numbers of keys are spelt in digits, and * and # by their names: so every voice says them the same way.
"""

import re
from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import override
from twilio.twiml.voice_response import Gather, VoiceResponse

from calls.callback_urls import consent_url, question_url
from calls.conversation import Step, Turn
from calls.hearing import OPT_OUT_KEYS, Asked
from campaigns.models import Language, QuestionType

VOICES = {Language.ENGLISH: "en-GB", Language.ITALIAN: "it-IT"}

# Seconds until the first key or word, and between two keys. Whoever speaks is done when they fall silent ("auto").
PATIENCE_SECONDS = 5

_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def write_twiml(step: Step) -> str:
    """The document for a step. Each that asks something has the address to go on at, whatever comes of it."""
    response = VoiceResponse()
    if step.turn == Turn.SILENCE:
        response.hangup()
        return str(response)
    with override(step.language):
        if step.turn in (Turn.CONSENT, Turn.QUESTION):
            _ask(response, step)
        else:
            _say(response, step, _word_end(step))
            response.hangup()
    return str(response)


def _ask(response: VoiceResponse, step: Step) -> None:
    """The answer is brought also when there is none: actionOnEmptyResult."""
    call_id = step.attempt.call_id
    if step.version:
        text, action = _word_question(step), question_url(call_id, step.version.pk, is_again=step.is_again)
    else:
        text, action = _word_consent(step), consent_url(call_id, is_again=step.is_again)
    keys = step.asked.most_keys
    gather = Gather(
        input="dtmf speech",
        action=action,
        method="POST",
        action_on_empty_result=True,
        timeout=PATIENCE_SECONDS,
        speech_timeout="auto",
        finish_on_key="#",
        language=VOICES[step.language],
        hints=", ".join(_hint_at(step.asked)),
        profanity_filter=False,
        **({"num_digits": keys} if keys else {}),
    )
    _say(gather, step, text)
    response.append(gather)


def _say(verb: VoiceResponse | Gather, step: Step, text: str) -> None:
    verb.say(_clean(text), language=VOICES[step.language])


def _clean(text: str) -> str:
    """Scripts are pasted from word processors; what XML cannot hold would end the call with an error."""
    return _NOT_IN_XML.sub(" ", text)


def _word_consent(step: Step) -> str:
    parts = [_("Sorry, I did not understand.")] if step.is_again else [step.attempt.campaign.intro_in(step.language)]
    if step.is_resumed:
        parts.append(_("Our last call was cut off; we go on where it stopped."))
    parts += [
        _("To take part, press 1 or say yes. If you do not want to take part, press 2 or say no."),
        _("If you do not want to be called again, press 9. To hear this again, press star."),
    ]
    return " ".join(parts)


def _word_question(step: Step) -> str:
    parts = [_("Sorry, I did not understand.")] if step.is_again else []
    parts += [step.version.text_in(step.language), _word_keys(step.asked)]
    if step.asked.opt_out_keys == OPT_OUT_KEYS:
        parts.append(_("If you do not want to be called again, press star and 9."))
    return " ".join(filter(None, parts))


def _word_keys(asked: Asked) -> str:
    """Which keys are what."""
    if asked.kind == QuestionType.YES_NO:
        return _("Press 1 for yes, 2 for no.")
    if asked.kind == QuestionType.SINGLE_CHOICE:
        named = [
            _("Press %(key)s for %(choice)s.") % {"key": key, "choice": choice}
            for key, choice in enumerate(asked.choices, start=1)
        ]
        return " ".join(named)
    if asked.kind == QuestionType.FREE_TEXT:
        return _("Please speak after this message.")
    if None in (asked.lowest, asked.highest):
        return _("Press the number, then the hash key.")
    # One key is heard at once; of several nobody knows which is the last.
    if asked.most_keys == 1:
        text = _("Press a number from %(lowest)s to %(highest)s.")
    else:
        text = _("Press a number from %(lowest)s to %(highest)s, then the hash key.")
    return text % {"lowest": asked.lowest, "highest": asked.highest}


def _hint_at(asked: Asked) -> Sequence[str]:
    """Words that the recogniser should expect."""
    if asked.kind == QuestionType.YES_NO:
        return [_("yes"), _("no")]
    return [_clean(choice).replace(",", " ")[:100] for choice in asked.choices]


def _word_end(step: Step) -> str:
    if step.turn == Turn.MESSAGE:
        return step.attempt.campaign.machine_message_in(step.language)
    return _say_goodbye(step.turn)


def _say_goodbye(turn: Turn) -> str:
    """Less than ten seconds of speech, each."""
    if turn == Turn.THANKS:
        return _("Those were all questions. Thank you very much. Goodbye.")
    if turn == Turn.REFUSED:
        return _("Thank you for telling us. We will not call you again for this survey. Goodbye.")
    if turn == Turn.OPTED_OUT:
        return _("We will not call you again. Goodbye.")
    return _("I still did not understand, so I end this call. Goodbye.")
