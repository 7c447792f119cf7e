"""When a contact may be rung: calling hours in a time zone, or in several at once.

Pure: no Django, no clock of its own. Instants are aware datetimes; hours, weekdays and dates are local to the zone
that is asked about, all of the same zone.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Self
from zoneinfo import ZoneInfo, available_timezones

from campaigns.holidays import is_holiday

EVERY_DAY = frozenset(range(1, 8))

# From this time of day until before that one; None is the end of the day.
Span = tuple[time, time | None]
# From this instant (UTC) until before that one.
Interval = tuple[datetime, datetime]
ALL_DAY: Span = (time.min, None)

# Any weekly pattern shows all that it has within a week; the second week is for changes of offset.
SEARCH_DAYS = 15
# In so short a time no clock is changed twice.
DAY = timedelta(days=1)
# However many holidays follow each other on the one weekday that is open.
HOLIDAY_WEEKS = 8


@dataclass(frozen=True, kw_only=True)
class CallingHours:
    """What is open on each weekday, Monday first: spans in their order. Nothing is open on a day that is blocked,
    nor on a public holiday of the country or part of one (`campaigns.holidays`) that is named.
    """

    days: tuple[tuple[Span, ...], ...] = ((ALL_DAY,),) * 7
    blocked: frozenset[date] = frozenset()
    holidays_of: str = ""

    @classmethod
    def weekly(
        cls, *, start: time | None = None, end: time | None = None, weekdays: Collection[int] = EVERY_DAY
    ) -> Self:
        """The same hours on each of the weekdays (ISO: Monday is 1); from None on or until None: all day."""
        span = ALL_DAY if start is None or end is None else (start, end)
        return cls(days=tuple((span,) if weekday in weekdays else () for weekday in sorted(EVERY_DAY)))

    def spans_on(self, day: date) -> tuple[Span, ...]:
        if day in self.blocked or (self.holidays_of and is_holiday(day, self.holidays_of)):
            return ()
        return self.days[day.weekday()]

    def without_closed_days(self) -> Self:
        return replace(self, blocked=frozenset(), holidays_of="") if self.blocked or self.holidays_of else self

    def days_to_search(self, today: date) -> int:
        """In so many days from today on there is an opening, or never: at worst all closed days are of one weekday."""
        blocked = sum(day >= today for day in self.blocked)
        return SEARCH_DAYS + 7 * (blocked + (HOLIDAY_WEEKS if self.holidays_of else 0))


def is_open(hours: CallingHours, zones: Sequence[str], now: datetime) -> bool:
    """Whether ``now`` lies within the hours in every one of the zones; never for no zone at all."""
    return bool(zones) and all(_is_open_in(hours, load_zone(zone), now) for zone in zones)


def next_opening(hours: CallingHours, zones: Sequence[str], now: datetime) -> datetime | None:
    """The first instant (UTC), not before ``now``, at which every zone is open.

    None when there is none: no zone, no weekday, or zones whose hours never meet.
    """
    instant = now.astimezone(UTC)
    weekly = hours.without_closed_days()
    # Closed days add no opening. To look behind each of them for one that no week has would take a hundred times as
    # long, and claims ask under the provider's lock.
    if weekly is not hours and _find_opening(weekly, zones, instant) is None:
        return None
    return _find_opening(hours, zones, instant)


def _find_opening(hours: CallingHours, zones: Sequence[str], instant: datetime) -> datetime | None:
    days = hours.days_to_search(instant.date() - timedelta(days=1))  # where it is still yesterday
    last = instant + timedelta(days=days)
    while zones and instant < last:
        closed = next((zone for zone in zones if not _is_open_in(hours, load_zone(zone), instant)), None)
        if closed is None:
            return instant
        # Nothing before the opening of a zone that is closed can be an opening of all.
        opening = _next_opening_in(hours, load_zone(closed), instant, days)
        if opening is None:
            return None
        instant = opening
    return None


def find_open_intervals(hours: CallingHours, zone: str, begin: datetime, end: datetime) -> list[Interval]:
    """When it is open in the zone, as is_open() says, from ``begin`` until before ``end``, in order.

    For whoever asks about many instants.
    """
    intervals: list[Interval] = []
    for piece in _find_offsets(load_zone(zone), begin.astimezone(UTC), end.astimezone(UTC)):
        for opening, closing in _find_intervals_at(hours, *piece):
            if intervals and intervals[-1][1] == opening:
                opening = intervals.pop()[0]
            intervals.append((opening, closing))
    return intervals


def intersect(some: Sequence[Interval], others: Sequence[Interval]) -> list[Interval]:
    """What lies in both, of intervals in order."""
    if some == others:
        return [*some]
    both = []
    left = right = 0
    while left < len(some) and right < len(others):
        begin, end = max(some[left][0], others[right][0]), min(some[left][1], others[right][1])
        if begin < end:
            both.append((begin, end))
        if some[left][1] < others[right][1]:
            left += 1
        else:
            right += 1
    return both


@cache
def known_zones() -> frozenset[str]:
    """The names of all IANA zones; cached because zoneinfo walks the disk for them every time."""
    return frozenset(available_timezones())


@cache
def load_zone(name: str) -> ZoneInfo:
    """Kept for good: ZoneInfo itself keeps eight, and a number may lie in forty zones."""
    return ZoneInfo(name)


def _is_open_in(hours: CallingHours, zone: ZoneInfo, now: datetime) -> bool:
    local = now.astimezone(zone)
    clock = local.time()
    return any(start <= clock and (end is None or clock < end) for start, end in hours.spans_on(local.date()))


def _find_offsets(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The time between in pieces, each with the one offset that the zone has in it."""
    offset = begin.astimezone(zone).utcoffset()
    since = looked_at = begin
    while looked_at < end:
        before, looked_at = looked_at, min(looked_at + DAY, end)
        following = looked_at.astimezone(zone).utcoffset()
        if following != offset:
            change = _find_change(zone, before, looked_at)
            yield since, change, offset
            since, offset = change, following
    yield since, end, offset


