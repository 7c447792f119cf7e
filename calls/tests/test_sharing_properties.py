"""Sharing the lines, whatever the campaigns have and want, against a look at every line by itself."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from calls.sharing import Demand, share_lines

NUMBERS = [f"+1202555{n:04d}" for n in range(12)]


@st.composite
def some_demands(draw):
    """Few numbers among many contacts, so that campaigns often want the same ones."""
    return [
        Demand(
            campaign=campaign,
            open_calls=draw(st.integers(0, 6)),
            limit=draw(st.none() | st.integers(1, 6)),
            waiting=[
                ((campaign, position), number)
                for position, number in enumerate(draw(st.lists(st.sampled_from(NUMBERS), max_size=8)))
            ],
        )
        for campaign in range(draw(st.integers(0, 5)))
    ]


lines = st.integers(0, 30)


def numbers_of(demands):
    return {contact: number for demand in demands for contact, number in demand.waiting}


def could_take_a_line(demand, given, taken):
    """Whether the campaign is below its limit and has somebody whose number nobody was given a line for."""
    is_full = demand.limit is not None and demand.open_calls + given >= demand.limit
    return not is_full and any(number not in taken for _, number in demand.waiting)


@given(some_demands(), lines)
def test_nothing_is_exceeded_and_nobody_is_rung_twice(demands, lines):
    chosen = share_lines(demands, lines)
    numbers = numbers_of(demands)
    assert len(chosen) <= lines
    assert len({numbers[contact] for contact in chosen}) == len(chosen)
    for demand in demands:
        given = sum(1 for campaign, _ in chosen if campaign == demand.campaign)
        assert demand.limit is None or given == 0 or demand.open_calls + given <= demand.limit


@given(some_demands(), lines)
def test_a_line_stays_free_only_when_nobody_can_take_it(demands, lines):
    chosen = share_lines(demands, lines)
    taken = {numbers_of(demands)[contact] for contact in chosen}
    given = Counter(campaign for campaign, _ in chosen)
    if len(chosen) < lines:
        assert not any(could_take_a_line(demand, given[demand.campaign], taken) for demand in demands)


@given(some_demands(), lines)
def test_each_line_goes_to_the_campaign_with_the_fewest_calls_that_can_take_it(demands, lines):
    """And to its most urgent contact, and among equals to who stands first."""
    numbers, given, taken = numbers_of(demands), Counter(), set()
    for contact in share_lines(demands, lines):
        able = [demand for demand in demands if could_take_a_line(demand, given[demand.campaign], taken)]
        fairest = min(able, key=lambda demand: demand.open_calls + given[demand.campaign])
        most_urgent = next(waiting for waiting, number in fairest.waiting if number not in taken)
        assert contact == most_urgent
        given[fairest.campaign] += 1
        taken.add(numbers[contact])


@given(some_demands(), lines)
def test_one_line_more_changes_nothing_about_the_others(demands, lines):
    assert share_lines(demands, lines) == share_lines(demands, lines + 1)[:lines]
