"""The ledger of the simulated phone network: the independent witness of what was rung, and when.

One JSON object a line. Each has `at` (UTC, ISO 8601 with microseconds; of requests the arrival) and `kind`:

- request: method, path, to, from, answer (HTTP status, or "closed" without an answer), fault, sid, call_id
- call, ringing, answered: sid, to, from, call_id; `at` of a call is the arrival of the POST that placed it; of one that
  was answered also by (person or machine)
- ended: the same with status and heard_to_end, which no machine does
- recorded, what was said to a machine from its tone on: sid, to, from, call_id, words (up to 200 characters)
- callback: sid, to, from, call_id, event, status, sequence, attempt, answer (HTTP status or an error), fault
- twiml: sid, to, from, call_id, answer (HTTP status or an error)
- gathered, one a prompt: sid, to, from, call_id, asked (its words, up to 200 characters), question (its number in the
  call as the person counts, 0 for consent), meant (what the person was up to, `answering.Meaning`; null if the call
  ended first), digits or speech with confidence as they were posted (else null), answer (HTTP status or an error of
  what was posted to; null if nothing was); `at` is the moment of posting

Lines are in the order of writing: a request is written when it was answered, but tells of its arrival.
Credentials never get in here, and neither do the URLs, which may carry some.
"""

import json
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

from .answering import LEAST_CONFIDENCE

Line = dict[str, Any]

ONE_SECOND = timedelta(seconds=1)
NOT_ENDED = datetime.max.replace(tzinfo=UTC)


class Ledger:
    """Appends lines to a file, each with one write, so that a kill leaves a clean prefix."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._drop_torn_tail(path)

    def write(self, kind: str, at: datetime, **facts: Any) -> None:
        """Append one line."""
        line = {"at": at.astimezone(UTC).isoformat(timespec="microseconds"), "kind": kind, **facts}
        os.write(self._file, json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file; lines that come later raise OSError."""
        os.close(self._file)

    def _drop_torn_tail(self, path: Path) -> None:
        """Cut off a last line that a full disk left unfinished: the next one would be glued to it."""
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.ftruncate(self._file, content.rfind(b"\n") + 1)


def read_ledger(path: Path) -> list[Line]:
    """Return the lines of a ledger, without one at the end that is still being written; no file, no lines."""
    if not path.exists():
        return []
    *lines, _unfinished = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines]


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """What came of one prompt: what the person meant by it, what was understood of that, and how the client answered.

    `meant` is None for somebody who had hung up by then, `answer` the status of the response or what went wrong.
    """

    meant: str | None
    digits: str | None = None
    speech: str | None = None
    confidence: float | None = None
    answer: int | str | None = None

    @property
    def is_clear(self) -> bool:
        """Whether what was meant got through as it was."""
        return bool(self.digits) or (self.confidence or 0) > LEAST_CONFIDENCE

    @property
    def is_acknowledged(self) -> bool:
        """Whether it did, and the client has said that it has it."""
        return self.is_clear and self.answer == 200


@dataclass(frozen=True, kw_only=True)
class LedgerCall:
    """One call as the network saw it; what has not happened (yet) is None."""

    sid: str
    to: str
    from_: str
    call_id: str | None
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    status: str | None = None
    heard_to_end: bool = False
    gathered: tuple[Gathering, ...] = ()

    @property
    def answers(self) -> Sequence[Gathering]:
        """To the questions, as far as they got through and the client has acknowledged them."""
        return [one for one in self.gathered if one.meant == "answer" and one.is_acknowledged]

    @property
    def last_word(self) -> str | None:
        """What the person has decided, as far as the client has acknowledged it.

        A no stands, whatever is asked after it; consent and an answer do, if nothing is.
        """
        acknowledged = [one.meant for one in self.gathered if one.is_acknowledged]
        if no := next((meant for meant in acknowledged if meant in ("refuse", "opt_out")), None):
            return no
        last = self.gathered[-1] if self.gathered else None
        return last.meant if last and last.is_acknowledged and last.meant in ("consent", "answer") else None


