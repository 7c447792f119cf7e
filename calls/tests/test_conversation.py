"""The survey as the provider hears it: what is asked, what comes of what people press and say, what is kept."""

from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID
from xml.etree import ElementTree

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils.translation import gettext, override
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from calls import webhooks
from calls.conversation import Step
from calls.events import outbox
from calls.models import Answer, CallAttempt
from calls.providers import get_provider
from calls.speech import write_twiml
from campaigns.models import Campaign, CampaignStatus
from campaigns.questions import freeze_questions
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.exclusion import numbers_on_do_not_call
from contacts.models import CallOutcome, Contact, ContactState, DoNotCallEntry
from contacts.tests.factories import ContactFactory

from .conftest import NOON
from .factories import CallAttemptFactory
from .test_webhooks import lose_connection

pytestmark = pytest.mark.django_db

PUBLIC_URL, TOKEN, SID = "https://calls.example.org", "the-auth-token", "CA1"
YES, NO, NEVER, REPEAT = {"Digits": "1"}, {"Digits": "2"}, {"Digits": "9"}, {"Digits": "*"}
SILENCE, UNCLEAR = {"Digits": ""}, {"Digits": "7"}


@pytest.fixture(autouse=True)
def account(settings, clock, monkeypatch):
    settings.PUBLIC_BASE_URL = PUBLIC_URL
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC1", TOKEN
    settings.SECURE_SSL_REDIRECT = False
    monkeypatch.setattr(webhooks, "shared_clock", clock)
    get_provider.cache_clear()
    yield
    get_provider.cache_clear()


