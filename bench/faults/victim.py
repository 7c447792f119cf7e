"""Runs one of the product's programs so that it can be made to fail at a named point.

    python -m bench.faults.victim ROLE PROGRAM [ARGUMENT ...]

PROGRAM is manage.py or gunicorn. Whoever wants something to happen puts a file named ROLE.POINT into the directory
FAULTS_TRAPS; the first process that comes by takes it and does what it says. The product knows nothing of this: the
points are found in what it says to the database and to the provider.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
import psycopg2
import requests
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from bench.faults.statements import About, StatementReader


class Traps:
    def __init__(self, role: str, directory: Path) -> None:
        self._role = role
        self._directory = directory

    def pass_by(self, point: str, spring: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Nothing, unless there is a trap for this point; only one process can be caught in it."""
        trap = self._directory / f"{self._role}.{point}"
        taken = trap.with_name(f"{trap.name}.taken.{os.getpid()}")
        try:
            trap.rename(taken)
            order = json.loads(taken.read_text())
            # Not before it is read: whoever set it takes it away when it is sprung.
            taken.rename(trap.with_name(f"{trap.name}.sprung.{os.getpid()}"))
        except FileNotFoundError:
            return  # none is set, or it was withdrawn just now
        (spring or _do)(order)


def _do(order: dict[str, Any]) -> None:
    match order["action"]:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill_group":
            os.killpg(0, signal.SIGKILL)
        case "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        case "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)  # whoever set the trap lets it go on
        case "linger":
            time.sleep(order["seconds"])


BEFORE = {About.LOCK: "before_lock", About.RECORD: "before_record"}
AFTER = {About.LOCK: "after_lock", About.PLACING: "after_placing"}
TRANSACTIONS = {About.CLAIM: "claim", About.CHANGE: "report"}


def watch_database(traps: Traps) -> None:
    """Points are told by the statements; a transaction by what was written in it. One message may be a transaction."""
    execute, commit, rollback = CursorWrapper._execute, BaseDatabaseWrapper._commit, BaseDatabaseWrapper._rollback
    reader = StatementReader()

    def execute_and_watch(self: Any, sql: Any, params: Sequence[Any] | None, *rest: Any) -> Any:
        about = reader.read(str(sql), params)
        if about in BEFORE:
            traps.pass_by(BEFORE[about])
        if about in TRANSACTIONS and not self.db.in_atomic_block:
            return watch_commit(self.db, TRANSACTIONS[about], lambda: execute(self, sql, params, *rest))
        result = execute(self, sql, params, *rest)
        if about in AFTER and self.rowcount > 0:
            traps.pass_by(AFTER[about])
        if about in TRANSACTIONS:
            self.db.faults_written = TRANSACTIONS[about]
        return result

    def watch_commit(wrapper: Any, written: str, do: Callable[[], Any]) -> Any:
        traps.pass_by(f"before_{written}_commit")
        result = do()
        traps.pass_by(f"{written}_ack", lambda _: _lose_connection(wrapper))
        traps.pass_by(f"after_{written}_commit")
        return result

    def commit_and_watch(self: Any) -> Any:
        written, self.faults_written = getattr(self, "faults_written", None), None
        return watch_commit(self, written, lambda: commit(self)) if written else commit(self)

    def roll_back(self: Any) -> Any:
        self.faults_written = None
        return rollback(self)

    CursorWrapper._execute = execute_and_watch
    BaseDatabaseWrapper._commit = commit_and_watch
    BaseDatabaseWrapper._rollback = roll_back


def _lose_connection(wrapper: BaseDatabaseWrapper) -> None:
    with contextlib.suppress(psycopg2.Error, OSError):
        connection = socket.socket(fileno=os.dup(wrapper.connection.fileno()))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
    raise OperationalError("the answer to COMMIT was lost")


def watch_provider(traps: Traps) -> None:
    send = requests.adapters.HTTPAdapter.send

    def send_and_watch(self: Any, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if request.method != "POST" or not str(request.url).endswith("/Calls.json"):
            return send(self, request, *args, **kwargs)
        traps.pass_by("before_post")
        traps.pass_by("post_out", _do_soon)
        response = send(self, request, *args, **kwargs)
        traps.pass_by("after_answer")
        return response

    requests.adapters.HTTPAdapter.send = send_and_watch


def _do_soon(order: dict[str, Any]) -> None:
    threading.Timer(order["seconds"], _do, [order]).start()


def hurry() -> None:
    """The waits that settings do not reach, as much shorter as the calls are."""
    from calls import breaker, scheduler

    breaker.FIRST_PAUSE, breaker.LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=4)
    breaker.FIRST_DELAY, breaker.LONGEST_DELAY = timedelta(seconds=0.2), timedelta(seconds=2)
    scheduler.RECONCILE_EVERY = timedelta(seconds=1)


def main() -> None:
    _, role, program, *arguments = sys.argv
    traps = Traps(role, Path(os.environ["FAULTS_TRAPS"]))
    watch_database(traps)
    watch_provider(traps)
    django.setup()
    hurry()
    sys.argv = [program, *arguments]
    if program == "gunicorn":
        runpy.run_module("gunicorn", run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
