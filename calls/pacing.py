"""How many calls may start now, and at which instants.

Pure. Instants are aware datetimes by one clock, the database's; rates are calls per second.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

# Nothing is claimed that would have to wait longer for its start: an operator's pause and a new do-not-call
# entry should find as few calls as possible already on their way.
# It is half a second, so that the second behind a late start is not planned yet, and can make up for it.
HORIZON = timedelta(seconds=0.5)

# The send deadline of a call whose calling hours end soon; its start is within the horizon.
LAST_CALL = timedelta(seconds=2)

# Starts stand this much of a second further apart, over a second's calls together, than the rate asks. It
# makes up for the different times that the requests of two schedulers take to the provider, who counts arrivals.
SLACK_SECONDS = 0.025

# So long before its start a call is claimed, or gets another start, at the least: what it takes to commit that and to
# mark the call as being placed.
HEADROOM = timedelta(milliseconds=25)

# A start that is later than this has eaten up its share of the slack, and those behind it have to make up for it; the
# rest of the slack is for the ways to the provider.
TOLERANCE = timedelta(milliseconds=8)

# A start that is later than this is not made any more. Those a second behind it are not planned before half a second
# has passed; so there is a quarter of a second left to move them.
LATEST_START = timedelta(milliseconds=250)

# With so many calls a second the slack alone is worth more calls than ten schedulers have in hand, so that however
# late those are no second has too many.
ENDLESS_RATE = 60_000

# How quick a request can be is read from so many of the latest ones.
SAMPLES = 100


def gap_between(calls_per_second: float) -> timedelta:
    return timedelta(seconds=(1 + SLACK_SECONDS) / calls_per_second)


def was_set_back(claimed_at: datetime, now: datetime) -> bool:
    """Whether the clock shows that much less than at the claim; readings that differ by their way do not count."""
    return claimed_at > now + HORIZON


def believe(
    next_call_at: datetime | None, now: datetime, *, calls_per_second: float, send_deadline: timedelta
) -> datetime | None:
    """The stored ``next_call_at``, or a sooner one when the clock has been set back since: store it then.

    Whatever was claimed before leaves within the send deadline or not at all, and not at all when the clock was
    set back by more than the horizon. So nothing has to wait for longer than both and a gap, and nobody is silent
    for an hour because the clock was set back by one.
    """
    latest = now + send_deadline + HORIZON + gap_between(calls_per_second)
    return min(next_call_at, latest) if next_call_at else None


def plan_starts(
    now: datetime, *, next_call_at: datetime | None, calls_per_second: float, wanted: int
) -> list[datetime]:
    """Up to ``wanted`` instants, evenly spaced, from ``next_call_at`` or now, within the horizon.

    Never more than calls_per_second of them in any half-open second, those of earlier plans included, as long
    as each plan is followed by storing its last instant plus ``gap_between`` as the next_call_at. A clock that
    is set forward looks like time in which nobody called: those of the second before it come on top.
    """
    first = max(now, next_call_at or now)
    gap = gap_between(calls_per_second)
    room = int((now + HORIZON - first) / gap) + 1 if first <= now + HORIZON else 0
    return [first + index * gap for index in range(min(wanted, room))]


def find_debt(lateness: Sequence[float], calls_per_second: float) -> timedelta:
    """By how much starts that are planned from now on must stand later, when some have come so many seconds late.

    The second that a late start comes into has one start too many, unless the starts behind it move by a place for
    each late one, or by as much as the latest is late, if that is less.
    """
    return min(len(lateness) * gap_between(calls_per_second), timedelta(seconds=max(lateness)))


def count_together(calls_per_second: float) -> tuple[int, timedelta]:
    """How many calls may start within how long a span, and no more.

    Whole calls in a second, for a rate that is a whole number or so large that its fraction hardly counts. With 1.5 a
    second that would be one; it is one in two thirds of a second.
    """
    number = max(1, math.floor(calls_per_second))
    is_second_enough = number * gap_between(calls_per_second) >= timedelta(seconds=1)
    return number, timedelta(seconds=max(number / calls_per_second, float(is_second_enough)))


def plan_again(
    now: datetime,
    planned: Sequence[datetime],
    *,
    next_call_at: datetime | None,
    calls_per_second: float,
    send_deadline: timedelta,
    not_before: datetime,
) -> list[datetime]:
    """New instants for calls that were not sent at the ``planned`` ones, the first not before the instant.

    They move back together when they are the last that were planned, with nobody else's in between; otherwise they
    queue up behind the others. To be stored like a plan.
    """
    gap = gap_between(calls_per_second)
    first = max(now, not_before)
    is_tail = [planned[0] + index * gap for index in range(len(planned) + 1)] == [*planned, next_call_at]
    if next_call_at and not is_tail:
        others = believe(next_call_at, now, calls_per_second=calls_per_second, send_deadline=send_deadline)
        first = max(first, others)
    return [first + index * gap for index in range(len(planned))]


@dataclass(eq=False, kw_only=True)
class Departure:
    """A request for a call: when it is to leave, when it really does, the latest that it may, and when it was answered.

    In seconds by a clock that is never set.
    """

    start: float
    leaves_at: float
    latest: float
    answered_at: float | None = None

    def is_too_late(self, now: float) -> bool:
        return max(now, self.leaves_at) > self.latest


class Departures:
    """The latest requests of one scheduler, and what they mean for the next one.

    The provider counts arrivals. A request that was answered later than the quickest one may have arrived
    later by the difference, and would have the next second's calls too close behind it.
    """

    def __init__(self) -> None:
        self._latest: deque[Departure] = deque(maxlen=1000)

    def plan(self, start: float, calls_per_second: float, *, ahead: int = 0) -> Departure:
        """For the next request, or the one so many behind it: at its start, or as much later as those before it ask.

        To be noted when it is handed over. Whoever sends it writes down when it really left and was answered, in
        whatever thread.
        """
        leaves_at = max(start, self._earliest(calls_per_second, ahead))
        latest = start + LATEST_START.total_seconds() if calls_per_second < ENDLESS_RATE else math.inf
        return Departure(start=start, leaves_at=leaves_at, latest=latest)

    def note(self, departure: Departure) -> None:
        self._latest.append(departure)

    def _earliest(self, calls_per_second: float, ahead: int) -> float:
        """Sooner, that request could arrive together with more others than the rate allows."""
        number, span = count_together(calls_per_second)
        if ahead >= number:
            return math.inf
        if len(self._latest) < number - ahead:
            return -math.inf
        counted = self._latest[ahead - number]
        answered_at = counted.answered_at  # once: a sender's thread may be writing it
        delay = 0.0 if answered_at is None else answered_at - counted.leaves_at - self._find_quickest()
        return counted.leaves_at + span.total_seconds() + max(delay, 0.0)

    def _find_quickest(self) -> float:
        answered = ((one.answered_at, one.leaves_at) for one in reversed(self._latest))
        return min(islice((end - start for end, start in answered if end is not None), SAMPLES), default=0.0)
