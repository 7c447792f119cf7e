"""The story of a contact and of an attempt, as operators read it."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.translation import override

from calls import conversation, outcomes
from calls.erasure import Person, erase_person
from calls.models import CallAttempt, ProviderConfig
from calls.outcomes import apply_event
from calls.providers.base import CallEvent, CallProgress, Said
from calls.providers.twilio import ANSWERER_BY_WORD
from calls.timeline import tell_attempt, tell_contact, tell_next
from campaigns.models import Campaign
from campaigns.questions import freeze_questions
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.exclusion import keep_as_hash
from contacts.importing import import_contacts
from contacts.models import CallOutcome, Contact, ContactImport, DoNotCallEntry
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

from .conftest import NOON
from .factories import AnswerFactory, CallAttemptFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator():
    return User.objects.create_user("rota-desk")


def make_campaign(**values):
    return CampaignFactory(**{"status": "running", "time_zone": "Europe/Rome"} | values)


def make_contact(**values):
    """Since before everything else, in a zone an hour before the operators' own."""
    contact = ContactFactory(**{"campaign": values.pop("campaign", None) or make_campaign()} | values)
    return created(contact, NOON - timedelta(days=1))


def created(row, at):
    type(row).objects.filter(pk=row.pk).update(created_at=at)
    row.refresh_from_db()
    return row


def make_call(**values):
    contact = make_contact(state="in_progress", next_attempt_at=None, attempts_count=1)
    return CallAttemptFactory(contact=contact, **{"status": "placing", "provider_call_id": ""} | values)


def tell(attempt, progress, seconds, word=None, **more):
    word = word or progress.value
    event = CallEvent(call_id=attempt.call_id, provider_call_id="CA1", progress=progress, raw_status=word, **more)
    apply_event(event, now=NOON + timedelta(seconds=seconds))


def write_log(row, flag, message, user, at=NOON):
    LogEntry.objects.log_actions(user.pk, [row], flag, change_message=message, single_object=True)
    LogEntry.objects.filter(object_id=str(row.pk)).update(action_time=at)


def read(moments):
    return [" ".join(filter(None, [moment.title, moment.text, moment.detail])) for moment in moments]


def test_a_call_is_told_from_its_claim_to_its_end():
    attempt = make_call()
    tell(attempt, CallProgress.QUEUED, 1, "initiated")
    tell(attempt, CallProgress.RINGING, 2)
    tell(attempt, CallProgress.ANSWERED, 8, "in-progress", details={"answered_by": "human"})
    said = {"progress": CallProgress.ANSWERED, "raw_status": "", "said": Said(keys="1")}
    consent = CallEvent(call_id=attempt.call_id, provider_call_id="CA1", **said)
    conversation.hear_consent(consent, is_again=False, now=NOON + timedelta(seconds=20))
    tell(attempt, CallProgress.HUNG_UP, 21, "completed")
    attempt.refresh_from_db()
    moments = tell_attempt(attempt)
    assert read(moments) == [
        "Call 1 A line is taken for it.",
        "The provider is asked to ring.",
        "The provider has accepted the call. The provider says “initiated”.",
        "The phone rings. The provider says “ringing”.",
        "Somebody, or something, has answered. The provider says “in-progress”. Sounds like a person.",
        "The person agrees to take part.",
        "Everything was answered.",
        "The call is over: everything was answered. The provider says “completed”.",
    ]
    assert [(moment.at - NOON).seconds for moment in moments] == [0, 0, 1, 2, 8, 20, 20, 21]
    assert (moments[-1].there, timezone.localtime(moments[-1].at).hour) == ("4 Mar 2026, 13:00:21", 12)


A_MACHINE = "Sounds like an answering machine."


