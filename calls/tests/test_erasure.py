"""Whoever is erased is found nowhere, and is never rung again."""

import threading
from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import IntegrityError, connection, transaction
from django.utils.translation import override
from structlog.testing import capture_logs

from calls import conversation, erasure
from calls.claiming import claim_calls
from calls.clock import DatabaseClock
from calls.dispositions import find_dispositions
from calls.erasure import ErasureImpossible, Person, erase_person, look_for
from calls.models import Answer, CallAttempt, ProviderConfig
from calls.outcomes import Applied, apply_event, record_placed
from calls.providers.base import CallEvent, CallProgress, PlacedCall, Said
from calls.states import AttemptStatus
from calls.tests.factories import AnswerFactory, CallAttemptFactory
from calls.tests.phone_network import wait_until
from calls.tests.threads import count_waiting, in_thread
from campaigns.questions import freeze_questions
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.exclusion import add_to_do_not_call, numbers_on_do_not_call
from contacts.hashing import HashKeyMissing
from contacts.models import (
    CallOutcome,
    Contact,
    ContactImport,
    ContactState,
    DoNotCallEntry,
    ImportRefusal,
    ImportStatus,
)
from contacts.rearming import rearm_contacts
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

NUMBER = "+390236726012"
EXTERNAL_ID, EMAIL = "P-1701", "p1701@example.org"
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def key(settings):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"


def erase(person=Person(phone_number=NUMBER), keeps_off=True):  # noqa: B008  (it is a constant)
    return erase_person(person, keeps_off=keeps_off, reason="Asked by letter.", now=NOW)


def make_contact(**values):
    return ContactFactory(**{"phone_number": NUMBER, "external_contact_id": EXTERNAL_ID, "email": EMAIL} | values)


def make_called(**values):
    """Tried once in vain, and waiting for the next try."""
    contact = make_contact(state=ContactState.NOT_REACHED, attempts_count=1, last_outcome="no_answer", **values)
    CallAttemptFactory(
        contact=contact, error_message=f"{NUMBER} did not answer", metadata={"To": NUMBER}, error_code="13224"
    )
    return contact


def make_refusal(**values):
    record = ContactImport.objects.create(
        campaign=CampaignFactory(),
        status=ImportStatus.COMPLETED,
        columns={"phone_number": 0, "external_contact_id": 1},
        rows=1,
        refused=1,
    )
    return ImportRefusal.objects.create(contact_import=record, line=2, reason="It is too short.", **values)


def make_version(campaign, **values):
    question = QuestionFactory(campaign=campaign, **values)
    freeze_questions(campaign)
    return question.versions.get()


def make_answers(contact):
    """In own words, to a scale, and one to each that was passed over."""
    attempt = contact.attempts.get()
    words = make_version(contact.campaign, type="free_text", lowest=None, highest=None)
    said = {"means": "speech", "raw": "My name is Bruna", "value": "My name is Bruna"}
    for value in (said, {"means": "speech", "raw": "what's it to you", "value": ""}):
        AnswerFactory(attempt=attempt, version=words, is_current=value is said, **value)
    scale = make_version(contact.campaign)
    AnswerFactory(attempt=attempt, version=scale, means="speech", raw="four, says Bruna", value="4")
    AnswerFactory(attempt=attempt, version=make_version(contact.campaign), raw="7", value="")


def read_everything():
    """All texts of all tables."""
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            if model._meta.managed and not model._meta.proxy:
                cursor.execute(f"SELECT string_agg(to_json(found)::text, ' ') FROM {model._meta.db_table} AS found")
                (text,) = cursor.fetchone()
                yield model._meta.label, text or ""


def test_nothing_in_the_database_tells_of_the_person_any_more(admin_user):
    contact = make_called()
    make_called(external_contact_id="", email="")
    entry = DoNotCallEntryFactory(phone_number=NUMBER, reason="By phone")
    LogEntry.objects.log_actions(admin_user.pk, [contact], CHANGE, change_message="Changed.")
    LogEntry.objects.log_actions(admin_user.pk, [entry, make_contact(external_contact_id="")], DELETION)
    make_answers(contact)
    make_refusal(cells=["02 3672 6012", "", "Rome"], column="phone_number", value="02 3672 6012")
    make_refusal(cells=["12", EXTERNAL_ID])
    make_refusal(cells=["12", "", EMAIL.upper()])
    ProviderConfig.objects.update(last_error=f"The number {NUMBER} is busy.", halted_reason="It says %2B390236726012.")
    erase()
    secrets = (NUMBER[1:], "3672 6012", EXTERNAL_ID, EMAIL, EMAIL.upper(), "By phone", "Bruna", "what's it")
    assert [(label, secret) for label, text in read_everything() for secret in secrets if secret in text] == []


