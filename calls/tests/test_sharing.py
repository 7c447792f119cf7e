from calls.sharing import Demand, share_lines


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
