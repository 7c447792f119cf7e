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

# A start that is later than this after its instant has eaten up the slack and needs a new instant.
TOLERANCE = timedelta(milliseconds=8)

# How quick a request can be is read from so many of the latest ones.
SAMPLES = 100

# So many schedulers may share the slack that late starts take up (see is_too_late).
MOST_SCHEDULERS = 10

# A request that seems to have taken longer than this was under way while the clock was set.
LONGEST_ANSWER = timedelta(minutes=1)


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


def is_too_late(late: timedelta, waiting: int, calls_per_second: float) -> bool:
    """Whether a start, with all that wait behind it, has to take a new instant.

    However late they are, no more starts than wait can come into a second that they were not planned in. Where
    the slack is worth as many calls, from every scheduler, that exceeds no rate.
    """
    slack = calls_per_second * SLACK_SECONDS / (1 + SLACK_SECONDS)
    return late > TOLERANCE and waiting * MOST_SCHEDULERS > slack


def find_debt(late: timedelta, overdue: int, calls_per_second: float) -> timedelta:
    """By how much starts that are planned from now on must stand later, for so many late ones to be sent now.

    The second that a late start comes into has one start too many, unless the starts behind it move by a place each,
    or by as much as it is late itself, if that is less.
    """
    return min(overdue * gap_between(calls_per_second), late)


def latest_push(start: datetime, calls_per_second: float) -> datetime:
    """Where the starts must move at the latest that make up for a late one: as many behind it as fit in a second."""
    return start + max(1, math.floor(calls_per_second)) * gap_between(calls_per_second)


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
    not_before: datetime | None = None,
) -> list[datetime]:
    """New instants for calls that were not sent at the ``planned`` ones, first one now if possible.

    They move back together when they are the last that were planned, with nobody else's in between; otherwise they
    queue up behind the others. To be stored like a plan.
    """
    gap = gap_between(calls_per_second)
    first = max(now, not_before or now)
    is_tail = [planned[0] + index * gap for index in range(len(planned) + 1)] == [*planned, next_call_at]
    if next_call_at and not is_tail:
        others = believe(next_call_at, now, calls_per_second=calls_per_second, send_deadline=send_deadline)
        first = max(first, others)
    return [first + index * gap for index in range(len(planned))]


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

    def earliest_next(self, calls_per_second: float, now: datetime) -> datetime | None:
        """Sooner, the next request could arrive together with more others than the rate allows.

        Requests that left later than now did so before the clock was set back; how long ago, it does not tell.
        """
        while self._latest and self._latest[-1].sent_at > now:
            self._latest.pop()
        number, span = count_together(calls_per_second)
        if len(self._latest) < number:
            return None
        counted = self._latest[-number]
        took = _measure(counted)  # first: a sender's thread may be writing it
        delay = timedelta(0) if took is None else took - self._find_quickest()
        return counted.sent_at + span + delay

    def _find_quickest(self) -> timedelta:
        times = (time for departure in reversed(self._latest) if (time := _measure(departure)) is not None)
        return min(islice(times, SAMPLES))


def _measure(departure: Departure) -> timedelta | None:
    """How long the answer took, None without one; bounded, because the clock may have been set meanwhile."""
    answered_at = departure.answered_at
    if answered_at is None:
        return None
    return min(max(answered_at - departure.sent_at, timedelta(0)), LONGEST_ANSWER)
