from hypothesis import given
from hypothesis import strategies as st

from calls.sharing import Demand, allot_lines, share_lines


def demand(name, *, waiting, open_calls=0, limit=None):
    contacts = [(f"{name}{index}", f"number of {name}{index}") for index in range(waiting)]
    return Demand(campaign=name, open_calls=open_calls, limit=limit, waiting=contacts)


def test_lines_go_round_between_campaigns():
    chosen = share_lines([demand("a", waiting=9), demand("b", waiting=9)], 4)
    assert chosen == ["a0", "b0", "a1", "b1"]


def test_a_campaign_that_has_calls_open_waits_until_the_others_have_as_many():
    chosen = share_lines([demand("a", waiting=9, open_calls=2), demand("b", waiting=9)], 4)
    assert chosen == ["b0", "b1", "a0", "b2"]


def test_a_campaign_with_few_contacts_leaves_its_lines_to_the_others():
    chosen = share_lines([demand("a", waiting=1), demand("b", waiting=9)], 4)
    assert chosen == ["a0", "b0", "b1", "b2"]


def test_a_campaign_gets_no_more_than_its_own_limit():
    chosen = share_lines([demand("a", waiting=9, open_calls=1, limit=2), demand("b", waiting=1)], 9)
    assert chosen == ["b0", "a0"]


def test_a_number_that_two_campaigns_want_is_rung_once():
    shared = "+12025550100"
    first = Demand(campaign="a", open_calls=0, limit=None, waiting=[("a0", shared)])
    second = Demand(campaign="b", open_calls=0, limit=None, waiting=[("b0", shared), ("b1", "other")])
    assert share_lines([first, second], 9) == ["a0", "b1"]


def test_nobody_waits_in_vain_for_lines_that_nobody_wants():
    assert share_lines([demand("a", waiting=0)], 9) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.none() | st.integers(1, 6), st.integers(0, 4), st.booleans()), max_size=12
    ),
    st.integers(0, 30),
)
def test_lines_are_allotted_one_by_one_to_whoever_has_fewest_calls_then(campaigns, lines):
    demands = [
        Demand(campaign=index, open_calls=calls, limit=limit, waiting=[(n, "") for n in range(due)], may_have_more=more)
        for index, (calls, limit, due, more) in enumerate(sorted(campaigns, key=lambda one: one[0]))
    ]
    expected = {}
    for _ in range(lines):
        able = [
            (demand.open_calls + expected.get(place, 0), place)
            for place, demand in enumerate(demands)
            if (demand.limit is None or demand.open_calls + expected.get(place, 0) < demand.limit)
            and (demand.may_have_more or expected.get(place, 0) < len(demand.waiting))
        ]
        if able:
            place = min(able)[1]
            expected[place] = expected.get(place, 0) + 1
    assert allot_lines(demands, lines) == expected
