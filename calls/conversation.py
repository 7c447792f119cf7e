"""The survey within a call: what is said next, by what is stored and what the person pressed or said.

Nothing is remembered but in the database, so a provider may ask for any step twice, out of order, by another process,
or after the end of the call: an answer that came is kept, and what comes next is looked up anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from calls import outcomes
from calls.answerers import list_details
from calls.erased_words import erase_words
from calls.hearing import NO, Asked, Heard, Understood, understand
from calls.models import Answer, AnswerMeans, CallAttempt
from calls.outcomes import Applied
from calls.providers.base import Answerer, CallEvent, Said
from calls.repository import CallAttemptQuerySet
from campaigns.history import in_language_of_the_record
from campaigns.models import Language, MachineDetection, QuestionVersion
from campaigns.questions import list_versions
from contacts.exclusion import add_to_do_not_call
from contacts.models import CallOutcome, DoNotCallSource

log = structlog.get_logger(__name__)

CONSENT = Asked(kind="yes_no")

# In an attempt's metadata: the message for answering machines was said.
LEFT_MESSAGE = "left_message"


class Turn(StrEnum):
    """What is said next. After those from ``THANKS`` on the call is hung up."""

    CONSENT = "consent"
    QUESTION = "question"
    THANKS = "thanks"
    REFUSED = "refused"
    OPTED_OUT = "opted_out"
    NOT_UNDERSTOOD = "not_understood"
    MESSAGE = "message"  # for an answering machine
    SILENCE = "silence"  # the call is over, or not one of ours, or a machine has answered


@dataclass(frozen=True, kw_only=True)
class Step:
    """The next turn in a call, and all that it takes to say it.

    ``is_again``: what is asked was asked a moment ago, and not understood. ``is_resumed``: an earlier call broke off.
    """

    turn: Turn
    applied: Applied = Applied.YES
    attempt: CallAttempt | None = None
    version: QuestionVersion | None = None
    is_again: bool = False
    is_resumed: bool = False

    @property
    def language(self) -> Language:
        return language_of(self.attempt)

    @property
    def asked(self) -> Asked:
        return asked_by(self.version, self.language) if self.version else CONSENT


def language_of(attempt: CallAttempt) -> Language:
    return attempt.campaign.language_for(attempt.contact.preferred_language)


def asked_by(version: QuestionVersion, language: Language) -> Asked:
    return Asked(
        kind=version.type, lowest=version.lowest, highest=version.highest, choices=version.choices_in(language)
    )


def begin(event: CallEvent, *, now: datetime) -> Step:
    """Somebody, or something, has answered the call."""
    applied = outcomes.apply_event(event, now=now)
    if applied in (Applied.FOREIGN, Applied.UNKNOWN_CALL):
        return Step(turn=Turn.SILENCE, applied=applied)
    with transaction.atomic():
        attempt = _lock(event.call_id)
        if attempt.ended_at is None:
            _note_details(attempt, list_details(event))
        return _tell_machine(attempt, event.answerer) or _find_next(attempt, now)


def hear_consent(event: CallEvent, *, is_again: bool, now: datetime) -> Step:
    """What the person pressed or said when asked whether to take part."""
    attempt, applied = _find_attempt(event)
    return _hear(attempt, None, event.said, is_again, now) if attempt else Step(turn=Turn.SILENCE, applied=applied)


def hear_answer(event: CallEvent, version_id: UUID | None, *, is_again: bool, now: datetime) -> Step:
    """The same when asked a question of the campaign, which that version of it is; another is passed over."""
    attempt, applied = _find_attempt(event)
    if attempt is None:
        return Step(turn=Turn.SILENCE, applied=applied)
    version = QuestionVersion.objects.filter(pk=version_id, question__campaign=attempt.campaign_id).first()
    if version:
        return _hear(attempt, version, event.said, is_again, now)
    with transaction.atomic():
        return _find_next(_lock(event.call_id), now)


def find_unanswered(attempt: CallAttempt) -> Sequence[QuestionVersion]:
    """What is still to be asked of the contact, in order; also by the call that comes after one which broke off."""
    answers = Answer.objects.filter(contact=attempt.contact_id, is_current=True)
    answered = set(answers.values_list("question_id", flat=True))
    return [version for version in list_versions(attempt.campaign) if version.question_id not in answered]


def _hear(attempt: CallAttempt, version: QuestionVersion | None, said: Said, is_again: bool, now: datetime) -> Step:
    """Without a version it was the consent that was asked for."""
    language = language_of(attempt)
    asked = asked_by(version, language) if version else CONSENT
    understood = understand(asked, language, keys=said.keys, speech=said.speech, confidence=said.confidence)
    if understood.heard == Heard.OPT_OUT:
        _keep_off(attempt)
    with transaction.atomic():
        attempt = _lock(attempt.call_id)
        _put_off_check(attempt, now)
        if understood.heard == Heard.OPT_OUT or (version is None and understood.value == NO):
            outcomes.decide(attempt, CallOutcome.REFUSED, now=now)
        elif understood.heard == Heard.ANSWER and version is None:
            _store_consent(attempt, now)
        elif understood.heard == Heard.ANSWER:
            _store(attempt, version, said, understood, now)
        elif _is_waiting_for(attempt, version):
            if not is_again or understood.heard == Heard.REPEAT:
                return _ask(attempt, version, is_again=is_again or understood.heard != Heard.REPEAT)
            if version is None or version.is_required:
                return Step(turn=Turn.NOT_UNDERSTOOD, attempt=attempt)
            _store(attempt, version, said, understood, now)
        return _find_next(attempt, now)


def _note_details(attempt: CallAttempt, details: Mapping[str, str | bool]) -> None:
    """Who has answered is told with the request for the first document; the report of the answer came before it."""
    if details.keys() - attempt.metadata.keys():
        attempt.metadata = {**details, **attempt.metadata}
        attempt.save(update_fields=["metadata"])


def _tell_machine(attempt: CallAttempt, answerer: Answerer) -> Step | None:
    """What a machine is told that has answered; None for people, and where the campaign makes no difference.

    Whoever has pressed or said something is a person. A fax hears nothing.
    """
    campaign = attempt.campaign
    is_machine = answerer in (Answerer.MACHINE, Answerer.FAX) and campaign.machine_detection != MachineDetection.OFF
    if not is_machine or attempt.ended_at or attempt.outcome or attempt.consented_at:
        return None
    takes_message = answerer == Answerer.MACHINE and campaign.machine_detection == MachineDetection.LEAVE_MESSAGE
    has_message = takes_message and campaign.machine_message_in(language_of(attempt)).strip()
    log.info("call.machine", call_id=attempt.call_id, answerer=answerer.value, message=bool(has_message))
    if not has_message:
        return Step(turn=Turn.SILENCE, attempt=attempt)
    _note_details(attempt, {LEFT_MESSAGE: True})
    return Step(turn=Turn.MESSAGE, attempt=attempt)


def _find_next(attempt: CallAttempt, now: datetime) -> Step:
    """Without a question left the survey is completed, in the transaction of the last answer."""
    if attempt.consented_at and attempt.is_undecided:
        unanswered = find_unanswered(attempt)
        if not unanswered:
            outcomes.decide(attempt, CallOutcome.COMPLETED, now=now)
        elif attempt.ended_at is None:
            return _ask(attempt, unanswered[0])
    if attempt.ended_at:
        return Step(turn=Turn.SILENCE, attempt=attempt)
    if attempt.outcome == CallOutcome.COMPLETED:
        return Step(turn=Turn.THANKS, attempt=attempt)
    if attempt.outcome:
        return Step(turn=Turn.OPTED_OUT if attempt.contact.do_not_call else Turn.REFUSED, attempt=attempt)
    return _ask(attempt, None)


def _ask(attempt: CallAttempt, version: QuestionVersion | None, *, is_again: bool = False) -> Step:
    """Without a version for consent."""
    if version:
        return Step(turn=Turn.QUESTION, attempt=attempt, version=version, is_again=is_again)
    before = CallAttempt.objects.of_contact(attempt.contact).exclude(pk=attempt.pk)
    is_resumed = before.filter(consented_at__isnull=False).exists()
    return Step(turn=Turn.CONSENT, attempt=attempt, is_again=is_again, is_resumed=is_resumed)


def _find_attempt(event: CallEvent) -> tuple[CallAttempt | None, Applied]:
    """That of the call which the event is of."""
    attempt = _with_rules().find_by_call_id(event.call_id)
    if attempt is None:
        return None, Applied.UNKNOWN_CALL
    if not CallAttempt.objects.is_of_call(attempt, event.provider_call_id):
        return None, Applied.FOREIGN
    return attempt, Applied.YES


def _lock(call_id: str) -> CallAttempt:
    """With its contact: another call's answers may still be under way."""
    return _with_rules().select_for_update(of=("self", "contact"), no_key=True).get(call_id=call_id)


