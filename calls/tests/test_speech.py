"""What is said can be understood: the people of the simulated phone network find their way by the words alone."""

from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from calls import hearing
from calls.conversation import Step, Turn
from calls.simulator.hearing import understand
from calls.speech import write_twiml
from campaigns.models import QuestionVersion
from campaigns.tests.factories import CampaignFactory
from contacts.models import Contact

TEXTS = {"en": "What do you think?", "it": "Che cosa ne pensa?"}


def say(language, version=None, turn=Turn.QUESTION, **values):
    campaign = CampaignFactory.build(language=language, intro_script={"en": "Good day.", "it": "Buongiorno."}[language])
    attempt = SimpleNamespace(call_id="call-1", campaign=campaign, contact=Contact(campaign=campaign))
    gather = ElementTree.fromstring(write_twiml(Step(turn=turn, attempt=attempt, version=version, **values))).find(
        "Gather"
    )
    return understand(gather.find("Say").text, gather.get("language")), gather


def make_version(kind, **values):
    return QuestionVersion(type=kind, text_en=TEXTS["en"], text_it=TEXTS["it"], **values)


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("is_again", [True, False])
@pytest.mark.parametrize("is_resumed", [True, False])
def test_the_request_for_consent_names_all_its_keys(language, is_again, is_resumed):
    offer, _ = say(language, turn=Turn.CONSENT, is_again=is_again, is_resumed=is_resumed)
    assert list(offer.choices) == ["1", "2"]
    assert (offer.no_key, offer.opt_out_key, offer.repeat_key) == ("2", "9", "*")


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize(
    ("kind", "limits", "span", "needs_hash"),
    [
        ("scale", (1, 5), (1, 5), False),
        ("scale", (0, 10), (0, 10), True),
        ("numeric", (18, 120), (18, 120), True),
        ("numeric", (None, None), None, True),
    ],
)
@pytest.mark.parametrize("is_again", [True, False])
def test_a_number_is_asked_for_with_its_limits_and_how_to_end_it(language, kind, limits, span, needs_hash, is_again):
    offer, gather = say(language, make_version(kind, lowest=limits[0], highest=limits[1]), is_again=is_again)
    assert (offer.span, offer.ends_with_hash, offer.wants_number) == (span, needs_hash, True)
    assert offer.opt_out_key == (hearing.OPT_OUT_KEYS if needs_hash else None)
    assert gather.get("finishOnKey") == "#"


@pytest.mark.parametrize("language", ["en", "it"])
def test_choices_are_named_with_their_keys(language):
    named = {"choices_en": ["red", "dark blue", "no answer"], "choices_it": ["rosso", "blu scuro", "nessuna risposta"]}
    offer, gather = say(language, make_version("single_choice", **named))
    assert offer.choices == dict(zip("123", named[f"choices_{language}"], strict=True))
    assert gather.get("hints") == ", ".join(named[f"choices_{language}"])


@pytest.mark.parametrize(("language", "words"), [("en", ["yes", "no"]), ("it", ["sì", "no"])])
def test_yes_and_no_have_keys_and_words(language, words):
    offer, gather = say(language, make_version("yes_no"))
    assert (offer.choices, offer.no_key) == (dict(zip("12", words, strict=True)), "2")
    assert gather.get("hints") == ", ".join(words)


@pytest.mark.parametrize("language", ["en", "it"])
def test_own_words_are_spoken_and_no_key_is_offered(language):
    offer, gather = say(language, make_version("free_text"))
    assert (offer.choices, offer.span, offer.language) == ({}, None, language)
    assert gather.get("profanityFilter") == "false"


def test_a_comma_in_a_choice_does_not_make_two_hints():
    _, gather = say("en", make_version("single_choice", choices_en=["red, or so", "blue"]))
    assert gather.get("hints").split(", ") == ["red  or so", "blue"]
