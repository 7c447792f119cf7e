"""What a run amounted to, in numbers: stated whether or not they break a promise."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from bench.faults.calling import find_arrivals_too_soon
from bench.faults.evidence import CampaignStatus, Evidence
from bench.faults.reckoning import (
    changes_about,
    count_lines,
    counted_calls,
    decided_between,
    end_of,
    is_open,
    stepped_between,
)
from bench.faults.tables import AttemptRow
from calls.simulator.ledger import LedgerCall, peak_starts_per_second

NO_TIME = timedelta(0)
MINUTE = timedelta(minutes=1)


def measure(evidence: Evidence) -> dict[str, Any]:
    """Peaks stand beside the largest limit that was ever allowed.

    ``arrivals_too_soon`` counts by the full second, also what the judge puts down to jitter. ``longest_gap_seconds``
    is the longest time without a start in which whoever was rung next had been due, with a line free.
    """
    calls, snapshot, limits = evidence.witness.calls, evidence.snapshot, evidence.limits.values
    return {
        "calls": len(calls),
        "answers": sum(len(call.answers) for call in calls),
        "attempts": len(snapshot.attempts),
        "given_back": sum(attempt.given_back for attempt in snapshot.attempts),
        "outcomes": _count(attempt.outcome or "open" for attempt in snapshot.attempts if not attempt.given_back),
        "contacts": _count(contact.state for contact in snapshot.contacts),
        "peak_lines": max((lines for _, lines in count_lines(calls)), default=0),
        "lines_allowed": max((one.lines for one in limits), default=None),
        "peak_starts_per_second": peak_starts_per_second(calls),
        "calls_per_second_allowed": max((one.calls_per_second for one in limits), default=None),
        "arrivals_too_soon": sum(1 for _ in find_arrivals_too_soon(evidence, jitter=NO_TIME)),
        "longest_gap_seconds": _find_longest_gap(evidence).total_seconds(),
    }


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _find_longest_gap(evidence: Evidence) -> timedelta:
    """Of the gaps before calls whose attempt is known, less the clock's steps."""
    gaps = [NO_TIME]
    for earlier, call in pairwise(evidence.witness.calls):
        if attempt := evidence.attempts.get(call.call_id):
            since = max(
                earlier.started_at,
                _find_free_line(evidence, earlier, call),
                _find_opening(evidence, call, attempt, after=_find_due_time(evidence, call, attempt)),
            )
            gaps.append(call.started_at - since - stepped_between(evidence, since, call.started_at))
    return max(gaps)


def _find_free_line(evidence: Evidence, earlier: LedgerCall, call: LedgerCall) -> datetime:
    """When there was a line for a call, if there was none right after the start of the one before it."""
    allowed = min(one.lines for one in evidence.limits.possible(*decided_between(evidence, call)))
    ends = sorted(end_of(one) for one in evidence.witness.calls if one.started_at <= earlier.started_at < end_of(one))
    return ends[len(ends) - allowed] if len(ends) >= allowed else earlier.started_at


def _find_due_time(evidence: Evidence, call: LedgerCall, attempt: AttemptRow) -> datetime:
    """The last that made the contact due: its last call and the interval, or what an operator did."""
    contact = evidence.contacts[attempt.contact_id]
    statuses = [one for one in evidence.changes(CampaignStatus) if one.value.campaign == attempt.campaign_id]
    instants = [one.over_at for one in [*changes_about(evidence, contact), *statuses]]
    rules = evidence.rules[attempt.campaign_id].possible(*decided_between(evidence, call))
    interval = timedelta(seconds=min(one.retry_seconds for one in rules))
    instants += [end_of(one) + interval for one, _ in counted_calls(evidence, contact.id) if one.ended_at]
    return max((instant for instant in instants if instant <= call.started_at), default=call.started_at)


def _find_opening(evidence: Evidence, call: LedgerCall, attempt: AttemptRow, *, after: datetime) -> datetime:
    """The first minute from there on in which the contact's hours were open."""
    span = decided_between(evidence, call)
    rules, person = (
        evidence.rules[attempt.campaign_id].possible(*span)[-1],
        evidence.people[attempt.contact_id].possible(*span)[-1],
    )
    opening = after
    while opening < call.started_at and not is_open(rules, person.zones, opening):
        opening = opening.replace(second=0, microsecond=0) + MINUTE
    return min(opening, call.started_at)
