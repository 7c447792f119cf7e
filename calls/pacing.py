"""How many calls may start now, and at which instants.

Pure. Instants are aware datetimes by one clock, the database's; rates are calls per second.
"""

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

# Nothing is claimed that would have to wait longer for its start: an operator's pause and a new do-not-call
# entry should find as few calls as possible already on their way.
HORIZON = timedelta(seconds=1)

# The send deadline of a call whose calling hours end soon; its start is within the horizon.
LAST_CALL = HORIZON + timedelta(seconds=1)

# Starts stand this much of a second further apart, over a second's calls together, than the rate asks. It
# makes up for the different times that the requests of two schedulers take to the provider, who counts arrivals.
SLACK_SECONDS = 0.025

# A start that is later than this after its instant has eaten up the slack and needs a new instant.
TOLERANCE = timedelta(milliseconds=8)


def gap_between(calls_per_second: float) -> timedelta:
    return timedelta(seconds=(1 + SLACK_SECONDS) / calls_per_second)


def plan_starts(
    now: datetime, *, next_call_at: datetime | None, calls_per_second: float, wanted: int
) -> list[datetime]:
    """Up to ``wanted`` instants, evenly spaced, from ``next_call_at`` or now, within the horizon.

    Never more than calls_per_second of them in any half-open second, those of earlier plans included, as long
    as each plan is followed by storing its last instant plus ``gap_between`` as the next_call_at.
    """
    first = max(now, next_call_at or now)
    gap = gap_between(calls_per_second)
    room = int((now + HORIZON - first) / gap) + 1 if first <= now + HORIZON else 0
    return [first + index * gap for index in range(min(wanted, room))]


@dataclass
class Departure:
    """A request for a call; it reached the provider some time between the two instants."""

    sent_at: datetime
    answered_at: datetime | None = None


class Departures:
    """The latest requests of one scheduler, and what they mean for the next one.

    The provider counts arrivals. A request that was answered later than the quickest one may have arrived
    later by the difference, and would have the next second's calls too close behind it.
    """

    def __init__(self) -> None:
        self._latest: deque[Departure] = deque(maxlen=1000)

    def note(self, sent_at: datetime) -> Departure:
        """To be told of its answer by setting ``answered_at``, in whatever thread."""
        departure = Departure(sent_at)
        self._latest.append(departure)
        return departure

    def earliest_next(self, calls_per_second: float) -> datetime | None:
        """Sooner, the next request could arrive within a second of as many others as the rate allows."""
        number = max(1, math.floor(calls_per_second))
        if len(self._latest) < number:
            return None
        counted = self._latest[-number]
        answered_at = counted.answered_at  # read once and first: a sender's thread may be writing it
        times = [later - departure.sent_at for departure in self._latest if (later := departure.answered_at)]
        delay = answered_at - counted.sent_at - min(times) if answered_at else timedelta(0)
        return counted.sent_at + timedelta(seconds=1) + delay