class Phone:
    """The provider's side of one call: it goes on at the address that the last document named."""

    def __init__(self, attempt, sid=SID):
        self.attempt, self.sid = attempt, sid
        self.url = f"{PUBLIC_URL}{reverse('telephony-voice')}?{urlencode({'call_id': attempt.call_id})}"
        self.said = ""

    def post(self, said=None, url=None, sid=None):
        url = url or self.url
        form = {"CallSid": sid or self.sid, "CallStatus": "in-progress", **(said or {})}
        signature = RequestValidator(TOKEN).compute_signature(url, form)
        response = Client().post(
            url.removeprefix(PUBLIC_URL),
            urlencode(form),
            content_type="application/x-www-form-urlencoded",
            headers={"X-Twilio-Signature": signature},
        )
        assert (response.status_code, response["Content-Type"]) == (200, "text/xml")
        return ElementTree.fromstring(response.content)

    def hear(self, said=None):
        """Returns what is said next; the call goes on there."""
        document = self.post(said)
        gather = document.find("Gather")
        assert (gather is None) == (document.find("Hangup") is not None), "a call must go on, or end"
        self.gather = {} if gather is None else gather.attrib
        self.url = self.gather.get("action")
        say = document.find(".//Say")
        self.said = "" if say is None else say.text
        self.language = None if say is None else say.get("language")
        return self.said

    def end(self, status="completed"):
        url = f"{PUBLIC_URL}{reverse('telephony-events')}?{urlencode({'call_id': self.attempt.call_id})}"
        form = {"CallSid": self.sid, "CallStatus": status}
        headers = {"X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(url, form)}
        path = url.removeprefix(PUBLIC_URL)
        kind = "application/x-www-form-urlencoded"
        assert Client().post(path, urlencode(form), content_type=kind, headers=headers).status_code == 200

    @property
    def is_over(self):
        return self.url is None


NO_LIMITS = {"lowest": None, "highest": None}
QUESTIONS = [
    {"text_en": "How was it?", "text_it": "Come è stato?"},
    {"type": "yes_no", "text_en": "Again?", "text_it": "Ancora?", "is_required": False, **NO_LIMITS},
    {
        "type": "single_choice",
        "text_en": "Which colour?",
        "text_it": "Quale colore?",
        "choices_en": ["Red", "Blue"],
        "choices_it": ["Rosso", "Blu"],
        **NO_LIMITS,
    },
    {"type": "numeric", "text_en": "How old?", "text_it": "Quanti anni?", "lowest": 18, "highest": 120},
    {"type": "free_text", "text_en": "What else?", "text_it": "Altro?", "is_required": False, **NO_LIMITS},
]


@pytest.fixture
def campaign():
    campaign = CampaignFactory(
        status=CampaignStatus.RUNNING, intro_script="Good day.", intro_script_other="Buongiorno.", language="en"
    )
    for position, values in enumerate(QUESTIONS, start=1):
        QuestionFactory(campaign=campaign, position=position, **values)
    freeze_questions(campaign)
    return campaign


ANSWERS = [{"Digits": "4"}, {"Digits": "2"}, {"Digits": "1"}, {"Digits": "30"}, {"SpeechResult": "All good."}]


def make_attempt(campaign, contact=None, **values):
    contact = contact or ContactFactory(
        campaign=campaign, state=ContactState.IN_PROGRESS, attempts_count=1, next_attempt_at=None
    )
    return CallAttemptFactory(
        **{"contact": contact, "status": "ringing", "provider_call_id": "", "started_at": NOON} | values
    )


@pytest.fixture
def attempt(campaign):
    return make_attempt(campaign)


@pytest.fixture
def phone(attempt):
    return Phone(attempt)


def state_of(attempt):
    attempt.refresh_from_db()
    contact = Contact.objects.get(pk=attempt.contact_id)
    return attempt.outcome, contact.state


def values(contact):
    current = Answer.objects.filter(contact=contact, is_current=True).order_by("question__position")
    return list(current.values_list("value", flat=True))


OPEN = ("", ContactState.IN_PROGRESS)
COMPLETED = (CallOutcome.COMPLETED, ContactState.COMPLETED)
REFUSED = (CallOutcome.REFUSED, ContactState.REFUSED)


# From the intro to the thanks


def test_the_intro_comes_first_with_the_request_for_consent(phone):
    said = phone.hear()
    assert said.startswith("Good day. To take part, press 1 or say yes.")
    assert "press 9" in said
    assert phone.gather["input"] == "dtmf speech"
    assert phone.gather["actionOnEmptyResult"] == "true"
    assert (phone.gather["numDigits"], phone.gather["language"]) == ("1", "en-GB")
    assert state_of(phone.attempt) == OPEN


def test_the_questions_come_one_by_one_and_the_last_answer_completes_the_survey(phone, attempt):
    phone.hear()
    texts = [phone.hear(said) for said in [YES, *ANSWERS]]
    assert texts == [
        "How was it? Press a number from 1 to 5.",
        "Again? Press 1 for yes, 2 for no.",
        "Which colour? Press 1 for Red. Press 2 for Blue.",
        "How old? Press a number from 18 to 120, then the hash key. "
        "If you do not want to be called again, press star and 9.",
        "What else? Please speak after this message.",
        "Those were all questions. Thank you very much. Goodbye.",
    ]
    assert phone.is_over
    assert state_of(attempt) == COMPLETED
    assert (attempt.consented_at, attempt.decided_at, attempt.ended_at) == (NOON, NOON, None)
    assert values(attempt.contact) == ["4", "no", "1", "30", "All good."]
    phone.end()
    assert state_of(attempt) == COMPLETED
    assert attempt.ended_at == NOON


def test_an_answer_names_the_version_that_was_asked_and_what_was_heard(phone, attempt, campaign):
    phone.hear()
    phone.hear(YES)
    phone.hear({"SpeechResult": "I'd say four", "Confidence": "0.81"})
    answer = Answer.objects.get()
    version = campaign.questions.first().versions.get()
    assert (answer.attempt, answer.contact, answer.version, answer.question) == (
        attempt,
        attempt.contact,
        version,
        version.question,
    )
    assert (answer.means, answer.raw, answer.value, answer.confidence) == ("speech", "I'd say four", "4", 0.81)
    assert (answer.answered_at, answer.is_current) == (NOON, True)


@pytest.mark.parametrize("confidence", ["", "nan", "much", "-1", "2"])
def test_a_confidence_that_makes_no_sense_does_no_harm(phone, confidence):
    phone.hear()
    phone.hear(YES)
    phone.hear({"Digits": "3", "Confidence": confidence})
    assert Answer.objects.get().confidence is None


@pytest.mark.parametrize(
    ("of_campaign", "preferred", "other", "voice"),
    [
        ("en", "auto", "Buongiorno.", "en-GB"),
        ("it", "auto", "Good day.", "it-IT"),
        ("en", "it", "Buongiorno.", "it-IT"),
        ("it", "en", "Good day.", "en-GB"),
        ("en", "it", "", "en-GB"),  # the campaign does not speak it
    ],
)
def test_it_is_said_in_the_contacts_language_or_else_the_campaigns(campaign, of_campaign, preferred, other, voice):
    campaign.language, campaign.intro_script_other = of_campaign, other
    campaign.save()
    phone = Phone(make_attempt(campaign))
    Contact.objects.update(preferred_language=preferred)
    phone.hear()
    assert (phone.language, phone.gather["language"]) == (voice, voice)
    question = phone.hear(YES)
    assert phone.language == voice
    assert question.startswith("How was it?" if voice == "en-GB" else "Come è stato?")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('Tom & Jerry <b>ask</b> "why"', 'Tom & Jerry <b>ask</b> "why"'),
        ("</Say><Hangup/>", "</Say><Hangup/>"),
        ("Buongiorno, perché no? 📞", "Buongiorno, perché no? 📞"),
        ("one\x0btwo\x07\ufffe", "one two  "),  # pasted from a word processor; XML cannot hold these
        ("one\ntwo", "one\ntwo"),
    ],
)
def test_a_script_is_text_whatever_is_in_it(campaign, phone, script, said):
    campaign.intro_script = script
    campaign.save()
    assert phone.hear().startswith(f"{said} To take part")


