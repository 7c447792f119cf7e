"""PURE: when a webhook that was not taken is sent again."""

from datetime import datetime, timedelta

# After the first try, the second and so on.
DELAYS = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(days=1),
)
MOST_TRIES = len(DELAYS) + 1
# A subscriber that comes back is not asked by all that waits at the same moment.
JITTER = 0.2


def find_next_try(tries: int, *, chance: float, now: datetime) -> datetime | None:
    """After so many tries in vain; None when it is given up. ``chance`` is from 0 to 1."""
    if tries >= MOST_TRIES:
        return None
    return now + DELAYS[tries - 1] * (1 + JITTER * chance)