@pytest.mark.parametrize(
    ("treatment", "word", "heard", "end"),
    [
        ("hang_up", "machine_start", A_MACHINE, "A machine had answered; it counts as not answered."),
        (
            "leave_message",
            "machine_end_beep",
            A_MACHINE,
            "A machine had answered, and the message was left on it; it counts as not answered.",
        ),
        ("leave_message", "fax", "Sounds like a fax machine.", "A machine had answered; it counts as not answered."),
        (
            "hang_up",
            "unknown",
            "Whether a person or a machine was not recognised.",
            "The call was over before the person agreed to take part; it counts as not answered.",
        ),
    ],
)
def test_a_call_that_a_machine_has_answered_says_so_and_what_became_of_it(treatment, word, heard, end):
    attempt = make_call()
    Campaign.objects.update(machine_detection=treatment, machine_message="We try again.")
    tell(attempt, CallProgress.ANSWERED, 8, "in-progress")
    answer = CallEvent(
        call_id=attempt.call_id,
        provider_call_id="CA1",
        progress=CallProgress.ANSWERED,
        raw_status="in-progress",
        details={"answered_by": word},
        answerer=ANSWERER_BY_WORD[word],
    )
    conversation.begin(answer, now=NOON + timedelta(seconds=12))
    tell(attempt, CallProgress.HUNG_UP, 20, "completed")
    attempt.refresh_from_db()
    assert read(tell_attempt(attempt))[2:] == [
        f"Somebody, or something, has answered. The provider says “in-progress”. {heard}",
        f"{end} The provider says “completed”.",
    ]


def make_version(campaign, **values):
    question = QuestionFactory(campaign=campaign, **values)
    freeze_questions(campaign)
    return question.versions.get()


NO_LIMITS = {"lowest": None, "highest": None}
COLOURS = {"type": "single_choice", "choices_en": ["Red", "Blue"], "choices_it": ["Rosso", "Blu"], **NO_LIMITS}


@pytest.mark.parametrize(
    ("question", "answer", "told"),
    [
        ({"text_en": "How was it?"}, {}, "Answer to “How was it?”: 4"),
        ({"text_en": "How was it?"}, {"value": "", "raw": "77"}, "“How was it?” is passed over. Pressed: 77."),
        (
            {"text_en": "How was it?"},
            {"means": "speech", "raw": "four please"},
            "Answer to “How was it?”: 4 Said: “four please”.",
        ),
        ({"text_en": "", "text_it": "Com'era?"}, {}, "Answer to “Com'era?”: 4"),
        ({"text_en": "", "text_it": ""}, {}, "Answer to “Scale”: 4"),
        (
            {"text_en": "Again?", "type": "yes_no", **NO_LIMITS},
            {"value": "no", "raw": "2"},
            "Answer to “Again?”: No Pressed: 2.",
        ),
        (
            {"text_en": "Which?", **COLOURS},
            {"value": "2", "is_current": False},
            "Answer to “Which?”: Blue It was answered anew later.",
        ),
        ({"text_en": "Which?", **COLOURS}, {"value": "3"}, "Answer to “Which?”: 3"),
        (
            {"text_en": "Else?", "type": "free_text", **NO_LIMITS},
            {"value": "All good.", "means": "speech"},
            "Answer to “Else?”: “All good.”",
        ),
        (
            {"text_en": "Else?", "type": "free_text", **NO_LIMITS},
            {"value": "", "means": "speech"},
            "“Else?” was answered; the words were erased.",
        ),
    ],
)
def test_answers_are_told_in_words(question, answer, told):
    contact = make_contact()
    version = make_version(contact.campaign, **question)
    attempt = CallAttemptFactory(contact=contact)
    AnswerFactory(attempt=attempt, version=version, **answer)
    assert told in read(tell_attempt(attempt))
    assert told in read(tell_contact(contact))


def test_the_last_answer_is_told_before_what_it_decides():
    attempt = CallAttemptFactory(contact=make_contact(), outcome="completed")
    version = make_version(attempt.campaign, text_en="How was it?")
    AnswerFactory(attempt=attempt, version=version, answered_at=attempt.decided_at)
    assert read(tell_attempt(attempt))[-3:-1] == ["Answer to “How was it?”: 4", "Everything was answered."]


def test_an_error_is_told_in_plain_words_with_its_code():
    attempt = make_call()
    tell(attempt, CallProgress.FAILED, 3, "failed", error_code="13227", details={"sip_response_code": "404"})
    attempt.refresh_from_db()
    assert read(tell_attempt(attempt))[-1] == (
        "The call failed. The provider says “failed”. "
        "The telephone network says: the number does not exist. Error 13227."
    )


