"""What the judge goes by: the network's ledger, the operators' log, and the tables after the run."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from bench.faults.history import EvidenceError, History, Setting
from bench.faults.tables import AttemptRow, ContactRow, Snapshot, read_snapshot_from
from bench.faults.zones import LAWS
from calls.simulator.ledger import LedgerCall, Line, calls_from, read_ledger

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the run was configured with, in seconds of the injected clock.

    ``send_deadline`` is CALL_SEND_DEADLINE_SECONDS; ``longest_call`` is CALL_QUEUE, CALL_RING_TIMEOUT and
    CALL_TIME_LIMIT together; ``connect`` is how long a request may be on its way to the network.
    """

    send_deadline: float
    longest_call: float
    connect: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Terms":
        """By the names of the settings."""
        longest = ("CALL_QUEUE_SECONDS", "CALL_RING_TIMEOUT_SECONDS", "CALL_TIME_LIMIT_SECONDS")
        return cls(
            send_deadline=float(environment["CALL_SEND_DEADLINE_SECONDS"]),
            longest_call=sum(float(environment[name]) for name in longest),
            connect=float(environment["TWILIO_CONNECT_TIMEOUT_SECONDS"]),
        )


# The operators' log: each class is one kind of line, with the values that hold from then on.


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The provider's lines and rate."""

    what: ClassVar = "limits"
    lines: int
    calls_per_second: float


@dataclass(frozen=True, kw_only=True)
class CampaignStatus:
    """What an operator has set; the schedulers complete campaigns without telling."""

    what: ClassVar = "campaign"
    campaign: str
    status: str


@dataclass(frozen=True, kw_only=True)
class CallingRules:
    """A campaign's: no hours are all day, weekdays are ISO, None for its own lines is no limit."""

    what: ClassVar = "rules"
    campaign: str
    start: time | None
    end: time | None
    weekdays: frozenset[int]
    blocked: frozenset[date]
    max_attempts: int
    retry_seconds: float
    max_concurrent_calls: int | None


@dataclass(frozen=True, kw_only=True)
class DoNotCall:
    """A number came onto the list, or off it. Without a line it never was on it.

    ``bare``: straight into the table, by somebody who knows nothing of contacts. Whoever would ring the number next
    finds it there; until then its contacts are as they were.
    """

    what: ClassVar = "do_not_call"
    phone_number: str
    listed: bool
    bare: bool = False


@dataclass(frozen=True, kw_only=True)
class Person:
    """A contact was added or given another number or zone; ``zone`` may be several, separated by spaces."""

    what: ClassVar = "contact"
    contact: str
    campaign: str
    phone_number: str
    zone: str

    def __post_init__(self) -> None:
        if not self.zone or not set(self.zone.split()) <= set(LAWS):
            raise EvidenceError(f"contact {self.contact}: its zone is {self.zone!r}, of which no law is known")

    @property
    def zones(self) -> Sequence[str]:
        return self.zone.split()


@dataclass(frozen=True, kw_only=True)
class ClockStep:
    """The injected clock was put forward. Never back: instants would not tell any more what came first."""

    what: ClassVar = "clock_step"
    seconds: float

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise EvidenceError(f"the clock was stepped by {self.seconds} s; only steps forward can be judged")


Change = Limits | CampaignStatus | CallingRules | DoNotCall | Person | ClockStep
_KINDS = {kind.what: kind for kind in (Limits, CampaignStatus, CallingRules, DoNotCall, Person, ClockStep)}


