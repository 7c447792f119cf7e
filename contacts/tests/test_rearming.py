import json
import threading
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from calls import outcomes
from calls.providers.base import CallEvent, CallProgress
from calls.tests.factories import CallAttemptFactory
from calls.tests.threads import in_thread
from campaigns import lifecycle
from campaigns.lifecycle import Moved
from campaigns.models import Campaign
from campaigns.tests.factories import CampaignFactory
from contacts import rearming, tasks
from contacts.models import CallOutcome, Contact, ContactState, Rearming
from contacts.rearming import next_attempt_after, rearm_contacts
from contacts.tests.factories import ContactFactory

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
ENDED = datetime(2026, 3, 4, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def tried_contact(campaign, **values):
    """Rang once in vain, to be tried again an hour later."""
    values = {
        "state": ContactState.NOT_REACHED,
        "attempts_count": 1,
        "last_attempt_at": ENDED,
        "last_outcome": CallOutcome.NO_ANSWER,
        "next_attempt_at": ENDED + HOUR,
    } | values
    return ContactFactory(campaign=campaign, **values)


def rearm(campaign):
    return rearm_contacts(campaign, now=NOW).contacts


def next_attempt_of(contact):
    contact.refresh_from_db()
    return contact.next_attempt_at


@pytest.mark.parametrize(
    ("zone", "minutes", "ended", "expected"),
    [
        ("Europe/Rome", 60, "2026-03-04T10:00", "2026-03-04T11:00"),  # the window is open then
        ("Europe/Rome", 0, "2026-03-04T10:00", "2026-03-04T10:00"),
        ("Europe/Rome", 60, "2026-03-04T16:30", "2026-03-05T08:00"),  # closed then: the next morning
        ("America/New_York", 60, "2026-03-04T10:00", "2026-03-04T14:00"),  # not yet open there
        ("Europe/Rome", 60, "2026-03-06T16:30", "2026-03-09T08:00"),  # Friday evening: Monday
        ("Europe/Rome", 7 * 24 * 60, "2026-03-24T12:00", "2026-03-31T12:00"),  # 168 hours, whatever the clock
        ("Europe/Rome Pacific/Auckland", 60, "2026-03-04T10:00", "2026-03-04T11:00"),  # they never meet
        ("", 60, "2026-03-04T10:00", "2026-03-04T11:00"),  # no zone at all
    ],
)
def test_the_next_attempt_is_the_interval_later_moved_into_the_next_opening(zone, minutes, ended, expected):
    campaign = CampaignFactory.build(
        time_zone="",
        allowed_call_start=time(9),
        allowed_call_end=time(18),
        weekdays=[1, 2, 3, 4, 5],
        retry_interval_minutes=minutes,
    )
    ended, expected = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (ended, expected))
    contact = ContactFactory.build(campaign=campaign, calling_zone=zone, attempts_count=1, last_outcome="no_answer")
    assert next_attempt_after(campaign, contact, ended) == expected


@pytest.mark.django_db
def test_a_new_interval_counts_from_the_end_of_the_last_attempt():
    contact = tried_contact(CampaignFactory(retry_interval_minutes=180))
    assert rearm(contact.campaign) == 1
    assert next_attempt_of(contact) == ENDED + 3 * HOUR
    assert contact.updated_at == NOW


@pytest.mark.django_db
def test_new_hours_move_the_next_attempt_into_them():
    campaign = CampaignFactory(allowed_call_start=time(15), allowed_call_end=time(16))
    contact = tried_contact(campaign)
    rearm(campaign)
    assert next_attempt_of(contact) == datetime(2026, 3, 4, 15, tzinfo=UTC)


@pytest.mark.django_db
def test_fewer_attempts_give_up_those_who_have_used_them_up():
    campaign = CampaignFactory(max_attempts=2)
    used_up = tried_contact(campaign, attempts_count=2)
    left = tried_contact(campaign, attempts_count=1)
    assert rearm(campaign) == 1
    assert next_attempt_of(used_up) is None
    assert next_attempt_of(left) == ENDED + HOUR


@pytest.mark.django_db
def test_more_attempts_bring_back_those_who_had_used_them_up():
    campaign = CampaignFactory(max_attempts=3)
    contact = tried_contact(campaign, attempts_count=2, next_attempt_at=None)
    assert rearm(campaign) == 1
    assert next_attempt_of(contact) == ENDED + HOUR