def test_a_call_that_was_given_back_says_why_and_that_nobody_was_rung():
    attempt = make_call(status="claimed", started_at=None)
    outcomes.give_back(attempt, code="paused", message="Its campaign was paused.", now=NOON)
    attempt.refresh_from_db()
    assert read(tell_attempt(attempt)) == [
        "Call 1 A line is taken for it.",
        "Given back: nobody was rung, and the try does not count. Its campaign was paused. Error paused.",
    ]


def test_an_earlier_word_of_the_provider_is_not_told_as_that_of_the_end():
    attempt = make_call()
    tell(attempt, CallProgress.RINGING, 2)
    late = NOON + timedelta(minutes=20)
    outcomes.end_attempt(attempt, CallOutcome.FAILED, now=late, error_message="Never heard of again.")
    attempt.refresh_from_db()
    assert read(tell_attempt(attempt))[-1] == "The call failed. Never heard of again."


def test_a_hang_up_before_the_end_is_not_told_as_no_answer():
    attempt = make_call()
    tell(attempt, CallProgress.ANSWERED, 2)
    tell(attempt, CallProgress.HUNG_UP, 5, "completed")
    attempt.refresh_from_db()
    assert "before the person agreed to take part" in read(tell_attempt(attempt))[-1]


def test_a_hang_up_in_the_middle_of_the_questions_is_told_as_that():
    attempt = make_call()
    tell(attempt, CallProgress.ANSWERED, 2)
    CallAttempt.objects.update(consented_at=NOON)
    tell(attempt, CallProgress.HUNG_UP, 5, "completed")
    attempt.refresh_from_db()
    assert "before everything was answered" in read(tell_attempt(attempt))[-1]


def test_a_call_from_before_steps_were_remembered_still_says_when_it_was_answered():
    attempt = CallAttemptFactory(contact=make_contact(), answered_at=NOON + timedelta(seconds=8))
    assert [moment.at for moment in tell_attempt(attempt)] == sorted(moment.at for moment in tell_attempt(attempt))
    assert "Somebody, or something, has answered." in read(tell_attempt(attempt))


def test_a_contact_tells_the_import_that_it_came_with_whatever_others_were_at_work(operator):
    campaign = CampaignFactory()
    for name, number in [("first.csv", "+12025550141"), ("second.csv", "+12025550142")]:
        import_contacts(campaign, io.BytesIO(f"phone_number\n{number}\n".encode()), now=NOON, file_name=name)
    ContactImport.objects.update(created_by=operator)
    (moment,) = tell_contact(Contact.objects.get(phone_number="+12025550142"))
    assert read([moment]) == ["Imported from “second.csv”. Uploaded by rota-desk."]
    assert (
        moment.link == f"/admin/contacts/contactimport/{ContactImport.objects.get(file_name='second.csv').pk}/change/"
    )


def test_a_contact_that_came_with_no_import_was_added():
    contact = make_contact()
    import_contacts(contact.campaign, io.BytesIO(b"phone_number\n+12025550141\n"), now=NOON)
    assert read(tell_contact(contact)) == ["Added."]


def test_what_operators_did_is_told_with_their_names(operator):
    contact = make_contact()
    write_log(contact, ADDITION, "", operator, at=NOON - timedelta(days=1))
    LogEntry.objects.log_actions(operator.pk, [contact], CHANGE, "Changed E-mail.", single_object=True)
    assert read(tell_contact(contact)) == ["Added by hand. By rota-desk.", "Changed E-mail. By rota-desk."]


def test_the_do_not_call_list_is_told_as_long_as_the_number_is_on_it_and_after(operator):
    contact = make_contact()
    entry = created(DoNotCallEntryFactory(phone_number=contact.phone_number, reason="Asked on the phone."), NOON)
    assert read(tell_contact(contact))[1:] == ["Put on the do-not-call list (Manual). Asked on the phone."]
    write_log(entry, ADDITION, "", operator)
    assert read(tell_contact(contact))[1:] == ["Put on the do-not-call list. By rota-desk. Asked on the phone."]
    LogEntry.objects.log_actions(operator.pk, [entry], DELETION, "Taken off: a mistake.", single_object=True)
    DoNotCallEntry.objects.all().delete()
    assert read(tell_contact(contact))[1:] == [
        "Put on the do-not-call list. By rota-desk.",
        "Do-not-call list. Taken off: a mistake. By rota-desk.",
    ]