def _find_intervals_at(hours: CallingHours, begin: datetime, end: datetime, offset: timedelta) -> Iterator[Interval]:
    """When it is open between these, by a clock with this offset."""
    for day in range((begin + offset).toordinal(), (end + offset).toordinal() + 1):
        today = date.fromordinal(day)
        for start, stop in hours.spans_on(today):
            closing_day = today + DAY if stop is None else today
            opening = max(begin, datetime.combine(today, start, tzinfo=UTC) - offset)
            closing = min(end, datetime.combine(closing_day, stop or time.min, tzinfo=UTC) - offset)
            if opening < closing:
                yield opening, closing


def _next_opening_in(hours: CallingHours, zone: ZoneInfo, now: datetime, days: int) -> datetime | None:
    """The first instant (UTC) after ``now``, in so many days, at which a zone that is closed now is open."""
    today = now.astimezone(zone).date()
    for offset in range(days):
        for instant in sorted(_possible_openings(hours, zone, today + timedelta(days=offset))):
            if instant > now and _is_open_in(hours, zone, instant):
                return instant
    return None


def _possible_openings(hours: CallingHours, zone: ZoneInfo, day: date) -> Iterator[datetime]:
    """Every instant (UTC) at which hours may begin in this zone on this day of its calendar.

    They begin when the local clock comes to the opening time, which it does twice when it is set back over
    it, and when a change of the clock jumps into the hours: forward over their start, or back over their end.
    """
    yield from _starts_on(hours, zone, day, folds=(0, 1))
    midnight = datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
    next_midnight = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone).astimezone(UTC)
    if midnight.astimezone(zone).utcoffset() != next_midnight.astimezone(zone).utcoffset():
        yield _find_change(zone, midnight, next_midnight)
        # Set back from just after midnight, the clock shows the end of yesterday a second time.
        yield from _starts_on(hours, zone, day - timedelta(days=1), folds=(1,))


def _starts_on(hours: CallingHours, zone: ZoneInfo, day: date, folds: Sequence[int]) -> Iterator[datetime]:
    for start, _ in hours.spans_on(day):
        for fold in folds:
            yield datetime.combine(day, start, tzinfo=zone).replace(fold=fold).astimezone(UTC)


def _find_change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant between the two at which the zone's offset changes; offsets change on whole seconds."""
    offset = before.astimezone(zone).utcoffset()
    before, after = before.replace(microsecond=0), after.replace(microsecond=0)
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