# Who says no


@pytest.mark.parametrize("said", [NO, {"SpeechResult": "No, thank you", "Confidence": "0.9"}])
def test_who_does_not_agree_has_refused_and_is_not_called_again(phone, attempt, said):
    phone.hear()
    goodbye = phone.hear(said)
    assert goodbye == "Thank you for telling us. We will not call you again for this survey. Goodbye."
    assert phone.is_over
    assert state_of(attempt) == REFUSED
    phone.end()
    assert state_of(attempt) == REFUSED
    assert Contact.objects.get().next_attempt_at is None
    assert not DoNotCallEntry.objects.exists()


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("turn", ["thanks", "refused", "opted_out", "not_understood"])
def test_a_goodbye_lasts_less_than_ten_seconds(campaign, attempt, language, turn):
    Contact.objects.update(preferred_language=language)
    attempt = CallAttempt.objects.select_related("contact", "campaign").get()
    say = ElementTree.fromstring(write_twiml(Step(turn=turn, attempt=attempt))).find("Say")
    assert len(say.text.split()) / 2.5 < 10


@pytest.mark.parametrize("answers", range(6))
@pytest.mark.parametrize("by_voice", [True, False])
def test_who_wants_no_calls_at_any_point_is_on_the_do_not_call_list_at_once(phone, attempt, answers, by_voice):
    phone.hear()
    for said in [YES, *ANSWERS][:answers]:
        phone.hear(said)
    keys = "*9" if "star and 9" in phone.said else "9"
    goodbye = phone.hear({"SpeechResult": "do not call me", "Confidence": "0.2"} if by_voice else {"Digits": keys})
    assert goodbye == "We will not call you again. Goodbye."
    assert numbers_on_do_not_call([attempt.phone_number])
    assert DoNotCallEntry.objects.get().source == "call"
    assert state_of(attempt) == REFUSED
    assert Contact.objects.get().do_not_call
    phone.end()
    assert state_of(attempt) == REFUSED
    assert len(values(attempt.contact)) == max(0, answers - 1)


def test_who_wants_no_calls_is_kept_off_every_campaign(phone, attempt):
    other = ContactFactory(phone_number=attempt.phone_number)
    phone.hear()
    phone.hear(NEVER)
    other.refresh_from_db()
    assert (other.state, other.next_attempt_at) == (ContactState.EXCLUDED, None)


# Who is no person


MACHINES = ["machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other"]
MESSAGES = {"machine_message": "We try again.", "machine_message_other": "Riproviamo."}
NOT_REACHED = (CallOutcome.NO_ANSWER, ContactState.NOT_REACHED)
A_MACHINE = {"answerer": "machine"}


def answered_by(word):
    return {"AnsweredBy": word}


def treat_machines(treatment, **values):
    Campaign.objects.update(machine_detection=treatment, **MESSAGES | values)