def test_a_contacts_story_has_all_of_its_calls_with_links_to_them_and_asks_as_much_for_many():
    contact = make_contact()
    first = CallAttemptFactory(contact=contact)
    version = make_version(contact.campaign, text_en="How was it?")
    AnswerFactory(attempt=first, version=version, is_current=False)
    with CaptureQueriesContext(connection) as few:
        tell_contact(Contact.objects.select_related("campaign").get(pk=contact.pk))
    later = [
        CallAttemptFactory(contact=contact, attempt_number=number, claimed_at=NOON + number * timedelta(hours=1))
        for number in (2, 3)
    ]
    AnswerFactory(attempt=later[0], version=version)
    AnswerFactory(attempt=later[1], version=make_version(contact.campaign))
    with CaptureQueriesContext(connection) as many:
        moments = tell_contact(Contact.objects.select_related("campaign").get(pk=contact.pk))
    assert len(many) == len(few)
    links = [moment.link for moment in moments if moment.title.startswith("Call ")]
    assert links == [f"/admin/calls/callattempt/{attempt.pk}/change/" for attempt in [first, *later]]
    answers = [moment.text for moment in moments if moment.text.startswith("Answer to")]
    assert len(answers) == 3 and answers[0] == answers[1] == "Answer to “How was it?”: 4"


# What comes next


def next_of(now=NOON, campaign=None, **values):
    return tell_next(make_contact(campaign=campaign, **values), now=now)


def test_the_next_try_is_told_by_both_clocks():
    due = {"state": "not_reached", "attempts_count": 1, "next_attempt_at": NOON + timedelta(hours=2)}
    assert next_of(**due) == (
        "Is tried again on 4 Mar 2026, 14:00 your time, 4 Mar 2026, 15:00 there, at the earliest."
    )


def test_of_several_zones_the_first_and_the_last_clock_are_told():
    zones = "America/New_York America/Chicago America/Los_Angeles"
    said = next_of(calling_zone=zones, next_attempt_at=NOON + timedelta(hours=6))
    assert "4 Mar 2026, 10:00 to 4 Mar 2026, 13:00 there" in said


def test_who_is_due_waits_for_a_line_or_for_the_campaigns_hours():
    assert next_of() == "Is due to be rung for the first time. That happens as soon as a line is free."
    hours = {"allowed_call_start": "15:00", "allowed_call_end": "16:00"}
    campaign = make_campaign(**hours)
    campaign.refresh_from_db()
    assert "rung for the first time on 4 Mar 2026, 14:00 your time, 4 Mar 2026, 15:00 there" in next_of(
        campaign=campaign
    )


def test_a_campaign_that_does_not_run_is_told_of():
    assert next_of(campaign=make_campaign(status="paused")).endswith("rings nobody until it is resumed.")
    assert next_of(campaign=make_campaign(status="draft")).endswith("rings nobody before it is activated.")


def test_a_campaign_begins_before_anybody_is_rung_and_ends_before_who_is_too_late():
    later = NOON + timedelta(days=2)
    assert "on 6 Mar 2026, 12:00 your time" in next_of(campaign=make_campaign(status="scheduled", starts_at=later))
    due = later + timedelta(days=1)
    said = next_of(campaign=make_campaign(ends_at=later), next_attempt_at=due)
    assert said == "Is rung no more: the campaign ends on 6 Mar 2026, 12:00, before its next turn."


def test_hours_that_never_open_are_told_of():
    assert "calling hours never open" in next_of(campaign=make_campaign(time_zone=""))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"state": "in_progress"}, "A call is going on."),
        ({"state": "completed", "do_not_call": True}, "Has taken part, and is not rung again."),
        ({"state": "refused"}, "Has refused, and is not rung again."),
        ({"state": "excluded", "do_not_call": True}, "Is never rung: the number is on the do-not-call list."),
        ({"state": "not_reached", "number_rejected": True}, "the provider says that this number will never work."),
        ({"state": "not_reached", "attempts_count": 3}, "All 3 tries that its campaign allows have been used."),
    ],
)
def test_never_again_has_a_reason(values, said):
    assert said in next_of(next_attempt_at=None, **values)


