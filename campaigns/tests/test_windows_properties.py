"""Calling hours in every time zone and around every change of its clock, against campaigns/tests/zone_oracle.py."""

import os
import zoneinfo
from datetime import UTC, datetime, time, timedelta
from functools import cache, reduce
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from campaigns import windows
from campaigns.windows import EVERY_DAY, CallingHours, intersect, is_open, next_opening

from .zone_oracle import (
    DAY,
    SECOND,
    find_changes,
    find_first_opening,
    find_open_intervals,
    offset_at,
    to_datetime,
    to_instant,
)

# Ten years of changes; a long run looks at all since the zones of the world have been kept as they are now.
IS_THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
FIRST = to_instant(datetime(1995 if IS_THOROUGH else 2020, 1, 1, tzinfo=UTC))
LAST = to_instant(datetime(2035 if IS_THOROUGH else 2031, 1, 1, tzinfo=UTC))

ZONES = sorted(zoneinfo.available_timezones())

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
TWO_WEEKS = 14 * DAY
LAST_TIME = time(23, 59, 59, 999999)


@cache
def find_histories():
    """One zone of each of those with the same offsets in these years, by its changes."""
    histories = {}
    for zone in ZONES:
        changes = tuple(find_changes(zone, FIRST, LAST))
        histories.setdefault((offset_at(zone, FIRST), changes), zone)
    return {zone: changes for (_, changes), zone in histories.items()}


def time_of_day(local):
    seconds, microsecond = divmod(local % DAY, SECOND)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, microsecond)


def hours_between(local_start, local_end, weekdays=EVERY_DAY):
    start, end = time_of_day(local_start), time_of_day(local_end)
    return CallingHours.weekly(start=start, end=end if start < end else LAST_TIME, weekdays=weekdays)


def hours_around(change):
    """Calling hours that begin, end, lie within or are cut by what the clock leaves out or repeats."""
    instant, before, after = change
    old, new = instant + before, instant + after  # what the clock shows when it changes, and what it is set to
    weekday = (old // DAY + 3) % 7 + 1
    this_day, others = frozenset({weekday}), EVERY_DAY - {weekday}
    middle = (old + new) // 2
    return [
        CallingHours(),
        CallingHours.weekly(weekdays=this_day),
        CallingHours.weekly(weekdays=others),
        CallingHours.weekly(start=time(0), end=time(0, 30)),
        CallingHours.weekly(start=time(23, 30), end=LAST_TIME, weekdays=frozenset({1, 3, 5, 7})),
        hours_between(old, old + 20 * MINUTE),
        hours_between(new, new + 20 * MINUTE, this_day),
        hours_between(old - 20 * MINUTE, old),
        hours_between(new - 20 * MINUTE, new),
        hours_between(middle, middle + 10 * MINUTE),
        hours_between(min(old, new) - 5 * MINUTE, max(old, new) + 5 * MINUTE, others),
    ]


def instants_around(change):
    instant, before, after = change
    jump = abs(after - before)
    return [
        instant + step
        for step in (-13 * DAY, -DAY - HOUR, -jump - 7 * MINUTE, -1, 0, jump // 2, jump + 3 * MINUTE, DAY - jump)
    ]


def check(hours, zones, instant):
    """That now is open or not, and the next opening, are what the oracle says."""
    now = to_datetime(instant)
    expected = find_first_opening(hours, zones, instant, (hours.days_to_search(now.date()) + 1) * DAY)
    found = next_opening(hours, zones, now)
    case = f"{hours} in {zones} at {now}"
    assert is_open(hours, zones, now) is (expected == instant), case
    if found is None:
        assert expected is None or expected - instant > TWO_WEEKS, f"{case}: never, instead of {to_datetime(expected)}"
    else:
        assert to_instant(found) == expected, f"{case}: {found} instead of {expected and to_datetime(expected)}"


def test_every_change_of_every_clock_in_ten_years():
    for zone, changes in find_histories().items():
        for change in changes:
            for hours in hours_around(change):
                for instant in instants_around(change):
                    check(hours, [zone], instant)


def test_every_zone_keeps_its_hours_through_the_years():
    office = CallingHours.weekly(start=time(9), end=time(18), weekdays=frozenset({1, 2, 3, 4, 5}))
    for zone in ZONES:
        changes = [instant for instant, _, _ in find_changes(zone, FIRST, LAST)]
        for instant in [FIRST, *changes, LAST - 1]:
            check(office, [zone], instant)


def test_the_oracle_agrees_with_a_clock_that_is_read_every_minute():
    """Around changes of different kinds: by an hour, by half of one, at midnight, for good, by three hours."""
    hours = CallingHours.weekly(start=time(0, 10), end=time(2, 40), weekdays=frozenset({1, 6, 7}))
    for zone in ("Europe/Rome", "Australia/Lord_Howe", "Asia/Beirut", "Asia/Amman", "Antarctica/Casey"):
        change, _, _ = find_changes(zone, FIRST, LAST)[0]
        change -= change % MINUTE
        read = [
            minute
            for minute in range(change - 3 * DAY, change + 3 * DAY, MINUTE)
            if is_within_hours(hours, minute + offset_at(zone, minute))
        ]
        intervals = find_open_intervals(hours, zone, change - 3 * DAY, change + 3 * DAY)
        assert read == [minute for begin, end in intervals for minute in range(begin, end, MINUTE)]


def is_within_hours(hours, local):
    clock = to_datetime(local)  # of the local time as if it were UTC
    spans = hours.days[clock.weekday()]
    return any(start <= clock.time() < end for start, end in spans)


# Whatever hours, days and zones


times_of_day = st.one_of(
    st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60)),
    st.sampled_from([time(0), time(0, 1), time(1), time(2), time(2, 30), time(3), time(23), time(23, 59), LAST_TIME]),
)