@pytest.mark.parametrize("word", [*MACHINES, "fax"])
def test_a_machine_is_hung_up_on_and_its_call_counts_as_not_answered(phone, attempt, word):
    treat_machines("hang_up")
    documents = [phone.post(answered_by(word)) for _ in range(2)]
    assert [[verb.tag for verb in document] for document in documents] == [["Hangup"]] * 2
    assert state_of(attempt) == OPEN
    assert attempt.metadata == {"answered_by": word, "answerer": "fax" if word == "fax" else "machine"}
    phone.end()
    assert state_of(attempt) == NOT_REACHED
    assert Contact.objects.get().next_attempt_at is not None
    assert not Answer.objects.exists()


@pytest.mark.parametrize("word", MACHINES)
@pytest.mark.parametrize(
    ("preferred", "message", "voice"), [("auto", "We try again.", "en-GB"), ("it", "Riproviamo.", "it-IT")]
)
def test_a_machine_is_left_the_message_in_the_contacts_language(phone, attempt, word, preferred, message, voice):
    treat_machines("leave_message")
    Contact.objects.update(preferred_language=preferred)
    for _ in range(2):
        document = phone.post(answered_by(word))
        assert [verb.tag for verb in document] == ["Say", "Hangup"]
        assert (document[0].text, document[0].get("language")) == (message, voice)
    assert state_of(attempt) == OPEN
    assert attempt.metadata == {"answered_by": word, "left_message": True, **A_MACHINE}
    phone.end()
    assert state_of(attempt) == NOT_REACHED
    assert not Answer.objects.exists()


def test_a_message_is_text_whatever_is_in_it(phone):
    treat_machines("leave_message", machine_message="</Say><Dial>\x0b&")
    assert phone.hear(answered_by("machine_end_beep")) == "</Say><Dial> &"


def test_a_fax_is_left_no_message(phone, attempt):
    treat_machines("leave_message")
    assert [verb.tag for verb in phone.post(answered_by("fax"))] == ["Hangup"]
    assert state_of(attempt) == OPEN
    assert attempt.metadata == {"answered_by": "fax", "answerer": "fax"}


def test_a_machine_is_hung_up_on_where_there_is_nothing_to_leave(phone, attempt):
    treat_machines("leave_message", machine_message=" ")
    assert [verb.tag for verb in phone.post(answered_by("machine_end_beep"))] == ["Hangup"]
    assert state_of(attempt) == OPEN
    assert attempt.metadata == {"answered_by": "machine_end_beep", **A_MACHINE}


@pytest.mark.parametrize(
    ("treatment", "word"),
    [
        *(("off", word) for word in [*MACHINES, "fax"]),
        *(
            (treatment, word)
            for treatment in ("hang_up", "leave_message")
            for word in ("human", "unknown", "", "robot")
        ),
    ],
)
def test_whoever_may_be_a_person_is_asked(phone, attempt, treatment, word):
    treat_machines(treatment)
    assert phone.hear(answered_by(word)).startswith("Good day.")
    assert phone.hear(answered_by(word) | YES).startswith("How was it?")
    assert state_of(attempt) == OPEN
    assert attempt.metadata.get("answered_by", "") == word
    assert attempt.metadata.get("answerer") == {
        "human": "person",
        "fax": "fax",
        **dict.fromkeys(MACHINES, "machine"),
    }.get(word)


def test_who_has_answered_is_kept_also_when_the_report_of_the_answer_came_first(phone, attempt):
    treat_machines("hang_up")
    phone.end("in-progress")
    phone.hear(answered_by("machine_start"))
    phone.end()
    assert state_of(attempt) == NOT_REACHED
    assert attempt.metadata == {"answered_by": "machine_start", **A_MACHINE}


def test_what_was_noted_of_a_call_before_is_kept(phone, attempt):
    treat_machines("leave_message")
    phone.end("in-progress")
    CallAttempt.objects.update(metadata={"note": "ours", "answered_by": "unknown"})
    phone.hear(answered_by("machine_end_beep"))
    assert state_of(attempt) == OPEN
    assert attempt.metadata == {"note": "ours", "answered_by": "unknown", "left_message": True, **A_MACHINE}


@pytest.mark.parametrize(("said", "next_one"), [(YES, "How was it?"), (NO, "Thank you for telling us.")])
def test_whoever_has_pressed_or_said_something_is_a_person(phone, said, next_one):
    treat_machines("leave_message")
    voice = phone.url
    phone.hear()
    phone.hear(said)
    assert phone.post(answered_by("machine_end_beep"), voice).find(".//Say").text.startswith(next_one)


