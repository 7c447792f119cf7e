"""The judgement on a demo: what the phone network saw, against what the product promises.

What was rung is taken from the network's ledger alone, and the calling hours are worked out here once more:
a fault in our tables or in our arithmetic must not hide itself.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, Q

from calls.models import Answer, CallAttempt, ProviderConfig
from calls.simulator import ledger
from calls.simulator.ledger import LedgerCall
from campaigns.models import Campaign
from contacts.models import CallOutcome, Contact, ContactState

Report = dict[str, Any]

MUST_BE_ZERO = (
    "duplicate_calls",
    "calls_outside_window",
    "do_not_call_calls",
    "calls_beyond_max_attempts",
    "calls_without_attempt",
    "calls_after_last_word",
    "lost_answers",
    "open_attempts",
    "unfinished_contacts",
)

# What is meant by the last word of somebody whom nothing more was asked after it.
_TAKES_PART = ("consent", "answer")
_SAYS_NO = ("refuse", "opt_out")
_OUTCOME_OF_STATUS = {
    "busy": CallOutcome.BUSY,
    "no-answer": CallOutcome.NO_ANSWER,
    "failed": CallOutcome.FAILED,
    "canceled": CallOutcome.FAILED,
}


@dataclass(frozen=True, kw_only=True)
class CallingRule:
    """What a campaign allows for one of its contacts; hours and ISO weekdays are local to all of the zones."""

    zones: tuple[str, ...]
    weekdays: frozenset[int]
    start: time | None
    end: time | None
    max_attempts: int

    def allows(self, moment: datetime) -> bool:
        return bool(self.zones) and all(self._allows_at(moment.astimezone(ZoneInfo(zone))) for zone in self.zones)

    def _allows_at(self, local: datetime) -> bool:
        is_hour = self.start is None or self.end is None or self.start <= local.time() < self.end
        return is_hour and local.isoweekday() in self.weekdays


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a judgement needs. ``rules`` has every number's, one for each campaign that it is in. Of the calls of
    ``erased_call_ids`` nobody knows any more whom they rang, so nobody can say what was allowed. ``stored_answers`` are
    what was pressed or said, each with the call_id of its call, and how often.

    ``open_attempts`` and ``unfinished_contacts`` are 0 for a demo that was interrupted: those are no fault.
    """

    calls: Sequence[LedgerCall]
    rules: Mapping[str, Sequence[CallingRule]]
    do_not_call: Collection[str]
    call_ids: Collection[str]
    stored_answers: Counter[tuple[str, str]]
    erased_call_ids: Collection[str]
    contacts_by_state: Mapping[str, int]
    open_attempts: int
    unfinished_contacts: int
    max_concurrent_calls: int
    calls_per_second: float
    seconds: float


def collect_evidence(
    campaign: Campaign,
    calls: Sequence[LedgerCall],
    *,
    do_not_call: Collection[str],
    seconds: float,
    was_interrupted: bool,
) -> Evidence:
    """Add to the network's calls what our tables allow, and how they say that it ended."""
    provider = ProviderConfig.objects.get()
    contacts = campaign.contacts.order_by()
    unfinished = contacts.filter(
        Q(state__in=[ContactState.PENDING, ContactState.IN_PROGRESS]) | Q(next_attempt_at__isnull=False)
    )
    return Evidence(
        calls=calls,
        rules=_read_rules(),
        do_not_call=do_not_call,
        call_ids=set(CallAttempt.objects.values_list("call_id", flat=True)),
        stored_answers=Counter(Answer.objects.values_list("attempt__call_id", "raw")),
        erased_call_ids=set(CallAttempt.objects.filter(phone_number=None).values_list("call_id", flat=True)),
        contacts_by_state=dict(contacts.values_list("state").annotate(Count("pk"))),
        open_attempts=0 if was_interrupted else CallAttempt.objects.open().count(),
        unfinished_contacts=0 if was_interrupted else unfinished.count(),
        max_concurrent_calls=provider.max_concurrent_calls,
        calls_per_second=provider.calls_per_second,
        seconds=seconds,
    )