def test_an_erased_persons_story_tells_that_and_nothing_of_others_who_were_erased(settings):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    contact = make_contact(state="not_reached", attempts_count=1, next_attempt_at=None)
    CallAttemptFactory(contact=contact)
    keep_as_hash(["+12025550123"])
    erase_person(Person(phone_number=contact.phone_number), keeps_off=False, reason="Asked by letter.", now=NOON)
    contact.refresh_from_db()
    texts = [moment.text for moment in tell_contact(contact)]
    assert "The person was erased: whose contact this was is not known any more." in texts
    assert not any("do-not-call" in text for text in texts)
    assert "Nobody answered." in texts
    assert tell_next(contact, now=NOON) == "Is never rung: the person was erased."


def test_whoever_is_held_by_a_cap_is_told_so(lines):
    ProviderConfig.objects.update(calls_per_number_per_day=1)
    rung = make_contact(state="completed", next_attempt_at=None)
    CallAttemptFactory(contact=rung, claimed_at=NOON - timedelta(hours=2))

    def tell(due, **values):
        return tell_next(make_contact(phone_number=rung.phone_number, next_attempt_at=due, **values), now=NOON)

    until = NOON + timedelta(hours=22)
    held = (
        "Is rung for the first time on 5 Mar 2026, 10:00 your time, 5 Mar 2026, 11:00 there, at the earliest. "
        "Its number was rung as often as is allowed in 24 hours or in 7 days."
    )
    assert tell(until, calling_zone="") == tell(NOON, calling_zone="") == held
    assert "as often as is allowed" not in tell(until + timedelta(hours=1))
    later = make_campaign(starts_at=until + timedelta(hours=1))
    assert "as often as is allowed" not in tell(NOON, campaign=later)


def test_a_number_that_is_kept_as_a_hash_is_told_of_with_its_contacts(settings):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    contact = make_contact()
    keep_as_hash([contact.phone_number])
    assert "Put on the do-not-call list (Manual)." in [moment.text for moment in tell_contact(contact)]


def test_both_pages_tell_the_story(admin_client):
    attempt = CallAttemptFactory(contact=make_contact(next_attempt_at=datetime(2026, 1, 1, tzinfo=UTC)))
    for page in (
        f"/admin/contacts/contact/{attempt.contact_id}/change/",
        f"/admin/calls/callattempt/{attempt.pk}/change/",
    ):
        content = admin_client.get(page).content.decode()
        assert "Nobody answered." in content and "beside them those of Europe/Rome" in content
    assert (
        "What comes next" in admin_client.get(f"/admin/contacts/contact/{attempt.contact_id}/change/").content.decode()
    )


def test_in_italian_a_call_and_what_comes_next_are_told():
    attempt = make_call()
    tell(attempt, CallProgress.FAILED, 3, "failed", error_code="13227", details={"sip_response_code": "404"})
    attempt.refresh_from_db()
    due = {"state": "not_reached", "attempts_count": 1, "next_attempt_at": NOON + timedelta(hours=2)}
    with override("it"):
        assert read(tell_attempt(attempt))[-1] == (
            "La chiamata non è riuscita. Il provider telefonico dice «failed». "
            "La rete telefonica dice: il numero non esiste. Errore 13227."
        )
        assert next_of(**due) == (
            "Nuovo tentativo, al più presto: 4 mar 2026, 14:00 ora dell'operatore, 4 mar 2026, 15:00 ora locale."
        )
        assert next_of(state="not_reached", campaign=make_campaign(max_attempts=1), next_attempt_at=None) == (
            "Non viene più chiamato. L'unico tentativo previsto dalla campagna è stato fatto."
        )
        assert next_of(campaign=make_campaign(status="paused")) == (
            "È il momento della prima chiamata. La campagna è in pausa e non chiama nessuno finché non viene ripresa."
        )