@pytest.mark.parametrize("treatment", ["hang_up", "leave_message"])
def test_a_machine_whose_call_is_over_hears_nothing_and_changes_nothing(phone, attempt, treatment):
    treat_machines(treatment)
    phone.end("in-progress")
    phone.end()
    assert [verb.tag for verb in phone.post(answered_by("machine_end_beep"))] == ["Hangup"]
    assert state_of(attempt) == NOT_REACHED
    assert attempt.metadata == {}


def test_after_a_machine_the_person_is_asked_as_if_never_called(phone, attempt, campaign):
    treat_machines("leave_message")
    phone.hear(answered_by("machine_end_beep"))
    phone.end()
    Contact.objects.update(state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=2)
    second = Phone(make_attempt(campaign, attempt.contact, attempt_number=2), sid="CA2")
    assert second.hear(answered_by("human")).startswith("Good day. To take part")
    for said in [YES, *ANSWERS]:
        second.hear(said)
    assert state_of(second.attempt) == COMPLETED


# What is not understood


@pytest.mark.parametrize("said", [SILENCE, UNCLEAR, {"SpeechResult": "the bus", "Confidence": "0.9"}, {}])
def test_consent_is_asked_for_once_more_and_then_the_call_ends_politely(phone, attempt, said):
    phone.hear()
    assert phone.hear(said).startswith("Sorry, I did not understand. To take part, press 1")
    assert phone.hear(said) == "I still did not understand, so I end this call. Goodbye."
    assert phone.is_over
    phone.end()
    assert state_of(attempt) == (CallOutcome.NO_ANSWER, ContactState.NOT_REACHED)


def test_who_is_understood_the_second_time_takes_part(phone):
    phone.hear()
    phone.hear(SILENCE)
    assert phone.hear(YES).startswith("How was it?")


def test_a_question_that_must_be_answered_ends_the_call_when_it_is_not(phone, attempt):
    phone.hear()
    phone.hear(YES)
    assert phone.hear(UNCLEAR).startswith("Sorry, I did not understand. How was it?")
    assert phone.hear(UNCLEAR).startswith("I still did not understand")
    assert phone.is_over
    phone.end()
    assert state_of(attempt) == (CallOutcome.NO_ANSWER, ContactState.NOT_REACHED)
    assert Contact.objects.get().next_attempt_at is not None


def test_a_question_that_need_not_be_answered_is_passed_over(phone, attempt):
    phone.hear()
    phone.hear(YES)
    assert phone.hear(ANSWERS[0]).startswith("Again?")
    phone.hear(UNCLEAR)
    assert phone.hear(SILENCE).startswith("Which colour?")
    assert values(attempt.contact) == ["4", ""]


def test_what_is_to_be_repeated_is_repeated_as_often_as_somebody_wants(phone):
    phone.hear()
    for _ in range(3):
        assert phone.hear(REPEAT).startswith("Good day.")
    phone.hear(YES)
    for said in [REPEAT, {"SpeechResult": "Could you repeat"}]:
        assert phone.hear(said).startswith("How was it?")
    phone.hear(UNCLEAR)
    assert phone.hear(REPEAT).startswith("Sorry, I did not understand. How was it?")
    assert phone.hear(UNCLEAR).startswith("I still did not understand")


# Twice, late and out of order


def test_every_step_may_be_asked_for_twice(phone, attempt):
    for said in [None, YES, *ANSWERS]:
        once = ElementTree.tostring(phone.post(said))
        before = list(Answer.objects.values()), list(CallAttempt.objects.values()), list(Contact.objects.values())
        assert ElementTree.tostring(phone.post(said)) == once
        assert before == (
            list(Answer.objects.values()),
            list(CallAttempt.objects.values()),
            list(Contact.objects.values()),
        )
        phone.hear(said)
    assert (state_of(attempt), Answer.objects.count()) == (COMPLETED, 5)


@pytest.mark.parametrize("said", [NO, NEVER])
def test_a_refusal_may_be_told_twice(phone, attempt, said):
    phone.hear()
    assert ElementTree.tostring(phone.post(said)) == ElementTree.tostring(phone.post(said))
    assert state_of(attempt) == REFUSED