def calls_from(lines: Iterable[Line]) -> list[LedgerCall]:
    """Return every call of the ledger, in the order of their starts."""
    calls: dict[str, LedgerCall] = {}
    for line in lines:
        match line["kind"]:
            case "call":
                calls[line["sid"]] = LedgerCall(
                    sid=line["sid"],
                    to=line["to"],
                    from_=line["from"],
                    call_id=line["call_id"],
                    started_at=_moment_of(line),
                )
            case "answered":
                calls[line["sid"]] = replace(calls[line["sid"]], answered_at=_moment_of(line))
            case "gathered":
                call = calls[line["sid"]]
                gathering = Gathering(**{field.name: line[field.name] for field in fields(Gathering)})
                calls[line["sid"]] = replace(call, gathered=(*call.gathered, gathering))
            case "ended":
                calls[line["sid"]] = replace(
                    calls[line["sid"]],
                    ended_at=_moment_of(line),
                    status=line["status"],
                    heard_to_end=line["heard_to_end"],
                )
    return sorted(calls.values(), key=attrgetter("started_at"))


def outcomes(calls: Iterable[LedgerCall]) -> Counter[str]:
    """Count calls by their final status; calls that are not ended count as "open"."""
    return Counter(call.status or "open" for call in calls)


def find_duplicates(calls: Iterable[LedgerCall]) -> list[tuple[LedgerCall, LedgerCall]]:
    """Return pairs (earlier, later) that must not be: a call_id used twice, or a number rung while on a call.

    A call may start at the very moment at which the one before it ended.
    """
    in_order = sorted(calls, key=attrgetter("started_at"))
    return _find_repeated_ids(in_order) + _find_overlaps(in_order)


def peak_concurrent(calls: Collection[LedgerCall]) -> int:
    """Return how many calls were open at once at most; a call is open in [started, ended)."""
    changes = [(call.started_at, 1) for call in calls] + [(_end_of(call), -1) for call in calls]
    open_now = peak = 0
    for _at, change in sorted(changes):  # of one moment, ends sort before starts
        open_now += change
        peak = max(peak, open_now)
    return peak


def peak_starts_per_second(calls: Iterable[LedgerCall]) -> int:
    """Return how many calls started at most within any second, wherever it begins: [t, t + 1 s)."""
    starts = sorted(call.started_at for call in calls)
    return max((bisect_left(starts, start + ONE_SECOND) - i for i, start in enumerate(starts)), default=0)


def calls_per_second(calls: Collection[LedgerCall]) -> float:
    """Return starts per second from the first start to the last end (or start); 0.0 if that is no time."""
    if not calls:
        return 0.0
    first = min(call.started_at for call in calls)
    last = max(call.ended_at or call.started_at for call in calls)
    span = (last - first).total_seconds()
    return len(calls) / span if span else 0.0


def calls_outside_window(calls: Iterable[LedgerCall], is_allowed: Callable[[LedgerCall], bool]) -> list[LedgerCall]:
    """Return the calls that `is_allowed` says no to."""
    return [call for call in calls if not is_allowed(call)]


def calls_to(calls: Iterable[LedgerCall], numbers: Collection[str]) -> list[LedgerCall]:
    """Return the calls to any of these numbers."""
    wanted = frozenset(numbers)
    return [call for call in calls if call.to in wanted]


def _moment_of(line: Line) -> datetime:
    return datetime.fromisoformat(line["at"])


def _end_of(call: LedgerCall) -> datetime:
    return call.ended_at or NOT_ENDED


def _find_repeated_ids(in_order: list[LedgerCall]) -> list[tuple[LedgerCall, LedgerCall]]:
    first_with: dict[str, LedgerCall] = {}
    pairs = []
    for call in in_order:
        if call.call_id is None:
            continue
        first = first_with.setdefault(call.call_id, call)
        if first is not call:
            pairs.append((first, call))
    return pairs


def _find_overlaps(in_order: list[LedgerCall]) -> list[tuple[LedgerCall, LedgerCall]]:
    pairs = []
    last_to_end: dict[str, LedgerCall] = {}
    for call in in_order:
        earlier = last_to_end.setdefault(call.to, call)
        if earlier is not call and call.started_at < _end_of(earlier):
            pairs.append((earlier, call))
        last_to_end[call.to] = max(earlier, call, key=_end_of)
    return pairs
