"""'A line is free, look again now': from whoever ends a call to every scheduler, through the database.

Nothing depends on a wake-up arriving. Whoever misses one looks again at the end of its interval.
"""

import contextlib
import os
import select
import time
from functools import partial
from typing import Any

import psycopg2
import structlog
from django.db import connection, transaction

log = structlog.get_logger(__name__)

SCHEDULERS = "surveycalls_wakeup"
JOBS = "surveycalls_jobs"
RECONNECT_SECONDS = 1.0

# Lines become free in bunches; one look at the first of a bunch, and one for all the others, is enough.
DEBOUNCE_SECONDS = 0.01


def wake_schedulers() -> None:
    notify_after_commit(SCHEDULERS)


def notify_after_commit(channel: str) -> None:
    """Once the current transaction has committed; inside it a NOTIFY would make commits queue up."""
    transaction.on_commit(partial(_notify, channel), robust=True)


def _notify(channel: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {channel}")


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