@pytest.mark.parametrize(
    ("metadata", "answered", "disposition"),
    [
        ({"answered_by": "machine_start", "answerer": "machine", "left_message": True}, True, "machine"),
        ({"answered_by": "machine_start"}, True, "machine"),
        ({"answerer": "fax"}, True, "fax"),
        ({"sip_response_code": "404", "call_duration": "0"}, False, "not_working"),
        ({"call_duration": "9"}, True, "non_contact"),
    ],
)
def test_a_disposition_stays_as_it_was_and_what_else_was_said_of_a_call_goes(metadata, answered, disposition):
    contact = make_contact(state=ContactState.NOT_REACHED)
    at = NOW if answered else None
    CallAttemptFactory(contact=contact, answered_at=at, outcome="no_answer", metadata={"To": NUMBER, **metadata})

    def judge():
        return find_dispositions(contact.campaign_id, [contact.pk])[contact.pk].name

    assert judge() == disposition
    erase()
    assert judge() == disposition
    kept = {name: word for name, word in metadata.items() if name not in ("left_message", "call_duration")}
    assert CallAttempt.objects.get().metadata == kept


def test_the_figures_of_the_campaign_stay():
    waiting, called = make_contact(), make_called()
    found = erase()
    assert (found.contacts, found.calls, found.numbers) == (2, 1, [NUMBER])
    called.refresh_from_db()
    waiting.refresh_from_db()
    assert (called.state, called.attempts_count, called.last_outcome) == (ContactState.NOT_REACHED, 1, "no_answer")
    assert (called.next_attempt_at, called.erased_at) == (None, NOW)
    assert (waiting.state, waiting.next_attempt_at) == (ContactState.EXCLUDED, None)
    attempt = CallAttempt.objects.get()
    assert (attempt.outcome, attempt.error_code, attempt.contact) == (CallOutcome.NO_ANSWER, "13224", called)


def test_answers_stay_as_figures_and_words_are_still_known_to_have_been_said():
    called = make_called()
    make_answers(called)
    for _ in range(2):
        assert erase(keeps_off=False).answers == 4
        Contact.objects.filter(pk=called.pk).update(phone_number=NUMBER, erased_at=None)
    left = Answer.objects.order_by("pk")
    assert list(left.values_list("means", "raw", "value")) == [
        ("speech", "", ""),
        ("nothing", "", ""),
        ("speech", "", "4"),
        ("nothing", "", ""),
    ]
    assert [answer.are_words_erased for answer in left] == [True, False, False, False]


def test_others_stay_as_they_are(admin_user):
    other = ContactFactory(external_contact_id="P-17", email="p17@example.org")
    attempt = CallAttemptFactory(contact=other, error_message="Busy", metadata={"a": "b"})
    refusal = make_refusal(cells=["+39 02 3672 6013", "P-17", "3672"])
    ProviderConfig.objects.update(last_error="The number +390236726013 is busy.")
    LogEntry.objects.log_actions(admin_user.pk, [other], CHANGE)
    make_called()
    erase()
    kept = Contact.objects.get(pk=other.pk)
    assert (kept.phone_number, kept.email, kept.erased_at) == (other.phone_number, other.email, None)
    assert CallAttempt.objects.get(pk=attempt.pk).metadata == {"a": "b"}
    assert ImportRefusal.objects.get().cells == refusal.cells
    assert ProviderConfig.objects.get().last_error == "The number +390236726013 is busy."
    assert LogEntry.objects.get().object_repr == "P-17"


def test_a_refused_row_is_still_counted_in_its_import():
    refusal = make_refusal(cells=["0236726012", ""])
    assert erase().refused_rows == 1
    refusal.refresh_from_db()
    assert (refusal.cells, refusal.reason, refusal.contact_import.refused) == ([], "The person was erased.", 1)


def test_by_an_external_id_all_contacts_with_its_numbers_are_erased():
    make_contact()
    make_contact(external_contact_id="another name elsewhere")
    other = ContactFactory()
    assert erase(Person(external_id=EXTERNAL_ID)).contacts == 2
    assert list(Contact.objects.filter(erased_at=None)) == [other]
    assert numbers_on_do_not_call([NUMBER]) == {NUMBER}


def test_an_external_id_that_nobody_has_is_refused():
    with pytest.raises(ErasureImpossible, match="No contact has this external id"):
        erase(Person(external_id="P-1"))


def test_the_number_is_kept_off_the_telephone_without_being_known():
    make_contact()
    erase()
    entry = DoNotCallEntry.objects.get()
    assert (entry.phone_number, numbers_on_do_not_call([NUMBER])) == (None, {NUMBER})


def test_an_entry_of_the_list_is_made_a_hash_or_goes():
    add_to_do_not_call(NUMBER)
    erase(keeps_off=True)
    assert DoNotCallEntry.objects.get().phone_number is None
    erase(keeps_off=False)
    assert not DoNotCallEntry.objects.exists()