@st.composite
def weekly_rules(draw):
    """The same hours on some weekdays: what CallingHours.weekly() takes."""
    weekdays = frozenset(draw(st.sets(st.integers(1, 7))))
    if draw(st.booleans()):
        return {"weekdays": weekdays}
    start, end = sorted(draw(st.lists(times_of_day, min_size=2, max_size=2, unique=True)))
    return {"start": start, "end": end, "weekdays": weekdays}


def pair_up(bounds, is_to_the_end):
    spans = list(zip(bounds[::2], bounds[1::2], strict=False))
    if is_to_the_end and spans:
        spans[-1] = (spans[-1][0], None)
    return tuple(spans)


# None, one, or two of which the second may begin where the first ends, and may go on to the end of the day.
spans_of_a_day = st.builds(pair_up, st.lists(times_of_day, max_size=4, unique=True).map(sorted), st.booleans())


def calling_hours():
    return weekly_rules().map(lambda rules: CallingHours.weekly(**rules)) | st.builds(
        CallingHours, days=st.tuples(*[spans_of_a_day] * 7)
    )


@st.composite
def hours_with_closed_days(draw, instant):
    """Around the instant some days in a row are blocked, and there may be holidays."""
    hours = draw(calling_hours())
    first = to_datetime(instant).date()
    days = draw(st.sets(st.integers(-1, 12), max_size=8))
    blocked = frozenset(first + timedelta(days=day) for day in days)
    return CallingHours(days=hours.days, blocked=blocked, holidays_of=draw(st.sampled_from(["", "IT", "JP", "US"])))


@st.composite
def zones_and_instant(draw, most=5):
    """Zones, and an instant not far from a change in one of them if there is one."""
    zones = draw(st.lists(st.sampled_from(ZONES), min_size=1, max_size=most, unique=True))
    changes = [instant for zone in zones for instant, _, _ in find_changes(zone, FIRST, LAST)]
    around = draw(st.sampled_from(changes)) if changes else draw(st.integers(FIRST, LAST))
    scale = draw(st.sampled_from([1, SECOND, MINUTE, HOUR]))
    return zones, around + scale * draw(st.integers(-15 * 24, 3 * 24))


@given(hours=calling_hours(), where=zones_and_instant())
@example(hours=CallingHours.weekly(weekdays=frozenset()), where=(["Europe/Rome"], FIRST))
def test_any_hours_in_any_zones_at_once(hours, where):
    check(hours, *where)


@given(data=st.data(), where=zones_and_instant(most=3))
def test_any_days_may_be_closed(data, where):
    zones, instant = where
    check(data.draw(hours_with_closed_days(instant)), zones, instant)


@given(hours=calling_hours(), where=zones_and_instant(most=2), later=st.timedeltas(timedelta(0), timedelta(days=3)))
def test_between_now_and_the_next_opening_it_is_never_open(hours, where, later):
    zones, instant = where
    now = to_datetime(instant)
    opening = next_opening(hours, zones, now)
    assume(opening is not None)
    assert is_open(hours, zones, opening)
    assert next_opening(hours, zones, opening) == opening
    between = min(now + later, opening)
    assert next_opening(hours, zones, between) == opening


@given(hours=calling_hours(), where=zones_and_instant())
def test_neither_the_order_of_zones_nor_naming_one_twice_matters(hours, where):
    zones, instant = where
    now = to_datetime(instant)
    assert next_opening(hours, [*reversed(zones), zones[0]], now) == next_opening(hours, zones, now)


@given(data=st.data(), where=zones_and_instant(most=1), length=st.timedeltas(timedelta(0), timedelta(days=20)))
def test_the_open_intervals_are_when_it_is_open(data, where, length):
    (zone,), instant = where
    hours = data.draw(hours_with_closed_days(instant))
    begin, end = to_datetime(instant), to_datetime(instant) + length
    intervals = windows.find_open_intervals(hours, zone, begin, end)
    bounds = [begin, *(bound for interval in intervals for bound in interval), end]
    assert all(sooner < later for sooner, later in intervals)
    assert all(sooner < later for (_, sooner), (later, _) in pairwise(intervals))
    instants = [bound + step for bound in bounds for step in (timedelta(0), -timedelta.resolution)]
    instants += [begin + length * part / 40 for part in range(40)]
    for now in instants:
        if begin <= now < end:
            is_within = any(opening <= now < closing for opening, closing in intervals)
            assert is_within is is_open(hours, [zone], now), f"{hours} in {zone} at {now}"


@given(hours=calling_hours(), where=zones_and_instant(most=3), part=st.floats(0, 1, exclude_max=True))
def test_zones_are_open_at_once_in_what_lies_in_the_intervals_of_all(hours, where, part):
    zones, instant = where
    begin = to_datetime(instant)
    end = begin + timedelta(days=5)
    both = reduce(intersect, [windows.find_open_intervals(hours, zone, begin, end) for zone in zones])
    for now in [begin + (end - begin) * part, *(bound for interval in both for bound in interval if bound < end)]:
        assert any(opening <= now < closing for opening, closing in both) is is_open(hours, zones, now)


@pytest.mark.parametrize("hours", [CallingHours(), CallingHours.weekly(start=time(9), end=time(18))])
def test_no_zone_is_never_open(hours):
    assert not is_open(hours, [], to_datetime(FIRST))
    assert next_opening(hours, [], to_datetime(FIRST)) is None
