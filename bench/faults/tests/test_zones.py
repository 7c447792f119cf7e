"""The judge's own time zones, against the tables of the tz database."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bench.faults.zones import LAWS, to_local

FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
TWO_A_YEAR = {
    "Europe/London",
    "Europe/Rome",
    "Europe/Helsinki",
    "America/New_York",
    "America/Los_Angeles",
    "Australia/Sydney",
    "Pacific/Auckland",
}


def local_by_tables(zone, instant):
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def find_changes(zone):
    """The first instant of every new offset, to the second."""
    changes, day = [], FIRST
    while day < LAST:
        before, after = day, day + timedelta(days=1)
        if offset_of(zone, before) != offset_of(zone, after):
            while after - before > timedelta(seconds=1):
                middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
                if offset_of(zone, middle) == offset_of(zone, before):
                    before = middle
                else:
                    after = middle
            changes.append(after)
        day += timedelta(days=1)
    return changes


def offset_of(zone, instant):
    return instant.astimezone(ZoneInfo(zone)).utcoffset()


@pytest.mark.parametrize("zone", LAWS)
def test_the_laws_agree_with_the_tables_around_every_change_of_the_clock(zone):
    changes = find_changes(zone)
    assert len(changes) == (34 if zone in TWO_A_YEAR else 0)
    for change in changes:
        for around in (-3600, -1, -0.000001, 0, 0.000001, 1, 3599, 3600):
            instant = change + timedelta(seconds=around)
            assert to_local(zone, instant) == local_by_tables(zone, instant), instant


@pytest.mark.parametrize("zone", LAWS)
def test_the_laws_agree_with_the_tables_in_between(zone):
    instant = FIRST
    while instant < LAST:
        assert to_local(zone, instant) == local_by_tables(zone, instant)
        instant += timedelta(hours=17, minutes=7)


def test_an_instant_may_be_given_in_any_zone():
    instant = datetime(2026, 7, 1, 8, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert to_local("Europe/Rome", instant) == datetime(2026, 7, 1, 1)


def test_a_zone_without_a_law_is_an_error():
    with pytest.raises(KeyError):
        to_local("Europe/Paris", FIRST)
