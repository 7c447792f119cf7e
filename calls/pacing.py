"""How many calls may start now, and at which instants.

Pure. Instants are aware datetimes by one clock, the database's; rates are calls per second.
"""

from datetime import datetime, timedelta

# Nothing is claimed that would have to wait longer for its start: an operator's pause and a new do-not-call
# entry should find as few calls as possible already on their way.
HORIZON = timedelta(seconds=1)

# Nobody is claimed whose calling hours end sooner: the call starts within the horizon, and takes a moment to
# reach the provider.
LAST_CALL = HORIZON + timedelta(seconds=1)

# Starts stand this much of a second further apart, over a second's calls together, than the rate asks. It
# makes up for the different ways that two requests take to the provider, who counts arrivals.
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
    room = max(0, int((now + HORIZON - first) / gap) + 1) if first <= now + HORIZON else 0
    return [first + index * gap for index in range(min(wanted, room))]