def test_an_earlier_step_that_comes_once_more_does_not_go_back(phone, attempt):
    phone.hear()
    consent = phone.url
    phone.hear(YES)
    first = phone.url
    phone.hear(ANSWERS[0])
    for url, said in [(consent, YES), (consent, UNCLEAR), (first, ANSWERS[0]), (first, UNCLEAR), (first, REPEAT)]:
        assert phone.post(said, url).find(".//Say").text.startswith("Again?")
    assert values(attempt.contact) == ["4"]


def test_of_two_answers_the_last_one_counts_and_the_other_is_kept(phone, attempt):
    phone.hear()
    phone.hear(YES)
    first = phone.url
    phone.hear({"Digits": "4"})
    phone.post({"Digits": "5"}, first)
    assert values(attempt.contact) == ["5"]
    assert list(Answer.objects.order_by("id").values_list("value", "is_current")) == [("4", False), ("5", True)]


def test_the_call_begun_anew_by_the_provider_goes_on_where_it_was(phone):
    voice = phone.url
    phone.hear()
    phone.hear(YES)
    assert phone.post(url=voice).find(".//Say").text.startswith("How was it?")


def test_nothing_is_kept_of_whoever_did_not_agree(phone, attempt, campaign):
    version = campaign.questions.first().versions.get()
    query = urlencode({"call_id": attempt.call_id, "question": version.pk, "again": 0})
    url = f"{PUBLIC_URL}{reverse('telephony-voice-question')}?{query}"
    assert phone.post({"Digits": "4"}, url).find(".//Say").text.startswith("Good day.")
    assert not Answer.objects.exists()


@pytest.mark.parametrize("question", ["", "nonsense", str(UUID(int=1))])
def test_a_question_that_is_not_the_campaigns_is_passed_over(phone, attempt, question):
    phone.hear()
    phone.hear(YES)
    other = QuestionFactory()
    freeze_questions(other.campaign)
    for wrong in (question, str(other.versions.get().pk)):
        query = urlencode({"call_id": attempt.call_id, "question": wrong, "again": 0})
        url = f"{PUBLIC_URL}{reverse('telephony-voice-question')}?{query}"
        assert phone.post({"Digits": "4"}, url).find(".//Say").text.startswith("How was it?")
    assert not Answer.objects.exists()


def test_an_answer_that_comes_after_the_end_of_the_call_is_kept_and_the_last_one_completes(phone, attempt):
    phone.hear()
    for said in [YES, *ANSWERS[:4]]:
        phone.hear(said)
    phone.end()
    assert state_of(attempt) == (CallOutcome.NO_ANSWER, ContactState.NOT_REACHED)
    assert phone.post(ANSWERS[4]).find("Say") is None
    assert (state_of(attempt), len(values(attempt.contact))) == (COMPLETED, 5)


@pytest.mark.parametrize(("said", "states"), [(NO, REFUSED), (NEVER, REFUSED)])
def test_a_refusal_that_comes_after_the_end_of_the_call_stands(phone, attempt, said, states):
    phone.hear()
    phone.end()
    assert phone.post(said).find("Say") is None
    assert state_of(attempt) == states


def test_a_call_that_we_do_not_know_is_hung_up():
    phone = Phone(CallAttempt(call_id="never-made"))
    for view in ("telephony-voice", "telephony-voice-consent", "telephony-voice-question"):
        url = f"{PUBLIC_URL}{reverse(view)}?call_id=never-made"
        assert [verb.tag for verb in phone.post(YES, url)] == ["Hangup"]


def test_another_call_than_the_attempts_own_hears_nothing_and_changes_nothing(phone, attempt):
    phone.hear()
    consent = phone.url
    phone.hear(YES)
    for url in (phone.url, consent):
        assert [verb.tag for verb in phone.post({"Digits": "2"}, url, sid="CA2")] == ["Hangup"]
    assert state_of(attempt) == OPEN
    assert not Answer.objects.exists()


# Broken off, and called again


def test_the_next_call_says_so_and_goes_on_at_the_first_question_without_an_answer(phone, attempt, campaign):
    phone.hear()
    for said in [YES, *ANSWERS[:2]]:
        phone.hear(said)
    phone.end()
    assert state_of(attempt) == (CallOutcome.NO_ANSWER, ContactState.NOT_REACHED)
    Contact.objects.update(state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=2)
    second = Phone(make_attempt(campaign, attempt.contact, attempt_number=2), sid="CA2")
    assert "Our last call was cut off; we go on where it stopped." in second.hear()
    assert second.hear(YES).startswith("Which colour?")
    for said in ANSWERS[2:]:
        second.hear(said)
    assert second.is_over
    assert state_of(second.attempt) == COMPLETED
    assert values(attempt.contact) == ["4", "no", "1", "30", "All good."]
    assert Answer.objects.filter(attempt=attempt).count() == 2