def _with_rules() -> CallAttemptQuerySet:
    return CallAttempt.objects.select_related("contact", "campaign")


def _put_off_check(attempt: CallAttempt, now: datetime) -> None:
    """The provider has just told of the call: it need not be asked."""
    if attempt.ended_at is None:
        attempt.check_at = outcomes.find_check(now)
        attempt.save(update_fields=["check_at"])


def _keep_off(attempt: CallAttempt) -> None:
    """At once, whatever becomes of the call.

    In a transaction of its own: the list is locked before contacts are, and here the contact would be first.
    """
    if attempt.phone_number:  # None once the person is erased
        with in_language_of_the_record():
            reason = gettext("Asked for in a call")
        add_to_do_not_call(attempt.phone_number, reason=reason, source=DoNotCallSource.CALL)
    log.info("call.opted_out", call_id=attempt.call_id)


def _is_waiting_for(attempt: CallAttempt, version: QuestionVersion | None) -> bool:
    """Whether that is still to be answered; it is not when a request comes once more, or late."""
    if attempt.ended_at or attempt.outcome or (version is None) == bool(attempt.consented_at):
        return False
    return version is None or not _answers_to(attempt, version).exists()


def _answers_to(attempt: CallAttempt, version: QuestionVersion) -> QuerySet[Answer]:
    return Answer.objects.filter(contact=attempt.contact_id, question=version.question_id, is_current=True)


