"""The time that all schedulers agree on."""

import time
from datetime import datetime, timedelta
from typing import Protocol

from django.db import connection


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, UTC."""

    def synchronise(self) -> datetime:
        """Now, UTC, after asking whoever keeps the time."""


class DatabaseClock:
    """The database's time, read when asked for and carried on by this machine's steady clock in between.

    The machines' own clocks may differ by more than two calls may stand apart.
    """

    def __init__(self) -> None:
        self._read: tuple[datetime, float] | None = None  # one value, because threads read it meanwhile

    def __call__(self) -> datetime:
        if self._read is None:
            return self.synchronise()
        then, steady_then = self._read
        return then + timedelta(seconds=_steady_seconds() - steady_then)

    def synchronise(self) -> datetime:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            (now,) = cursor.fetchone()
        self._read = now, _steady_seconds()
        return now


def _steady_seconds() -> float:
    """Goes on while the machine is suspended, so that a process that slept knows that it is late."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
