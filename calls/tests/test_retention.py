from datetime import UTC, datetime, timedelta

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import F
from django.utils.translation import override
from django_q.models import OrmQ, Schedule
from structlog.testing import capture_logs

from calls import retention, tasks
from calls.erasure import people_erased
from calls.models import CallAttempt
from calls.retention import erase_expired, erase_for_a_while
from calls.tests.factories import CallAttemptFactory
from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.models import Contact, ContactImport, ContactState, DoNotCallEntry, ImportRefusal, ImportStatus
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(days=30)
LONG_AGO = BEFORE - timedelta(hours=1)
LATELY = BEFORE + timedelta(hours=1)

pytestmark = pytest.mark.django_db


def make_contact(status=CampaignStatus.COMPLETED, campaign_at=LONG_AGO, contact_at=LONG_AGO, **values):
    contact = ContactFactory(**{"state": ContactState.NOT_REACHED, "next_attempt_at": None} | values)
    Campaign.objects.filter(pk=contact.campaign_id).update(status=status, updated_at=campaign_at)
    Contact.objects.filter(pk=contact.pk).update(updated_at=contact_at)
    return contact


def is_erased(contact):
    return Contact.objects.get(pk=contact.pk).erased_at == NOW


@pytest.mark.parametrize("status", [CampaignStatus.COMPLETED, CampaignStatus.CANCELLED])
def test_people_of_campaigns_that_are_long_over_are_erased_with_their_calls(status):
    contact = make_contact(status)
    CallAttemptFactory(contact=contact)
    expired = erase_expired(BEFORE, now=NOW)
    assert (expired.contacts, expired.calls, expired.is_all) == (1, 1, True)
    assert is_erased(contact)
    assert CallAttempt.objects.get().phone_number is None


def test_the_admins_history_does_not_name_them_any_more(admin_user):
    contact = make_contact(external_contact_id="P-1701")
    LogEntry.objects.log_actions(admin_user.pk, [contact], CHANGE)
    erase_expired(BEFORE, now=NOW)
    assert LogEntry.objects.get().object_repr == "Erased person"


@pytest.mark.parametrize(
    "values",
    [
        {"status": CampaignStatus.DRAFT},
        {"status": CampaignStatus.SCHEDULED},
        {"status": CampaignStatus.RUNNING},
        {"status": CampaignStatus.PAUSED},
        {"campaign_at": LATELY},
        {"contact_at": LATELY},
        {"state": ContactState.IN_PROGRESS},
    ],
)
def test_others_are_kept(values):
    contact = make_contact(**values)
    assert erase_expired(BEFORE, now=NOW).contacts == 0
    assert not is_erased(contact)


def test_the_do_not_call_list_is_kept():
    make_contact(do_not_call=True, state=ContactState.EXCLUDED)
    DoNotCallEntryFactory()
    erase_expired(BEFORE, now=NOW)
    assert DoNotCallEntry.objects.get().phone_number


def test_refused_rows_go_and_are_still_counted(monkeypatch):
    monkeypatch.setattr(retention, "CHUNK_SIZE", 2)
    for ended_at in (LONG_AGO, LATELY):
        record = ContactImport.objects.create(status=ImportStatus.COMPLETED, ended_at=ended_at, rows=3, refused=3)
        for line in (2, 3, 4):
            ImportRefusal.objects.create(contact_import=record, line=line, reason="It is too short.", cells=["12"])
    assert erase_expired(BEFORE, now=NOW).refused_rows == 3
    assert {row.contact_import.ended_at for row in ImportRefusal.objects.all()} == {LATELY}
    assert ContactImport.objects.filter(refused=3).count() == 2


def test_records_of_sign_ins_go():
    own = {AccessAttempt: {"failures_since_start": 1}, AccessLog: {}, AccessFailureLog: {}}
    for model, values in own.items():
        for username, at in (("before", LONG_AGO), ("lately", LATELY)):
            one = model.objects.create(username=username, ip_address="192.0.2.1", **values)
            model.objects.filter(pk=one.pk).update(attempt_time=at)
    assert erase_expired(BEFORE, now=NOW).sign_ins == 3
    assert [model.objects.get().username for model in own] == ["lately"] * 3


def test_a_run_that_is_over_has_erased_whole_chunks_and_the_next_one_goes_on(monkeypatch):
    monkeypatch.setattr(retention, "CHUNK_SIZE", 2)
    campaign = CampaignFactory()
    contacts = [make_contact(campaign=campaign) for _ in range(5)]
    answers = iter([False, False, True])
    first = erase_expired(BEFORE, now=NOW, is_over=lambda: next(answers))
    assert (first.contacts, first.is_all) == (4, False)
    second = erase_expired(BEFORE, now=NOW)
    assert (second.contacts, second.is_all) == (1, True)
    assert all(map(is_erased, contacts))
    assert erase_expired(BEFORE, now=NOW).contacts == 0