@pytest.mark.django_db
@pytest.mark.parametrize("max_attempts", [1, 3, 5])
def test_a_number_that_will_never_work_is_not_brought_back(max_attempts):
    campaign = CampaignFactory(max_attempts=max_attempts)
    contact = tried_contact(campaign, last_outcome=CallOutcome.FAILED, number_rejected=True, next_attempt_at=None)
    assert rearm(campaign) == 0
    assert next_attempt_of(contact) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "do_not_call"),
    [
        (ContactState.IN_PROGRESS, False),
        (ContactState.COMPLETED, False),
        (ContactState.REFUSED, False),
        (ContactState.EXCLUDED, True),
    ],
)
def test_who_is_in_a_call_or_done_or_excluded_is_left_alone(state, do_not_call):
    campaign = CampaignFactory(max_attempts=5)
    contact = tried_contact(campaign, state=state, do_not_call=do_not_call, next_attempt_at=None, attempts_count=3)
    assert rearm(campaign) == 0
    assert next_attempt_of(contact) is None


@pytest.mark.django_db
def test_who_was_never_rung_stays_due():
    campaign = CampaignFactory(retry_interval_minutes=180, allowed_call_start=time(15), allowed_call_end=time(16))
    contact = ContactFactory(campaign=campaign)
    due = contact.next_attempt_at
    assert rearm(campaign) == 0
    assert next_attempt_of(contact) == due


@pytest.mark.django_db
def test_a_pending_contact_is_given_up_with_its_attempts_and_brought_back_with_them():
    campaign = CampaignFactory(max_attempts=2)
    contact = tried_contact(campaign, state=ContactState.PENDING, attempts_count=2)
    assert rearm(campaign) == 1
    assert next_attempt_of(contact) is None
    campaign.max_attempts = 3
    assert rearm(campaign) == 1
    assert next_attempt_of(contact) == NOW


@pytest.mark.django_db
def test_other_campaigns_are_left_alone():
    other = tried_contact(CampaignFactory())
    assert rearm(CampaignFactory(retry_interval_minutes=180)) == 0
    assert next_attempt_of(other) == ENDED + HOUR


def rearm_many(monkeypatch, count, seconds=1.0):
    """So many contacts of a campaign with another interval, in chunks of two; the campaign and who moved at once."""
    monkeypatch.setattr(rearming, "CHUNK_SIZE", 2)
    monkeypatch.setattr(rearming, "SECONDS_AFTER_AN_EDIT", seconds)
    campaign = CampaignFactory(retry_interval_minutes=180)
    for _ in range(count):
        tried_contact(campaign)
    with transaction.atomic():
        moved = rearm_contacts(campaign, now=NOW)
        assert campaign.contacts.filter(next_attempt_at=ENDED + 3 * HOUR).count() == min(count, 2)
    return campaign, moved


def count_jobs():
    return sum(job.func() == "contacts.tasks.rearm_contacts" for job in OrmQ.objects.all())


def count_waiting_by_old_rules(campaign):
    return campaign.contacts.exclude(next_attempt_at=ENDED + 3 * HOUR).count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("count", "is_all"), [(2, True), (3, False), (4, False), (5, False)])
def test_an_edit_moves_one_chunk_and_all_others_follow_its_commit(count, is_all, monkeypatch):
    campaign, moved = rearm_many(monkeypatch, count)
    assert moved == Moved(contacts=2, is_all=is_all)
    assert count_waiting_by_old_rules(campaign) == 0
    assert not Rearming.objects.exists() and count_jobs() == 0


@pytest.mark.django_db(transaction=True)
def test_what_takes_longer_than_an_edit_may_is_done_by_the_cluster_job_after_job(monkeypatch):
    campaign, _moved = rearm_many(monkeypatch, 7, seconds=0)
    assert count_waiting_by_old_rules(campaign) >= 3
    assert count_jobs() == 1
    monkeypatch.setattr(rearming, "SLICE_SECONDS", 0)
    assert tasks.rearm_contacts() == "to be continued"
    assert count_waiting_by_old_rules(campaign) >= 1
    assert count_jobs() == 2
    monkeypatch.undo()
    assert tasks.rearm_contacts() == "all"
    assert count_waiting_by_old_rules(campaign) == 0


@pytest.mark.django_db(transaction=True)
def test_another_edit_has_those_looked_at_again_who_were_done_by_the_last(monkeypatch):
    campaign, _moved = rearm_many(monkeypatch, 5, seconds=0)
    campaign.retry_interval_minutes = 60
    campaign.save()
    with transaction.atomic():
        rearm(campaign)
    tasks.rearm_contacts()
    assert {contact.next_attempt_at for contact in campaign.contacts.all()} == {ENDED + HOUR}