def test_a_question_that_is_withdrawn_during_the_call_is_not_asked_and_a_new_one_is(phone, attempt, campaign):
    phone.hear()
    phone.hear(YES)
    campaign.questions.filter(position__in=[2, 3, 4, 5]).update(is_withdrawn=True)
    QuestionFactory(campaign=campaign, position=9, text_en="One more?")
    freeze_questions(campaign)
    assert phone.hear(ANSWERS[0]).startswith("One more?")
    phone.hear({"Digits": "5"})
    assert state_of(attempt) == COMPLETED


def test_an_answer_names_the_version_that_was_asked_also_when_it_was_edited_meanwhile(phone, campaign):
    phone.hear()
    phone.hear(YES)
    campaign.questions.filter(position=1).update(text_en="How was it, really?")
    freeze_questions(campaign)
    phone.hear(ANSWERS[0])
    assert Answer.objects.get().version.text_en == "How was it?"


# Whatever is pressed or said


WORDS = st.sampled_from(["yes", "no", "sì", "repeat", "do not call me", "four", "quattro", "red", "blu", "", "ehm"])
SPOKEN = st.builds(
    lambda words, confidence: {"SpeechResult": " ".join(words), "Confidence": confidence},
    st.lists(WORDS | st.text(max_size=5), max_size=4),
    st.sampled_from(["0.9", "0.1", "", "x"]),
)
PRESSED = st.builds(lambda keys: {"Digits": keys}, st.text("0123456789*#", max_size=5) | st.text(max_size=3))


