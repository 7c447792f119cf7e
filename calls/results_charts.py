"""The columns of a campaign's results: responses over time, numbers and durations."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import chain

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from calls.campaign_figures import label_columns
from calls.charts import Chart, stack
from calls.distributions import Bin, list_widths, make_bins
from campaigns.counting import say_count

# So many days, and weeks, are shown before they are put together into longer ones.
MOST_COLUMNS = 62

MOST_LABELS = 8
KIND = "primary"

DAY, WEEK = timedelta(days=1), timedelta(days=7)


def chart_responses(by_day: Mapping[date, int]) -> tuple[Chart, str]:
    """From the first to the last, by the day, the week or the month, and what a column is: "Day", "Week" or "Month"."""
    if not by_day:
        return _draw([], []), ""
    first, last = min(by_day), max(by_day)
    if (last - first) // DAY < MOST_COLUMNS:
        begins = [first + place * DAY for place in range((last - first) // DAY + 1)]
        return _draw(_sum_between(by_day, begins), label_columns(begins, "j M", "l j F Y")), _("Day")
    monday = first - first.weekday() * DAY
    if (last - monday) // WEEK < MOST_COLUMNS:
        begins = [monday + place * WEEK for place in range((last - monday) // WEEK + 1)]
        return _draw(_sum_between(by_day, begins), label_columns(begins, "j M", "j F Y")), _("Week from")
    begins = list(_list_months(first, last))
    return _draw(_sum_between(by_day, begins), label_columns(begins, "M y", "F Y")), _("Month")


def _list_months(first: date, last: date) -> Iterator[date]:
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = (month + 31 * DAY).replace(day=1)


def _sum_between(by_day: Mapping[date, int], begins: Sequence[date]) -> list[int]:
    columns = [0] * len(begins)
    place_of = {day: place for place, day in enumerate(begins)}
    place = 0
    for day in (begins[0] + DAY * past for past in range((max(by_day) - begins[0]) // DAY + 1)):
        place = place_of.get(day, place)
        columns[place] += by_day.get(day, 0)
    return columns


def chart_numbers(counts: Mapping[int, int]) -> Chart:
    return _draw_bins(make_bins(counts), say_count)


def chart_seconds(counts: Mapping[int, int]) -> Chart:
    """Of durations, in bins as people divide time."""
    return _draw_bins(make_bins(counts, chain((5, 10, 15, 30), (60 * width for width in list_widths()))), say_clock)


def say_clock(seconds: int) -> str:
    """1:05, in minutes and seconds."""
    return f"{seconds // 60}:{seconds % 60:02}"


def say_length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return _("%(count)s s") % {"count": rest}
    return _("%(minutes)s min %(seconds)s s") % {"minutes": say_count(minutes), "seconds": rest}


def _draw_bins(bins: Sequence[Bin], say: Callable[[int], str]) -> Chart:
    step = -(-len(bins) // MOST_LABELS)
    labels = [("" if place % step else _say_begin(one, say), _say_bin(one, say)) for place, one in enumerate(bins)]
    return _draw([one.count for one in bins], labels)


def _say_begin(one: Bin, say: Callable[[int], str]) -> str:
    return "<" if one.first is None else say(one.first)


def _say_bin(one: Bin, say: Callable[[int], str]) -> str:
    if one.first is None:
        return pgettext("numbers", "%(last)s and less") % {"last": say(one.last)}
    if one.last is None:
        return pgettext("numbers", "%(first)s and more") % {"first": say(one.first)}
    if one.first == one.last:
        return say(one.first)
    return pgettext("numbers", "%(first)s to %(last)s") % {"first": say(one.first), "last": say(one.last)}


def _draw(counts: Sequence[int], labels: Sequence[tuple[str, str]]) -> Chart:
    return stack([Counter({KIND: count}) for count in counts], {KIND: ""}, labels)
