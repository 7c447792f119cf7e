"""Calling hours worked out a second time, to hold campaigns/windows.py against: shares no code with it.

Offsets are read from the TZif files (RFC 9636) instead of asking zoneinfo; hours become intervals of UTC. Instants
are whole microseconds since 1970 in UTC, local times the same numbers plus the offset.
"""

import re
import struct
import zoneinfo
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path

import holidays

SECOND = 1_000_000
DAY = 86_400 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIRST_YEAR, LAST_YEAR = 1990, 2036  # of the rules at a file's end; tests look at fewer years


def to_instant(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(instant: int) -> datetime:
    return EPOCH + timedelta(microseconds=instant)


# Offsets


@cache
def read_offsets(name: str) -> tuple[tuple[int, int], ...]:
    """(from this instant on, the offset), in order; the first one has always been."""
    data = _read_file(name)
    counts = struct.unpack_from(">6l", data, 20)
    # The first block is for readers of 32 bits; the second one has all, in eight bytes a change.
    start = 44 + _length(counts, 4)
    _, _, _, changes, types, _ = counts = struct.unpack_from(">6l", data, start + 20)
    body = start + 44
    instants = struct.unpack_from(f">{changes}q", data, body)
    indexes = struct.unpack_from(f">{changes}B", data, body + 8 * changes)
    offsets = [struct.unpack_from(">l", data, body + 9 * changes + 6 * index)[0] for index in range(types)]
    footer = data[body + _length(counts, 8) :].strip(b"\n").decode()
    pieces = [(-(10**18), offsets[0])]
    pieces += [(instant * SECOND, offsets[index]) for instant, index in zip(instants, indexes, strict=True)]
    pieces += [piece for piece in _follow_rules(footer) if piece[0] > pieces[-1][0]]
    merged = pieces[:1]
    for piece in pieces[1:]:
        if piece[1] != merged[-1][1]:
            merged.append(piece)
    return tuple((instant, offset * SECOND) for instant, offset in merged)


def _read_file(name):
    for folder in zoneinfo.TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def _length(counts, width):
    utc_marks, standard_marks, leaps, changes, types, letters = counts
    return changes * (width + 1) + types * 6 + letters + leaps * (width + 4) + standard_marks + utc_marks


_NAME = r"(?:[A-Za-z]+|<[^>]+>)"
_HOURS = r"[+-]?\d+(?::\d+){0,2}"
_FOOTER = re.compile(rf"{_NAME}({_HOURS})(?:{_NAME}({_HOURS})?,([^,/]+)(?:/({_HOURS}))?,([^,/]+)(?:/({_HOURS}))?)?\Z")


def _follow_rules(footer):
    """The changes that a POSIX TZ string tells of; it counts offsets westward."""
    if not footer:
        return
    standard, summer, begin, begin_at, end, end_at = _FOOTER.match(footer).groups()
    standard = -_seconds(standard)
    if begin is None:
        yield -(10**17), standard
        return
    summer = -_seconds(summer) if summer else standard + 3600
    changes = []
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        changes.append(((_find_day(begin, year) + _seconds(begin_at or "2") - standard) * SECOND, summer))
        changes.append(((_find_day(end, year) + _seconds(end_at or "2") - summer) * SECOND, standard))
    yield from sorted(changes)


def _seconds(text):
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))


def _find_day(rule, year):
    """Midnight of the day that the rule names, in seconds as if it were UTC."""
    january = to_instant(datetime(year, 1, 1, tzinfo=UTC)) // DAY
    if rule.startswith("M"):
        month, week, weekday = map(int, rule[1:].split("."))
        first = to_instant(datetime(year, month, 1, tzinfo=UTC)) // DAY
        day = first + (weekday - (first + 4)) % 7 + 7 * (week - 1)
        following = to_instant(datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)) // DAY
        return (day if day < following else day - 7) * 86_400
    if rule.startswith("J"):  # from 1, never counting 29 February
        is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        number = int(rule[1:])
        return (january + number - (0 if is_leap and number >= 60 else 1)) * 86_400
    return (january + int(rule)) * 86_400


def offset_at(name, instant):
    pieces = read_offsets(name)
    return pieces[bisect_right(pieces, instant, key=lambda piece: piece[0]) - 1][1]


def find_changes(name, first, last):
    """(instant, offset before, offset after) of each change from ``first`` up to ``last``."""
    pieces = read_offsets(name)
    return [(instant, before, after) for (_, before), (instant, after) in pairwise(pieces) if first <= instant < last]


# Hours


@lru_cache(maxsize=64)
def find_open_intervals(hours, name, first, last):
    """[begin, end) of each time that is open in one zone, clipped to [first, last), in order."""
    pieces = read_offsets(name)
    intervals = []
    for index, (instant, offset) in enumerate(pieces):
        since = max(first, instant)
        until = min(last, pieces[index + 1][0]) if index + 1 < len(pieces) else last
        if since >= until:
            continue
        for day in range((since + offset) // DAY, (until + offset) // DAY + 1):
            calendar_day = (EPOCH + timedelta(days=day)).date()
            is_holiday = bool(hours.holidays_of) and calendar_day in holidays.country_holidays(hours.holidays_of)
            if calendar_day in hours.blocked or is_holiday:
                continue
            # 1 January 1970 was a Thursday.
            for start, stop in hours.days[(day + 3) % 7]:
                begin, end = _time_of_day(start), DAY if stop is None else _time_of_day(stop)
                begin, end = max(since, day * DAY + begin - offset), min(until, day * DAY + end - offset)
                if begin < end:
                    intervals.append((begin, end))
    return intervals


def _time_of_day(clock):
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * SECOND + clock.microsecond


def find_first_opening(hours, names, now, within):
    """The first instant from ``now`` on, and before ``now + within``, that is open in all zones; None for none."""
    # Clipped at round instants, so that those of neighbouring instants are worked out once.
    first = (now // (16 * DAY) - 1) * 16 * DAY
    last = ((now + within) // (16 * DAY) + 1) * 16 * DAY
    open_in = [find_open_intervals(hours, name, first, last) for name in names]
    begins = {begin for intervals in open_in for begin, _ in intervals if now < begin < now + within}
    for instant in [now, *sorted(begins)]:
        if open_in and all(_contains(intervals, instant) for intervals in open_in):
            return instant
    return None


def _contains(intervals, instant):
    index = bisect_right(intervals, instant, key=lambda interval: interval[0]) - 1
    return index >= 0 and instant < intervals[index][1]