def test_without_a_key_the_number_cannot_be_kept_off_and_nothing_is_erased(settings):
    settings.DO_NOT_CALL_HASH_KEY = ""
    contact = make_contact()
    with pytest.raises(HashKeyMissing, match="DO_NOT_CALL_HASH_KEY"):
        erase()
    assert Contact.objects.get().phone_number == contact.phone_number
    assert erase(keeps_off=False).contacts == 1


def test_nobody_is_erased_in_the_middle_of_a_call():
    idle = make_called()
    add_to_do_not_call(NUMBER)
    in_call = make_contact(state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=1)
    CallAttemptFactory(contact=in_call, ringing=True)
    with pytest.raises(ErasureImpossible, match="A call to this person is going on"):
        erase()
    assert Contact.objects.filter(phone_number=NUMBER).count() == 2
    assert DoNotCallEntry.objects.get().phone_number == NUMBER
    assert idle.attempts.get().metadata == {"To": NUMBER}


@pytest.mark.parametrize("status", [ImportStatus.PREPARED, ImportStatus.RUNNING])
def test_nobody_is_erased_while_a_file_may_have_them_in_it(status):
    make_contact()
    ContactImport.objects.create(campaign=CampaignFactory(), file_name="people.csv", status=status)
    with pytest.raises(ErasureImpossible, match=r"people\.csv"):
        erase()
    assert Contact.objects.get().phone_number == NUMBER


def test_a_look_changes_nothing():
    make_called(campaign__name="Spring")
    add_to_do_not_call(NUMBER)
    make_refusal(cells=["0236726012", ""])
    before = dict(read_everything())
    found = look_for(Person(phone_number=NUMBER))
    assert (found.contacts, found.campaigns, found.calls, found.refused_rows) == (1, ["Spring"], 1, 1)
    assert (found.numbers, found.is_on_do_not_call) == ([NUMBER], True)
    assert dict(read_everything()) == before


# Never rung again


def test_an_edit_of_the_campaign_has_nobody_erased_rung(django_capture_on_commit_callbacks):
    contact = make_called()
    erase(keeps_off=False)
    contact.campaign.max_attempts = 5
    contact.campaign.save()
    with django_capture_on_commit_callbacks(execute=True):
        assert rearm_contacts(contact.campaign, now=NOW).contacts == 0
    assert Contact.objects.get().next_attempt_at is None


def test_the_database_does_not_let_an_erased_person_wait():
    make_contact()
    erase()
    with pytest.raises(IntegrityError, match="contact_is_a_person_or_erased"), transaction.atomic():
        Contact.objects.update(next_attempt_at=NOW, state=ContactState.PENDING)


def test_an_attempt_without_a_number_has_nothing_else_of_the_person():
    attempt = CallAttemptFactory(error_message="", provider_call_id="")
    metadata = {"answerer": "machine", "To": NUMBER}
    for values in ({"metadata": metadata}, {"metadata": []}, {"error_message": "x"}, {"provider_call_id": "CA1"}):
        with pytest.raises(IntegrityError, match="attempt_has_a_number_or_is_erased"), transaction.atomic():
            CallAttempt.objects.filter(pk=attempt.pk).update(phone_number=None, **values)
    with pytest.raises(IntegrityError, match="attempt_has_a_number_or_is_erased"), transaction.atomic():
        CallAttemptFactory(ringing=True, phone_number=None, provider_call_id="")


# A report that comes late


def tell(attempt, progress):
    event = CallEvent(call_id=attempt.call_id, provider_call_id="CA1", progress=progress, raw_status="x")
    return apply_event(event, now=NOW)


@pytest.mark.parametrize("progress", [CallProgress.RINGING, CallProgress.ANSWERED, CallProgress.HUNG_UP])
def test_a_late_report_finds_its_attempt_and_changes_nothing(progress):
    attempt = make_called().attempts.get()
    erase()
    assert tell(attempt, progress) == Applied.STALE
    attempt.refresh_from_db()
    assert (attempt.phone_number, attempt.provider_call_id, attempt.metadata) == (None, "", {})


def test_who_turns_out_to_have_taken_part_has_completed_also_when_erased():
    contact = make_called()
    attempt = contact.attempts.get()
    Contact.objects.update(last_attempt_at=attempt.ended_at)
    erase()
    event = CallEvent(
        call_id=attempt.call_id,
        provider_call_id="CA1",
        progress=CallProgress.ANSWERED,
        raw_status="in-progress",
        said=Said(keys="1"),
    )
    conversation.hear_consent(event, is_again=False, now=NOW)
    contact.refresh_from_db()
    assert (contact.state, contact.phone_number) == (ContactState.COMPLETED, None)