@pytest.mark.django_db(transaction=True)
def test_two_jobs_do_not_wait_for_each_other(monkeypatch):
    campaign, _moved = rearm_many(monkeypatch, 5, seconds=0)
    with transaction.atomic():
        Rearming.objects.select_for_update().get()
        assert in_thread(tasks.rearm_contacts)() == "all"  # that nobody else is at
    assert count_waiting_by_old_rules(campaign) >= 1


@pytest.mark.django_db
def test_who_is_due_is_counted_when_the_zone_opens_at_another_time():
    before = CampaignFactory(allowed_call_start=time(9), allowed_call_end=time(18))
    for zone in ("Europe/Rome", "Europe/Rome", "Asia/Tokyo", ""):
        ContactFactory(campaign=before, calling_zone=zone)
    campaign = Campaign.objects.get()
    campaign.allowed_call_start = time(13)  # it is 13 in Rome, 12 in UTC; in Tokyo it is night
    assert rearm_contacts(campaign, now=NOW, before=before) == Moved(contacts=2)
    campaign.allowed_call_start, campaign.allowed_call_end = time(9), time(17)
    assert rearm_contacts(campaign, now=NOW, before=before) == Moved(contacts=0)


@pytest.mark.django_db
def test_who_is_moved_by_its_attempts_and_its_hours_is_counted_once():
    before = CampaignFactory(max_attempts=2, allowed_call_start=time(9), allowed_call_end=time(18))
    tried_contact(before, state=ContactState.PENDING, attempts_count=1)
    campaign = Campaign.objects.get()
    campaign.max_attempts, campaign.allowed_call_start = 1, time(13)
    assert rearm_contacts(campaign, now=NOW, before=before) == Moved(contacts=1)


@pytest.fixture
def contact_in_call(transactional_db):
    """In its first call, of a campaign that allows one."""
    campaign = CampaignFactory(max_attempts=1, retry_interval_minutes=60)
    return ContactFactory(campaign=campaign, state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=1)


def allow_another_attempt(campaign):
    Campaign.objects.filter(pk=campaign.pk).update(max_attempts=3)
    lifecycle.campaign_edited(campaign, changed_fields=["max_attempts"], now=NOW)


def test_a_call_that_ends_while_the_rules_are_being_edited_gets_its_retry_by_the_new_ones(contact_in_call):
    attempt = CallAttemptFactory(contact=contact_in_call, ringing=True)
    busy = CallEvent(
        call_id=attempt.call_id,
        provider_call_id=attempt.provider_call_id,
        progress=CallProgress.BUSY,
        raw_status="busy",
    )
    with transaction.atomic():
        allow_another_attempt(contact_in_call.campaign)
        assert in_thread(lambda: outcomes.apply_event(busy, now=NOW))() != "still at it"
        assert next_attempt_of(contact_in_call) is None
    assert next_attempt_of(contact_in_call) == NOW + HOUR


def test_a_call_whose_end_is_committed_after_the_edit_gets_its_retry_by_the_new_rules(contact_in_call):
    read_old_rules = threading.Event()

    def end_slowly():
        with transaction.atomic():
            contact = Contact.objects.select_for_update().get()
            assert contact.campaign.max_attempts == 1
            read_old_rules.set()
            while Campaign.objects.get().max_attempts == 1:
                pass
            contact.state, contact.last_attempt_at = ContactState.NOT_REACHED, NOW
            contact.save()

    ended = in_thread(end_slowly)
    assert read_old_rules.wait(10)
    with transaction.atomic():
        allow_another_attempt(contact_in_call.campaign)
    ended()
    assert next_attempt_of(contact_in_call) == NOW + HOUR


def test_who_is_still_in_the_call_after_the_edit_stays_in_it(contact_in_call):
    with transaction.atomic():
        allow_another_attempt(contact_in_call.campaign)
    assert next_attempt_of(contact_in_call) is None
    assert contact_in_call.state == ContactState.IN_PROGRESS


# Large campaigns


LARGE = 20_000

# Of two campaigns as large as each other everybody of the first was tried, and nobody of the second, which lies behind.
_FILL = """
    INSERT INTO contacts_contact (id, campaign_id, phone_number, external_contact_id, email, preferred_language,
        has_prior_consent, do_not_call, number_rejected, calling_zone, state, attempts_count, last_outcome,
        last_attempt_at, next_attempt_at, created_at, updated_at)
    SELECT (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000')::uuid, %s, '+1999' || 1000000 + n, '', '',
        'auto', false, false, false, 'Europe/Rome', %s, %s, '', %s, %s, now(), now()
    FROM generate_series(%s, %s) AS n
"""


