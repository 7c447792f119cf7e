"""When a contact may be rung: calling hours in a time zone, or in several at once.

Pure: no Django, no clock of its own. Instants are aware datetimes; hours and weekdays are local to the zone
that is asked about, hour and weekday always of the same zone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
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
    return bool(zones) and all(_is_open_in(hours, ZoneInfo(zone), now) for zone in zones)


def next_opening(hours: CallingHours, zones: Sequence[str], now: datetime) -> datetime | None:
    """The first instant (UTC), not before ``now``, at which every zone is open.

    None when there is none within two weeks: no zone, no weekday, or zones whose hours never meet.
    """
    if is_open(hours, zones, now):
        return now.astimezone(UTC)
    # What opens last of several zones opens them all, so the answer is an opening of one of them.
    candidates = sorted(instant for zone in zones for instant in _possible_openings(hours, ZoneInfo(zone), now))
    return next((instant for instant in candidates if is_open(hours, zones, instant)), None)


def _is_open_in(hours: CallingHours, zone: ZoneInfo, now: datetime) -> bool:
    local = now.astimezone(zone)
    if local.isoweekday() not in hours.weekdays:
        return False
    if hours.start is None or hours.end is None:
        return True
    return hours.start <= local.time() < hours.end


def _possible_openings(hours: CallingHours, zone: ZoneInfo, now: datetime) -> Iterator[datetime]:
    """Every instant (UTC) after ``now`` at which the hours may begin in this zone.

    They begin when the local clock comes to the opening time, which it does twice when it is set back over
    it, and when a change of the clock jumps into the hours: forward over their start, or back over their end.
    """
    now = now.astimezone(UTC)
    today = now.astimezone(zone).date()
    for offset in range(SEARCH_DAYS):
        local = datetime.combine(today + timedelta(days=offset), hours.start or time.min, tzinfo=zone)
        for fold in (0, 1):
            instant = local.replace(fold=fold).astimezone(UTC)
            if instant > now:
                yield instant
        day_start = now + timedelta(days=offset)
        day_end = day_start + timedelta(days=1)
        if day_start.astimezone(zone).utcoffset() != day_end.astimezone(zone).utcoffset():
            yield _find_change(zone, day_start, day_end)


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
