"""Each attempt is counted once, whoever counts, and what is kept and what is counted now make the whole."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from calls import tallies
from calls.models import CallAttempt, CampaignTally, SiteTally, TallyMark
from calls.schedules import SCHEDULES
from calls.tallies import (
    EPOCH,
    MARGIN,
    count_over,
    find_local_hour,
    find_quarter,
    read_campaigns,
    read_site,
    smallest_id,
)
from calls.tasks import keep_tallies
from calls.tests.conftest import NOON
from calls.tests.tallied import make_attempt
from campaigns.tests.factories import CampaignFactory
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def sum_up(counts):
    sums = Counter()
    for count in counts:
        sums[count.outcome] += count.attempts
    return sums


def read_all(now=LATER):
    return read_site(EPOCH, now=now).counts


def kept():
    return sum_up(SiteTally.objects.all())


def test_an_id_of_this_moment_lies_between_the_smallest_ids_of_this_millisecond_and_the_next():
    before = datetime.now(UTC)
    made = uuid7()
    after = datetime.now(UTC)
    assert smallest_id(before) < made < smallest_id(after + timedelta(milliseconds=1))
    assert smallest_id(EPOCH - MARGIN) == UUID(int=0)


@pytest.mark.parametrize(
    ("instant", "began"),
    [
        (datetime(2026, 3, 4, 12, 0, tzinfo=UTC), datetime(2026, 3, 4, 12, 0, tzinfo=UTC)),
        (datetime(2026, 3, 4, 12, 14, 59, 999999, tzinfo=UTC), datetime(2026, 3, 4, 12, 0, tzinfo=UTC)),
        (datetime(2026, 3, 4, 12, 45, 1, tzinfo=UTC), datetime(2026, 3, 4, 12, 45, tzinfo=UTC)),
    ],
)
def test_a_quarter_of_an_hour_begins_with_its_first_instant(instant, began):
    assert find_quarter(instant) == began


@pytest.mark.parametrize(
    ("instant", "zones", "hour"),
    [
        (datetime(2026, 3, 29, 0, 45, tzinfo=UTC), "Europe/Rome", 1),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "Europe/Rome", 3),  # the clock was put forward
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Rome", 2),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "Europe/Rome", 2),  # and back
        (NOON, "Asia/Kathmandu", 17),  # 17:45
        (NOON, "America/New_York Asia/Kolkata", 7),
        (NOON, "", 12),
    ],
)
def test_the_hour_is_that_of_the_contacts_clock(instant, zones, hour):
    assert find_local_hour(instant, zones) == hour


def test_attempts_are_counted_by_when_and_how_they_ended_and_whether_somebody_answered():
    campaign = CampaignFactory(time_zone="Europe/Rome")
    make_attempt(NOON, "completed", campaign=campaign, answered=True)
    make_attempt(NOON + MINUTE, "completed", campaign=campaign)  # its report of the answer was lost
    make_attempt(NOON + MINUTE, "no_answer", campaign=campaign, answered=True)
    make_attempt(NOON + 14 * MINUTE, "no_answer", campaign=campaign, zone="America/New_York", attempt_number=2)
    make_attempt(NOON + 15 * MINUTE, "failed", campaign=campaign, given_back=True)
    assert count_over(now=LATER) == 5
    quarter = NOON + 15 * MINUTE
    by_site = [(NOON, "completed", 2, 2), (NOON, "no_answer", 2, 1), (quarter, "given_back", 1, 0)]
    columns = ("began", "outcome", "attempts", "answered")
    assert list(SiteTally.objects.order_by("began", "outcome").values_list(*columns)) == by_site
    assert set(CampaignTally.objects.values_list(*columns, "campaign", "attempt_number", "local_hour")) == {
        (NOON, "completed", 2, 2, campaign.pk, 1, 13),
        (NOON, "no_answer", 1, 1, campaign.pk, 1, 13),
        (NOON, "no_answer", 1, 0, campaign.pk, 2, 7),
        (quarter, "given_back", 1, 0, campaign.pk, 1, 13),
    }


def read_exactly(campaigns):
    """How often each kind of count is there, of all and of these campaigns; reading itself counts nothing so early."""
    TallyMark.objects.filter(counted_to=UUID(int=0)).update(counted_to=smallest_id(NOON))
    sums = Counter()
    for found in (read_site(NOON, now=NOON), read_campaigns(campaigns, now=NOON)):
        assert found.are_all
        for count in found.counts:
            kind = count._replace(attempts=0, answered=0)
            sums[kind, "attempts"] += count.attempts
            sums[kind, "answered"] += count.answered
    return sums


@pytest.fixture
def two_campaigns():
    """Rung for 40 minutes, with a call that goes on since the 25th."""
    campaign, other = CampaignFactory(time_zone="Europe/Rome"), CampaignFactory()
    for minute in range(40):
        at, outcome = NOON + minute * MINUTE, ("completed", "busy", "failed")[minute % 3]
        make_attempt(at, outcome, campaign=campaign, given_back=minute % 6 == 2)
        make_attempt(at, "no_answer", campaign=other, zone="Asia/Kolkata", answered=minute % 2, attempt_number=2)
    make_attempt(NOON + 25 * MINUTE, campaign=campaign, ringing=True)
    return campaign, other


def test_what_is_read_is_the_same_before_and_after_it_is_counted(two_campaigns):
    before = read_exactly(two_campaigns)
    assert count_over(now=LATER) == 52
    assert read_exactly(two_campaigns) == before
    expected = {"completed": 14, "busy": 13, "failed": 6, "given_back": 7, "no_answer": 40, "": 1}
    assert sum_up(read_site(NOON, now=NOON).counts) == expected


def test_what_is_counted_while_somebody_reads_is_neither_missing_nor_double(two_campaigns, monkeypatch):
    before = read_exactly(two_campaigns)
    count_live = tallies._count_live

    def count_live_later(*args):
        count_over(now=LATER)
        return count_live(*args)

    monkeypatch.setattr(tallies, "_count_live", count_live_later)
    assert read_exactly(two_campaigns) == before
    assert kept()


def test_who_counts_again_counts_nothing_twice():
    for minute in range(5):
        make_attempt(NOON + minute * MINUTE)
    assert count_over(now=LATER) == 5
    assert count_over(now=LATER + MINUTE) == 0
    make_attempt(NOON + 62 * MINUTE)
    assert count_over(now=LATER + 5 * MINUTE) == 1
    assert sum(kept().values()) == 6


def test_nothing_behind_an_open_call_is_counted_before_it_has_ended():
    make_attempt(NOON)
    open_one = make_attempt(NOON + MINUTE, ringing=True)
    make_attempt(NOON + 2 * MINUTE, "busy")
    assert count_over(now=LATER) == 1
    assert count_over(now=LATER) == 0
    CallAttempt.objects.filter(pk=open_one.pk).update(status="ended", outcome="failed", ended_at=LATER)
    assert count_over(now=LATER + MARGIN) == 2
    assert kept() == {"no_answer": 1, "busy": 1, "failed": 1}


def test_an_outcome_that_may_still_be_corrected_is_not_counted_yet():
    attempt = make_attempt(NOON)
    assert count_over(now=attempt.ended_at + MARGIN - timedelta(seconds=1)) == 0
    assert count_over(now=attempt.ended_at + MARGIN) == 1


def test_an_attempt_of_a_machine_whose_clock_is_a_little_behind_is_counted():
    count_over(now=NOON)
    late = make_attempt(NOON - MARGIN + timedelta(seconds=1))
    assert late.pk > TallyMark.objects.get().counted_to
    assert count_over(now=LATER) == 1


def test_a_backlog_is_counted_in_chunks(monkeypatch):
    monkeypatch.setattr(tallies, "CHUNK", 2)
    for minute in range(5):
        make_attempt(NOON + minute * MINUTE)
    assert count_over(now=LATER, chunks=2) == 4
    assert count_over(now=LATER, chunks=2) == 1
    assert kept() == {"no_answer": 5}


def test_who_is_interrupted_in_a_chunk_has_not_counted_it(monkeypatch):
    make_attempt(NOON)
    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(TallyMark, "save", lambda self: (_ for _ in ()).throw(RuntimeError))
        count_over(now=LATER)
    assert kept() == {}
    assert count_over(now=LATER) == 1
    assert kept() == {"no_answer": 1}


@pytest.mark.django_db(transaction=True)
def test_of_two_who_count_at_once_one_leaves_it_to_the_other():
    make_attempt(NOON)
    counted = []

    def count_elsewhere():
        counted.append(count_over(now=LATER))
        connection.close()

    with transaction.atomic():
        TallyMark.objects.select_for_update().get()
        thread = threading.Thread(target=count_elsewhere)
        thread.start()
        thread.join(timeout=20)
    assert counted == [0]
    assert count_over(now=LATER) == 1


@pytest.mark.django_db(transaction=True)
def test_many_who_count_at_once_count_each_attempt_once(monkeypatch):
    monkeypatch.setattr(tallies, "CHUNK", 3)
    contacts = ContactFactory.create_batch(30)
    for minute, contact in enumerate(contacts):
        make_attempt(NOON + minute * MINUTE, contact=contact)

    def count():
        for _ in range(20):
            count_over(now=LATER)
        connection.close()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    count_over(now=LATER)
    assert sum(kept().values()) == 30


def test_whoever_reads_helps_with_a_backlog_that_no_job_counts():
    make_attempt(NOON)
    read_all(now=NOON + 20 * MINUTE)
    assert kept() == {"no_answer": 1}  # nothing was ever counted
    make_attempt(NOON + 25 * MINUTE, "busy")
    read_all(now=NOON + 40 * MINUTE)
    assert kept() == {"no_answer": 1}  # a job may come any minute
    assert sum_up(read_all(now=NOON + 60 * MINUTE)) == {"no_answer": 1, "busy": 1}
    assert kept() == {"no_answer": 1, "busy": 1}


def test_of_a_long_backlog_only_the_newest_are_counted_and_that_is_told(monkeypatch):
    monkeypatch.setattr(tallies, "MOST_LIVE", 2)
    campaign = CampaignFactory()
    for minute in range(3):
        make_attempt(NOON + minute * MINUTE, ("busy", "failed", "failed")[minute], campaign=campaign)
    TallyMark.objects.update(counted_to=smallest_id(NOON))
    site, of_campaign = read_site(EPOCH, now=NOON), read_campaigns([campaign], now=NOON)
    assert sum_up(site.counts) == sum_up(of_campaign.counts) == {"failed": 2}
    assert not site.are_all and not of_campaign.are_all


def test_what_is_older_than_is_asked_for_is_left_out():
    campaign = CampaignFactory()
    for minute in (0, 16, 40):
        make_attempt(NOON + minute * MINUTE, campaign=campaign)
    count_over(now=NOON + 20 * MINUTE)
    since = NOON + 15 * MINUTE
    assert sum_up(read_site(since, now=LATER).counts) == {"no_answer": 2}
    assert sum_up(read_campaigns([campaign], since=since, now=LATER).counts) == {"no_answer": 2}
    assert read_campaigns([], now=LATER).counts == []


def test_the_job_that_comes_every_minute_counts():
    make_attempt(NOON)
    assert SCHEDULES["Count the calls that are over"]["func"] == "calls.tasks.keep_tallies"
    assert keep_tallies() == "1 calls"
    assert keep_tallies() == "0 calls"


def test_no_question_reads_all_attempts_contacts_or_tallies():
    """With as many as make an index worth while, and the planner free to choose."""
    campaign, other = CampaignFactory(), CampaignFactory()
    began = NOON - timedelta(days=2)
    with connection.cursor() as cursor:
        for number, owner in enumerate((campaign, other)):
            cursor.execute(
                """
                INSERT INTO contacts_contact (id, campaign_id, phone_number, external_contact_id, email,
                    preferred_language, has_prior_consent, do_not_call, number_rejected, calling_zone, state,
                    attempts_count, last_outcome, created_at, updated_at)
                SELECT gen_random_uuid(), %s, '+353209' || to_char(n, 'FM000000'), '', '', 'auto', false, false, false,
                    '', 'not_reached', 1, 'no_answer', now(), now() FROM generate_series(1, 20000) AS n
                """,
                [owner.pk],
            )
            cursor.execute(
                """
                INSERT INTO calls_callattempt (id, contact_id, campaign_id, phone_number, attempt_number, call_id,
                    status, outcome, given_back, claimed_at, start_at, send_before, ended_at, check_at,
                    provider_call_id, provider_raw_status, error_code, error_message, metadata)
                SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000'
                        || lpad(to_hex(place * 2 + %s), 12, '0'))::uuid,
                    id, campaign_id, phone_number, 1, replace(id::text, '-', ''), 'ended', 'no_answer',
                    false, at, at, at, at, at, '', '', '', '', '{}'
                FROM (SELECT *, row_number() OVER () AS place FROM contacts_contact WHERE campaign_id = %s) AS contact
                CROSS JOIN LATERAL (SELECT %s::timestamptz + place * interval '8.64 seconds' AS at) AS claim
                """,
                [number, owner.pk, began],
            )
        cursor.execute("ANALYZE")
    count_over(now=NOON)
    with connection.cursor() as cursor:
        past = "SELECT %s - n * interval '15 minutes', 'busy', 1, 0 {} FROM generate_series(1, 20000) AS n"
        cursor.execute(f"INSERT INTO calls_sitetally (began, outcome, attempts, answered) {past.format('')}", [began])
        cursor.execute(
            "INSERT INTO calls_campaigntally (began, outcome, attempts, answered, campaign_id, attempt_number, "
            f"local_hour) {past.format(', %s::uuid, 1, 12')}",
            [began, other.pk],
        )
        cursor.execute("UPDATE calls_tallymark SET counted_to = %s", [smallest_id(NOON - 10 * MINUTE)])
        cursor.execute("ANALYZE")
    now = NOON - MINUTE
    with CaptureQueriesContext(connection) as queries:
        read_site(NOON - timedelta(days=1), now=now)
        read_campaigns([campaign], now=now)
        count_over(now=NOON)
    asked = [query["sql"] for query in queries if query["sql"].lstrip().startswith("SELECT")]
    assert len(asked) == 6
    for sql in asked:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        for table in ("calls_callattempt", "contacts_contact", "calls_sitetally", "calls_campaigntally"):
            assert f"Seq Scan on {table}" not in plan, plan
