"""Faults on request: what the simulated provider does wrong, to whom and how often.

PURE: a box of faults that the server asks before it starts a call, sends a callback or answers a look-up.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

START_FAULTS = frozenset(
    {
        "reset",  # the socket is closed without an answer, no call
        "reset_after_placing",  # the call is placed, then the socket is closed
        "rate_limited",  # 429 / 20429, no call
        "server_error",  # 500 / 20500, no call
        "server_error_after_placing",  # 500 / 20500, and the call is placed
        "hang",  # silence for `seconds`, then the socket is closed; no call
        "hang_after_placing",  # the same, and the call is placed at once
        "slow",  # the call is placed at once, the right answer comes after `seconds`
        "wrong_json",  # 201 with garbage, and the call is placed
        "unauthorized",  # 401 / 20003, no call
        "refuse",  # 400 with the error code `code`, no call
        "same_sid",  # the call is placed, and answered with the sid of the latest call that is over, if any is
        "callback_before_response",  # callbacks up to ringing (busy, failed: all) come first
    }
)
CALL_FAULTS = frozenset({"callback_reordered"})  # a call's callbacks wait for its end and go out backwards
CALLBACK_FAULTS = frozenset(
    {
        "callback_lost",  # never sent
        "callback_doubled",  # sent twice, with the same sequence number
        "callback_late",  # sent after `seconds`, overtaken by those that follow it
    }
)
LIST_FAULTS = frozenset({"lookup_lag"})  # calls younger than `seconds` are missing from the list of calls
LOOKUP_FAULTS = frozenset({"lookup_error"})  # 500 / 20500 for a look-up by sid and for the list
FAULT_KINDS = START_FAULTS | CALL_FAULTS | CALLBACK_FAULTS | LIST_FAULTS | LOOKUP_FAULTS

DEFAULT_SECONDS = {"hang": 30.0, "hang_after_placing": 30.0}
DEFAULT_REFUSAL = 21211


@dataclass(kw_only=True)
class Fault:
    """One thing that goes wrong `count` times (None: until cleared), for one number or for all.

    `seconds` are seconds of the real clock, whatever the speed of the network: faults meet the client's real
    time-outs. What is counted is a POST for START_FAULTS, a call for CALL_FAULTS, a GET for look-ups, and for
    CALLBACK_FAULTS a callback: any, or only those of `event` (initiated, ringing, answered, completed).
    """

    kind: str
    count: int | None = 1
    to: str | None = None
    seconds: float = 5.0
    code: int = DEFAULT_REFUSAL
    event: str | None = None


class FaultError(ValueError):
    """The description of a fault makes no sense."""


def read_fault(description: Mapping[str, Any]) -> Fault:
    """Return the fault that a JSON object describes; raises FaultError and says why."""
    kind = description.get("kind")
    if kind not in FAULT_KINDS:
        raise FaultError(f"unknown fault {kind!r}: expected one of {', '.join(sorted(FAULT_KINDS))}")
    unknown = sorted(set(description) - {"kind", "count", "to", "seconds", "code", "event"})
    if unknown:
        raise FaultError(f"a fault has no {', '.join(unknown)}")
    count = description.get("count", 1)
    if count is not None and (not isinstance(count, int) or count < 1):
        raise FaultError("count must be a positive whole number, or null for ever")
    try:
        seconds = float(description.get("seconds", DEFAULT_SECONDS.get(kind, 5.0)))
        code = int(description.get("code", DEFAULT_REFUSAL))
    except (TypeError, ValueError) as exc:
        raise FaultError("seconds and code must be numbers") from exc
    return Fault(
        kind=kind,
        count=count,
        to=description.get("to"),
        seconds=seconds,
        code=code,
        event=description.get("event"),
    )


class FaultBox:
    """The faults that are waiting to happen, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def inject(self, fault: Fault) -> None:
        """Add a fault behind those that wait already."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Forget every fault."""
        self._faults.clear()

    def list_faults(self) -> list[dict[str, Any]]:
        """Return the waiting faults with the counts that are left."""
        return [asdict(fault) for fault in self._faults]

    def take(self, kinds: frozenset[str], *, to: str | None, event: str | None = None) -> Fault | None:
        """Return the oldest matching fault, used up by one, or None if all goes well."""
        for fault in self._faults:
            matches = fault.kind in kinds and fault.to in (None, to) and fault.event in (None, event)
            if not matches:
                continue
            if fault.count is not None:
                fault.count -= 1
                if fault.count == 0:
                    self._faults.remove(fault)
            return fault
        return None
