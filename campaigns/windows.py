"""When a contact may be rung: calling hours in a time zone, or in several at once.

Pure: no Django, no clock of its own. Instants are aware datetimes; hours and weekdays are local to the zone
that is asked about, hour and weekday always of the same zone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

EVERY_DAY = frozenset(range(1, 8))

# Any weekly pattern shows all that it has within a week; the second week is for changes of offset.
SEARCH_DAYS = 15


@dataclass(frozen=True, kw_only=True)
class CallingHours:
    """Local hours, ``end`` exclusive; both None means all day. Weekdays are ISO: Monday is 1."""

    start: time | None = None
    end: time | None = None
    weekdays: frozenset[int] = EVERY_DAY


def is_open(hours: CallingHours, zones: Sequence[str], now: datetime) -> bool:
    """Whether ``now`` lies within the hours in every one of the zones; never for no zone at all."""
    return bool(zones) and all(_is_open_in(hours, _load_zone(zone), now) for zone in zones)


def next_opening(hours: CallingHours, zones: Sequence[str], now: datetime) -> datetime | None:
    """The first instant (UTC), not before ``now``, at which every zone is open.

    None when there is none within two weeks: no zone, no weekday, or zones whose hours never meet.
    """
    instant = now.astimezone(UTC)
    last = instant + timedelta(days=SEARCH_DAYS)
    while zones and instant < last:
        closed = next((zone for zone in zones if not _is_open_in(hours, _load_zone(zone), instant)), None)
        if closed is None:
            return instant
        # Nothing before the opening of a zone that is closed can be an opening of all.
        opening = _next_opening_in(hours, _load_zone(closed), instant)
        if opening is None:
            return None
        instant = opening
    return None


@cache
def _load_zone(name: str) -> ZoneInfo:
    """Kept for good: ZoneInfo itself keeps eight, and a number may lie in forty zones."""
    return ZoneInfo(name)


def _is_open_in(hours: CallingHours, zone: ZoneInfo, now: datetime) -> bool:
    local = now.astimezone(zone)
    if local.isoweekday() not in hours.weekdays:
        return False
    if hours.start is None or hours.end is None:
        return True
    return hours.start <= local.time() < hours.end


def _next_opening_in(hours: CallingHours, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The first instant (UTC) after ``now`` at which a zone that is closed now is open."""
    today = now.astimezone(zone).date()
    for offset in range(SEARCH_DAYS):
        for instant in sorted(_possible_openings(hours, zone, today + timedelta(days=offset))):
            if instant > now and _is_open_in(hours, zone, instant):
                return instant
    return None


def _possible_openings(hours: CallingHours, zone: ZoneInfo, day: date) -> Iterator[datetime]:
    """Every instant (UTC) at which the hours may begin in this zone on this day of its calendar.

    They begin when the local clock comes to the opening time, which it does twice when it is set back over
    it, and when a change of the clock jumps into the hours: forward over their start, or back over their end.
    """
    start = datetime.combine(day, hours.start or time.min, tzinfo=zone)
    for fold in (0, 1):
        yield start.replace(fold=fold).astimezone(UTC)
    midnight = datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
    next_midnight = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone).astimezone(UTC)
    if midnight.astimezone(zone).utcoffset() != next_midnight.astimezone(zone).utcoffset():
        yield _find_change(zone, midnight, next_midnight)
        # Set back from just after midnight, the clock shows the end of yesterday a second time.
        yield (start - timedelta(days=1)).replace(fold=1).astimezone(UTC)


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
