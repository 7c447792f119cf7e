from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from campaigns import windows
from campaigns.windows import SEARCH_DAYS, CallingHours, is_open, next_opening

OFFICE = CallingHours.weekly(start=time(9), end=time(18))
WORKDAYS = CallingHours.weekly(start=time(9), end=time(18), weekdays=frozenset({1, 2, 3, 4, 5}))
ALL_DAY = CallingHours()
SUNDAYS = CallingHours.weekly(weekdays=frozenset({7}))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def at_local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        ("Europe/Rome", "2026-03-04 08:59:59.999999", False),
        ("Europe/Rome", "2026-03-04 09:00", True),  # the start belongs to the window
        ("Europe/Rome", "2026-03-04 17:59:59.999999", True),
        ("Europe/Rome", "2026-03-04 18:00", False),  # the end does not
        ("America/New_York", "2026-03-04 09:00", True),
        ("Pacific/Honolulu", "2026-03-04 08:59", False),
        ("Pacific/Kiritimati", "2026-03-04 09:00", True),  # UTC+14
        ("Asia/Kathmandu", "2026-03-04 09:00", True),  # UTC+5:45
    ],
)
def test_hours_are_those_of_the_contacts_own_zone(zone, local, expected):
    assert is_open(OFFICE, [zone], at_local(local, zone)) is expected


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        ("Pacific/Auckland", "2026-03-01T21:00", True),  # Sunday in UTC, Monday 10:00 there
        ("Pacific/Auckland", "2026-03-06T21:00", False),  # Friday in UTC, Saturday 10:00 there
        ("Pacific/Honolulu", "2026-03-07T00:00", True),  # Saturday in UTC, Friday 14:00 there
        ("Pacific/Honolulu", "2026-03-02T02:00", False),  # Monday in UTC, Sunday 16:00 there
    ],
)
def test_the_weekday_is_that_of_the_same_zone_as_the_hour(zone, now, expected):
    assert is_open(WORKDAYS, [zone], at(now)) is expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-29T00:59", False),  # 01:59 in Rome, before the clock jumps from 02:00 to 03:00
        ("2026-03-29T01:00", True),  # 03:00, within 02:30-04:00 though 02:30 never came
        ("2026-03-29T02:00", False),  # 04:00
        ("2026-10-25T00:30", True),  # 02:30 for the first time
        ("2026-10-25T01:00", False),  # 02:00 for the second time
        ("2026-10-25T01:30", True),  # 02:30 for the second time
        ("2026-10-25T03:00", False),  # 04:00
    ],
)
def test_hours_follow_the_clock_on_the_wall_when_it_changes(now, expected):
    assert is_open(CallingHours.weekly(start=time(2, 30), end=time(4)), ["Europe/Rome"], at(now)) is expected


def test_without_hours_it_is_open_all_day():
    assert is_open(ALL_DAY, ["Europe/Rome"], at("2026-03-04T00:00"))
    assert is_open(ALL_DAY, ["Europe/Rome"], at("2026-03-04T22:59:59"))


def test_without_a_zone_it_is_never_open():
    assert not is_open(ALL_DAY, [], at("2026-03-04T12:00"))
    assert next_opening(ALL_DAY, [], at("2026-03-04T12:00")) is None


def test_without_a_weekday_it_is_never_open():
    hours = CallingHours.weekly(weekdays=frozenset())
    assert not is_open(hours, ["Europe/Rome"], at("2026-03-04T12:00"))
    assert next_opening(hours, ["Europe/Rome"], at("2026-03-04T12:00")) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-04T15:00", False),  # Los Angeles 07:00, New York 10:00
        ("2026-03-04T17:00", True),  # 09:00 and 12:00
        ("2026-03-04T22:59", True),  # 14:59 and 17:59
        ("2026-03-04T23:00", False),  # 15:00 and 18:00
    ],
)
def test_several_zones_must_all_be_open(now, expected):
    assert is_open(OFFICE, ["America/New_York", "America/Los_Angeles"], at(now)) is expected


