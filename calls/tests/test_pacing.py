import math
from datetime import timedelta

import pytest

from calls.pacing import ENDLESS_RATE, HORIZON, Departures, count_together, find_debt, gap_between, plan_starts
from calls.tests.conftest import NOON


@pytest.mark.parametrize(
    ("rate", "wanted", "expected"),
    [
        (1, 5, 1),  # the second one would have to wait longer than the horizon
        (4, 5, 2),
        (10, 3, 3),
        (10, 50, 5),
        (0.5, 5, 1),
    ],
)
def test_no_more_starts_are_planned_than_may_happen_within_the_horizon(rate, wanted, expected):
    assert len(plan_starts(NOON, next_call_at=None, calls_per_second=rate, wanted=wanted)) == expected


def test_starts_are_evenly_spaced_from_now():
    starts = plan_starts(NOON, next_call_at=None, calls_per_second=8, wanted=3)
    assert starts == [NOON, NOON + gap_between(8), NOON + 2 * gap_between(8)]


def test_the_first_start_waits_for_the_instant_that_the_last_plan_left():
    later = NOON + timedelta(milliseconds=300)
    assert plan_starts(NOON, next_call_at=later, calls_per_second=1, wanted=1) == [later]


def test_an_instant_in_the_past_is_not_caught_up_with():
    earlier = NOON - timedelta(minutes=1)
    assert plan_starts(NOON, next_call_at=earlier, calls_per_second=10, wanted=1) == [NOON]


def test_nothing_starts_before_an_instant_beyond_the_horizon():
    later = NOON + HORIZON + timedelta(microseconds=1)
    assert plan_starts(NOON, next_call_at=later, calls_per_second=10, wanted=1) == []


@pytest.mark.parametrize("rate", [0.3, 1, 3, 10, 33.3, 100])
def test_plans_one_after_the_other_never_exceed_the_rate_in_any_second(rate):
    starts, next_call_at, now = [], None, NOON
    for step in range(200):
        plan = plan_starts(now, next_call_at=next_call_at, calls_per_second=rate, wanted=1 + step % 7)
        if plan:
            starts += plan
            next_call_at = plan[-1] + gap_between(rate)
        now += timedelta(milliseconds=37 * (step % 5))
    for start in starts:
        in_a_second = [other for other in starts if start <= other < start + timedelta(seconds=1)]
        assert len(in_a_second) <= max(1, rate)


def test_late_starts_are_made_up_for_by_a_place_each_or_by_as_much_as_they_are_late():
    assert find_debt([0.3, 0.25], 20) == 2 * gap_between(20)
    assert find_debt([0.01, 0.03], 20) == timedelta(seconds=0.03)


def send(departures, *seconds, took=0.01):
    for sent in seconds:
        departure = departures.plan(sent, ENDLESS_RATE)
        departures.note(departure)
        departure.answered_at = sent + took


def test_nothing_is_held_up_before_as_many_have_left_as_the_rate_allows():
    departures = Departures()
    send(departures, 0, 0.3)
    assert departures.plan(0.4, 3).leaves_at == 0.4


def test_the_next_request_leaves_a_second_after_the_one_that_it_must_not_meet():
    departures = Departures()
    send(departures, 0, 0.3, 0.6)
    assert departures.plan(0.9, 3).leaves_at == 1
    assert departures.plan(0.9, 3, ahead=1).leaves_at == 1.3
    assert departures.plan(0.9, 3, ahead=3).leaves_at == math.inf  # its turn is behind one that has not left yet


@pytest.mark.parametrize(
    ("rate", "number", "seconds"),
    [
        (1, 1, 1),
        (50, 50, 1),
        (1.5, 1, 1 / 1.5),  # one in a second would be a third less than was asked for
        (0.5, 1, 2),
        (33.3, 33, 1),  # so large that the evenly spaced starts stay within it anyway
    ],
)
def test_of_a_rate_with_a_fraction_calls_are_counted_within_the_time_that_they_are_allowed_for(rate, number, seconds):
    assert count_together(rate) == (number, timedelta(seconds=seconds))


def test_a_rate_with_a_fraction_is_reached():
    departures = Departures()
    send(departures, 0)
    start = gap_between(1.5).total_seconds()
    assert departures.plan(start, 1.5).leaves_at == start


def test_a_request_is_too_late_when_it_would_leave_or_is_looked_at_a_quarter_of_a_second_after_its_start():
    on_time = Departures().plan(1, 3)
    assert not on_time.is_too_late(1.25)
    assert on_time.is_too_late(1.251)
    departures = Departures()
    send(departures, 0, 0.3, 0.6)
    assert departures.plan(0.7, 3).is_too_late(0.7)


def test_no_request_is_too_late_at_a_rate_whose_slack_is_worth_more_calls_than_can_be_late():
    assert not Departures().plan(1, ENDLESS_RATE).is_too_late(100)


def test_a_request_that_took_longer_than_the_quickest_may_have_arrived_later_by_the_difference():
    departures = Departures()
    send(departures, 0, took=0.05)
    send(departures, 0.3, 0.6, took=0.01)
    assert departures.plan(1, 3).leaves_at == pytest.approx(1.04)


def test_a_request_that_is_not_answered_yet_is_taken_to_have_arrived_at_once():
    departures = Departures()
    departures.note(departures.plan(0, 1))
    assert departures.plan(0.5, 1).leaves_at == 1


def test_an_answer_that_comes_while_the_next_request_is_planned_does_no_harm():
    class AnsweredMeanwhile:
        """Has no answer when it is looked at first, and one from then on, as a sender's thread may write it."""

        leaves_at = 0.0

        def __init__(self):
            self.answers = iter([None, None])

        @property
        def answered_at(self):
            return next(self.answers, 0.01)

    departures = Departures()
    departures.note(AnsweredMeanwhile())
    assert departures.plan(0.5, 1).leaves_at == 1
