"""The state of the simulated phone network: its settings, its calls, its people, and what it is doing now."""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from .faults import FaultBox
from .ledger import Ledger
from .orders import CallOrder
from .people import Person, person_for, person_told_to
from .signing import SignedSender

API_VERSION = "2010-04-01"
ENDED_STATUSES = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """How a network is set up.

    `speed` divides every duration of the simulated world (ringing, talking, limits); rates, the seconds of
    faults and HTTP time-outs are of the real clock.
    """

    account_sid: str
    auth_token: str = field(repr=False)
    ledger_path: Path
    api_key_sid: str = ""
    api_key_secret: str = field(default="", repr=False)
    seed: int = 1
    speed: float = 1.0
    behaviours: Mapping[str, str] = field(default_factory=dict)
    refused_callers: frozenset[str] = frozenset()
    calls_per_second: float | None = None
    """Calls above this rate are queued by the provider; None dials all at once."""
    lookup_lag: float = 0.0
    """Seconds before a new call appears in the list of calls."""
    uuid_sids: bool = False
    """Calls are named like those of SignalWire, instead of CA and 32 digits."""
    callback_base_url: str | None = None
    least_time_limit: int = 0
    least_ring_timeout: int = 0
    """Seconds for which a talk may go on, and a phone rings, whatever the order says: a client counts in seconds of its
    own, of which there are fewer when the network's time runs faster."""


@dataclass(kw_only=True, eq=False)
class Call:
    """One call and how far it has come."""

    order: CallOrder
    person: Person
    created_at: datetime
    sid: str
    status: str = "queued"
    is_dialled: bool = False
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    answered_by: str | None = None
    """As Twilio says it, once that is known and if the order wants it known."""
    ended_at: datetime | None = None
    # For durations: seconds of a clock that nobody sets.
    created_steady: float = field(default_factory=time.monotonic)
    answered_steady: float | None = None
    ended_steady: float | None = None
    life: asyncio.Task[None] | None = None
    callbacks: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    callbacks_sent: int = 0
    has_rung: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED_STATUSES

    @property
    def facts(self) -> dict[str, str | None]:
        """What every line of the ledger says about this call."""
        order = self.order
        return {"sid": self.sid, "to": order.to, "from": order.from_, "call_id": order.call_id}


class PhoneNetwork:
    """All calls of one running network. Lives on one event loop; nothing of it is thread-safe."""

    def __init__(self, settings: NetworkSettings, ledger: Ledger, sender: SignedSender) -> None:
        self.settings = settings
        self.ledger = ledger
        self.sender = sender
        self.faults = FaultBox()
        self.clock_offset = timedelta(0)
        self.close_doors: Callable[[float], Coroutine[Any, Any, None]] | None = None
        """Refuse connections for so many seconds; None while the server is not listening, or is closed already."""
        self.seed = settings.seed
        self.behaviours = dict(settings.behaviours)
        self.calls: dict[str, Call] = {}
        self.calls_by_number: defaultdict[str, list[Call]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_dial_at = 0.0

    def register_call(self, order: CallOrder, arrived_at: datetime) -> Call:
        """Return a new queued call, on record in the ledger."""
        earlier = self.calls_by_number[order.to]
        sid = str(uuid4()) if self.settings.uuid_sids else f"CA{secrets.token_hex(16)}"
        call = Call(order=order, person=self._find_person(order.to, len(earlier)), created_at=arrived_at, sid=sid)
        self.calls[call.sid] = call
        earlier.append(call)
        self.ledger.write("call", arrived_at, **call.facts)
        return call

    def forget_calls(self) -> None:
        """Of calls that have ended nothing is left but the ledger; who is rung next is rung for the first time."""
        self.calls = {sid: call for sid, call in self.calls.items() if not call.is_ended}
        self.calls_by_number.clear()
        for call in self.calls.values():
            self.calls_by_number[call.order.to].append(call)

    def reserve_dial_delay(self) -> float:
        """Take the next place in the provider's queue; return the real seconds until it is dialled."""
        rate = self.settings.calls_per_second
        if rate is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        dial_at = max(now, self._next_dial_at)
        self._next_dial_at = dial_at + 1 / rate
        return dial_at - now

    def read_clock(self) -> datetime:
        """Return now, in UTC, by the network's clock, which may have been set differently from the machine's."""
        return datetime.now(UTC) + self.clock_offset

    async def pass_time(self, seconds: float) -> None:
        """Wait for `seconds` of the simulated world."""
        await asyncio.sleep(seconds / self.settings.speed)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside everything else, until it is done or the network stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the event loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Drop everything at once."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _find_person(self, number: str, call_index: int) -> Person:
        seed = self.seed
        behaviour = self.behaviours.get(number)
        if behaviour is None:
            return person_for(seed, number, call_index)
        return person_told_to(behaviour, seed, number, call_index)
