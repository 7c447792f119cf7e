"""How far, and until when: by the same reckoning as the dry run, and only while something rings."""

from collections import Counter
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.forecast import CALLS_THAT_TELL, forecast
from calls.headway import find_headway
from calls.models import ProviderConfig
from calls.tests.conftest import NOON
from calls.tests.tallied import make_attempt
from campaigns.models import CampaignStatus
from campaigns.tests.factories import CampaignFactory
from campaigns.windows import known_zones
from contacts.exclusion import keep_as_hash
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
OFFICE = {"allowed_call_start": time(9), "allowed_call_end": time(17)}


@pytest.fixture(autouse=True)
def one_call_a_minute(lines):
    """A line for the half minute that each call of these tests takes."""
    ProviderConfig.objects.update(
        max_concurrent_calls=1, calls_per_second=1 / 60, scheduler_expected_by=NOON + timedelta(days=999)
    )


def settle(campaign, people=CALLS_THAT_TELL, first=NOON - HOUR, *, every=MINUTE, **values):
    """So that it is known what calls are like: after each of them somebody is settled."""
    for position in range(people):
        done = {"state": "completed", "next_attempt_at": None}
        contact = ContactFactory(campaign=campaign, **done)
        make_attempt(first + position * every, "completed", contact=contact, **values)


def wait(campaign, count, due=NOON, **values):
    ContactFactory.create_batch(count, campaign=campaign, next_attempt_at=due, **values)


def find_end(campaign, now=NOON):
    return find_headway([campaign], now=now)[campaign.pk].ends_at


def test_who_will_be_rung_or_is_in_a_call_is_left_and_all_others_are_done():
    campaign = CampaignFactory()
    ContactFactory.create_batch(3, campaign=campaign)
    ContactFactory(campaign=campaign, state="in_progress", next_attempt_at=None)
    ContactFactory(campaign=campaign, state="not_reached", next_attempt_at=NOON)
    for state in ("not_reached", "completed", "refused"):
        ContactFactory(campaign=campaign, state=state, next_attempt_at=None)
    ContactFactory(campaign=campaign, state="excluded", do_not_call=True, next_attempt_at=None)
    ContactFactory()
    headway = find_headway([campaign], now=NOON)[campaign.pk]
    assert (headway.contacts, headway.left, headway.done) == (9, 5, 4)
    assert headway.states == Counter(pending=3, not_reached=2, in_progress=1, completed=1, refused=1, excluded=1)
    assert round(headway.share) == 44


def test_a_campaign_without_contacts_has_come_nowhere():
    campaign = CampaignFactory()
    headway = find_headway([campaign], now=NOON)[campaign.pk]
    assert (headway.contacts, headway.share, headway.ends_at) == (0, 0, None)


def test_the_end_comes_when_the_last_call_starts_with_the_lines_and_hours_given():
    campaign = CampaignFactory()
    settle(campaign)
    wait(campaign, 15)
    assert find_end(campaign) == NOON + 15 * MINUTE


def test_nobody_is_done_before_the_next_try_that_is_known():
    """All who are left wait for the next day: 24 of 40 were done within the last hour."""
    campaign = CampaignFactory(retry_no_answer="next day", max_attempts=2, time_zone="UTC")
    settle(campaign, 24)
    tomorrow = datetime(2026, 3, 5, 6, 0, tzinfo=UTC)
    wait(campaign, 16, tomorrow, state="not_reached", attempts_count=1)
    assert find_end(campaign) == tomorrow + 16 * MINUTE


def test_nobody_is_done_before_the_caps_let_them_be_rung():
    ProviderConfig.objects.update(calls_per_number_per_day=1)
    campaign, other = CampaignFactory(), CampaignFactory(status="paused")
    settle(campaign)
    wait(campaign, 3)
    for contact in campaign.contacts.waiting():
        rung = ContactFactory(campaign=other, phone_number=contact.phone_number, next_attempt_at=None, state="refused")
        make_attempt(NOON - 2 * HOUR, contact=rung)
    assert find_end(campaign) == NOON + 22 * HOUR + 3 * MINUTE


def test_the_tries_that_are_left_take_their_time_and_no_more():
    campaign = CampaignFactory(max_attempts=3, retry_interval_minutes=60)
    settle(campaign)
    for _ in range(CALLS_THAT_TELL):
        make_attempt(NOON - HOUR, "no_answer", contact=ContactFactory(campaign=campaign, next_attempt_at=None))
    wait(campaign, 8, state="not_reached", attempts_count=1)
    # Half of the calls settle nobody: eight at once, and four an hour after the step in which those were rung.
    assert find_end(campaign) == NOON + 15 * MINUTE + HOUR + 4 * MINUTE


def test_those_in_a_call_are_counted_together_whose_zone_is_their_own_or_the_campaigns():
    campaign = CampaignFactory(max_attempts=2, time_zone="UTC")
    settle(campaign)
    for _ in range(CALLS_THAT_TELL):
        make_attempt(NOON - HOUR, contact=ContactFactory(campaign=campaign, next_attempt_at=None))
    wait(campaign, 4, None, state="in_progress", attempts_count=1, calling_zone="")
    wait(campaign, 4, None, state="in_progress", attempts_count=1, calling_zone="UTC")
    assert find_end(campaign) == NOON + HOUR + 4 * MINUTE


