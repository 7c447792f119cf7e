from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from calls.rehearsal import Course, Group, Plan, rehearse
from campaigns.spellings import NEXT_DAY
from campaigns.windows import CallingHours

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
OFFICE = CallingHours.weekly(start=time(9), end=time(18))
ROME, NEW_YORK = ("Europe/Rome",), ("America/New_York",)

PLAN = Plan(
    due={NOON: {Group(ROME): 900}},
    hours=CallingHours(),
    delays=[timedelta(hours=1)],
    max_attempts=1,
    calls_per_second=0.1,
    settled=0.5,
    begin=NOON,
    end=NOON + timedelta(days=60),
)


def play(people=None, **changes):
    """With people who were never rung and are due, unless they are given as they are."""
    if people is not None:
        changes["due"] = {NOON: {Group(zones): count for zones, count in people.items()}}
    return rehearse(replace(PLAN, **changes))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_as_many_calls_start_in_a_second_as_may():
    assert play() == Course(900, NOON + timedelta(seconds=9000))


def test_the_last_call_starts_within_a_step():
    assert play(people={ROME: 6}) == Course(6, NOON + timedelta(minutes=1))


def test_nobody_is_rung_outside_the_hours():
    # From 17:00 there: 360 in the first hour, and 540 from the next morning on, for an hour and a half.
    assert play(hours=OFFICE, begin=at("2026-03-04T16:00")) == Course(900, at("2026-03-05T09:30"))


def test_zones_are_rung_in_their_own_hours():
    course = play(people={ROME: 90, NEW_YORK: 90}, hours=OFFICE, begin=at("2026-03-04T10:00"))
    assert course == Course(180, at("2026-03-04T14:15"))  # New York opens at 14:00


def test_of_those_who_are_not_settled_each_is_tried_again_after_the_interval():
    course = play(people={ROME: 80}, max_attempts=3)
    assert course.calls == 80 + 40 + 20
    # A quarter of an hour for the first step, an hour, the same again, and 200 seconds for the last twenty.
    assert course.ends_at == NOON + timedelta(minutes=150, seconds=200)


def test_nobody_comes_up_before_the_turn_is_there():
    tomorrow = at("2026-03-05T05:00")
    course = play(due={NOON: {Group(ROME): 9}, tomorrow: {Group(ROME, 1): 6}}, max_attempts=2, settled=1)
    assert course == Course(15, tomorrow + timedelta(minutes=1))
    assert play(due={at("2026-03-04T22:00"): {Group(ROME): 6}}, hours=OFFICE).ends_at == at("2026-03-05T08:01")


def test_the_tries_that_were_made_are_not_made_again():
    course = play(due={NOON: {Group(ROME, 2): 60, Group(ROME): 10}}, max_attempts=3, settled=0)
    assert course.calls == 60 + 3 * 10


def test_those_in_a_call_may_have_to_be_tried_again():
    assert play(due={}, in_call={Group(ROME, 1): 40}, max_attempts=2) == Course(
        20, NOON + timedelta(hours=1, seconds=200)
    )
    assert play(due={}, in_call={Group(ROME, 1): 40}) == Course(0, NOON)


@pytest.mark.parametrize(
    ("caps", "days"),
    [
        ([], timedelta(hours=2)),
        ([(1, timedelta(days=1))], timedelta(days=2)),
        ([(2, timedelta(days=1))], timedelta(days=1)),
        ([(3, timedelta(days=1))], timedelta(hours=2)),
        ([(3, timedelta(days=1)), (1, timedelta(days=7))], timedelta(days=14)),
    ],
)
def test_a_number_rests_as_long_as_the_caps_say(caps, days):
    course = play(people={ROME: 10}, max_attempts=3, settled=0, caps=caps)
    # Of each try the step is waited for in which it is made.
    assert course.calls == 30
    assert days <= course.ends_at - NOON < days + timedelta(hours=1)


def test_a_step_that_begins_within_a_quarter_ends_with_it():
    course = play(people={ROME: 90}, hours=OFFICE, begin=at("2026-03-04T16:55"))
    assert course == Course(90, at("2026-03-05T08:10"))  # 30 of them before six, and 60 the next day


def test_the_next_day_is_waited_for():
    course = play(people={ROME: 90}, max_attempts=2, delays=[NEXT_DAY], hours=OFFICE)
    assert course == Course(135, at("2026-03-05T08:07:30"))


def test_those_who_can_never_be_rung_are_left_out():
    never = ("Europe/Rome", "Pacific/Auckland")
    assert play(people={ROME: 90, never: 90, (): 5}, hours=OFFICE).calls == 90
    assert play(people={never: 90}, hours=OFFICE) == Course(0, None)


def test_what_is_not_done_before_the_end_has_no_end():
    course = play(end=NOON + timedelta(hours=1))
    assert course == Course(360, None)


@pytest.mark.parametrize("settled", [0.0, 1.0])
def test_nobody_or_everybody_may_be_settled_by_a_call(settled):
    assert play(people={ROME: 10}, settled=settled, max_attempts=3).calls == (10 if settled else 30)


def test_many_zones_and_a_long_campaign_take_no_more_than_the_steps_there_are():
    people = {(f"Etc/GMT+{hours}",): 100_000 for hours in range(1, 12)}
    course = play(people=people, hours=OFFICE, calls_per_second=0.01)
    # From the morning of the first zone to the evening of the last it is 19 hours.
    assert course == Course(60 * 19 * 36, None)


def test_single_people_in_many_zones_are_tried_again_on_average():
    people = {(f"Etc/GMT+{hours}",): 1 for hours in range(1, 9)}
    course = play(people=people, max_attempts=3)
    assert course.calls == 8 + 4 + 2
