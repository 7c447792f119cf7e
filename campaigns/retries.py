"""When somebody is tried again who was not reached. Pure: no Django, no clock of its own."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from campaigns.spellings import NEXT_DAY, Delay
from campaigns.windows import load_zone


def find_next_try(delays: Sequence[Delay], *, tries: int, ended_at: datetime, zones: Sequence[str]) -> datetime:
    """The end (UTC) of the interval that follows so many tries, the last of which ended then.

    After more tries than there are ``delays`` the last of them holds. The next day is the calendar's in all of the
    zones. Whether anything is open then is not asked.
    """
    delay = delays[min(tries, len(delays)) - 1]
    if delay is not NEXT_DAY:
        return ended_at + delay
    return max(_find_midnight(ended_at, zone) for zone in zones or ["UTC"])


def _find_midnight(instant: datetime, zone: str) -> datetime:
    """Where the next day begins there; where the clock jumps over midnight, at its jump."""
    tomorrow = instant.astimezone(load_zone(zone)).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, tzinfo=load_zone(zone)).astimezone(UTC)