@settings(max_examples=settings.default.max_examples // 2)
@given(said=st.lists(SPOKEN | PRESSED | st.just({}), max_size=16), language=st.sampled_from(["en", "it"]))
def test_no_input_leaves_a_call_without_a_next_step(said, language):
    with transaction.atomic():
        campaign = CampaignFactory(status="running", intro_script_other="Buongiorno.")
        for position, values in enumerate(QUESTIONS, start=1):
            QuestionFactory(campaign=campaign, position=position, **values)
        freeze_questions(campaign)
        attempt = make_attempt(campaign)
        Contact.objects.filter(pk=attempt.contact_id).update(preferred_language=language)
        phone = Phone(attempt)
        phone.hear()
        for heard in said:
            if phone.is_over:
                break
            assert dict(parse_qsl(urlsplit(phone.url).query))["call_id"] == attempt.call_id
            phone.hear(heard)
        phone.end()
        attempt.refresh_from_db()
        contact = Contact.objects.get(pk=attempt.contact_id)
        if attempt.outcome == CallOutcome.COMPLETED:
            assert Answer.objects.filter(contact=contact, is_current=True).count() == len(QUESTIONS)
        else:
            assert attempt.outcome in (CallOutcome.REFUSED, CallOutcome.NO_ANSWER)
        if attempt.outcome == CallOutcome.REFUSED:
            assert contact.state == ContactState.REFUSED
        transaction.set_rollback(True)


def test_a_survey_takes_few_questions_to_the_database(phone, django_assert_max_num_queries):
    phone.hear()
    phone.hear(YES)
    with django_assert_max_num_queries(12):
        phone.hear(ANSWERS[0])


# In both languages


LANGUAGES = pytest.mark.parametrize("language", ["en", "it"])


def say_in(language, text):
    with override(language):
        return gettext(text)


@pytest.fixture
def speaking(campaign):
    def make_phone(language, **values):
        attempt = make_attempt(campaign, **values)
        Contact.objects.filter(pk=attempt.contact_id).update(preferred_language=language)
        return Phone(attempt, sid=f"CA-{attempt.call_id}")

    return make_phone


@LANGUAGES
def test_each_ending_of_a_call_is_said_in_the_contacts_language(speaking, language):
    no = {"en": "no", "it": "no grazie"}[language]
    never = {"en": "please do not call me", "it": "non chiamatemi più"}[language]
    for said, goodbye in [
        ([{"SpeechResult": no}], "Thank you for telling us. We will not call you again for this survey. Goodbye."),
        ([{"SpeechResult": never}], "We will not call you again. Goodbye."),
        ([SILENCE, SILENCE], "I still did not understand, so I end this call. Goodbye."),
        ([YES, *ANSWERS], "Those were all questions. Thank you very much. Goodbye."),
    ]:
        phone = speaking(language)
        phone.hear()
        for words in said:
            phone.hear(words)
        assert (phone.said, phone.is_over) == (say_in(language, goodbye), True)


@LANGUAGES
def test_what_is_spoken_is_understood_in_the_contacts_language(speaking, language):
    spoken = {
        "en": ["yes", "four", "no", "the blue one", "thirty", "all good"],
        "it": ["sì", "quattro", "no", "quello blu", "trenta", "tutto bene"],
    }[language]
    phone = speaking(language)
    phone.hear()
    for words in spoken:
        phone.hear({"SpeechResult": words, "Confidence": "0.9"})
    assert phone.is_over
    assert values(phone.attempt.contact) == ["4", "no", "2", "30", spoken[-1]]


@LANGUAGES
def test_asking_again_repeating_and_passing_over_are_said_in_the_contacts_language(speaking, language):
    question = {"en": "Again?", "it": "Ancora?"}[language]
    repeat = {"en": "repeat", "it": "ripeta"}[language]
    phone = speaking(language)
    phone.hear()
    phone.hear(YES)
    phone.hear(ANSWERS[0])
    assert phone.hear({"SpeechResult": repeat}).startswith(question)
    again = say_in(language, "Sorry, I did not understand.")
    assert phone.hear(UNCLEAR).startswith(f"{again} {question}")
    assert phone.hear(UNCLEAR).startswith({"en": "Which colour?", "it": "Quale colore?"}[language])


@LANGUAGES
def test_that_a_call_was_cut_off_is_said_in_the_contacts_language_and_again_when_it_is_repeated(speaking, language):
    first = speaking(language)
    first.hear()
    first.hear(YES)
    first.end()
    Contact.objects.update(state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=2)
    second = speaking(language, contact=first.attempt.contact, attempt_number=2)
    cut_off = say_in(language, "Our last call was cut off; we go on where it stopped.")
    assert cut_off in second.hear()
    assert cut_off in second.hear(REPEAT)


# A provider that waits, a process that dies


def test_a_call_in_which_somebody_speaks_is_not_looked_up(phone, attempt):
    phone.hear()
    CallAttempt.objects.update(check_at=NOON - timedelta(seconds=1))
    phone.hear(YES)
    attempt.refresh_from_db()
    assert attempt.check_at > NOON


@pytest.mark.django_db(transaction=True)
def test_a_process_that_dies_before_the_last_commit_leaves_nothing_half_done(phone, attempt, monkeypatch):
    phone.hear()
    for said in [YES, *ANSWERS[:4]]:
        phone.hear(said)

    def die(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "write_decision", die)
        with pytest.raises(KeyboardInterrupt):
            phone.post(ANSWERS[4])
    assert (state_of(attempt), len(values(attempt.contact))) == (OPEN, 4)
    phone.hear(ANSWERS[4])
    assert (state_of(attempt), len(values(attempt.contact))) == (COMPLETED, 5)


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_lost_before_the_last_commit_costs_no_answer(phone, attempt, monkeypatch):
    phone.hear()
    for said in [YES, *ANSWERS[:4]]:
        phone.hear(said)
    write, losses = outbox.write_decision, [lose_connection]

    def lose_once(*arguments, **options):
        if losses:
            losses.pop()()
        return write(*arguments, **options)

    monkeypatch.setattr(outbox, "write_decision", lose_once)
    phone.hear(ANSWERS[4])
    assert (losses, phone.is_over) == ([], True)
    assert (state_of(attempt), len(values(attempt.contact))) == (COMPLETED, 5)
    assert Answer.objects.count() == 5


def test_what_xml_cannot_hold_does_no_harm_in_a_choice(phone, campaign):
    campaign.questions.filter(position=3).update(choices_en=["Red\x02", "Blue\ufffe"])
    freeze_questions(campaign)
    phone.hear()
    for said in [YES, *ANSWERS[:2]]:
        phone.hear(said)
    assert phone.gather["hints"] == "Red , Blue "
