from collections import Counter
from datetime import date, timedelta

import pytest
from django.utils.translation import override

from calls.results_charts import MOST_COLUMNS, chart_numbers, chart_responses, chart_seconds, say_length

FIRST = date(2026, 3, 4)  # a Wednesday
DAY = timedelta(days=1)


def show(chart):
    return [(column.title, column.total) for column in chart.columns if column.total]


def test_responses_are_told_by_the_day_with_the_days_between():
    chart, period = chart_responses({FIRST: 3, FIRST + 2 * DAY: 1})
    assert period == "Day"
    assert [(column.title, column.total) for column in chart.columns] == [
        ("Wednesday 4 March 2026", 3),
        ("Thursday 5 March 2026", 0),
        ("Friday 6 March 2026", 1),
    ]


@pytest.mark.parametrize(
    ("days", "period", "told"),
    [
        (61, "Day", [("Wednesday 4 March 2026", 3), ("Friday 6 March 2026", 2), ("Monday 4 May 2026", 1)]),
        (62, "Week from", [("2 March 2026", 5), ("4 May 2026", 1)]),
        (62 * 7 - 3, "Week from", [("2 March 2026", 5), ("3 May 2027", 1)]),
        (62 * 7, "Month", [("March 2026", 5), ("May 2027", 1)]),
    ],
)
def test_a_long_time_is_told_by_the_week_and_a_very_long_one_by_the_month(days, period, told):
    chart, found = chart_responses({FIRST: 3, FIRST + 2 * DAY: 2, FIRST + days * DAY: 1})
    assert (found, show(chart)) == (period, told)
    assert len(chart.columns) <= MOST_COLUMNS


def test_months_are_told_one_after_the_other_over_the_end_of_a_year():
    chart, _ = chart_responses({date(2025, 1, 31): 1, date(2026, 12, 1): 1})
    assert [column.title for column in chart.columns][10:14] == [
        "November 2025",
        "December 2025",
        "January 2026",
        "February 2026",
    ]
    assert len(chart.columns) == 24


def test_without_responses_there_is_no_chart():
    assert chart_responses({})[0].columns == []


def test_numbers_are_told_one_by_one_or_from_one_to_the_other():
    assert show(chart_numbers({1: 4, 3: 2})) == [("1", 4), ("3", 2)]
    assert show(chart_numbers({1000: 1, 1700: 2})) == [("1,000 to 1,049", 1), ("1,700 to 1,749", 2)]
    far = Counter({0: 9, 1: 9, 5000: 1})
    assert show(chart_numbers(far)) == [("0", 9), ("1", 9), ("2 and more", 1)]
    assert show(chart_numbers({5000: 9, 5001: 9, 2: 1})) == [("4,999 and less", 1), ("5,000", 9), ("5,001", 9)]


def test_durations_are_told_in_minutes_and_seconds():
    assert show(chart_seconds({61: 1, 64: 1, 130: 2})) == [("1:00 to 1:04", 2), ("2:10 to 2:14", 2)]
    assert show(chart_seconds({30: 1, 1200: 1})) == [("0:00 to 1:59", 1), ("20:00 to 21:59", 1)]


def test_a_length_is_said_to_the_second():
    assert [say_length(seconds) for seconds in (0, 59.4, 59.6, 125, 3600 * 30)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "2 min 5 s",
        "1,800 min 0 s",
    ]
    with override("it"):
        assert say_length(60_000 * 60) == "60.000 min 0 s"
