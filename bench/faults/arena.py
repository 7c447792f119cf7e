"""Where a plan is carried out: the product's processes, what happens to them, and the quiet afterwards."""

import contextlib
import heapq
import itertools
import json
import math
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import requests

from bench.faults.evidence import Evidence
from bench.faults.plan import MOST_BACKENDS, PROCESSES, SCHEDULERS
from bench.faults.reckoning import stepped_between
from bench.world import DATABASE, PATIENT, ROOT, SHORT_CALLS, World
from calls.demo.processes import Child

SPEED = 16.0
TICK_SECONDS = 0.02
RESTART_SECONDS = 0.2
STOP_SECONDS = 20.0
STACKS_SECONDS = 1.0
OUTAGE_MARGIN_SECONDS = 0.5

ENVIRONMENT = {
    **SHORT_CALLS,
    "SCHEDULER_INTERVAL_SECONDS": "2",
    "QCLUSTER_WORKERS": "2",
    "LOG_FORMAT": "json",
    "PYTHONFAULTHANDLER": "1",  # at SIGABRT it shows its stacks
}
POSTGRES_OPTIONS = {"max_connections": str(MOST_BACKENDS)}

# The clock that all schedulers go by is so far ahead of the machine's: found before the server's own function.
CLOCK = f"""
    CREATE SCHEMA shifted;
    CREATE TABLE shifted.clock (ahead interval NOT NULL);
    INSERT INTO shifted.clock VALUES ('0');
    CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        'SELECT pg_catalog.clock_timestamp() + ahead FROM shifted.clock';
    CREATE FUNCTION shifted.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
        'SELECT pg_catalog.statement_timestamp() + ahead FROM shifted.clock';
    ALTER DATABASE {DATABASE} SET search_path = shifted, pg_catalog, public;
"""


class ArenaError(Exception):
    """A process does not do what any process does; the run says nothing about the promises."""


