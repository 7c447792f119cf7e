import pytest

from calls.charts import find_top, stack

TITLES = {"completed": "Completed", "busy": "Busy"}


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (1, 2), (2, 2), (3, 4), (5, 6), (7, 10), (10, 10), (11, 20), (61, 100), (350, 400)]
)
def test_the_top_is_round_and_has_a_round_half(highest, top):
    assert find_top(highest) == top


def test_columns_are_stacked_in_the_order_of_the_titles_and_as_high_as_their_numbers():
    chart = stack([{"busy": 5, "completed": 10}, {}], TITLES, [("a", "first"), ("b", "second")])
    assert chart.ticks == [20, 10, 0]
    first, second = chart.columns
    assert [(one.title, one.count, one.height) for one in first.segments] == [("Completed", 10, 50), ("Busy", 5, 25)]
    assert (first.title, first.total, second.total, second.segments) == ("first", 15, 0, [])
    assert chart.kinds == [("completed", "Completed", 10), ("busy", "Busy", 5)]
    assert chart.total == 15


def test_a_kind_that_never_occurs_is_not_named():
    assert stack([{"busy": 1}], TITLES, [("", "")]).kinds == [("busy", "Busy", 1)]


def test_every_second_label_gives_way_where_there_is_little_room():
    columns = stack([{}] * 5, TITLES, [("a", ""), ("", ""), ("b", ""), ("c", ""), ("d", "")]).columns
    assert [one.label for one in columns if one.is_minor] == ["b", "d"]


def test_no_columns_make_an_empty_chart():
    assert stack([], TITLES, []).total == 0
