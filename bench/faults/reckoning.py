"""What follows from the evidence, for the judge's checks and for the figures."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush

from bench.faults.evidence import CallingRules, Change, DoNotCall, Evidence, Person
from bench.faults.history import NEVER, Setting
from bench.faults.tables import AttemptRow, ContactRow
from bench.faults.zones import to_local
from calls.simulator.ledger import LedgerCall

# The network's instants and the tables' come from different processes that read the same injected clock, but not
# in the same microsecond. Granted wherever an instant of one is compared with an instant of the other.
CLOCK_TOLERANCE = timedelta(milliseconds=50)

Instants = tuple[datetime, datetime]


def end_of(call: LedgerCall) -> datetime:
    return call.ended_at or NEVER


def known_calls(evidence: Evidence) -> Iterator[tuple[LedgerCall, AttemptRow]]:
    """The calls that have an attempt's row, in the order of their starts."""
    for call in evidence.witness.calls:
        if attempt := evidence.attempts.get(call.call_id):
            yield call, attempt


def counted_calls(evidence: Evidence, contact: str) -> list[tuple[LedgerCall, AttemptRow]]:
    """Those of a contact whose attempts were not given back, in the order of their starts."""
    attempts = [attempt for attempt in evidence.attempts_of.get(contact, ()) if not attempt.given_back]
    calls = [(call, attempt) for attempt in attempts for call in evidence.calls_of.get(attempt.call_id, ())]
    return sorted(calls, key=lambda pair: pair[0].started_at)


def decided_between(evidence: Evidence, call: LedgerCall) -> Instants:
    """Between which instants it was decided that this call may ring: the send deadline and the way before it arrived.

    What was not in force at any instant between them cannot have allowed the call.
    """
    return _look_back(evidence, call, evidence.terms.send_deadline + evidence.terms.connect)


def withdrawable_between(evidence: Evidence, call: LedgerCall) -> Instants:
    """Likewise, for what must take effect within the send deadline: a stop, or an entry on the do-not-call list."""
    return _look_back(evidence, call, evidence.terms.send_deadline)


def _look_back(evidence: Evidence, call: LedgerCall, seconds: float) -> Instants:
    back = timedelta(seconds=seconds) + stepped_before(evidence, call) + CLOCK_TOLERANCE
    return call.started_at - back, call.started_at + CLOCK_TOLERANCE


def stepped_before(evidence: Evidence, call: LedgerCall) -> timedelta:
    """By how much the clock was put forward between the claim and the call; nobody took so long."""
    attempt = evidence.attempts.get(call.call_id)
    return stepped_between(evidence, attempt.claimed_at, call.started_at) if attempt else timedelta(0)


def stepped_between(evidence: Evidence, from_: datetime, to: datetime) -> timedelta:
    steps = [step for step in evidence.clock_steps if step.from_ <= to and step.over_at >= from_]
    return timedelta(seconds=sum(step.value.seconds for step in steps))


def changes_about(evidence: Evidence, contact: ContactRow) -> Iterator[Setting[Change]]:
    """All in the log after which the contact may be due at another time than before."""
    for setting in evidence.log:
        match setting.value:
            case CallingRules(campaign=campaign) if campaign == contact.campaign_id:
                yield setting
            case Person(contact=name) if name == contact.id:
                yield setting
            case DoNotCall(phone_number=number) if number == contact.phone_number:
                yield setting


def is_open(rules: CallingRules, zones: Iterable[str], instant: datetime) -> bool:
    """Whether the local hours and days of all the zones allow it; the hours' end is not within them."""
    return all(_is_open_in(rules, to_local(zone, instant)) for zone in zones)


def _is_open_in(rules: CallingRules, local: datetime) -> bool:
    is_hour = rules.start is None or rules.end is None or rules.start <= local.time() < rules.end
    return is_hour and local.isoweekday() in rules.weekdays and local.date() not in rules.blocked


def count_lines(calls: Iterable[LedgerCall]) -> Iterator[tuple[LedgerCall, int]]:
    """Each call, in the order of their starts, and how many are open as it starts, itself included.

    A call is open in [start, end).
    """
    ends: list[datetime] = []
    for call in calls:
        while ends and ends[0] <= call.started_at:
            heappop(ends)
        heappush(ends, end_of(call))
        yield call, len(ends)


def find_too_soon(
    instants: Sequence[datetime],
    rates: Iterable[float],
    rate_between: Callable[[int, int], float],
    *,
    jitter: timedelta = timedelta(0),
) -> Iterator[tuple[int, int, float]]:
    """The starts that exceed the rate: (index of the first, index of the one too many, the rate).

    At a rate of r, any half-open window of ceil(r) / r seconds, less the jitter, holds at most ceil(r) starts. For
    a whole number that is r starts in a second; for half a call a second it is one in two seconds. ``instants`` are
    in order, ``rates`` all that ever were allowed, and ``rate_between`` says which was the largest between two starts.
    """
    for rate in sorted(set(rates)):
        most = math.ceil(rate)
        window = timedelta(seconds=most / rate) - jitter
        for first in range(len(instants) - most):
            last = first + most
            if instants[last] - instants[first] < window and rate_between(first, last) == rate:
                yield first, last, rate