class OperatorLog:
    """Appends what operators did to a file of JSON lines, each with one write."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, change: Change, *, from_: datetime, to: datetime | None) -> None:
        """Instants by the database's clock, just before the transaction and just after its commit.

        ``to`` is None when nobody knows whether it was committed.
        """
        line = {"from": _write_instant(from_), "to": to and _write_instant(to), "what": change.what}
        line |= {one.name: _write_value(getattr(change, one.name)) for one in fields(change)}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read_operator_log(path: Path) -> list[Setting[Change]]:
    """In the order of writing. Raises EvidenceError for a line without sense."""
    log = []
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        try:
            log.append(_read_setting(json.loads(text)))
        except (ValueError, KeyError, TypeError) as exc:
            raise EvidenceError(f"{path.name}, line {number}: {exc!r}") from exc
    return log


def _read_setting(line: dict[str, Any]) -> Setting[Change]:
    kind = _KINDS[line.pop("what")]
    from_, to = _read_instant(line.pop("from")), line.pop("to")
    if kind is CallingRules:
        hours = {name: line[name] and time.fromisoformat(line[name]) for name in ("start", "end")}
        blocked = frozenset(map(date.fromisoformat, line["blocked"]))
        line |= hours | {"weekdays": frozenset(line["weekdays"]), "blocked": blocked}
    return Setting(from_=from_, to=to and _read_instant(to), value=kind(**line))


def _write_value(value: Any) -> Any:
    if isinstance(value, time):
        return value.isoformat("auto" if value.second or value.microsecond else "minutes")
    if isinstance(value, frozenset):
        return sorted(one.isoformat() if isinstance(one, date) else one for one in value)
    return value


def _write_instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def _read_instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return instant


# All of it


@dataclass(frozen=True, kw_only=True)
class Witness:
    """What the network saw, calls in the order of their starts; ``rang`` goes by their sid."""

    calls: Sequence[LedgerCall]
    rang: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()  # numbers that the network has refused to ring


def read_witness(lines: Sequence[Line]) -> Witness:
    """From the ledger, or from that part of it that is the run's."""
    orders = [line for line in lines if line["kind"] == "request" and _is_order(line)]
    return Witness(
        calls=calls_from(lines),
        rang=frozenset(line["sid"] for line in lines if line["kind"] in ("ringing", "answered")),
        refused=frozenset(line["to"] for line in orders if line["answer"] == 400),
    )


def _is_order(line: Line) -> bool:
    """Whether the request was for a new call; others end one."""
    return line["method"] == "POST" and line["path"].endswith("/Calls.json")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a judgement needs, and where to find what in it."""

    witness: Witness
    snapshot: Snapshot
    log: Sequence[Setting[Change]]
    terms: Terms

    @cached_property
    def attempts(self) -> Mapping[str | None, AttemptRow]:
        """By call_id."""
        return {attempt.call_id: attempt for attempt in self.snapshot.attempts}

    @cached_property
    def contacts(self) -> Mapping[str, ContactRow]:
        """By id."""
        return {contact.id: contact for contact in self.snapshot.contacts}

    @cached_property
    def attempts_of(self) -> Mapping[str, list[AttemptRow]]:
        """By contact, in the order of their claims."""
        return _group(self.snapshot.attempts, lambda attempt: attempt.contact_id)

    @cached_property
    def calls_of(self) -> Mapping[str | None, list[LedgerCall]]:
        """By call_id, in the order of their starts."""
        return _group(self.witness.calls, lambda call: call.call_id)

    @cached_property
    def limits(self) -> History[Limits]:
        return History("the provider's limits", self.changes(Limits))

    @cached_property
    def statuses(self) -> Mapping[str, History[CampaignStatus]]:
        return self._histories(CampaignStatus, "campaign")

    @cached_property
    def rules(self) -> Mapping[str, History[CallingRules]]:
        return self._histories(CallingRules, "campaign")

    @cached_property
    def people(self) -> Mapping[str, History[Person]]:
        return self._histories(Person, "contact")

    @cached_property
    def do_not_call(self) -> Mapping[str, History[DoNotCall]]:
        """Of the numbers that were on the list at some time; the others are not in it."""
        groups = _group(self.changes(DoNotCall), lambda setting: setting.value.phone_number)
        return {
            number: History(f"{number} on the list", settings, initially=DoNotCall(phone_number=number, listed=False))
            for number, settings in groups.items()
        }

    @cached_property
    def clock_steps(self) -> Sequence[Setting[ClockStep]]:
        return self.changes(ClockStep)

    def changes(self, kind: type[Change]) -> list[Setting[Any]]:
        return [setting for setting in self.log if isinstance(setting.value, kind)]

    def _histories(self, kind: type[Change], key: str) -> Mapping[str, History[Any]]:
        groups = _group(self.changes(kind), lambda setting: getattr(setting.value, key))
        return _OnRecord({name: History(f"{kind.what} of {name}", group) for name, group in groups.items()})


class _OnRecord(dict[str, History[Any]]):
    """Raises EvidenceError for what the operators' log never names."""

    def __missing__(self, name: str) -> History[Any]:
        raise EvidenceError(f"the operators' log never names {name}")


def read_evidence(*, ledger: Path, operator_log: Path, dsn: str, terms: Terms) -> Evidence:
    """The ledger comes first: whatever is in it by then has its row in the tables that are read after it."""
    witness = read_witness(read_ledger(ledger))
    return Evidence(witness=witness, snapshot=read_snapshot_from(dsn), log=read_operator_log(operator_log), terms=terms)


def _group(items: Sequence[Item], key: Callable[[Item], Any]) -> Mapping[Any, list[Item]]:
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
