"""What a campaign's page shows of its calls."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.formats import date_format

from calls.charts import Chart, stack
from calls.clock import Clock
from calls.headway import find_headway
from calls.home import OUTCOME_TITLES, summarise
from calls.models import CallAttempt
from calls.tallies import Count, read_campaigns
from campaigns.admin import link_to_attempts
from campaigns.models import Campaign
from contacts.models import CallOutcome

# Its calls are shown by the hour as long as they lie within so many hours, then by the day, the last ones.
MOST_HOURS = 48
FEWEST_HOURS = 12
MOST_DAYS = 60
MOST_LABELS = 12

# Errors are looked for in so many of its last calls.
CALLS_LOOKED_AT = 1000
ERRORS_SHOWN = 5

# An hour of the day of which fewer calls are known is not called the best.
CALLS_THAT_TELL = 20

HOUR = timedelta(hours=1)


class CallError(NamedTuple):
    """``url`` leads to the calls that have it."""

    code: str
    url: str
    calls: int
    message: str
    last_at: datetime


def describe_calls(campaign: Campaign, *, clock: Clock) -> dict[str, Any]:
    """The figures of this moment; days and hours are those of the current time zone, unless they say whose."""
    now = clock.synchronise()
    counts, are_all = read_campaigns([campaign], now=now)
    return {
        "now": now,
        "headway": find_headway([campaign], now=now)[campaign.pk],
        "calls": link_outcomes(campaign, summarise(counts)),
        "chart": chart_course([count for count in counts if count.rang]),
        "hours": chart_local_hours(counts),
        "tries": list_tries(counts),
        "errors": find_errors(campaign),
        "calls_looked_at": CALLS_LOOKED_AT,
        "fewest": CALLS_THAT_TELL,
        "are_all_counted": are_all,
    }


def link_outcomes(campaign: Campaign, calls: dict[str, Any]) -> dict[str, Any]:
    """Each outcome with the address of the list of its calls; those that never rang are in none of them."""
    for outcome in calls["outcomes"]:
        outcome["url"] = link_to_attempts(campaign, outcome__exact=outcome["kind"], given_back__exact=0)
    return calls


def chart_course(counts: Sequence[Count]) -> Chart:
    """Outcomes over time, from the first call to the last, by the hour or by the day."""
    if not counts:
        return stack([], OUTCOME_TITLES, [])
    first = min(count.began for count in counts)
    last = max(count.began for count in counts)
    if last - first < MOST_HOURS * HOUR:
        return _chart_hours(counts, first, last)
    return _chart_days(counts, timezone.localtime(first).date(), timezone.localtime(last).date())


def _chart_hours(counts: Iterable[Count], first: datetime, last: datetime) -> Chart:
    begin = timezone.localtime(first).replace(minute=0).astimezone(UTC)
    columns = max(FEWEST_HOURS, (last - begin) // HOUR + 1)
    hours = [Counter[str]() for _ in range(columns)]
    for count in counts:
        hours[(count.began - begin) // HOUR][count.outcome] += count.attempts
    begins = [timezone.localtime(begin + position * HOUR) for position in range(columns)]
    return stack(hours, OUTCOME_TITLES, label_columns(begins, "H:i", "D j M, H:i"))


def _chart_days(counts: Iterable[Count], first: date, last: date) -> Chart:
    first = max(first, last - timedelta(days=MOST_DAYS - 1))
    days = [Counter[str]() for _ in range((last - first).days + 1)]
    for count in counts:
        day = (timezone.localtime(count.began).date() - first).days
        if day >= 0:
            days[day][count.outcome] += count.attempts
    dates = [first + timedelta(days=position) for position in range(len(days))]
    return stack(days, OUTCOME_TITLES, label_columns(dates, "j M", "l j F Y"))


def label_columns(columns: Sequence[date], short: str, long: str) -> list[tuple[str, str]]:
    """Not every column has room for its label."""
    step = -(-len(columns) // MOST_LABELS)
    return [
        (date_format(one, short) if position % step == 0 else "", date_format(one, long))
        for position, one in enumerate(columns)
    ]


def chart_local_hours(counts: Iterable[Count]) -> dict[str, Any]:
    """The share of calls that was answered, by the hour on the contact's own clock, and the best hour."""
    rang, answered = Counter[int](), Counter[int]()
    for count in counts:
        if count.rang:
            rang[count.local_hour] += count.attempts
            answered[count.local_hour] += count.answered
    rates = {hour: 100 * answered[hour] / rang[hour] for hour in rang}
    telling = [hour for hour in rates if rang[hour] >= CALLS_THAT_TELL]
    best = max(telling, key=lambda hour: (rates[hour], rang[hour]), default=None)
    highest = max(rates.values(), default=0) or 1
    columns = [
        {
            "hour": f"{hour:02}:00",
            "label": f"{hour:02}" if hour % 3 == 0 else "",
            "calls": rang[hour],
            "answered": answered[hour],
            "rate": rates.get(hour),
            "height": 100 * rates.get(hour, 0) / highest,
            "is_best": hour == best,
            "is_telling": hour in telling,
        }
        for hour in range(24)
    ]
    return {"columns": columns, "best": None if best is None else columns[best], "highest": highest}


def list_tries(counts: Iterable[Count]) -> list[dict[str, Any]]:
    """For the first try, the second and so on how many calls there were, and how many people completed in it."""
    rang, completed = Counter[int](), Counter[int]()
    for count in counts:
        if count.rang:
            rang[count.attempt_number] += count.attempts
            completed[count.attempt_number] += count.attempts if count.outcome == CallOutcome.COMPLETED else 0
    most = max(completed.values(), default=0) or 1
    return [
        {
            "number": number,
            "calls": rang[number],
            "completed": completed[number],
            "rate": 100 * completed[number] / rang[number],
            "share": 100 * completed[number] / most,
        }
        for number in sorted(rang)
    ]


def find_errors(campaign: Campaign) -> list[CallError]:
    """What went wrong in its last calls, the most frequent first, each with its newest message."""
    last = CallAttempt.objects.filter(campaign=campaign).order_by("-id")
    rows = last.values_list("error_code", "error_message", "claimed_at")[:CALLS_LOOKED_AT]
    errors: dict[str, CallError] = {}
    for code, message, claimed_at in rows:
        if code:
            known = errors.get(code, CallError(code, link_to_attempts(campaign, q=code), 0, message, claimed_at))
            errors[code] = known._replace(calls=known.calls + 1, message=known.message or message)
    return sorted(errors.values(), key=lambda error: -error.calls)[:ERRORS_SHOWN]