def test_a_campaign_that_is_activated_meanwhile_keeps_its_people(monkeypatch):
    contact = make_contact()
    read_chunks = retention._read_chunks

    def read_and_activate(before):
        for chunk in read_chunks(before):
            Campaign.objects.update(status=CampaignStatus.RUNNING)
            yield chunk

    monkeypatch.setattr(retention, "_read_chunks", read_and_activate)
    assert erase_expired(BEFORE, now=NOW).contacts == 0
    assert not is_erased(contact)


@pytest.fixture
def listen():
    """Has somebody told of those who are erased."""
    receivers = []

    def listen(receiver):
        receivers.append(receiver)
        people_erased.connect(receiver)

    yield listen
    for receiver in receivers:
        people_erased.disconnect(receiver)


def test_of_a_run_that_is_killed_the_audit_has_what_it_has_erased(monkeypatch, listen):
    monkeypatch.setattr(retention, "CHUNK_SIZE", 2)
    campaign, messages = CampaignFactory(), []
    contacts = [make_contact(campaign=campaign) for _ in range(5)]
    listen(lambda message, **_: messages.append(message))
    answers = iter([False, False])
    with pytest.raises(StopIteration):
        erase_expired(BEFORE, now=NOW, is_over=lambda: next(answers))
    said = "By the period of retention: 2 contacts, 0 calls, 0 refused rows and 0 records of sign-ins."
    assert (messages, sum(map(is_erased, contacts))) == ([said, said], 4)


@pytest.mark.parametrize("kind", ["contact", "refused row", "sign-in"])
def test_nothing_is_erased_that_the_audit_cannot_be_told_of(listen, kind):
    if kind == "contact":
        make_contact()
    elif kind == "refused row":
        record = ContactImport.objects.create(status=ImportStatus.COMPLETED, ended_at=LONG_AGO, rows=1, refused=1)
        ImportRefusal.objects.create(contact_import=record, line=2, reason="It is too short.", cells=["12"])
    else:
        AccessLog.objects.create(username="before", ip_address="192.0.2.1")
        AccessLog.objects.update(attempt_time=LONG_AGO)

    def fail(**_kwargs):
        raise RuntimeError

    listen(fail)
    with pytest.raises(RuntimeError):
        erase_expired(BEFORE, now=NOW)
    assert AccessLog.objects.exists() or ImportRefusal.objects.exists() or Contact.objects.filter(erased_at=None)


def test_what_was_erased_is_logged_and_nothing_when_it_is_nothing():
    make_contact()
    with capture_logs() as logs:
        erase_expired(BEFORE, now=NOW)
        erase_expired(BEFORE, now=NOW)
    [line] = [line for line in logs if line["event"] == "retention.erased"]
    assert (line["contacts"], line["calls"], line["refused_rows"], line["sign_ins"]) == (1, 0, 0, 0)


def test_without_a_period_everything_is_kept(settings):
    settings.RETENTION_DAYS = None
    contact = make_contact()
    assert "RETENTION_DAYS is not set" in erase_for_a_while(now=NOW)
    assert not is_erased(contact)


def test_the_daily_job_erases_what_is_older_than_the_period(settings):
    settings.RETENTION_DAYS = 30
    old, new = make_contact(), make_contact(campaign_at=LATELY)
    assert erase_for_a_while(now=NOW).startswith("1 contacts, 0 calls")
    assert (is_erased(old), is_erased(new)) == (True, False)
    assert not OrmQ.objects.exists()


def test_it_tells_in_the_language_of_the_deployment(settings):
    settings.RETENTION_DAYS, settings.LANGUAGE_CODE = 30, "it"
    make_contact()
    with override("en-gb"):
        told = erase_for_a_while(now=NOW)
    assert told == "Dati cancellati: contatti: 1, chiamate: 0, righe rifiutate: 0, accessi registrati: 0"


def test_a_job_that_was_not_done_in_time_asks_for_another(settings, monkeypatch):
    settings.RETENTION_DAYS = 30
    monkeypatch.setattr(retention, "SLICE_SECONDS", 0)
    contact = make_contact()
    erase_for_a_while(now=NOW)
    assert not is_erased(contact)
    assert [job.func() for job in OrmQ.objects.all()] == ["calls.tasks.erase_expired"]


def test_the_job_runs_every_day(settings):
    settings.RETENTION_DAYS = 30
    contact = make_contact()
    Campaign.objects.update(updated_at=F("updated_at") - timedelta(days=1000))
    assert Schedule.objects.get(func="calls.tasks.erase_expired").schedule_type == Schedule.DAILY
    assert tasks.erase_expired().startswith("1 contacts")
    assert Contact.objects.get(pk=contact.pk).erased_at is not None