NEXT_OPENINGS = {
    "open now: now itself": (OFFICE, ["Europe/Rome"], "2026-03-04T10:30:15", "2026-03-04T10:30:15"),
    "before the start: today": (OFFICE, ["Europe/Rome"], "2026-03-04T05:00", "2026-03-04T08:00"),
    "at the end: tomorrow": (OFFICE, ["Europe/Rome"], "2026-03-04T17:00", "2026-03-05T08:00"),
    "Friday evening: Monday": (WORKDAYS, ["Europe/Rome"], "2026-03-06T17:00", "2026-03-09T08:00"),
    "all day on Sundays: midnight there": (
        SUNDAYS,
        ["Pacific/Auckland"],
        "2026-03-04T12:00",
        "2026-03-07T11:00",
    ),
    "the day before summer time: by the new clock": (
        OFFICE,
        ["Europe/Rome"],
        "2026-03-28T18:00",
        "2026-03-29T07:00",
    ),
    "the start falls into the gap: when the gap ends": (
        CallingHours.weekly(start=time(2, 30), end=time(4)),
        ["Europe/Rome"],
        "2026-03-28T12:00",
        "2026-03-29T01:00",
    ),
    "the whole window falls into the gap: the next day": (
        CallingHours.weekly(start=time(2, 10), end=time(2, 50)),
        ["Europe/Rome"],
        "2026-03-28T12:00",
        "2026-03-30T00:10",
    ),
    "the whole window of the week falls into the gap: a week later": (
        CallingHours.weekly(start=time(2, 10), end=time(2, 50), weekdays=frozenset({7})),
        ["Europe/Rome"],
        "2026-03-28T12:00",
        "2026-04-05T00:10",
    ),
    "the start comes twice: after the first it is the second": (
        CallingHours.weekly(start=time(2), end=time(2, 30)),
        ["Europe/Rome"],
        "2026-10-25T00:45",
        "2026-10-25T01:00",
    ),
    "the clock is set back into the hours": (
        CallingHours.weekly(start=time(1), end=time(2, 30)),
        ["Europe/Rome"],
        "2026-10-25T00:45",
        "2026-10-25T01:00",
    ),
    "no midnight in Santiago on that Sunday: 01:00": (
        SUNDAYS,
        ["America/Santiago"],
        "2026-09-05T12:00",
        "2026-09-06T04:00",
    ),
    "no midnight in Cairo on that Friday: 01:00": (
        CallingHours.weekly(weekdays=frozenset({5})),
        ["Africa/Cairo"],
        "2026-04-23T12:00",
        "2026-04-23T22:00",
    ),
    "the clock of Santiago goes back over midnight into Saturday": (
        CallingHours.weekly(start=time(23), end=time(23, 30), weekdays=frozenset({6})),
        ["America/Santiago"],
        "2026-04-05T02:45",
        "2026-04-05T03:00",
    ),
    "half an hour's change on Lord Howe Island": (
        CallingHours.weekly(start=time(2, 15), end=time(4)),
        ["Australia/Lord_Howe"],
        "2026-10-03T12:00",
        "2026-10-03T15:30",
    ),
    "several zones: when the last of them opens": (
        OFFICE,
        ["America/New_York", "America/Los_Angeles"],
        "2026-03-04T14:30",
        "2026-03-04T17:00",
    ),
    "several zones, too late in one of them: tomorrow": (
        OFFICE,
        ["America/New_York", "America/Los_Angeles"],
        "2026-03-04T23:30",
        "2026-03-05T17:00",
    ),
    "zones that never meet": (OFFICE, ["Europe/Rome", "Pacific/Auckland"], "2026-03-04T12:00", None),
    "zones with no weekday in common at any hour": (
        CallingHours.weekly(start=time(0), end=time(1), weekdays=frozenset({1})),
        ["Pacific/Kiritimati", "Pacific/Honolulu"],
        "2026-03-04T12:00",
        None,
    ),
}


@pytest.mark.parametrize(("hours", "zones", "now", "expected"), NEXT_OPENINGS.values(), ids=NEXT_OPENINGS.keys())
def test_the_next_opening_is_the_first_instant_at_which_all_zones_are_open(hours, zones, now, expected):
    assert next_opening(hours, zones, at(now)) == (expected and at(expected))