def test_the_pages_and_the_dry_run_tell_the_same_end():
    campaign = CampaignFactory(max_attempts=3, **OFFICE)
    settle(campaign)
    wait(campaign, 500)
    wait(campaign, 20, NOON + 3 * HOUR, state="not_reached", attempts_count=2)
    assert find_end(campaign) == forecast(campaign, now=NOON).ends_at is not None


def test_before_it_is_known_what_calls_are_like_no_end_is_told():
    campaign = CampaignFactory()
    settle(campaign, CALLS_THAT_TELL - 1)
    wait(campaign, 1)
    assert find_end(campaign) is None
    settle(CampaignFactory(), 1)
    campaign.save()
    assert find_end(campaign) is not None


def test_of_whoever_is_in_the_last_call_the_end_is_now():
    campaign = CampaignFactory(max_attempts=1)
    settle(campaign)
    wait(campaign, 1, None, state="in_progress", attempts_count=1)
    assert find_end(campaign) == NOON


@pytest.mark.parametrize("status", [CampaignStatus.PAUSED, CampaignStatus.COMPLETED, CampaignStatus.DRAFT])
def test_of_a_campaign_that_does_not_run_no_end_is_told(status):
    campaign = CampaignFactory(status=status)
    settle(campaign)
    wait(campaign, 1)
    headway = find_headway([campaign], now=NOON)[campaign.pk]
    assert (headway.is_dialling, headway.ends_at) == (False, None)


@pytest.mark.parametrize("off", [{"dialing_enabled": False}, {"scheduler_expected_by": NOON}])
def test_while_nothing_rings_no_end_is_told(off):
    campaign = CampaignFactory()
    settle(campaign)
    wait(campaign, 1)
    assert find_end(campaign) is not None
    ProviderConfig.objects.update(**off)
    headway = find_headway([campaign], now=NOON)[campaign.pk]
    assert (headway.is_dialling, headway.ends_at) == (False, None)


def test_while_the_do_not_call_list_cannot_be_read_no_end_is_told(settings):
    campaign = CampaignFactory()
    settle(campaign)
    wait(campaign, 1)
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    keep_as_hash(["+12025550123"])
    assert find_end(campaign) is not None
    settings.DO_NOT_CALL_HASH_KEY = ""
    assert find_end(campaign) is None


@pytest.mark.parametrize(
    ("left", "ends_at"),
    [
        (60, datetime(2026, 3, 4, 13, 0, tzinfo=UTC)),
        (300, datetime(2026, 3, 4, 17, 0, tzinfo=UTC)),
        (301, datetime(2026, 3, 5, 9, 1, tzinfo=UTC)),
        (0, None),
    ],
)
def test_nobody_is_done_outside_the_calling_hours(left, ends_at):
    campaign = CampaignFactory(weekdays=[1, 2, 3, 4, 5], **OFFICE)
    settle(campaign)
    wait(campaign, left)
    assert find_end(campaign) == ends_at


def test_an_end_that_nobody_would_believe_is_not_told():
    ProviderConfig.objects.update(calls_per_second=1 / 86400)
    campaign = CampaignFactory()
    settle(campaign)
    wait(campaign, 100)
    headway = find_headway([campaign], now=NOON)[campaign.pk]
    assert (headway.is_dialling, headway.ends_at) == (True, None)


def test_over_a_change_of_the_clock_the_hours_are_those_of_the_contacts():
    """On 29 March 2026 9 o'clock in Rome comes an hour earlier."""
    campaign = CampaignFactory(time_zone="Europe/Rome", **OFFICE)
    evening = datetime(2026, 3, 28, 15, 0, tzinfo=UTC)  # 16:00
    settle(campaign, first=evening - HOUR)
    wait(campaign, 120, evening, calling_zone="")
    assert find_end(campaign, evening) == datetime(2026, 3, 29, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(("passed", "ends_at"), [(0 * HOUR, NOON + HOUR), (2 * HOUR, None)])
def test_no_end_is_later_than_the_campaigns_own_and_none_is_told_that_has_passed(passed, ends_at):
    campaign = CampaignFactory(starts_at=NOON - HOUR, ends_at=NOON + HOUR)
    settle(campaign)
    wait(campaign, 100)
    assert find_end(campaign, NOON + passed) == ends_at


def test_the_questions_are_as_few_for_many_contacts_zones_and_calls():
    def count_queries(campaign):
        with CaptureQueriesContext(connection) as queries:
            find_headway([campaign], now=NOON)
        return len(queries)

    few, many = CampaignFactory(), CampaignFactory()
    for campaign, people in ((few, CALLS_THAT_TELL), (many, 40)):
        settle(campaign, people, every=MINUTE / 2)
        for zone in sorted(known_zones())[:people]:
            ContactFactory(campaign=campaign, calling_zone=zone)
    assert count_queries(few) == count_queries(many) <= 8
