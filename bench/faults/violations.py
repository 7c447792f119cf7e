"""What may be wrong with a run, by name."""

from dataclasses import dataclass
from enum import StrEnum

from calls.simulator.ledger import LedgerCall


class Kind(StrEnum):
    RUNG_TWICE_AT_ONCE = "rung_twice_at_once"
    ATTEMPT_RUNG_TWICE = "attempt_rung_twice"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    TOO_MANY_LINES = "too_many_lines"
    TOO_MANY_STARTS = "too_many_starts"
    OUTSIDE_WINDOW = "outside_window"
    DO_NOT_CALL = "do_not_call"
    NOT_RUNNING = "not_running"
    LATE = "late"
    UNKNOWN_CALL = "unknown_call"
    GIVEN_BACK_BUT_RANG = "given_back_but_rang"
    WRONG_OUTCOME = "wrong_outcome"
    WRONG_CONTACT_STATE = "wrong_contact_state"
    STUCK = "stuck"
    LOST = "lost"
    RETRY_TOO_SOON = "retry_too_soon"
    ORDER = "order"
    LOST_ANSWER = "lost_answer"
    WRONG_ANSWER = "wrong_answer"
    NOT_LISTED = "not_listed"
    AFTER_LAST_WORD = "after_last_word"


@dataclass(frozen=True)
class Violation:
    kind: Kind
    text: str


def name_call(call: LedgerCall) -> str:
    return f"call {call.sid} ({call.call_id}) at {call.started_at}"
