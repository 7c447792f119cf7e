from datetime import timedelta

import pytest

from calls.pacing import HORIZON, Departures, gap_between, plan_starts
from calls.tests.conftest import NOON


@pytest.mark.parametrize(
    ("rate", "wanted", "expected"),
    [
        (1, 5, 1),  # the second one would have to wait longer than the horizon
        (2, 5, 2),
        (10, 5, 5),
        (10, 50, 10),
        (0.5, 5, 1),
    ],
)
def test_no_more_starts_are_planned_than_may_happen_within_the_horizon(rate, wanted, expected):
    assert len(plan_starts(NOON, next_call_at=None, calls_per_second=rate, wanted=wanted)) == expected


def test_starts_are_evenly_spaced_from_now():
    starts = plan_starts(NOON, next_call_at=None, calls_per_second=4, wanted=3)
    assert starts == [NOON, NOON + gap_between(4), NOON + 2 * gap_between(4)]


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


def send(departures, *seconds, took=0.01):
    for sent in seconds:
        departure = departures.note(NOON + timedelta(seconds=sent))
        departure.answered_at = departure.sent_at + timedelta(seconds=took)


def test_nothing_is_held_up_before_as_many_have_left_as_the_rate_allows():
    departures = Departures()
    send(departures, 0, 0.3)
    assert departures.earliest_next(3) is None


def test_the_next_request_leaves_a_second_after_the_one_that_it_must_not_meet():
    departures = Departures()
    send(departures, 0, 0.3, 0.6)
    assert departures.earliest_next(3) == NOON + timedelta(seconds=1)
    assert departures.earliest_next(2.5) == NOON + timedelta(seconds=1.3)


def test_a_request_that_took_longer_than_the_quickest_may_have_arrived_later_by_the_difference():
    departures = Departures()
    send(departures, 0, took=0.05)
    send(departures, 0.3, 0.6, took=0.01)
    assert departures.earliest_next(3) == NOON + timedelta(seconds=1.04)


def test_a_request_that_is_not_answered_yet_is_taken_to_have_arrived_at_once():
    departures = Departures()
    departures.note(NOON)
    assert departures.earliest_next(1) == NOON + timedelta(seconds=1)


def test_an_answer_that_comes_while_the_next_request_is_planned_does_no_harm():
    class AnsweredMeanwhile:
        """Has no answer when it is looked at first, and one from then on, as a sender's thread may write it."""

        sent_at = NOON

        def __init__(self):
            self.answers = iter([None, None])

        @property
        def answered_at(self):
            return next(self.answers, NOON + timedelta(seconds=0.01))

    departures = Departures()
    departures._latest.append(AnsweredMeanwhile())
    assert departures.earliest_next(1) == NOON + timedelta(seconds=1)
