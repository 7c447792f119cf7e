"""'A line is free, look again now': from whoever ends a call to every scheduler, through the database.

Nothing depends on a wake-up arriving. Whoever misses one looks again at the end of its interval.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.util import Finalize
from typing import Any

import psycopg2
import structlog
from django.db import close_old_connections, connection, transaction

log = structlog.get_logger(__name__)

SCHEDULERS = "surveycalls_wakeup"
JOBS = "surveycalls_jobs"
RECONNECT_SECONDS = 1.0

# Lines become free in bunches; one look at the first of a bunch, and one for all the others, is enough.
DEBOUNCE_SECONDS = 0.01

# So long a thread keeps a connection that it does not use.
IDLE_SECONDS = 0.5


def wake_schedulers() -> None:
    """Once the current transaction has committed."""
    transaction.on_commit(_bell.ring, robust=True)


def notify_after_commit(channel: str) -> None:
    """Once the current transaction has committed; inside it a NOTIFY would make commits queue up."""
    transaction.on_commit(partial(_notify, channel), robust=True)


def _notify(channel: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {channel}")


class Bell:
    """Tells whoever is to know, the schedulers if nothing else is said: of a bunch of news the first at once, and all
    others together so many seconds later.

    Every NOTIFY waits for those of all other connections, so in a storm of reports it would cost as much as they do.
    """

    def __init__(self, debounce_seconds: float = DEBOUNCE_SECONDS, *, tell: Callable[[], None] | None = None) -> None:
        self._debounce_seconds = debounce_seconds
        self._tell = tell or partial(_notify, SCHEDULERS)
        self._lock = threading.Lock()
        self._quiet_until = 0.0
        self._is_wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """Whoever is woken by it sees all that was committed before. Does not wait for the others of a bunch."""
        with self._lock:
            if time.monotonic() < self._quiet_until:
                self._is_wanted.set()
                self._start()
                return
            self._quiet_until = time.monotonic() + self._debounce_seconds
        self._tell()

    def ring_for_others(self) -> None:
        """For those who did not wait, if there are any."""
        with self._lock:
            if not self._is_wanted.is_set():
                return
            self._is_wanted.clear()  # before it rings: who comes from now on wants another
            self._quiet_until = time.monotonic() + self._debounce_seconds
        try:
            close_old_connections()
            self._tell()
        except Exception as error:  # whatever it is, the thread must live on
            log.warning("wakeups.lost", error=str(error).strip())

    def _start(self) -> None:
        if self._thread is None:
            # A daemon: it must not keep the process from ending, which rings itself for those who are left.
            self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
            self._thread.start()
            # Unlike atexit's, it is also called where multiprocessing ends a worker of the cluster.
            Finalize(None, self.ring_for_others, exitpriority=0)

    def _run(self) -> None:
        while True:
            if not self._is_wanted.wait(IDLE_SECONDS):
                connection.close()
                self._is_wanted.wait()
            time.sleep(max(0.0, self._quiet_until - time.monotonic()))
            self.ring_for_others()


_bell = Bell()


def _begin_anew() -> None:
    """In the child of a fork, which has no thread."""
    global _bell
    _bell = Bell()


os.register_at_fork(after_in_child=_begin_anew)


class WakeupListener:
    """Waits for a wake-up from the database, or from this process (`wake`), or for the time to pass."""

    def __init__(self, channel: str = SCHEDULERS) -> None:
        self._channel = channel
        self._inbox, self._outbox = os.pipe()
        for end in (self._inbox, self._outbox):
            os.set_blocking(end, False)
        self._connection: Any = None
        self._try_again_at = 0.0
        self._quiet_until = 0.0

    def __enter__(self) -> "WakeupListener":
        self._connect()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._disconnect()
        os.close(self._inbox)
        os.close(self._outbox)

    def wake(self) -> None:
        """End the current or the next wait; may be called from threads and signal handlers."""
        with contextlib.suppress(BlockingIOError, OSError):  # full of wake-ups, or closed: either is fine
            os.write(self._outbox, b".")

    def wait(self, seconds: float) -> bool:
        """Return at the first wake-up, however many there were, or after that many seconds.

        False when nothing was heard and nothing can have been missed.
        """
        if self._connection is None:
            self._connect()
        sources = [self._inbox, *filter(None, [self._connection])]
        if self._connection is None:
            seconds = min(seconds, RECONNECT_SECONDS)
        deadline = time.monotonic() + seconds
        try:
            readable, _, _ = select.select(sources, [], [], max(0.0, seconds))
            if self._inbox in readable:
                self._drain_pipe()
            if self._connection in readable:
                time.sleep(max(0.0, min(self._quiet_until, deadline) - time.monotonic()))
                self._quiet_until = time.monotonic() + DEBOUNCE_SECONDS
                self._connection.poll()
                self._connection.notifies.clear()
            return bool(readable)
        except (psycopg2.Error, OSError, ValueError):
            self._disconnect()  # the database went away
            return True

    def _drain_pipe(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._inbox, 4096):
                pass

    def _connect(self) -> None:
        if time.monotonic() < self._try_again_at:
            return
        self._try_again_at = time.monotonic() + RECONNECT_SECONDS
        parameters = connection.get_connection_params()
        parameters = {key: parameters[key] for key in parameters.keys() - {"cursor_factory", "context"}}
        try:
            self._connection = psycopg2.connect(**parameters)
            self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(f"LISTEN {self._channel}")
        except psycopg2.Error as error:
            log.warning("wakeups.unavailable", error=str(error).strip())
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None
