"""How operators write the hours of a day, dates and delays, in English and in Italian, whichever they read; and the
one spelling in which we keep them.

Pure: no Django but its translations. What cannot be read raises ValueError with a sentence that says what is wrong and
how to write it.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import pairwise

from django.utils.translation import get_language, gettext_noop, pgettext
from django.utils.translation import gettext as _

from campaigns.windows import Span

_TIME = r"(\d{1,2})(?:[:.h](\d{2}))?"
_SPAN = re.compile(rf"{_TIME}\s*(?:-|\u2013|\u2014|to|(?:fino\s+)?a(?:l|lle)?)\s*{_TIME}", re.IGNORECASE)
_RANGE = re.compile(r"\s+(?:-|\u2013|\u2014|to|until|(?:fino\s+)?al?)\s+|\.\.", re.IGNORECASE)
_SLASHES = "%d/%m/%Y"
_DATE_FORMATS = ("%Y-%m-%d", _SLASHES, "%d.%m.%Y", "%d %B %Y", "%d %b %Y", "%d %m %Y")
_ITALIAN_MONTHS = (
    *("gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno"),
    *("luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre"),
)
_UNITS = {
    "minutes": ("m", "min", "mins", "minute", "minutes", "minuto", "minuti"),
    "hours": ("h", "hr", "hrs", "hour", "hours", "o", "ora", "ore"),
    "days": ("d", "day", "days", "g", "gg", "giorno", "giorni"),
}
_DELAY = re.compile(r"(\d+)\s*([a-z]+)", re.IGNORECASE)
_NEXT_DAY = {"next day", "tomorrow", "giorno dopo", "il giorno dopo", "giorno successivo", "domani"}

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
    for (_start, end), (start, _end) in pairwise(spans):
        if end is None or end > start:
            problem = _("%(text)r: write the hours in their order; they may not overlap.")
            raise ValueError(problem % {"text": text})
    return spans


def format_spans(spans: Sequence[Span]) -> str:
    return ", ".join(f"{start:%H:%M}-{'24:00' if end is None else format(end, '%H:%M')}" for start, end in spans)


def _parse_span(text: str) -> Span:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(_("%(text)r are no hours; write them such as 09:00-12:30.") % {"text": text})
    start_hour, start_minute, end_hour, end_minute = (int(digits or 0) for digits in match.groups())
    try:
        start = time(start_hour, start_minute)
        end = None if (end_hour, end_minute) == (24, 0) else time(end_hour, end_minute)
    except ValueError as exc:
        raise ValueError(_("%(text)r: there is no such time of day.") % {"text": text}) from exc
    if end is not None and end <= start:
        problem = _("%(text)r ends before it starts; hours that pass midnight belong to two days.")
        raise ValueError(problem % {"text": text})
    return start, end


def parse_dates(text: str) -> list[date]:
    """Days and ranges of them, one a line or after a comma: 2026-12-24, 24/12/2026, 2026-12-24 to 2027-01-06.

    The arguments of its ValueError are a sentence for each that cannot be read.
    """
    days: set[date] = set()
    problems = []
    for part in re.split(r"[\n,;]+", text):
        try:
            days.update(_parse_days(part.strip()) if part.strip() else ())
        except ValueError as exc:
            problems.append(str(exc))
        if len(days) > MOST_BLOCKED:
            problem = _("These are more than %(most)s days; end the campaign instead.")
            raise ValueError(problem % {"most": MOST_BLOCKED})
    if problems:
        raise ValueError(*problems)
    return sorted(days)


def format_dates(days: Collection[date]) -> str:
    """One line for each run of days, in the current language."""
    lines, ordered = [], sorted(days)
    while ordered:
        length = next((n for n, day in enumerate(ordered) if day - ordered[0] != timedelta(days=n)), len(ordered))
        run = {"first": ordered[0], "last": ordered[length - 1]}
        lines.append(str(ordered[0]) if length == 1 else pgettext("days", "%(first)s to %(last)s") % run)
        ordered = ordered[length:]
    return "\n".join(lines)


def _parse_days(text: str) -> Iterator[date]:
    first, *rest = [_parse_date(part) for part in _RANGE.split(text, maxsplit=1)]
    last = rest[0] if rest else first
    if last < first:
        raise ValueError(_("%(text)r ends before it begins.") % {"text": text})
    # One more than may be, so that whoever counts them sees that they are too many.
    for offset in range(min((last - first).days, MOST_BLOCKED) + 1):
        yield first + timedelta(days=offset)


def _parse_date(text: str) -> date:
    plain = re.sub(r"(?<=\d)[\u00b0\u00ba]", "", text.strip())  # 1° gennaio
    numbered = re.sub(r"[a-z]{3,}", _number_italian_month, plain, flags=re.IGNORECASE)
    for form in _DATE_FORMATS:
        try:
            day = datetime.strptime(numbered, form).date()
        except ValueError:
            continue
        if form == _SLASHES:
            _refuse_two_days(day, text.strip())
        return day
    raise ValueError(_("%(text)r is no date; write it such as 2026-12-24.") % {"text": text.strip()})


def _refuse_two_days(day: date, text: str) -> None:
    """A reader of English may write the month first, where both are numbers of months; one of Italian never does."""
    if day.day <= 12 and day.day != day.month and not (get_language() or "").startswith("it"):
        problem = _("%(text)r may be %(one)s or %(other)s; write which of them it is.")
        other = day.replace(month=day.day, day=day.month)
        raise ValueError(problem % {"text": text, "one": day, "other": other})


def _number_italian_month(word: re.Match[str]) -> str:
    """Three letters of a name do; where they are those of an English one as well, it is the same month."""
    months = (number for number, name in enumerate(_ITALIAN_MONTHS, 1) if name.startswith(word[0].lower()))
    return str(next(months, word[0]))


@cache
def parse_delays(text: str) -> tuple[Delay, ...]:
    """Such as 5 min, 2 h, next day; after the first try, the second and so on. Nothing for an empty text."""
    delays = tuple(map(_parse_delay, _split(text)))
    if len(delays) > MOST_DELAYS:
        raise ValueError(_("These are more than %(most)s intervals.") % {"most": MOST_DELAYS})
    return delays


def format_delays(delays: Sequence[Delay]) -> str:
    """As they are kept."""
    return ", ".join(_write_delay(delay, str) for delay in delays)


def say_delays(delays: Sequence[Delay]) -> str:
    """As they are shown, in the current language; parse_delays() reads that too."""
    return ", ".join(_write_delay(delay, _) for delay in delays)


def _parse_delay(text: str) -> Delay:
    if text.lower() in _NEXT_DAY:
        return NEXT_DAY
    match = _DELAY.fullmatch(text)
    unit = match and next((unit for unit, words in _UNITS.items() if match[2].lower() in words), None)
    if match is None or unit is None:
        raise ValueError(_("%(text)r is no interval; write it such as 5 min, 2 h or next day.") % {"text": text})
    # More digits than any interval has would be more than a timedelta can hold.
    delay = timedelta(**{unit: int(match[1])}) if len(match[1]) < 6 else timedelta.max
    if delay > LONGEST_DELAY:
        problem = _("%(text)r is longer than %(days)s days.")
        raise ValueError(problem % {"text": text, "days": LONGEST_DELAY.days})
    return delay


def _write_delay(delay: Delay, translate: Callable[[str], str]) -> str:
    if delay is NEXT_DAY:
        return translate(gettext_noop("next day"))
    minutes = delay // timedelta(minutes=1)
    for pattern, length in ((gettext_noop("%(count)s d"), 24 * 60), (gettext_noop("%(count)s h"), 60)):
        if minutes and minutes % length == 0:
            return translate(pattern) % {"count": minutes // length}
    return translate(gettext_noop("%(count)s min")) % {"count": minutes}


def _split(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,;]", text) if part.strip()]