def test_an_opening_is_in_utc_whatever_zone_it_was_asked_in():
    assert next_opening(OFFICE, ["Europe/Rome"], at_local("2026-03-04 10:00", "Asia/Tokyo")).tzinfo is UTC


def find_opening_minute_by_minute(hours, zones, now, until):
    while now < until:
        if is_open(hours, zones, now):
            return now
        now += timedelta(minutes=1)
    return None


# The week around a change of the clock, forward and back, in zones that change at different hours.
CHANGES = [
    ("Europe/Rome", "2026-03-29T01:00"),
    ("Europe/Rome", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("America/Santiago", "2026-04-05T03:00"),
    ("America/Santiago", "2026-09-06T04:00"),
    ("Africa/Cairo", "2026-04-23T22:00"),
    ("Africa/Cairo", "2026-10-29T21:00"),
    ("America/Havana", "2026-11-01T05:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Antarctica/Troll", "2026-03-29T01:00"),
]
SHAPES = [
    ALL_DAY,
    SUNDAYS,
    CallingHours.weekly(weekdays=frozenset({5, 6})),
    CallingHours.weekly(start=time(0), end=time(0, 40)),
    CallingHours.weekly(start=time(0, 30), end=time(2)),
    CallingHours.weekly(start=time(1, 15), end=time(1, 45)),
    CallingHours.weekly(start=time(2, 30), end=time(3, 15), weekdays=frozenset({6, 7})),
    CallingHours.weekly(start=time(23), end=time(23, 59)),
    WORKDAYS,
]


@pytest.mark.parametrize("hours", SHAPES)
@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_no_minute_around_a_change_of_the_clock_opens_before_the_next_opening(zone, change, hours):
    # 397 shares no factor with 60, so that the searches begin at every kind of minute.
    until = at(change) + timedelta(days=9)
    for minutes in range(-2 * 24 * 60, 24 * 60, 397):
        now = at(change) + timedelta(minutes=minutes)
        assert next_opening(hours, [zone], now) == find_opening_minute_by_minute(hours, [zone], now, until)


def test_a_clock_that_is_set_back_over_midnight_comes_to_the_end_of_yesterday_again():
    late = CallingHours.weekly(start=time(23, 40), end=time(23, 50))
    # Goose Bay until 2011: at 00:01 back to 23:01.
    opening = next_opening(late, ["America/Goose_Bay"], at("1995-10-29T03:00:30"))
    assert opening == at("1995-10-29T03:40")


def test_an_opening_is_found_behind_any_number_of_blocked_days_and_holidays():
    sundays = [date(2026, 3, 8) + timedelta(weeks=week) for week in range(10)]
    hours = CallingHours(days=SUNDAYS.days, blocked=frozenset(sundays))
    assert next_opening(hours, ["UTC"], at("2026-03-04T12:00")) == at("2026-05-17T00:00")
    # In Japan five Mondays of that autumn and winter are holidays, of which two follow each other.
    mondays = CallingHours(days=CallingHours.weekly(weekdays={1}).days, holidays_of="JP", blocked=frozenset())
    assert next_opening(mondays, ["Asia/Tokyo"], at("2026-09-15T00:00")) == at("2026-09-27T15:00")


def test_closed_days_take_no_time_where_there_is_never_an_opening(monkeypatch):
    looks = []
    is_open_in = windows._is_open_in
    monkeypatch.setattr(windows, "_is_open_in", lambda *args: looks.append(args) or is_open_in(*args))

    def count_looks(**closed):
        looks.clear()
        hours = CallingHours(days=OFFICE.days, **closed)
        assert next_opening(hours, ["Asia/Anadyr", "Europe/Kaliningrad"], at("2026-03-04T12:00")) is None
        return len(looks)

    ahead = frozenset(date(2026, 3, 4) + timedelta(days=days) for days in range(366))
    assert count_looks(blocked=ahead, holidays_of="DE-BY") == count_looks()


def test_days_that_were_blocked_in_the_past_are_not_searched_for():
    hours = CallingHours(blocked=frozenset(date(2026, 3, day) for day in range(1, 31)))
    assert hours.days_to_search(date(2026, 3, 30)) == SEARCH_DAYS + 7
    assert hours.days_to_search(date(2026, 4, 1)) == SEARCH_DAYS
