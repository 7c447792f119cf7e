from datetime import UTC, datetime, timedelta

import pytest

from campaigns.retries import find_next_try
from campaigns.spellings import NEXT_DAY

FIVE_MINUTES, TWO_HOURS = timedelta(minutes=5), timedelta(hours=2)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        (1, "2026-03-04T10:05"),
        (2, "2026-03-04T12:00"),
        (3, "2026-03-04T12:00"),  # the last one holds for all further tries
        (0, "2026-03-04T12:00"),  # nobody was rung yet, and somebody waits all the same
    ],
)
def test_each_try_has_an_interval_of_its_own(tries, expected):
    found = find_next_try(
        [FIVE_MINUTES, TWO_HOURS], tries=tries, ended_at=at("2026-03-04T10:00"), zones=["Europe/Rome"]
    )
    assert found == at(expected)


@pytest.mark.parametrize(
    ("zones", "ended", "expected"),
    [
        (["Europe/Rome"], "2026-03-04T22:59", "2026-03-04T23:00"),  # 23:59 there
        (["Europe/Rome"], "2026-03-04T23:00", "2026-03-05T23:00"),  # midnight there: the day has just begun
        (["America/New_York"], "2026-03-04T22:59", "2026-03-05T05:00"),
        (["Europe/Rome", "America/New_York"], "2026-03-04T22:59", "2026-03-05T05:00"),  # in both of them
        (["Europe/Rome"], "2026-03-28T12:00", "2026-03-28T23:00"),
        (["Europe/Rome"], "2026-03-29T12:00", "2026-03-29T22:00"),  # the clock was set forward that morning
        (["Europe/Rome"], "2026-10-25T12:00", "2026-10-25T23:00"),  # and back
        (["Africa/Cairo"], "2026-04-23T12:00", "2026-04-23T22:00"),  # there it jumps over that midnight
        ([], "2026-03-04T22:59", "2026-03-05T00:00"),
    ],
)
def test_the_next_day_begins_at_midnight_where_the_person_is(zones, ended, expected):
    assert find_next_try([NEXT_DAY], tries=1, ended_at=at(ended), zones=zones) == at(expected)
