"""The queue of background jobs in the database, without asking it five times a second whether there is one."""

import time
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connections
from django_q.brokers.orm import ORM
from django_q.conf import Conf

from calls.wakeups import JOBS, WakeupListener, notify_after_commit

log = structlog.get_logger(__name__)

# For jobs whose news got lost, and those that come back because their worker died.
LOOK_EVERY_SECONDS = 10.0

# So soon it notices that the cluster is to stop.
LONGEST_WAIT_SECONDS = 0.5

DATABASE_RETRY_SECONDS = 1.0


class WokenBroker(ORM):
    """django-q2's own, but whoever puts a job in says so, and whoever takes them out waits to be told."""

    _listener: WakeupListener | None = None
    _look_at = 0.0

    def enqueue(self, task: str) -> Any:
        package = super().enqueue(task)
        notify_after_commit(JOBS)
        return package

    def dequeue(self) -> list[tuple[Any, str]] | None:
        """None when there is no job, or no database; then it is asked again after a second.

        django-q2 would end the process that takes the jobs out, and begin another one ten seconds later.
        """
        try:
            return self._wait_and_take()
        except (DatabaseError, InterfaceError) as error:
            log.warning("database.failed", error=str(error).strip())
            connections[Conf.ORM].close()
            time.sleep(DATABASE_RETRY_SECONDS)
            return None

    def _wait_and_take(self) -> list[tuple[Any, str]] | None:
        if self._listener is None:
            # Here and not sooner: it belongs to the one process that takes jobs out, which is forked off later.
            self._listener = WakeupListener(JOBS).__enter__()
        wait = min(LONGEST_WAIT_SECONDS, self._look_at - time.monotonic())
        if wait > 0 and not self._listener.wait(wait):
            return None
        jobs = super().dequeue()
        self._look_at = time.monotonic() + (0.0 if jobs else LOOK_EVERY_SECONDS)
        return jobs