def write_report(evidence: Evidence) -> Report:
    """The figures, and under broken_promises the names of those that must not be."""
    calls = evidence.calls
    known = [call for call in calls if call.call_id not in evidence.erased_call_ids]
    report = {
        "contacts": sum(evidence.contacts_by_state.values()),
        "contacts_by_state": dict(sorted(evidence.contacts_by_state.items())),
        "calls_placed": len(calls),
        "calls_of_erased_people": len(calls) - len(known),
        "outcomes": dict(sorted(Counter(_read_outcome(call) for call in calls).items())),
        "answers": sum(_count_answers(call).total() for call in calls),
        "completed_surveys": sum(call.last_word in _TAKES_PART for call in calls),
        "refused": sum(call.last_word in _SAYS_NO for call in calls),
        "duplicate_calls": len(ledger.find_duplicates(calls)),
        "calls_outside_window": len(ledger.calls_outside_window(known, lambda call: _is_allowed(call, evidence))),
        "do_not_call_calls": len(ledger.calls_to(calls, evidence.do_not_call)),
        "calls_beyond_max_attempts": _count_beyond_max_attempts(known, evidence.rules),
        "calls_without_attempt": sum(call.call_id not in evidence.call_ids for call in calls),
        "calls_after_last_word": _count_after_last_word(calls, evidence.rules),
        "lost_answers": sum((_count_answers(call) - evidence.stored_answers).total() for call in known),
        "open_attempts": evidence.open_attempts,
        "unfinished_contacts": evidence.unfinished_contacts,
        "peak_concurrent_calls": ledger.peak_concurrent(calls),
        "max_concurrent_calls": evidence.max_concurrent_calls,
        "peak_starts_per_second": ledger.peak_starts_per_second(calls),
        "calls_per_second": evidence.calls_per_second,
        "starts_per_second": round(ledger.calls_per_second(calls), 2),
        "seconds": round(evidence.seconds, 1),
    }
    return report | {"broken_promises": find_broken_promises(report)}


def find_broken_promises(report: Report) -> list[str]:
    """The names of the figures that are higher than they may be."""
    broken = [name for name in MUST_BE_ZERO if report[name]]
    if report["peak_concurrent_calls"] > report["max_concurrent_calls"]:
        broken.append("peak_concurrent_calls")
    # At less than one call a second there is still one in the second in which it starts.
    if report["peak_starts_per_second"] > math.ceil(report["calls_per_second"]):
        broken.append("peak_starts_per_second")
    return broken


def _read_rules() -> dict[str, list[CallingRule]]:
    rules: dict[str, list[CallingRule]] = {}
    for contact in Contact.objects.select_related("campaign"):
        campaign = contact.campaign
        rule = CallingRule(
            zones=tuple((contact.calling_zone or campaign.time_zone).split()),
            weekdays=frozenset(campaign.weekdays),
            start=campaign.allowed_call_start,
            end=campaign.allowed_call_end,
            max_attempts=campaign.max_attempts,
        )
        rules.setdefault(contact.phone_number, []).append(rule)
    return rules


def _is_allowed(call: LedgerCall, evidence: Evidence) -> bool:
    """A number that is nobody's may never be rung."""
    return any(rule.allows(call.started_at) for rule in evidence.rules.get(call.to, ()))


def _count_beyond_max_attempts(calls: Sequence[LedgerCall], rules: Mapping[str, Sequence[CallingRule]]) -> int:
    rung = Counter(call.to for call in calls)
    allowed = {number: sum(rule.max_attempts for rule in own) for number, own in rules.items()}
    return sum(max(0, times - allowed.get(number, 0)) for number, times in rung.items())


def _count_answers(call: LedgerCall) -> Counter[tuple[str, str]]:
    """What the person answered and was told to have answered, with the call's id; a key may answer two questions."""
    return Counter((call.call_id, one.digits or one.speech) for one in call.answers)


def _count_after_last_word(calls: Sequence[LedgerCall], rules: Mapping[str, Sequence[CallingRule]]) -> int:
    """Calls to people who had refused or taken part to the end; who is in several campaigns is not judged."""
    done: set[str] = set()
    late = 0
    for call in calls:
        late += call.to in done
        if call.last_word in _TAKES_PART + _SAYS_NO and len(rules.get(call.to, ())) == 1:
            done.add(call.to)
    return late


def _read_outcome(call: LedgerCall) -> str:
    """In our words: to the network every call that was connected is "completed"."""
    if call.status is None:
        return "open"
    if call.last_word in _TAKES_PART:
        return CallOutcome.COMPLETED.value
    if call.last_word in _SAYS_NO:
        return CallOutcome.REFUSED.value
    return CallOutcome.NO_ANSWER.value if call.status == "completed" else _OUTCOME_OF_STATUS[call.status].value
