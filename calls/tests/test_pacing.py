from datetime import timedelta

import pytest

from calls.pacing import HORIZON, gap_between, plan_starts
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