@pytest.fixture
def fresh(transactional_db):
    """A large campaign of which nobody was ever tried, beside another."""
    tried, fresh = CampaignFactory.create_batch(2, allowed_call_start=time(9), allowed_call_end=time(18))
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [tried.pk, "not_reached", 1, ENDED, ENDED + HOUR, 1, LARGE])
        cursor.execute(_FILL, [fresh.pk, "pending", 0, None, ENDED, LARGE + 1, 2 * LARGE])
        cursor.execute("ANALYZE contacts_contact")
    return fresh


CONTACTS = Contact._meta.db_table


def edit(campaign, **changes):
    """As an operator does it; returns who is moved."""
    with transaction.atomic():
        before = Campaign.objects.get(pk=campaign.pk)
        Campaign.objects.filter(pk=campaign.pk).update(**changes)
        return lifecycle.campaign_edited(campaign, changed_fields=list(changes), now=NOW, before=before)


def count_rows_read(sql):
    """What the scans of a query find or throw away."""
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + sql.replace("%", "%%"), [])
        (plan,) = cursor.fetchone()
    (plan,) = json.loads(plan) if isinstance(plan, str) else plan
    return sum(_walk(plan["Plan"]))


def _walk(node):
    if "Scan" in node["Node Type"]:
        passed_over = sum(rows for name, rows in node.items() if name.startswith("Rows Removed by"))
        yield (node["Actual Rows"] + passed_over) * node["Actual Loops"]
    for child in node.get("Plans", []):
        yield from _walk(child)


@pytest.mark.parametrize("changes", [{"retry_interval_minutes": 180}, {"max_attempts": 4}])
def test_an_edit_does_not_read_a_large_campaign_in_its_transaction(fresh, changes, monkeypatch):
    monkeypatch.setattr(rearming, "_follow", lambda *_: None)
    with CaptureQueriesContext(connection) as queries:
        for campaign in Campaign.objects.all():
            edit(campaign, **changes)
    asked = [query["sql"] for query in queries if query["sql"].startswith("SELECT") and CONTACTS in query["sql"]]
    assert asked
    for sql in asked:
        assert count_rows_read(sql) <= rearming.CHUNK_SIZE + 1, sql


@pytest.mark.parametrize(
    ("status", "changes", "moved"),
    [
        ("running", {"retry_interval_minutes": 180}, 0),
        ("running", {"allowed_call_start": time(14)}, 10_001),
        ("draft", {"retry_interval_minutes": 180}, 0),
        ("draft", {"allowed_call_start": time(14)}, 10_001),
        ("draft", {"max_attempts": 1}, 0),
    ],
)
def test_of_a_large_campaign_of_which_nobody_was_tried_only_the_hours_move_somebody(
    fresh, status, changes, moved, monkeypatch
):
    monkeypatch.setattr(rearming, "SECONDS_AFTER_AN_EDIT", 0)
    Campaign.objects.update(status=status)
    assert edit(fresh, **changes) == Moved(contacts=moved)
    assert not Rearming.objects.exists() and count_jobs() == 0


def test_the_number_of_attempts_of_a_large_running_campaign_is_applied_by_the_job(fresh, monkeypatch):
    monkeypatch.setattr(rearming, "SECONDS_AFTER_AN_EDIT", 0)
    assert edit(fresh, max_attempts=1) == Moved(contacts=0, is_all=False)
    assert Rearming.objects.exists() and count_jobs() == 1


def test_who_was_tried_by_the_former_rules_while_they_were_edited_is_moved_after_the_commit(transactional_db):
    contact = ContactFactory()
    with transaction.atomic():
        assert edit(contact.campaign, retry_interval_minutes=180) == Moved()
        tried = {"state": ContactState.NOT_REACHED, "attempts_count": 1, "last_attempt_at": ENDED}
        in_thread(lambda: Contact.objects.update(**tried, next_attempt_at=ENDED + HOUR))()
    assert next_attempt_of(contact) == ENDED + 3 * HOUR


def test_an_edit_that_concerns_nobody_leaves_the_work_of_the_last_one_to_be_done(fresh, monkeypatch):
    monkeypatch.setattr(rearming, "SECONDS_AFTER_AN_EDIT", 0)
    edit(fresh, max_attempts=1)
    assert edit(fresh, retry_interval_minutes=180) == Moved(contacts=0, is_all=False)
    assert Rearming.objects.get().done_to != rearming.BEGINNING