def test_of_an_answer_that_comes_late_no_words_are_kept():
    contact = make_called()
    attempt = contact.attempts.get()
    Contact.objects.update(last_attempt_at=attempt.ended_at)
    CallAttempt.objects.update(consented_at=NOW)
    words = make_version(contact.campaign, type="free_text", lowest=None, highest=None, is_required=False)
    scale = make_version(contact.campaign)
    erase()
    heard = {"call_id": attempt.call_id, "provider_call_id": "CA1", "progress": CallProgress.ANSWERED}
    for version, said in ((words, Said(speech="I am Bruna")), (scale, Said(speech="four", confidence=0.9))):
        event = CallEvent(**heard, raw_status="in-progress", said=said)
        conversation.hear_answer(event, version.pk, is_again=False, now=NOW)
    assert list(Answer.objects.order_by("pk").values_list("means", "raw", "value")) == [
        ("speech", "", ""),
        ("speech", "", "4"),
    ]


def test_the_providers_answer_that_comes_after_all_is_not_written_down():
    attempt = make_called().attempts.get()
    CallAttempt.objects.update(provider_call_id="")
    erase()
    assert not record_placed([(attempt, PlacedCall(provider_call_id="CA1", raw_status="queued"))], now=NOW)
    attempt.refresh_from_db()
    assert (attempt.provider_call_id, attempt.status) == ("", AttemptStatus.ENDED)


# The record of it


def test_an_erasure_is_logged_with_counts():
    make_called()
    with capture_logs() as logs:
        erase()
    [line] = [entry for entry in logs if entry["event"] == "person.erased"]
    assert (line["contacts"], line["calls"], line["refused_rows"], line["keeps_off"]) == (1, 1, 0, True)


def test_news_of_an_erasure_name_nobody():
    news = []
    erasure.people_erased.connect(receiver := lambda message, **_: news.append(message))
    try:
        make_called()
        erase()
    finally:
        erasure.people_erased.disconnect(receiver)
    [message] = news
    assert message == (
        "1 contact, 1 call, 0 answers, 0 refused rows. The number stays on the do-not-call list. "
        "Reason: Asked by letter."
    )


@pytest.mark.parametrize(
    ("of_deployment", "message", "name"),
    [
        (
            "en-gb",
            "1 contact, 1 call, 0 answers, 1 refused row. The number is not on the do-not-call list. "
            "Reason: Asked by letter.",
            "Erased person",
        ),
        (
            "it",
            "1 contatto, 1 chiamata, 0 risposte, 1 riga rifiutata. Il numero non è nella lista «non chiamare». "
            "Motivo: Asked by letter.",
            "Persona cancellata",
        ),
    ],
)
def test_what_stays_of_it_is_written_in_the_language_of_the_deployment(
    settings, admin_user, of_deployment, message, name
):
    settings.LANGUAGE_CODE = of_deployment
    news = []
    erasure.people_erased.connect(receiver := lambda message, **_: news.append(message))
    try:
        contact = make_called()
        make_refusal(column="Phone", value=NUMBER, cells=[NUMBER, "x"])
        LogEntry.objects.log_actions(admin_user.pk, [contact], CHANGE)
        with override("en-gb" if of_deployment == "it" else "it"):
            erase(keeps_off=False)
    finally:
        erasure.people_erased.disconnect(receiver)
    assert news == [message]
    assert LogEntry.objects.get().object_repr == name
    expected = "I dati della persona sono stati cancellati." if of_deployment == "it" else "The person was erased."
    assert ImportRefusal.objects.get().reason == expected


# On real second connections


@pytest.mark.django_db(transaction=True)
def test_a_claim_passes_over_whoever_is_just_being_erased(monkeypatch):
    ProviderConfig.objects.update(outbound_number="+12025550199")
    make_contact()
    erased, go_on = threading.Event(), threading.Event()

    def wait(numbers):
        erased.set()
        go_on.wait(timeout=20)

    monkeypatch.setattr(erasure, "_clear_provider_errors", wait)

    result = in_thread(erase)
    try:
        assert erased.wait(timeout=20)
        claim = claim_calls(max_concurrent_calls=None, batch_size=50, room=50, clock=DatabaseClock())
        assert claim.attempts == []
    finally:
        go_on.set()
        result()
    assert Contact.objects.get().erased_at == NOW


@pytest.mark.django_db(transaction=True)
def test_an_erasure_does_not_hold_a_contact_whose_attempt_somebody_else_has_locked():
    """They would wait for each other: a late report locks the attempt, and the contact then."""
    contact = make_called()

    with transaction.atomic():
        CallAttempt.objects.select_for_update().get()
        result = in_thread(erase)
        wait_until(lambda: count_waiting() == 1)
        Contact.objects.select_for_update(no_key=True, nowait=True).get(pk=contact.pk)
    result()
    assert Contact.objects.get().erased_at == NOW
