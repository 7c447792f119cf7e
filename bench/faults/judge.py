"""The judgement on a run with faults: what the network saw and what the tables say, against the promises.

Everything is worked out here once more. Nothing of what is judged is imported but the reader of the ledger, the
independent witness.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.faults import aftermath, calling
from bench.faults.evidence import Evidence
from bench.faults.figures import measure
from bench.faults.violations import Violation

CHECKS: Sequence[Callable[[Evidence], Iterator[Violation]]] = (
    calling.find_rung_twice_at_once,
    calling.find_attempts_rung_twice,
    calling.find_too_many_attempts,
    calling.find_retries_too_soon,
    calling.find_too_many_lines,
    calling.find_too_many_lines_of_a_campaign,
    calling.find_too_many_planned_starts,
    calling.find_too_many_arrivals,
    calling.find_outside_window,
    calling.find_do_not_call,
    calling.find_rung_after_last_word,
    calling.find_not_running,
    calling.find_late,
    calling.find_order,
    aftermath.find_unknown_calls,
    aftermath.find_given_back_but_rang,
    aftermath.find_wrong_outcomes,
    aftermath.find_lost_answers,
    aftermath.find_wrong_answers,
    aftermath.find_not_listed,
    aftermath.find_wrong_contact_states,
    aftermath.find_stuck_calls,
    aftermath.find_stuck_contacts,
    aftermath.find_lost_contacts,
    aftermath.find_contacts_of_completed_campaigns,
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    violations: Sequence[Violation]
    figures: dict[str, Any]

    @property
    def by_kind(self) -> dict[str, int]:
        """How many there are of each kind that there is."""
        return dict(sorted(Counter(violation.kind.value for violation in self.violations).items()))


def judge(evidence: Evidence) -> Verdict:
    """Raises EvidenceError when the operators' log says too little for a judgement."""
    violations = [violation for check in CHECKS for violation in check(evidence)]
    return Verdict(violations=violations, figures=measure(evidence))
