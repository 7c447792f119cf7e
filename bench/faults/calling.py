"""Checks of the calls that the network saw: never twice, never over, never at the wrong time.

Where the evidence leaves it open which rule was in force, the milder one counts.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from bench.faults.evidence import CallingRules, Evidence
from bench.faults.reckoning import (
    CLOCK_TOLERANCE,
    count_lines,
    counted_calls,
    decided_between,
    find_too_soon,
    is_open,
    known_calls,
    stepped_before,
    withdrawable_between,
)
from bench.faults.violations import Kind, Violation, name_call
from calls.simulator.ledger import find_duplicates

# Arrivals are noted by the network, behind the kernel's queues and a busy event loop, so two that were sent a second
# apart may be noted a little closer. What is planned is judged without it, and the figures state the full second.
ARRIVAL_JITTER = timedelta(milliseconds=150)


# Never twice


def find_rung_twice_at_once(evidence: Evidence) -> Iterator[Violation]:
    nameless = [replace(call, call_id=None) for call in evidence.witness.calls]
    for earlier, later in find_duplicates(nameless):
        text = f"{later.to}: {later.sid} began at {later.started_at}, while {earlier.sid} was going on"
        yield Violation(Kind.RUNG_TWICE_AT_ONCE, text)


def find_attempts_rung_twice(evidence: Evidence) -> Iterator[Violation]:
    for call_id, calls in evidence.calls_of.items():
        if call_id is not None and len(calls) > 1:
            sids = " and ".join(call.sid for call in calls)
            yield Violation(Kind.ATTEMPT_RUNG_TWICE, f"attempt {call_id} became {sids}")


def find_too_many_attempts(evidence: Evidence) -> Iterator[Violation]:
    for contact in evidence.attempts_of:
        for number, (call, attempt) in enumerate(counted_calls(evidence, contact), start=1):
            rules = evidence.rules[attempt.campaign_id].possible(*decided_between(evidence, call))
            allowed = max(one.max_attempts for one in rules)
            if number > allowed:
                text = f"contact {contact}: {name_call(call)} is call {number} of at most {allowed}"
                yield Violation(Kind.TOO_MANY_ATTEMPTS, text)


def find_retries_too_soon(evidence: Evidence) -> Iterator[Violation]:
    for contact in evidence.attempts_of:
        calls = counted_calls(evidence, contact)
        for (earlier, _), (later, attempt) in pairwise(calls):
            rules = evidence.rules[attempt.campaign_id].possible(*decided_between(evidence, later))
            interval = timedelta(seconds=min(one.retry_seconds for one in rules))
            if earlier.ended_at and later.started_at < earlier.ended_at + interval - CLOCK_TOLERANCE:
                waited = later.started_at - earlier.ended_at
                text = f"contact {contact}: {name_call(later)} came {waited} after the last call, not {interval}"
                yield Violation(Kind.RETRY_TOO_SOON, text)


# Never over


def find_too_many_lines(evidence: Evidence) -> Iterator[Violation]:
    for call, lines in count_lines(evidence.witness.calls):
        allowed = max(one.lines for one in evidence.limits.possible(*decided_between(evidence, call)))
        if lines > allowed:
            yield Violation(Kind.TOO_MANY_LINES, f"{name_call(call)} is on line {lines} of {allowed}")


def find_too_many_lines_of_a_campaign(evidence: Evidence) -> Iterator[Violation]:
    for campaign in evidence.snapshot.campaigns:
        own = [call for call, attempt in known_calls(evidence) if attempt.campaign_id == campaign.id]
        for call, lines in count_lines(own):
            rules = evidence.rules[campaign.id].possible(*decided_between(evidence, call))
            limits = [one.max_concurrent_calls for one in rules]
            if all(limit is not None and lines > limit for limit in limits):
                text = f"{name_call(call)} is on line {lines} of campaign {campaign.id}, which may have {limits}"
                yield Violation(Kind.TOO_MANY_LINES, text)


def find_too_many_planned_starts(evidence: Evidence) -> Iterator[Violation]:
    """By the instants that pacing gave: they are exact, and count also for calls that never were sent."""
    attempts = sorted(evidence.snapshot.attempts, key=lambda attempt: attempt.start_at)

    def rate_between(first: int, last: int) -> float:
        claims = [attempt.claimed_at for attempt in attempts[first : last + 1]]
        return _largest_rate(evidence, min(claims), max(claims))

    instants = [attempt.start_at for attempt in attempts]
    for first, last, rate in find_too_soon(instants, _all_rates(evidence), rate_between):
        waited = instants[last] - instants[first]
        text = f"planned {waited} after the start that is {last - first} before it, at {rate} a second"
        yield Violation(Kind.TOO_MANY_STARTS, f"attempt {attempts[last].call_id}: {text}")


def find_too_many_arrivals(evidence: Evidence) -> Iterator[Violation]:
    calls = evidence.witness.calls
    for first, last, rate in find_arrivals_too_soon(evidence, jitter=ARRIVAL_JITTER):
        waited = calls[last].started_at - calls[first].started_at
        text = f"{name_call(calls[last])}: {waited} after the call that is {last - first} before it, at {rate} a second"
        yield Violation(Kind.TOO_MANY_STARTS, text)


def find_arrivals_too_soon(evidence: Evidence, *, jitter: timedelta) -> Iterator[tuple[int, int, float]]:
    """As find_too_soon() has them."""
    calls = evidence.witness.calls

    def rate_between(first: int, last: int) -> float:
        earliest, _ = decided_between(evidence, calls[first])
        return _largest_rate(evidence, earliest, calls[last].started_at + CLOCK_TOLERANCE)

    yield from find_too_soon([call.started_at for call in calls], _all_rates(evidence), rate_between, jitter=jitter)


def _all_rates(evidence: Evidence) -> list[float]:
    return [one.calls_per_second for one in evidence.limits.values]


def _largest_rate(evidence: Evidence, from_: datetime, to: datetime) -> float:
    return max(one.calls_per_second for one in evidence.limits.possible(from_, to))


# Never at the wrong time


def find_outside_window(evidence: Evidence) -> Iterator[Violation]:
    for call, attempt in known_calls(evidence):
        span = decided_between(evidence, call)
        rules = evidence.rules[attempt.campaign_id].possible(*span)
        people = evidence.people[attempt.contact_id].possible(*span)
        if not any(is_open(one, person.zones, call.started_at) for one in rules for person in people):
            text = f"{name_call(call)} in {people[-1].zone}, where the hours were {_describe_hours(rules[-1])}"
            yield Violation(Kind.OUTSIDE_WINDOW, text)


def find_do_not_call(evidence: Evidence) -> Iterator[Violation]:
    for call in evidence.witness.calls:
        history = evidence.do_not_call.get(call.to)
        if history and all(one.listed for one in history.possible(*withdrawable_between(evidence, call))):
            yield Violation(Kind.DO_NOT_CALL, f"{name_call(call)} went to {call.to}, which is on the list")


def find_rung_after_last_word(evidence: Evidence) -> Iterator[Violation]:
    """Who has refused or taken part is not rung again, and who wants no calls at all by no campaign."""
    done: dict[str, str] = {}
    for call, attempt in known_calls(evidence):
        for name in (attempt.contact_id, call.to):
            if said := done.get(name):
                yield Violation(Kind.AFTER_LAST_WORD, f"{name_call(call)} came after {call.to} had said {said}")
        if call.last_word in ("refuse", "opt_out") or (call.last_word and call.heard_to_end):
            done[attempt.contact_id] = call.last_word
        # Operators may have taken the number off the list again.
        if call.last_word == "opt_out" and call.to not in evidence.do_not_call:
            done[call.to] = call.last_word


def find_not_running(evidence: Evidence) -> Iterator[Violation]:
    for call, attempt in known_calls(evidence):
        history = evidence.statuses[attempt.campaign_id]
        statuses = [one.status for one in history.possible(*withdrawable_between(evidence, call))]
        if "running" not in statuses:
            yield Violation(
                Kind.NOT_RUNNING, f"{name_call(call)} of campaign {attempt.campaign_id}, which is {statuses}"
            )


def find_late(evidence: Evidence) -> Iterator[Violation]:
    for call, attempt in known_calls(evidence):
        deadline = min(attempt.send_before, attempt.claimed_at + timedelta(seconds=evidence.terms.send_deadline))
        held_up = call.started_at - deadline - stepped_before(evidence, call)
        if held_up > timedelta(seconds=evidence.terms.connect) + CLOCK_TOLERANCE:
            yield Violation(Kind.LATE, f"{name_call(call)} arrived {held_up} after its send deadline")


def find_order(evidence: Evidence) -> Iterator[Violation]:
    """The row is committed, and marked as being placed, before the network hears of the call."""
    for call, attempt in known_calls(evidence):
        arrival = call.started_at + CLOCK_TOLERANCE
        if attempt.claimed_at > arrival or attempt.started_at is None or attempt.started_at > arrival:
            text = f"its attempt was claimed at {attempt.claimed_at} and placed at {attempt.started_at}"
            yield Violation(Kind.ORDER, f"{name_call(call)}: {text}")


def _describe_hours(rules: CallingRules) -> str:
    hours = f"{rules.start}-{rules.end}" if rules.start else "all day"
    blocked = f" but for {', '.join(map(str, sorted(rules.blocked)))}" if rules.blocked else ""
    return f"{hours} on weekdays {sorted(rules.weekdays)}{blocked}"
