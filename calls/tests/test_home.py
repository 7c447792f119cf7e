"""The figures of the first page, against data made by hand."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from calls.forecast import CALLS_THAT_TELL
from calls.home import (
    HOURS_SHOWN,
    OTHERS_SHOWN,
    OUTCOME_TITLES,
    RUNNING_SHOWN,
    chart_hours,
    describe_home,
    find_first_hour,
    summarise,
)
from calls.models import ProviderConfig
from calls.recollection import recollection
from calls.tallies import Count, count_over
from calls.tests.conftest import NOON
from calls.tests.tallied import make_attempt
from campaigns.lifecycle import pause
from campaigns.models import CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.models import CallOutcome
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db

ROME = ZoneInfo("Europe/Rome")
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def noon(time_machine, lines):
    time_machine.move_to(NOON, tick=False)
    ProviderConfig.objects.update(
        max_concurrent_calls=4,
        calls_per_second=2,
        scheduler_seen_at=NOON - 5 * SECOND,
        scheduler_expected_by=NOON + HOUR,
    )


@pytest.fixture
def look(clock):
    return lambda: describe_home(clock=clock)


def ring(count, at=NOON - 30 * SECOND, **values):
    for _ in range(count):
        contact = ContactFactory(state="in_progress", next_attempt_at=None, **values)
        make_attempt(at, contact=contact, ringing=True)


def test_an_empty_house_shows_nothing_and_divides_by_nothing(look):
    home = look()
    assert (home["lines"]["used"], home["today"]["calls"], home["chart"].total) == (0, 0, 0)
    assert home["today"]["answer_rate"] is home["today"]["completion_rate"] is None
    assert home["running"] == home["waiting"] == []


def test_lines_in_use_are_the_open_calls(look):
    ring(3)
    make_attempt(NOON - HOUR)
    assert look()["lines"] == {"used": 3, "allowed": 4, "share": 75}


def test_the_lines_allowed_are_the_fewer_of_the_providers_and_the_schedulers(look, settings):
    settings.SCHEDULER_MAX_CONCURRENT_CALLS = 2
    assert look()["lines"]["allowed"] == 2


def test_calls_per_second_are_those_that_started_in_the_last_ten_seconds_and_the_last_minute(look):
    for seconds in (1, 5, 9, 11, 59, 61):
        make_attempt(NOON - seconds * SECOND, ringing=True)
    make_attempt(NOON - 2 * SECOND, ringing=True, started_at=None)  # claimed, and not started yet
    pace = look()["pace"]
    assert (pace["moment"], pace["minute"], pace["allowed"]) == (0.3, 5 / 60, 2)


def test_today_has_what_began_since_midnight_on_the_operators_clock(look):
    with timezone.override(ROME):
        midnight = datetime(2026, 3, 4, tzinfo=ROME)
        make_attempt(midnight - SECOND, "busy")
        make_attempt(midnight, "busy")
        assert look()["today"]["calls"] == 1


def test_in_a_zone_of_quarters_the_day_begins_with_one(look):
    with timezone.override(ZoneInfo("Asia/Kathmandu")):
        midnight = datetime(2026, 3, 3, 18, 15, tzinfo=UTC)
        make_attempt(midnight - SECOND, "busy")
        make_attempt(midnight, "busy")
        count_over(now=NOON)
        assert look()["today"]["calls"] == 1


def count(outcome, attempts, answered=0, began=NOON):
    return Count(began, outcome, attempts, answered)


def test_rates_are_of_the_calls_that_rang_and_of_those_that_were_answered():
    today = summarise(
        [
            count("completed", 30, 30),
            count("no_answer", 60, 10),
            count("busy", 10),
            count("given_back", 7),
            count("", 5, 2),
        ]
    )
    assert (today["all"], today["calls"], today["ended"]) == (112, 105, 100)
    assert (today["going_on"], today["given_back"]) == (5, 7)
    assert (today["answered"], today["completed"]) == (40, 30)
    assert (today["answer_rate"], today["completion_rate"]) == (40, 75)
    shares = {one["kind"]: (one["count"], one["share"]) for one in today["outcomes"]}
    assert shares == {
        "completed": (30, 30),
        "refused": (0, 0),
        "no_answer": (60, 60),
        "busy": (10, 10),
        "failed": (0, 0),
    }


def test_every_outcome_has_a_title():
    assert {*OUTCOME_TITLES} == {*CallOutcome}


def test_the_chart_has_the_last_24_hours_with_this_one_at_its_end(look):
    make_attempt(NOON - 10 * SECOND, "busy", ended_at=NOON)
    make_attempt(NOON - 23 * HOUR, "completed")
    make_attempt(NOON - 23 * HOUR - SECOND, "completed")
    ring(2)
    columns = look()["chart"].columns
    assert len(columns) == HOURS_SHOWN
    assert [column.total for column in columns] == [1, *[0] * 21, 1, 0]
    assert (columns[0].title, columns[-1].title) == ("Tue 3 Mar, 13:00", "Wed 4 Mar, 12:00")


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        (datetime(2026, 3, 29, 10, 0, tzinfo=UTC), ["01:00", "03:00", "04:00"]),  # put forward
        (datetime(2026, 10, 25, 10, 0, tzinfo=UTC), ["01:00", "02:00", "02:00", "03:00"]),  # and back
    ],
)
def test_when_the_clock_changes_an_hour_is_missing_or_there_twice_and_each_has_its_calls(now, shown):
    with timezone.override(ROME):
        first = find_first_hour(timezone.localtime(now))
        counts = [Count(first + hour * HOUR, "busy", hour + 1, 0) for hour in range(HOURS_SHOWN)]
        chart = chart_hours(counts, first)
        clock = [column.title[-5:] for column in chart.columns]
        assert [column.total for column in chart.columns] == list(range(1, HOURS_SHOWN + 1))
        at = clock.index("01:00")
        assert clock[at : at + len(shown)] == shown
        assert clock[-1] == timezone.localtime(now).strftime("%H:00")


def test_a_running_campaign_tells_how_far_it_is_and_what_it_is_doing(look):
    campaign = CampaignFactory(name="Library")
    ContactFactory.create_batch(2, campaign=campaign)
    ring(2, campaign=campaign)
    (one,) = look()["running"]
    assert (one["campaign"], one["calls"], one["headway"].contacts) == (campaign, 2, 4)
    assert one["sentence"] == "People are due and lines are free: they are rung now."


def test_a_campaign_that_rings_nobody_says_why(look):
    ContactFactory(campaign=CampaignFactory(), next_attempt_at=NOON + HOUR)
    assert look()["running"][0]["sentence"] == "1 contact waits for the next try, the first at 13:00."


def test_paused_and_scheduled_campaigns_are_named_shortly_and_all_others_not(look):
    by_status = {status: CampaignFactory(status=status, starts_at=NOON + HOUR) for status in CampaignStatus}
    home = look()
    waiting = [by_status[CampaignStatus.PAUSED], by_status[CampaignStatus.SCHEDULED]]
    assert [one["campaign"] for one in home["waiting"]] == waiting
    assert home["waiting"][1]["sentence"] == "It begins at 13:00."
    assert [one["campaign"] for one in home["running"]] == [by_status[CampaignStatus.RUNNING]]


def test_of_a_paused_campaign_who_paused_it_and_when_and_how_far_it_is(admin_client, admin_user):
    campaign = CampaignFactory()
    ContactFactory(campaign=campaign, state="completed", next_attempt_at=None)
    ring(1, campaign=campaign)
    pause(campaign, now=NOON - HOUR, by=admin_user)
    page = admin_client.get(reverse("live_home")).content.decode()
    assert "Paused at 11:00 by admin; it rings nobody until it is resumed. 50% done; 1 call still going on." in page


def test_one_question_tells_who_paused_how_many(look, admin_user):
    def count_queries():
        pause(CampaignFactory(), now=NOON, by=admin_user)
        with CaptureQueriesContext(connection) as queries:
            look()
        return len(queries)

    count_queries()  # the first look counts the calls of the past
    assert count_queries() == count_queries()


def test_of_many_campaigns_the_newest_are_shown(look):
    running = CampaignFactory.create_batch(RUNNING_SHOWN + 1)
    CampaignFactory.create_batch(OTHERS_SHOWN + 1, status=CampaignStatus.PAUSED)
    home = look()
    assert [one["campaign"] for one in home["running"]] == running[:0:-1]
    assert home["more_running"] and home["more_waiting"]
    assert len(home["waiting"]) == OTHERS_SHOWN


@pytest.mark.parametrize(
    ("values", "dialling", "scheduler"),
    [
        ({}, "success", "success"),
        ({"dialing_enabled": False, "halted_reason": "Refused."}, "danger", "success"),
        ({"paused_until": NOON + SECOND}, "warning", "success"),
        ({"paused_until": NOON - SECOND}, "success", "success"),
        ({"scheduler_expected_by": NOON - SECOND}, "success", "danger"),
        ({"scheduler_expected_by": None, "scheduler_seen_at": None}, "success", "danger"),
    ],
)
def test_health_tells_of_the_provider_and_of_the_schedulers(look, values, dialling, scheduler):
    ProviderConfig.objects.update(**values)
    health = look()["health"]
    assert (health["dialling"], health["scheduler"]) == (dialling, scheduler)


@pytest.mark.parametrize(
    ("status", "is_told"),
    [(status, status in (CampaignStatus.RUNNING, CampaignStatus.SCHEDULED)) for status in CampaignStatus],
)
def test_that_no_scheduler_is_alive_is_told_while_a_campaign_needs_one(admin_client, status, is_told):
    CampaignFactory(status=status, starts_at=NOON + HOUR)
    ProviderConfig.objects.update(scheduler_expected_by=NOON - SECOND)
    assert ('data-key="scheduler"' in admin_client.get(reverse("live_home")).content.decode()) is is_told


def test_the_questions_are_as_few_for_many_contacts_and_calls(look):
    campaign = CampaignFactory()
    contacts = ContactFactory.create_batch(CALLS_THAT_TELL, campaign=campaign)
    count_over(now=NOON)

    def count_queries():
        recollection.forget()  # kept for longer on a busy machine
        with CaptureQueriesContext(connection) as queries:
            look()
        return len(queries)

    def add_calls(contacts):
        for position, contact in enumerate(contacts):
            make_attempt(NOON - position * 10 * SECOND, "completed", contact=contact, attempt_number=2)

    add_calls(contacts)
    few = count_queries()
    add_calls(ContactFactory.create_batch(40, campaign=campaign))
    assert count_queries() == few
    assert few <= 26
