"""Means, quartiles and bins against Python's own, and by hand."""

import statistics
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.distributions import MOST_BINS, make_bins, summarise_numbers

NUMBERS = st.lists(st.integers(0, 999_999_999) | st.integers(0, 30), min_size=1, max_size=60)


def show(numbers, **more):
    return [(one.first, one.last, one.count) for one in make_bins(Counter(numbers), **more) if one.count]


@given(NUMBERS)
def test_the_summary_is_that_of_the_numbers_themselves(numbers):
    found = summarise_numbers(Counter(numbers))
    assert (found.count, found.lowest, found.highest) == (len(numbers), min(numbers), max(numbers))
    assert found.mean == pytest.approx(statistics.fmean(numbers))
    assert found.median == pytest.approx(statistics.median(numbers))
    if len(numbers) > 1:
        first, _, third = statistics.quantiles(numbers, n=4, method="inclusive")
        assert (found.first_quartile, found.third_quartile) == pytest.approx((first, third))


@given(NUMBERS)
def test_each_number_is_in_one_of_few_bins_of_one_width_without_gaps(numbers):
    bins = make_bins(Counter(numbers))
    assert sum(one.count for one in bins) == len(numbers)
    assert len(bins) <= MOST_BINS + 2
    limited = [one for one in bins if None not in (one.first, one.last)]
    assert len({one.last - one.first for one in limited}) == 1
    assert all(after.first == before.last + 1 for before, after in pairwise(bins))
    for one in bins:
        within = [n for n in numbers if (one.first is None or n >= one.first) and (one.last is None or n <= one.last)]
        assert len(within) == one.count


def test_few_numbers_have_a_bin_each_also_those_that_nobody_has_given():
    bins = make_bins(Counter([2, 2, 4]))
    assert [(one.first, one.last, one.count) for one in bins] == [(2, 2, 2), (3, 3, 0), (4, 4, 1)]


def test_bins_of_many_numbers_begin_at_round_ones():
    ages = [18, 19, 20, 34, 35, 36, 51, 52, 77, 89]
    assert show(ages) == [
        (15, 19, 2),
        (20, 24, 1),
        (30, 34, 1),
        (35, 39, 2),
        (50, 54, 2),
        (75, 79, 1),
        (85, 89, 1),
    ]


def test_what_is_far_out_does_not_stretch_the_others():
    assert show([0] * 8 + [1] * 8 + [2] * 3 + [999_999_999]) == [(0, 0, 8), (1, 1, 8), (2, 2, 3), (3, None, 1)]
    assert show([3] + [500_000, 500_001, 500_002] * 5) == [
        (None, 499_999, 1),
        (500_000, 500_000, 5),
        (500_001, 500_001, 5),
        (500_002, 500_002, 5),
    ]


def test_widths_can_be_given():
    assert show([61, 70, 119, 130], widths=iter((30, 60))) == [(60, 89, 2), (90, 119, 1), (120, 149, 1)]


@pytest.mark.parametrize("counts", [{}, {5: 0}])
def test_of_nothing_there_is_nothing_to_tell(counts):
    assert summarise_numbers(counts) is None
    assert make_bins(counts) == []