def _store_consent(attempt: CallAttempt, now: datetime) -> None:
    if attempt.consented_at is None and attempt.is_undecided:
        attempt.consented_at = now
        attempt.save(update_fields=["consented_at"])


def _store(attempt: CallAttempt, version: QuestionVersion, said: Said, understood: Understood, now: datetime) -> None:
    """The last answer is the current one; the same request once more is no further answer.

    Nothing is kept of whoever did not agree to take part, and no words of whoever was erased meanwhile.
    """
    if attempt.consented_at is None:
        return
    means = AnswerMeans.KEYS if said.keys else AnswerMeans.SPEECH if said.speech else AnswerMeans.NOTHING
    content = {
        "attempt_id": attempt.pk,
        "version_id": version.pk,
        "means": means,
        "raw": said.keys or said.speech,
        "value": understood.value,
    }
    if attempt.contact.erased_at:
        content = erase_words(content, version.type)
    if before := _answers_to(attempt, version).first():
        if all(getattr(before, name) == value for name, value in content.items()):
            return
        before.is_current = False
        before.save(update_fields=["is_current"])
    Answer.objects.create(
        contact_id=attempt.contact_id,
        question_id=version.question_id,
        confidence=None if said.keys else said.confidence,
        answered_at=now,
        **content,
    )
