"""django-q2's cluster, but so that the death of any of its processes does not stall it.

Its processes talk through queues whose locks belong to nobody: a process that is killed with one of them keeps it for
ever. An idle worker always has one, or is about to, for it waits for its next job under it; so has the monitor for its
next result. django-q2 starts another process in their place, which waits for the lock with all others, and the cluster
looks alive, does nothing and cannot be stopped. Here everything, queues and all, is begun anew then.
"""

import contextlib
import os
import time
from multiprocessing.process import BaseProcess
from typing import Any

import structlog
from django.db import connections
from django_q import cluster

from calls.shifts import request_shift_anew

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.5
BEGIN_ANEW = os.EX_TEMPFAIL  # how a sentinel ends that wants another in its place


class ClusterDied(Exception):
    """Somebody or something has killed the sentinel, and its processes may live on."""


class Sentinel(cluster.Sentinel):
    """Looks after the processes of a cluster."""

    def reincarnate(self, process: BaseProcess) -> None:
        if _may_have_had_a_lock(process):
            log.critical("cluster.begins_anew", killed=process.name, exitcode=process.exitcode)
            self._wait_for_jobs()
            raise SystemExit(BEGIN_ANEW)  # its processes are daemons and end with it
        if process.exitcode:
            ask_for_shift()  # perhaps it was at one
        super().reincarnate(process)

    def _wait_for_jobs(self) -> None:
        """Those that are at work have as long as any job, and no others are begun: each shift may ask for the next."""
        deadline = time.monotonic() + self.timeout
        self.event_out.set()  # for the pusher
        while any(map(_is_at_work, self.pool)) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_SECONDS)


def _is_at_work(worker: Any) -> bool:
    """Its timer has the seconds that are left for its job."""
    return worker.is_alive() and worker.timer.value > 0


def _may_have_had_a_lock(process: Any) -> bool:
    was_killed = process.exitcode is not None and process.exitcode < 0
    was_at_work = hasattr(process, "timer") and process.timer.value > 0
    return was_killed and not was_at_work


# Cluster names the class of its sentinel, and offers no other way to another one.
cluster.Sentinel = Sentinel


class Cluster(cluster.Cluster):
    def __init__(self) -> None:
        self._is_stopping = False
        super().__init__()

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then the jobs that are being done are finished. Raises ClusterDied."""
        while True:
            ask_for_shift()
            with contextlib.suppress(RuntimeError):  # the sentinel has ended already; how is seen below
                self.start()
            while self.sentinel.is_alive() and not self._is_stopping:
                self.sentinel.join(LOOK_EVERY_SECONDS)
            if self._is_stopping:
                self.stop()
                return
            if self.sentinel.exitcode != BEGIN_ANEW:
                raise ClusterDied(f"the cluster's sentinel has ended ({self.sentinel.exitcode})")

    def sig_handler(self, *_: Any) -> None:
        """Only notes it. django-q2's own stops the sentinel here and now, or never when that is just being forked."""
        self._is_stopping = True


def ask_for_shift() -> None:
    """There may be somebody to ring, and the schedule comes round only once a minute."""
    try:
        request_shift_anew()
    except Exception as error:  # without database or Redis the cluster waits for them, and for the schedule
        log.warning("cluster.no_shift_requested", error=str(error).strip())
    finally:
        connections.close_all()  # whoever is forked off would share it
