"""Who is claimed, in what order, and how many; on one connection. Two connections: test_concurrency.py."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.claiming import Reason, claim_calls, replan_starts
from calls.models import CallAttempt, ProviderConfig
from calls.outcomes import end_attempt
from calls.pacing import HEADROOM, HORIZON, gap_between
from calls.tests.conftest import NOON
from campaigns.models import CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.exclusion import add_to_do_not_call, keep_as_hash
from contacts.hashing import find_fingerprint
from contacts.models import CallOutcome, Contact, ContactState, DoNotCallEntry
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def claim(lines, clock):
    def claim(**limits):
        limits = {"max_concurrent_calls": None, "batch_size": 50, "room": 50} | limits
        return claim_calls(clock=clock, **limits)

    return claim


def claimed_contacts(claim):
    return [attempt.contact for attempt in claim.attempts]


# Who is eligible


def test_a_pending_contact_is_claimed(claim):
    contact = ContactFactory()
    (attempt,) = claim().attempts
    contact.refresh_from_db()
    assert attempt.contact == contact
    assert (contact.state, contact.attempts_count, contact.next_attempt_at) == (ContactState.IN_PROGRESS, 1, None)
    assert (attempt.attempt_number, attempt.phone_number, attempt.status) == (1, contact.phone_number, "claimed")


def test_a_contact_that_was_not_reached_is_claimed_again_when_it_is_due(claim):
    contact = ContactFactory(state=ContactState.NOT_REACHED, attempts_count=1, next_attempt_at=NOON)
    (attempt,) = claim().attempts
    assert (attempt.contact, attempt.attempt_number) == (contact, 2)


def test_a_contact_is_not_claimed_before_it_is_due(claim):
    due_at = NOON + timedelta(microseconds=1)
    contact = ContactFactory(state=ContactState.NOT_REACHED, attempts_count=1, next_attempt_at=due_at)
    result = claim()
    assert result.attempts == []
    assert result.reasons == {contact.campaign_id: Reason.NOBODY_DUE}
    assert result.look_again_at == due_at


@pytest.mark.parametrize(
    "state",
    [ContactState.IN_PROGRESS, ContactState.COMPLETED, ContactState.REFUSED, ContactState.EXCLUDED],
)
def test_contacts_in_a_call_or_done_are_not_claimed(claim, state):
    contact = ContactFactory(state=state, next_attempt_at=None)
    result = claim()
    assert result.attempts == []
    assert result.reasons == {contact.campaign_id: Reason.NOBODY_WAITING}


def test_a_contact_on_the_do_not_call_list_is_not_claimed(claim):
    contact = ContactFactory()
    add_to_do_not_call(contact.phone_number)
    assert claim().attempts == []


def test_a_contact_that_the_do_not_call_list_has_missed_is_excluded_instead_of_claimed(claim):
    contact = ContactFactory()
    DoNotCallEntryFactory(phone_number=contact.phone_number)
    other = ContactFactory(campaign=contact.campaign)
    result = claim()
    contact.refresh_from_db()
    assert claimed_contacts(result) == [other]
    assert (contact.state, contact.next_attempt_at) == (ContactState.EXCLUDED, None)


def test_a_contact_whose_number_is_kept_as_a_hash_is_excluded_instead_of_claimed(claim, settings):
    """Its import looked at the list before, and was committed after the number was put on it."""
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    contact = ContactFactory()
    keep_as_hash([contact.phone_number])
    other = ContactFactory(campaign=contact.campaign)
    result = claim()
    contact.refresh_from_db()
    assert claimed_contacts(result) == [other]
    assert (contact.state, contact.next_attempt_at) == (ContactState.EXCLUDED, None)


def test_a_claim_that_met_somebody_who_is_excluded_chooses_again(claim):
    ProviderConfig.objects.update(calls_per_second=1)
    first, second = ContactFactory.create_batch(2, campaign=CampaignFactory())
    DoNotCallEntryFactory(phone_number=first.phone_number)
    assert claimed_contacts(claim()) == [second]


def test_a_contact_whose_attempts_are_used_up_is_not_claimed(claim):
    campaign = CampaignFactory(max_attempts=2)
    contact = ContactFactory(campaign=campaign, state=ContactState.NOT_REACHED, attempts_count=2)
    assert claim().attempts == []
    contact.refresh_from_db()
    assert contact.next_attempt_at is None


@pytest.mark.parametrize("status", [status for status in CampaignStatus if status != CampaignStatus.RUNNING])
def test_only_running_campaigns_ring(claim, status):
    ContactFactory(campaign__status=status)
    assert claim().blocked == Reason.NO_CAMPAIGN


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "rings"),
    [
        (NOON, None, True),
        (NOON + timedelta(seconds=1), None, False),
        (None, NOON + timedelta(seconds=6), True),
        (None, NOON + timedelta(seconds=5), False),  # a call claimed now could reach the provider after the end
        (None, NOON, False),
    ],
)
def test_a_campaign_rings_between_its_dates_the_end_exclusive(claim, starts_at, ends_at, rings):
    ContactFactory(campaign__starts_at=starts_at, campaign__ends_at=ends_at)
    assert bool(claim().attempts) is rings


def test_a_number_in_a_call_is_not_rung_for_another_campaign(claim):
    first = ContactFactory()
    claim()
    second = ContactFactory(phone_number=first.phone_number)
    third = ContactFactory(campaign=second.campaign)
    assert claimed_contacts(claim()) == [third]


def test_two_campaigns_that_want_one_number_at_once_ring_it_once(claim):
    first = ContactFactory()
    ContactFactory(phone_number=first.phone_number)
    assert len(claim().attempts) == 1


# Windows


def office_hours(**campaign):
    return CampaignFactory(allowed_call_start=time(9), allowed_call_end=time(18), **campaign)


@pytest.mark.parametrize(
    ("zone", "rings"),
    [
        ("Europe/Rome", True),  # 13:00
        ("America/Los_Angeles", False),  # 04:00
        ("Europe/Rome America/Los_Angeles", False),  # not all of them are open
        ("Europe/Rome Europe/London", True),
        ("", True),  # the campaign's: UTC
    ],
)
def test_each_contact_is_rung_within_the_hours_of_its_own_zone(claim, zone, rings):
    ContactFactory(campaign=office_hours(), calling_zone=zone)
    assert bool(claim().attempts) is rings


def test_a_contact_of_unknown_zone_in_a_campaign_without_one_is_never_rung(claim):
    contact = ContactFactory(campaign=office_hours(time_zone=""), calling_zone="")
    result = claim()
    assert result.reasons == {contact.campaign_id: Reason.NEVER_OPEN}
    assert result.look_again_at is None


def test_a_contact_of_unknown_zone_is_not_rung_even_when_calls_are_allowed_all_day(claim):
    ContactFactory(campaign=CampaignFactory(time_zone=""), calling_zone="")
    assert claim().attempts == []


def test_the_next_look_is_when_the_first_closed_zone_opens(claim):
    campaign = office_hours()
    ContactFactory(campaign=campaign, calling_zone="America/Los_Angeles")  # opens at 17:00 UTC
    ContactFactory(campaign=campaign, calling_zone="America/New_York")  # opens at 14:00 UTC
    result = claim()
    assert result.reasons == {campaign.pk: Reason.ZONES_CLOSED}
    assert result.look_again_at == datetime(2026, 3, 4, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "rings"),
    [
        (datetime(2026, 3, 29, 6, 59, tzinfo=UTC), False),  # the clock went forward: 08:59 in Rome
        (datetime(2026, 3, 29, 7, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 28, 7, 59, tzinfo=UTC), False),  # the day before, still winter time
        (datetime(2026, 10, 25, 7, 59, tzinfo=UTC), False),  # it went back
        (datetime(2026, 10, 25, 8, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 29, 15, 59, 54, tzinfo=UTC), True),  # 17:59:54
        (datetime(2026, 3, 29, 15, 59, 55, tzinfo=UTC), False),  # a call claimed now could be late
        (datetime(2026, 3, 29, 16, 0, tzinfo=UTC), False),  # 18:00, the end is exclusive
    ],
)
def test_hours_follow_the_local_clock_through_changes_of_the_clock(claim, clock, now, rings):
    clock.now = now
    ContactFactory(campaign=office_hours(), calling_zone="Europe/Rome")
    assert bool(claim().attempts) is rings


def test_the_weekday_is_that_of_the_contacts_zone(claim, clock):
    clock.now = datetime(2026, 3, 6, 23, 30, tzinfo=UTC)  # Friday, and Saturday in Tokyo
    campaign = CampaignFactory(weekdays=[6])
    friday = ContactFactory(campaign=campaign, calling_zone="Europe/London")
    saturday = ContactFactory(campaign=campaign, calling_zone="Asia/Tokyo")
    assert claimed_contacts(claim()) == [saturday]
    assert friday.state == ContactState.PENDING


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (datetime(2026, 3, 4, 17, 59, 54, tzinfo=UTC), 2),  # the hours end in six seconds
        (datetime(2026, 3, 4, 17, 59, 50, tzinfo=UTC), 5),
    ],
)
def test_the_send_deadline_does_not_reach_beyond_the_calling_hours(claim, clock, now, seconds):
    clock.now = now
    ContactFactory(campaign=office_hours())
    assert claim().attempts[0].send_before == now + timedelta(seconds=seconds)


def test_a_running_campaign_outside_its_dates_is_told_so(claim):
    campaign = ContactFactory(campaign__starts_at=NOON + timedelta(days=1)).campaign
    assert claim().reasons == {campaign.pk: Reason.OUTSIDE_DATES}


# Limits


def test_no_more_calls_are_open_than_there_are_lines(claim):
    ProviderConfig.objects.update(max_concurrent_calls=3)
    ContactFactory.create_batch(5, campaign=CampaignFactory())
    assert len(claim().attempts) == 3
    assert claim().blocked == Reason.LINES_BUSY


def test_the_schedulers_own_limit_counts_when_it_is_lower(claim):
    ContactFactory.create_batch(5, campaign=CampaignFactory())
    assert len(claim(max_concurrent_calls=2).attempts) == 2


def test_a_limit_that_was_lowered_below_the_open_calls_claims_nobody(claim):
    ContactFactory.create_batch(9, campaign=CampaignFactory())
    claim(batch_size=5)
    ProviderConfig.objects.update(max_concurrent_calls=2)
    assert claim().blocked == Reason.LINES_BUSY


def test_a_line_is_free_again_when_its_attempt_has_ended(claim):
    ProviderConfig.objects.update(max_concurrent_calls=1)
    ContactFactory.create_batch(2, campaign=CampaignFactory())
    (attempt,) = claim().attempts
    end_attempt(attempt, CallOutcome.BUSY, now=NOON)
    assert len(claim().attempts) == 1


@pytest.mark.parametrize("limit", [{"batch_size": 2}, {"room": 2}])
def test_no_more_is_claimed_than_the_batch_and_the_room(claim, limit):
    ContactFactory.create_batch(5, campaign=CampaignFactory())
    assert len(claim(**limit).attempts) == 2


def test_a_campaigns_own_lines_are_its_limit(claim):
    campaign = CampaignFactory(max_concurrent_calls=2)
    ContactFactory.create_batch(5, campaign=campaign)
    assert len(claim().attempts) == 2
    assert claim().reasons == {campaign.pk: Reason.CAMPAIGN_LINES_BUSY}


def test_lines_are_shared_fairly_between_campaigns(claim):
    many, few = CampaignFactory(), CampaignFactory()
    ContactFactory.create_batch(20, campaign=many)
    ContactFactory.create_batch(20, campaign=few)
    campaigns = [contact.campaign_id for contact in claimed_contacts(claim())]
    assert (campaigns.count(many.pk), campaigns.count(few.pk)) == (5, 5)


def test_one_line_goes_to_the_campaigns_in_turn(claim, clock):
    ProviderConfig.objects.update(max_concurrent_calls=1)
    campaigns = CampaignFactory.create_batch(3)
    for campaign in campaigns:
        ContactFactory.create_batch(3, campaign=campaign)
    served = []
    for _ in range(6):
        (attempt,) = claim().attempts
        end_attempt(attempt, CallOutcome.BUSY, now=NOON)
        served.append(attempt.contact.campaign_id)
        clock.sleep(1)
    assert served[:3] == served[3:]
    assert len(set(served)) == 3


def test_within_a_campaign_who_has_been_due_longest_comes_first(claim):
    campaign = CampaignFactory()
    late = ContactFactory(campaign=campaign, next_attempt_at=NOON, calling_zone="Europe/Rome")
    early = ContactFactory(campaign=campaign, next_attempt_at=NOON - timedelta(days=1), calling_zone="Europe/Paris")
    assert claimed_contacts(claim()) == [early, late]


# Pacing


def test_starts_are_spaced_by_the_rate_and_go_on_where_the_last_claim_ended(claim, clock):
    ProviderConfig.objects.update(calls_per_second=8)
    ContactFactory.create_batch(9, campaign=CampaignFactory())
    first = [attempt.start_at for attempt in claim(batch_size=2).attempts]
    second = [attempt.start_at for attempt in claim(batch_size=2).attempts]
    assert first + second == [NOON + HEADROOM + index * gap_between(8) for index in range(4)]


def test_a_rate_that_is_used_up_says_when_to_look_again(claim):
    ProviderConfig.objects.update(calls_per_second=1)
    ContactFactory.create_batch(2, campaign=CampaignFactory())
    claim()
    result = claim()
    assert result.blocked == Reason.RATE_USED_UP
    assert result.look_again_at == NOON + HEADROOM + gap_between(1) - HORIZON


def test_late_calls_move_back_together_when_nobody_has_claimed_since(claim, clock):
    ProviderConfig.objects.update(calls_per_second=10)
    ContactFactory.create_batch(3, campaign=CampaignFactory())
    attempts = claim().attempts
    clock.sleep(0.5)
    replan_starts(attempts, clock, not_before=clock.now)
    starts = [attempt.start_at for attempt in attempts]
    assert starts == [clock.now + HEADROOM + index * gap_between(10) for index in range(3)]
    assert list(CallAttempt.objects.order_by("id").values_list("start_at", flat=True)) == starts
    assert ProviderConfig.objects.get().next_call_at == starts[-1] + gap_between(10)


def test_late_calls_queue_up_behind_those_that_were_claimed_since(claim, clock):
    ProviderConfig.objects.update(calls_per_second=10)
    ContactFactory.create_batch(5, campaign=CampaignFactory())
    late = claim(batch_size=2).attempts
    others = claim(batch_size=2).attempts
    clock.sleep(0.05)
    replan_starts(late, clock, not_before=clock.now)
    assert late[0].start_at == others[-1].start_at + gap_between(10)


# Dialling stopped


def test_nobody_is_claimed_while_dialling_is_switched_off(claim):
    ProviderConfig.objects.update(dialing_enabled=False)
    contact = ContactFactory()
    result = claim()
    assert result.blocked == Reason.SWITCHED_OFF
    assert result.reasons == {contact.campaign_id: Reason.SWITCHED_OFF}


def test_nobody_is_claimed_while_the_breaker_is_open(claim):
    until = NOON + timedelta(seconds=1)
    ProviderConfig.objects.update(consecutive_failures=5, paused_until=until)
    ContactFactory()
    result = claim()
    assert (result.blocked, result.look_again_at) == (Reason.BREAKER_OPEN, until)


KEY = "a-key-for-tests-0123456789abcdefghij"


@pytest.mark.parametrize("key", ["", f"{KEY}0", f"{KEY}1"])  # one fingerprint is before that of KEY, one behind it
def test_nobody_is_claimed_while_another_key_has_hashed_numbers_of_the_list(claim, settings, key):
    settings.DO_NOT_CALL_HASH_KEY = KEY
    keep_as_hash(["+12025550123"])
    contact = ContactFactory(phone_number="+12025550123")
    settings.DO_NOT_CALL_HASH_KEY = key
    if key:
        keep_as_hash(["+12025550124"])
    result = claim()
    assert (result.attempts, result.blocked) == ([], Reason.LIST_UNREADABLE)
    assert result.reasons == {contact.campaign_id: Reason.LIST_UNREADABLE}
    DoNotCallEntry.objects.filter(hash_key=find_fingerprint() if key else "").delete()
    settings.DO_NOT_CALL_HASH_KEY = KEY
    assert claim().blocked is None


# What it costs


def test_a_claim_asks_the_same_number_of_questions_however_many_it_claims(claim):
    campaign = CampaignFactory()
    claim()  # prepares the statements, if this connection is new
    ContactFactory(campaign=campaign)
    with CaptureQueriesContext(connection) as for_one:
        claim()
    ContactFactory.create_batch(9, campaign=campaign)
    with CaptureQueriesContext(connection) as for_nine:
        assert len(claim().attempts) == 9
    assert len(for_nine) == len(for_one)


def test_the_plan_of_a_claim_reads_the_head_of_each_lane_from_the_partial_index(claim):
    campaign = CampaignFactory()
    zones = ["Europe/Rome", "Europe/Paris", "America/Chicago", "Asia/Tokyo"]
    Contact.objects.bulk_create(
        ContactFactory.build(campaign=campaign, calling_zone=zones[index % 4], next_attempt_at=NOON)
        for index in range(4000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE contacts_contact")
    with CaptureQueriesContext(connection) as queries:
        claim(batch_size=5)
    lane_queries = [query["sql"] for query in queries if "lane" in query["sql"]]
    assert len(lane_queries) == 2
    for sql in lane_queries:
        plan = explain(sql)
        assert "contact_lane" in plan
        assert "Seq Scan on contacts_contact" not in plan


def explain(sql):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}")
        return "\n".join(row[0] for row in cursor.fetchall())


def test_an_opening_after_the_end_is_none(claim):
    campaign = office_hours(ends_at=NOON + timedelta(hours=2))
    ContactFactory(campaign=campaign, calling_zone="America/New_York")  # opens at the end
    result = claim()
    assert (result.reasons, result.look_again_at) == ({campaign.pk: Reason.NEVER_OPEN}, None)


def test_hours_that_never_open_for_anybody_are_told_apart_from_hours_that_are_closed_now(claim):
    never = ContactFactory(
        campaign=office_hours(time_zone=""), calling_zone="Pacific/Auckland America/New_York Asia/Kolkata"
    )
    asleep = ContactFactory(campaign=office_hours(), calling_zone="America/Los_Angeles")
    assert claim().reasons == {never.campaign_id: Reason.NEVER_OPEN, asleep.campaign_id: Reason.ZONES_CLOSED}
