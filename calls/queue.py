"""The queue of background jobs in the database, without asking it five times a second whether there is one."""

import time
from typing import Any

from django_q.brokers.orm import ORM

from calls.wakeups import JOBS, WakeupListener, notify_after_commit

# For jobs whose news got lost, and those that come back because their worker died.
LOOK_EVERY_SECONDS = 10.0

# So soon it notices that the cluster is to stop.
LONGEST_WAIT_SECONDS = 0.5


class WokenBroker(ORM):
    """django-q2's own, but whoever puts a job in says so, and whoever takes them out waits to be told."""

    _listener: WakeupListener | None = None
    _look_at = 0.0

    def enqueue(self, task: str) -> Any:
        package = super().enqueue(task)
        notify_after_commit(JOBS)
        return package

    def dequeue(self) -> list[tuple[Any, str]] | None:
        if self._listener is None:
            # Here and not sooner: it belongs to the one process that takes jobs out, which is forked off later.
            self._listener = WakeupListener(JOBS).__enter__()
        wait = min(LONGEST_WAIT_SECONDS, self._look_at - time.monotonic())
        if wait > 0 and not self._listener.wait(wait):
            return None
        jobs = super().dequeue()
        self._look_at = time.monotonic() + (0.0 if jobs else LOOK_EVERY_SECONDS)
        return jobs