class Arena:
    """Its processes are kept from run to run; whoever was ended is started again."""

    def __init__(self, directory: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        self.directory = directory
        self.world = World(
            directory,
            environment=ENVIRONMENT | {"FAULTS_TRAPS": str(directory / "traps")},
            postgres_options=POSTGRES_OPTIONS,
        )
        self.ahead = timedelta(0)
        self.traps_set: Counter[str] = Counter()
        self.traps_sprung: Counter[str] = Counter()
        self._traps = directory / "traps"
        self._children: dict[str, Child | None] = {}
        self._terminated: dict[Child, float] = {}
        self._killed_parents: list[Child] = []
        self._start_numbers = itertools.count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._agenda_numbers = itertools.count()
        self._timers: list[threading.Timer] = []
        self._crowd: list[Any] = []
        self._is_database_down = False
        self._database_lock = threading.Lock()
        self._outage_ends = 0.0
        self._blows: list[datetime] = []

    def __enter__(self) -> "Arena":
        self._traps.mkdir()
        self.world.__enter__()
        try:
            from django.db import connection

            self.world.postgres.execute(CLOCK, DATABASE)
            connection.close()  # the next one has the new search_path
            self.world.start_network(speed=SPEED, **PATIENT)
            for name in PROCESSES:
                self._start(name)
        except BaseException:
            self.world.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._cancel_timers()  # one of them might start the database again
        self._wake_all()
        self._disperse_crowd()
        self.world.__exit__(*exc_info)

    # Time

    def set_clock(self, instant: datetime) -> None:
        """The database's and the phone network's clocks go on from there."""
        self.ahead = instant - datetime.now(UTC)
        with contextlib.closing(self.world.postgres.connect(DATABASE)) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE shifted.clock SET ahead = %s", [self.ahead])
        self.world.control_network("POST", "clock", {"offset_seconds": self.ahead.total_seconds()})

    def now(self) -> datetime:
        """By the clock of the database, without asking it."""
        return datetime.now(UTC) + self.ahead

    def do_at(self, instant: float, deed: Callable[[], None]) -> None:
        """``instant`` by time.monotonic()."""
        heapq.heappush(self._agenda, (instant, next(self._agenda_numbers), deed))

    def do_in(self, seconds: float, deed: Callable[[], None]) -> None:
        self.do_at(time.monotonic() + seconds, deed)

    def tick(self) -> None:
        """Do what is due, see what has happened, and rest for a moment."""
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            heapq.heappop(self._agenda)[2]()
        self._look_at_traps()
        self._replace_the_dead()
        time.sleep(TICK_SECONDS)

    @property
    def is_idle(self) -> bool:
        """Nothing is left to be done."""
        return not self._agenda

    def begin(self) -> None:
        """A run; nothing is left to be done of one that was broken off."""
        self._agenda.clear()
        self._cancel_timers()
        self._blows.clear()
        time.sleep(max(0.0, self._outage_ends - time.monotonic()))
        self.quieten()
        for name, child in self._children.items():
            if child is None:
                self._start(name)

    def break_off(self) -> None:
        """No process goes on with a run that has ended in an error; the next one starts them all."""
        from django.db import connection

        connection.close()
        for process in self._children:
            if child := self._take(process):
                self.world.children.kill(child)

    def measure_recovery(self, evidence: Evidence) -> list[float]:
        """Seconds from each kill, freeze and failure of the database to the next start of a call.

        Where there was none, or the clock was put forward in between because nobody was due, it says nothing.
        """
        starts = sorted(call.started_at for call in evidence.witness.calls)
        after = [(blow, next((start for start in starts if start > blow), None)) for blow in self._blows]
        return [
            (start - blow).total_seconds()
            for blow, start in after
            if start and not stepped_between(evidence, blow, start)
        ]

    # What happens to processes

    def kill(self, process: str, seconds: float) -> None:
        """With its whole group, and started again after so many seconds."""
        if child := self._take(process):
            self._blows.append(self.now())
            self.world.children.kill(child)
            self.do_in(seconds, lambda: self._start(process))

    def kill_parent(self, process: str, seconds: float) -> None:
        """It alone: the workers that it leaves behind live on until the run is over."""
        if child := self._take(process):
            self._blows.append(self.now())
            os.kill(child.process.pid, signal.SIGKILL)
            child.process.wait()
            self._killed_parents.append(child)
            self.do_in(seconds, lambda: self._start(process))

    def kill_member(self, process: str, which: int) -> None:
        """One of those that it has forked, however deep, at work or idle. What becomes of the others is its affair."""
        child = self._children[process]
        members = _find_members(child.process.pid) if child else []
        if members:
            self._blows.append(self.now())
            _signal(members[which % len(members)], signal.SIGKILL)

    def freeze(self, process: str, seconds: float) -> None:
        if child := self._children[process]:
            group = child.process.pid
            self._blows.append(self.now())
            os.killpg(group, signal.SIGSTOP)
            self.do_in(seconds, lambda: _signal_group(group, signal.SIGCONT))

    def terminate(self, process: str, seconds: float) -> None:
        """Politely; started again when it has ended."""
        child = self._children[process]
        if child is None:
            return
        child.process.terminate()
        self._terminated.setdefault(child, time.monotonic())

    def set_trap(self, role: str, point: str, order: str, seconds: float) -> None:
        trap = self._traps / f"{role}.{point}"
        self.traps_set[trap.name] += 1
        draft = trap.with_suffix(".draft")
        draft.write_text(json.dumps({"action": order, "seconds": seconds}))
        draft.rename(trap)

    # What happens to the database and the provider

    def restart_database(self, seconds: float) -> None:
        """A crash; it is back after so many seconds."""
        if not self._is_database_down:
            self._blows.append(self.now())
            self._is_database_down = True
            self.world.postgres.crash()
            self._do_beside(seconds, self._start_database)

    def terminate_backends(self, chosen: Sequence[bool]) -> None:
        """Those that are chosen, by the order in which they began."""
        with contextlib.closing(self.world.postgres.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s ORDER BY backend_start, pid", [DATABASE]
            )
            pids = [pid for (pid,), is_chosen in zip(cursor.fetchall(), chosen, strict=False) if is_chosen]
            cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [pids])

    def use_up_connections(self, seconds: float) -> None:
        with contextlib.suppress(psycopg2.OperationalError):
            while True:
                self._crowd.append(self.world.postgres.connect())
        self._do_beside(seconds, self._disperse_crowd)

    def misbehave(self, **fault: Any) -> None:
        self._tell_network("faults", fault)

    def outage(self, seconds: float) -> None:
        """The provider refuses connections for so long."""
        self._tell_network("outage", {"seconds": seconds})

    def _tell_network(self, name: str, order: dict[str, Any]) -> None:
        """During an outage it hears nothing either, and is told when it is back."""
        if (wait := self._outage_ends - time.monotonic()) > 0:
            self.do_in(wait, lambda: self._tell_network(name, order))
            return
        self.world.control_network("POST", name, order)
        if name == "outage":
            self._outage_ends = time.monotonic() + order["seconds"] + OUTAGE_MARGIN_SECONDS
            self.do_at(self._outage_ends, lambda: None)  # the run is not over before

    # Quiet

    def quieten(self) -> None:
        """No fault is left, and every process is there."""
        for trap in self._traps.iterdir():
            trap.unlink(missing_ok=True)  # somebody may be springing it
        self._wake_all()
        self._disperse_crowd()
        self._start_database()
        for child in self._killed_parents:
            self.world.children.kill(child)
        self._killed_parents.clear()
        self.world.control_network("DELETE", "faults")

    def count_calls(self) -> int:
        """Those that the network has open now."""
        response = requests.get(f"{self.world.network_url}/simulator/health", timeout=10)
        return response.json()["open"]

    def show_stacks(self, process: str) -> None:
        """In its log: what all that belong to it are at, who end with that."""
        if child := self._children[process]:
            _signal_group(child.process.pid, signal.SIGABRT)
            time.sleep(STACKS_SECONDS)

    def _do_beside(self, seconds: float, deed: Callable[[], None]) -> None:
        """In a thread: whoever works through the agenda may be waiting for what the deed brings back."""
        timer = threading.Timer(seconds, deed)
        self._timers.append(timer)
        timer.start()
        self.do_in(seconds, timer.join)

    def _cancel_timers(self) -> None:
        while self._timers:
            timer = self._timers.pop()
            timer.cancel()
            timer.join()

    def _start(self, name: str) -> None:
        label = f"{name}.{next(self._start_numbers)}"
        role = "scheduler" if name in SCHEDULERS else name
        victim = ["-m", "bench.faults.victim", role]
        if role == "web":
            self._children[name] = self.world.start_web(label, workers=2, launcher=[*victim, "gunicorn"])
        else:
            command = {"scheduler": "run_scheduler", "cluster": "qcluster"}[role]
            self._children[name] = self.world.start(label, [*victim, str(ROOT / "manage.py"), command])

    def _take(self, process: str) -> Child | None:
        child, self._children[process] = self._children[process], None
        self._terminated.pop(child, None)
        return child

    def _replace_the_dead(self) -> None:
        for name, child in self._children.items():
            if child is None:
                continue
            if child.process.poll() is not None:
                self.kill(name, RESTART_SECONDS)
            elif time.monotonic() > self._terminated.get(child, math.inf) + STOP_SECONDS:
                self.show_stacks(name)
                self.kill(name, RESTART_SECONDS)
                raise ArenaError(f"{child.name} did not end within {STOP_SECONDS:g} s of SIGTERM; see {child.log}")

    def _look_at_traps(self) -> None:
        for trap in self._traps.glob("*.sprung.*"):
            point, _, pid = trap.name.partition(".sprung.")
            order = json.loads(trap.read_text())
            trap.unlink()
            self.traps_sprung[point] += 1
            if order["action"] == "freeze":
                self.do_in(order["seconds"], lambda pid=int(pid): _signal(pid, signal.SIGCONT))
            elif order["action"] == "terminate":
                for child in filter(None, self._children.values()):
                    if child.process.pid == int(pid):
                        self._terminated.setdefault(child, time.monotonic())

    def _wake_all(self) -> None:
        for child in filter(None, self._children.values()):
            _signal_group(child.process.pid, signal.SIGCONT)

    def _start_database(self) -> None:
        with self._database_lock:
            if self._is_database_down:
                self.world.postgres.start()
                self._is_database_down = False

    def _disperse_crowd(self) -> None:
        while self._crowd:
            self._crowd.pop().close()


def _find_members(leader: int) -> list[int]:
    """The other processes of its group."""
    members = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
            if int(path.read_text().rpartition(")")[2].split()[2]) == leader:
                members.append(int(path.parent.name))
    return sorted(set(members) - {leader})


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
