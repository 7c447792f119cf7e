"""How far, and until when: at the rate of the last hours of dialling, and only within the calling hours."""

from collections import Counter
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.headway import SETTLED_THAT_TELL, find_end, find_headway, find_rates
from calls.models import ProviderConfig
from calls.tallies import count_over
from calls.tests.conftest import NOON
from calls.tests.tallied import make_attempt
from campaigns.models import CampaignStatus
from campaigns.tests.factories import CampaignFactory
from campaigns.windows import known_zones
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def settle(campaign, people, first=NOON, *, every=MINUTE, **values):
    for position in range(people):
        done = {"state": "completed", "next_attempt_at": None}
        contact = ContactFactory(campaign=campaign, **done)
        make_attempt(first + position * every, "completed", contact=contact, **values)


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


def test_the_end_comes_when_all_are_done_at_the_rate_so_far():
    campaign = CampaignFactory()
    settle(campaign, 30)  # in 30 minutes
    ContactFactory.create_batch(15, campaign=campaign)
    headway = find_headway([campaign], now=NOON + 30 * MINUTE)[campaign.pk]
    assert headway.ends_at == NOON + 45 * MINUTE


def test_whoever_is_not_reached_by_the_last_try_is_done_too_and_before_that_not():
    campaign = CampaignFactory(max_attempts=2)
    for minute in range(20):
        make_attempt(NOON + minute * MINUTE, "busy", campaign=campaign, attempt_number=1 + minute % 2)
    assert find_rates([campaign], now=NOON + 20 * MINUTE) == {campaign.pk: pytest.approx(10 / 1200)}


def test_hours_without_calls_do_not_count_as_dialling():
    campaign = CampaignFactory()
    settle(campaign, 15)
    settle(campaign, 15, NOON + 5 * HOUR)
    now = NOON + 5 * HOUR + 15 * MINUTE
    assert find_rates([campaign], now=now) == {campaign.pk: pytest.approx(30 / 1800)}


def test_what_was_long_ago_tells_nothing():
    campaign = CampaignFactory()
    settle(campaign, 20)
    assert find_rates([campaign], now=NOON + 25 * HOUR) == {}


def test_of_a_long_day_the_last_two_hours_of_dialling_count():
    campaign = CampaignFactory()
    settle(campaign, 40, every=MINUTE / 2)
    settle(campaign, 24, NOON + HOUR, every=5 * MINUTE)
    assert find_rates([campaign], now=NOON + 3 * HOUR) == {campaign.pk: pytest.approx(24 / 7200)}


def test_too_few_people_tell_nothing():
    few, enough = CampaignFactory(), CampaignFactory()
    settle(few, SETTLED_THAT_TELL - 1)
    settle(enough, SETTLED_THAT_TELL)
    assert find_rates([few, enough], now=NOON + HOUR).keys() == {enough.pk}


def test_calls_that_never_rang_are_no_dialling():
    campaign = CampaignFactory()
    settle(campaign, 15)
    for minute in range(15):
        make_attempt(NOON + HOUR + minute * MINUTE, "failed", campaign=campaign, given_back=True, attempt_number=3)
    assert find_rates([campaign], now=NOON + 2 * HOUR) == {campaign.pk: pytest.approx(15 / 900)}


@pytest.mark.parametrize("status", [CampaignStatus.PAUSED, CampaignStatus.COMPLETED, CampaignStatus.DRAFT])
def test_of_a_campaign_that_does_not_run_no_end_is_told(status):
    campaign = CampaignFactory(status=status)
    settle(campaign, 30)
    ContactFactory(campaign=campaign)
    assert find_headway([campaign], now=NOON + 30 * MINUTE)[campaign.pk].ends_at is None


def test_while_dialling_is_off_no_end_is_told():
    campaign = CampaignFactory()
    settle(campaign, 30)
    ContactFactory(campaign=campaign)
    assert find_headway([campaign], now=NOON + 30 * MINUTE)[campaign.pk].ends_at is not None
    ProviderConfig.objects.update(dialing_enabled=False)
    assert find_headway([campaign], now=NOON + 30 * MINUTE)[campaign.pk].ends_at is None


@pytest.mark.parametrize(
    ("left", "ends_at"),
    [
        (60, datetime(2026, 3, 4, 13, 0, tzinfo=UTC)),
        (300, datetime(2026, 3, 4, 17, 0, tzinfo=UTC)),
        (301, datetime(2026, 3, 5, 9, 1, tzinfo=UTC)),
        (300 + 480 + 480 + 60, datetime(2026, 3, 9, 10, 0, tzinfo=UTC)),  # after the weekend
        (0, NOON),
        (100_000, None),
    ],
)
def test_nobody_is_done_outside_the_calling_hours(left, ends_at):
    campaign = CampaignFactory(allowed_call_start=time(9), allowed_call_end=time(17), weekdays=[1, 2, 3, 4, 5])
    ContactFactory(campaign=campaign)
    assert find_end(campaign, left, 1 / 60, NOON) == ends_at


def test_over_a_change_of_the_clock_the_hours_are_those_of_the_contacts():
    """On 29 March 2026 9 o'clock in Rome comes an hour earlier."""
    campaign = CampaignFactory(allowed_call_start=time(9), allowed_call_end=time(17), time_zone="Europe/Rome")
    ContactFactory(campaign=campaign)
    evening = datetime(2026, 3, 28, 15, 0, tzinfo=UTC)  # 16:00
    assert find_end(campaign, 120, 1 / 60, evening) == datetime(2026, 3, 29, 8, 0, tzinfo=UTC)


def test_no_end_is_later_than_the_campaigns_own():
    campaign = CampaignFactory(starts_at=NOON - HOUR, ends_at=NOON + HOUR)
    ContactFactory(campaign=campaign)
    assert find_end(campaign, 1000, 1 / 60, NOON) == NOON + HOUR


def test_the_questions_are_as_few_for_many_contacts_zones_and_calls():
    def count_queries(campaign):
        with CaptureQueriesContext(connection) as queries:
            find_headway([campaign], now=NOON + 30 * MINUTE)
        return len(queries)

    few, many = CampaignFactory(), CampaignFactory()
    for campaign, people in ((few, 10), (many, 40)):
        settle(campaign, people, every=MINUTE / 2)
        for zone in sorted(known_zones())[:people]:
            ContactFactory(campaign=campaign, calling_zone=zone)
    count_over(now=NOON + HOUR)
    assert count_queries(few) == count_queries(many) <= 8
