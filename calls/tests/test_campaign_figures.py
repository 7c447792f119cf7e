"""The figures of a campaign's page, against data made by hand."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from calls.campaign_figures import (
    CALLS_THAT_TELL,
    MOST_DAYS,
    chart_course,
    chart_local_hours,
    describe_calls,
    find_errors,
    list_tries,
)
from calls.tallies import Count
from calls.tests.conftest import NOON
from calls.tests.tallied import make_attempt
from campaigns.tests.factories import CampaignFactory

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def count(outcome="busy", attempts=1, answered=0, *, began=NOON, number=1, local_hour=12):
    return Count(began, outcome, attempts, answered, None, number, local_hour)


def show(chart):
    return [(column.title, column.total) for column in chart.columns if column.total]


def test_a_course_of_two_days_is_told_by_the_hour():
    chart = chart_course([count(), count("completed", 2, began=NOON + 47 * HOUR + HOUR / 2)])
    assert show(chart) == [("Wed 4 Mar, 12:00", 1), ("Fri 6 Mar, 11:00", 2)]
    assert len(chart.columns) == 48


def test_a_short_course_leaves_room_for_the_hours_to_come():
    chart = chart_course([count()])
    assert [column.total for column in chart.columns] == [1, *[0] * 11]


def test_a_longer_course_is_told_by_the_day_of_the_operators_calendar():
    with timezone.override(ZoneInfo("Europe/Rome")):
        before_midnight = datetime(2026, 3, 6, 22, 45, tzinfo=UTC)
        chart = chart_course([count(), count(began=before_midnight), count(began=before_midnight + HOUR / 4)])
    assert show(chart) == [
        ("Wednesday 4 March 2026", 1),
        ("Friday 6 March 2026", 1),
        ("Saturday 7 March 2026", 1),
    ]


def test_a_day_of_25_hours_is_one_day():
    with timezone.override(ZoneInfo("Europe/Rome")):
        midnight = datetime(2026, 10, 24, 22, tzinfo=UTC)
        chart = chart_course([count(began=midnight + hour * HOUR) for hour in range(-30, 25)])
    assert show(chart)[-1] == ("Sunday 25 October 2026", 25)


def test_of_a_very_long_course_the_last_days_are_shown():
    chart = chart_course([count(began=NOON), count(began=NOON + 100 * DAY)])
    assert len(chart.columns) == MOST_DAYS
    assert chart.total == 1


def test_without_calls_there_is_no_course():
    assert chart_course([]).columns == []


def test_the_best_hour_has_the_highest_share_of_answered_calls_among_those_that_tell():
    hours = chart_local_hours(
        [
            count("completed", 40, 20, local_hour=18),
            count("no_answer", 60, 10, local_hour=18),
            count("no_answer", CALLS_THAT_TELL, 5, local_hour=9),
            count("completed", CALLS_THAT_TELL - 1, CALLS_THAT_TELL - 1, local_hour=7),
            count("given_back", 100, 0, local_hour=18),
            count("", 100, 50, local_hour=9),
        ]
    )
    assert (hours["best"]["hour"], hours["best"]["rate"], hours["best"]["calls"]) == ("18:00", 30, 100)
    assert [column["hour"] for column in hours["columns"] if column["calls"]] == ["07:00", "09:00", "18:00"]
    assert [column["hour"] for column in hours["columns"] if column["is_telling"]] == ["09:00", "18:00"]
    assert hours["columns"][7]["height"] == 100


def test_without_calls_no_hour_is_the_best():
    hours = chart_local_hours([])
    assert hours["best"] is None
    assert len(hours["columns"]) == 24


def test_of_each_try_it_is_told_how_many_completed_with_it():
    tries = list_tries(
        [
            count("completed", 10, 10),
            count("busy", 30),
            count("completed", 5, 5, number=2),
            count("failed", 5, number=2),
            count("busy", 4, number=3),
            count("given_back", 9, number=3),
        ]
    )
    assert [(one["number"], one["calls"], one["completed"], one["rate"], one["share"]) for one in tries] == [
        (1, 40, 10, 25, 100),
        (2, 10, 5, 50, 50),
        (3, 4, 0, 0, 0),
    ]


@pytest.mark.django_db
def test_errors_are_counted_by_their_code_with_the_newest_message():
    campaign = CampaignFactory()
    for hour, code, message in (
        (1, "13224", "old"),
        (2, "13224", "newest"),
        (3, "13224", ""),
        (4, "21217", "other"),
        (5, "", "no error"),
    ):
        make_attempt(NOON + hour * HOUR, "failed", campaign=campaign, error_code=code, error_message=message)
    make_attempt(NOON, "failed", error_code="elsewhere")
    first, second = find_errors(campaign)
    assert (first.code, first.calls, first.message, first.last_at) == ("13224", 3, "newest", NOON + 3 * HOUR)
    assert (second.code, second.calls) == ("21217", 1)


@pytest.mark.django_db
def test_errors_are_looked_for_in_the_last_calls_only(monkeypatch):
    monkeypatch.setattr("calls.campaign_figures.CALLS_LOOKED_AT", 2)
    campaign = CampaignFactory()
    for hour, code in enumerate(("first", "second", "third")):
        make_attempt(NOON + hour * HOUR, "failed", campaign=campaign, error_code=code)
    assert {error.code for error in find_errors(campaign)} == {"second", "third"}


@pytest.mark.django_db
def test_links_lead_to_the_calls_that_are_counted(admin_client, clock):
    campaign = CampaignFactory()
    shown = make_attempt(NOON - HOUR, "busy", campaign=campaign, error_code="wanted-code")
    hidden = [
        make_attempt(NOON - HOUR, "failed", campaign=campaign),
        make_attempt(NOON - HOUR, "busy", campaign=campaign, given_back=True, attempt_number=2),
        make_attempt(NOON - HOUR, "busy"),
    ]
    found = describe_calls(campaign, clock=clock)
    busy = next(one for one in found["calls"]["outcomes"] if one["kind"] == "busy")
    assert busy["count"] == 1
    for url in (busy["url"], found["errors"][0].url):
        page = admin_client.get(url).content.decode()
        assert str(shown.pk) in page
        assert not any(str(one.pk) in page for one in hidden)
