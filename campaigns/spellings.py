"""How operators write the hours of a day, dates and delays, and the one spelling in which we keep and show them.

Pure: no Django. What cannot be read raises ValueError with a sentence that says what is wrong and how to write it.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import pairwise

from campaigns.windows import Span

_SPAN = re.compile(r"(\d{1,2})(?:[:.h](\d{2}))?\s*(?:-|\u2013|\u2014|to)\s*(\d{1,2})(?:[:.h](\d{2}))?", re.IGNORECASE)
_DELAY = re.compile(r"(\d+)\s*(m|min|mins|minute|minutes|h|hr|hrs|hour|hours|d|day|days)", re.IGNORECASE)
_RANGE = re.compile(r"\s+(?:-|\u2013|\u2014|to|until)\s+|\.\.", re.IGNORECASE)
_DATE_FORMATS = ("%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%d %B %Y", "%d %b %Y")

MOST_BLOCKED = 366
LONGEST_DELAY = timedelta(days=30)
MOST_DELAYS = 10

# Not so long after a call, but when the next day begins where the person is.
NEXT_DAY = None
Delay = timedelta | None


@cache
def parse_spans(text: str) -> tuple[Span, ...]:
    """Spans of a day such as 9-12, 15:00-19:30; in their order and apart. Nothing for an empty text."""
    spans = tuple(map(_parse_span, _split(text)))
    for (_, end), (start, _) in pairwise(spans):
        if end is None or end > start:
            raise ValueError(f"{text!r}: write the hours in their order; they may not overlap.")
    return spans


def format_spans(spans: Sequence[Span]) -> str:
    return ", ".join(f"{start:%H:%M}-{'24:00' if end is None else format(end, '%H:%M')}" for start, end in spans)


def _parse_span(text: str) -> Span:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} are no hours; write them such as 09:00-12:30.")
    start_hour, start_minute, end_hour, end_minute = (int(digits or 0) for digits in match.groups())
    try:
        start = time(start_hour, start_minute)
        end = None if (end_hour, end_minute) == (24, 0) else time(end_hour, end_minute)
    except ValueError as exc:
        raise ValueError(f"{text!r}: there is no such time of day.") from exc
    if end is not None and end <= start:
        raise ValueError(f"{text!r} ends before it starts; hours that pass midnight belong to two days.")
    return start, end


def parse_dates(text: str) -> list[date]:
    """Days and ranges of them, one a line or after a comma: 2026-12-24, 24/12/2026, 2026-12-24 to 2027-01-06."""
    days: set[date] = set()
    for part in re.split(r"[\n,;]+", text):
        if part.strip():
            days.update(_parse_days(part.strip()))
            if len(days) > MOST_BLOCKED:
                raise ValueError(f"These are more than {MOST_BLOCKED} days; end the campaign instead.")
    return sorted(days)


def format_dates(days: Collection[date]) -> str:
    """One line for each run of days."""
    lines, ordered = [], sorted(days)
    while ordered:
        length = next((n for n, day in enumerate(ordered) if day - ordered[0] != timedelta(days=n)), len(ordered))
        first, last = ordered[0], ordered[length - 1]
        lines.append(f"{first}" if first == last else f"{first} to {last}")
        ordered = ordered[length:]
    return "\n".join(lines)


def _parse_days(text: str) -> Iterator[date]:
    first, *rest = [_parse_date(part) for part in _RANGE.split(text, maxsplit=1)]
    last = rest[0] if rest else first
    if last < first:
        raise ValueError(f"{text!r} ends before it begins.")
    # One more than may be, so that whoever counts them sees that they are too many.
    for offset in range(min((last - first).days, MOST_BLOCKED) + 1):
        yield first + timedelta(days=offset)


def _parse_date(text: str) -> date:
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    raise ValueError(f"{text.strip()!r} is no date; write it such as 2026-12-24.")


@cache
def parse_delays(text: str) -> tuple[Delay, ...]:
    """Such as 5 min, 2 h, next day; after the first try, the second and so on. Nothing for an empty text."""
    delays = tuple(map(_parse_delay, _split(text)))
    if len(delays) > MOST_DELAYS:
        raise ValueError(f"These are more than {MOST_DELAYS} intervals.")
    return delays


def format_delays(delays: Sequence[Delay]) -> str:
    return ", ".join(map(_format_delay, delays))


def _parse_delay(text: str) -> Delay:
    if text.lower() in ("next day", "tomorrow"):
        return NEXT_DAY
    match = _DELAY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no interval; write it such as 5 min, 2 h or next day.")
    unit = {"m": "minutes", "h": "hours", "d": "days"}[match[2][0].lower()]
    # More digits than any interval has would be more than a timedelta can hold.
    delay = timedelta(**{unit: int(match[1])}) if len(match[1]) < 6 else timedelta.max
    if delay > LONGEST_DELAY:
        raise ValueError(f"{text!r} is longer than {LONGEST_DELAY.days} days.")
    return delay


def _format_delay(delay: Delay) -> str:
    if delay is NEXT_DAY:
        return "next day"
    minutes = delay // timedelta(minutes=1)
    for unit, length in (("d", 24 * 60), ("h", 60)):
        if minutes and minutes % length == 0:
            return f"{minutes // length} {unit}"
    return f"{minutes} min"


def _split(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,;]", text) if part.strip()]
