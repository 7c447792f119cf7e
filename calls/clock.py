"""The time that all schedulers, and all who hear the provider's reports, agree on."""

import threading
import time
from datetime import datetime, timedelta
from typing import Protocol

from django.db import connection

SLOW_SECONDS = 0.05
READINGS = 3


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, UTC."""

    def synchronise(self) -> datetime:
        """Now, UTC, after asking whoever keeps the time."""

    def steady(self) -> float:
        """Seconds since whenever; nobody can set them, so differences are true."""


class DatabaseClock:
    """The database's time, read when asked for and carried on by this machine's steady clock in between.

    The machines' own clocks may differ by more than two calls may stand apart. An answer that was held up on its way
    is old news: whoever took it for now would be late by as much, ring after the send deadline, and beside the calls
    of others. So it is asked again, and of slow answers the quickest counts.
    """

    def __init__(self) -> None:
        self._read: tuple[datetime, float] | None = None  # one value, because threads read it meanwhile

    def __call__(self) -> datetime:
        if self._read is None:
            return self.synchronise()
        then, steady_then = self._read
        return then + timedelta(seconds=self.steady() - steady_then)

    def steady(self) -> float:
        """Goes on while the machine is suspended, so that a process that slept knows that it is late."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    def synchronise(self) -> datetime:
        readings = []
        for _ in range(READINGS):
            asked_at = self.steady()
            now = self._ask()
            answered_at = self.steady()
            readings.append((answered_at - asked_at, now, answered_at))
            if answered_at - asked_at < SLOW_SECONDS:
                break
        _, now, answered_at = min(readings)
        self._read = now, answered_at
        return DatabaseClock.__call__(self)  # a clock of another kind may ask again when the reading is old

    def _ask(self) -> datetime:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            (now,) = cursor.fetchone()
        return now


class SharedClock(DatabaseClock):
    """One for all threads of a process that has no moment of its own for asking, such as a web server's.

    It asks the database when its reading is older than a second, so what it says is the database's time even if
    that was set anew, without a query for each request. Who cannot ask gets the database's error, never an old
    reading: the next one asks again.
    """

    OLDEST_READING_SECONDS = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._asking = threading.Lock()

    def __call__(self) -> datetime:
        if not self._is_fresh():
            with self._asking:  # one asks; those who waited for it find its reading
                if not self._is_fresh():
                    return self.synchronise()
        return super().__call__()

    def _is_fresh(self) -> bool:
        return self._read is not None and self.steady() - self._read[1] <= self.OLDEST_READING_SECONDS


shared_clock = SharedClock()
