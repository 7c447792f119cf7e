"""django-q2's cluster, but so that it does not stall when one of its processes is killed.

They talk through queues whose locks belong to nobody: a process that is killed with one of them keeps it for ever. An
idle worker always has one, or is about to, for it waits for its next job under it; so has the monitor for its next
result. django-q2 starts another process in their place, which waits for the lock with all others, and the cluster looks
alive, does nothing and cannot be stopped. Here everything, queues and all, is begun anew then, and a stop needs no lock
that somebody may have died with. What is left are the microseconds in which a worker hands in its result.
"""

import contextlib
import os
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import structlog
from django.db import connections
from django_q import cluster
from django_q.brokers import get_broker

from calls.shifts import REST, request_shift_anew

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.1
RESULTS_SECONDS = 5.0  # to save those that were handed in
PAUSE_SECONDS = 2.0  # before it is begun anew
BEGIN_ANEW = os.EX_TEMPFAIL  # how a sentinel ends that wants another in its place


class ClusterDied(Exception):
    """Its sentinel was killed."""


class ShiftRequests:
    """There may be somebody to ring when a cluster begins or a worker has died, and the schedule is slow to come round.

    But no sooner than it does, or shifts that kill their workers would multiply.
    """

    def __init__(self) -> None:
        self._not_before = 0.0

    def ask(self) -> None:
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + REST.total_seconds()
        try:
            request_shift_anew()
        except Exception as error:  # the schedule asks as well, and what is wrong is told by those who need it
            log.warning("cluster.no_shift_requested", error=str(error).strip())
        finally:
            connections.close_all()  # whoever is forked off would share it


class Sentinel(cluster.Sentinel):
    """Looks after the processes of a cluster."""

    _shift_requests = ShiftRequests()

    def reincarnate(self, process: BaseProcess) -> None:
        if _may_have_had_a_lock(process):
            log.critical("cluster.begins_anew", killed=process.name, exitcode=process.exitcode)
            self.stop()
            raise SystemExit(BEGIN_ANEW)
        if process.exitcode:
            self._shift_requests.ask()  # perhaps it was at one
        super().reincarnate(process)

    def stop(self) -> None:
        """Finish the jobs that were fetched, which may take as long as any job, and fetch no others.

        The processes are daemons: what is left of them ends with the sentinel.
        """
        self.event_out.set()  # for the pusher
        _wait_while(self._has_work, self.timeout)
        _wait_while(lambda: not self.result_queue.empty(), RESULTS_SECONDS)
        self.result_queue.cancel_join_thread()
        self.result_queue.put("STOP")
        self.monitor.join(RESULTS_SECONDS)

    def _has_work(self) -> bool:
        living = [worker for worker in self.pool if worker.is_alive()]
        if any(map(_is_at_work, living)):
            return True
        if not living or any(map(_may_have_had_a_lock, [*self.pool, self.monitor, self.pusher])):
            return False  # nobody takes what is left
        return self.pusher.is_alive() or not self.task_queue.empty()


def _wait_while(is_so: Callable[[], bool], seconds: float) -> None:
    """A job that goes from hand to hand is for a moment in nobody's, so one look is not enough."""
    deadline, is_over = time.monotonic() + seconds, 0
    while is_over < 2 and time.monotonic() < deadline:
        is_over = 0 if is_so() else is_over + 1
        time.sleep(LOOK_EVERY_SECONDS)


def _is_at_work(worker: Any) -> bool:
    """Its timer has the seconds that are left for its job."""
    return worker.timer.value > 0


def _may_have_had_a_lock(process: Any) -> bool:
    was_killed = process.exitcode is not None and process.exitcode < 0
    return was_killed and not (hasattr(process, "timer") and _is_at_work(process))


# Cluster names the class of its sentinel, and offers no other way to another one.
cluster.Sentinel = Sentinel


class Cluster(cluster.Cluster):
    def __init__(self) -> None:
        self._is_stopping = False
        self._shift_requests = ShiftRequests()
        super().__init__()

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then the jobs that were fetched are finished. Raises ClusterDied.

        Waits for the database or Redis that has its jobs, and begins anew when it has failed.
        """
        while not self._is_stopping:
            if not _is_queue_there():
                time.sleep(PAUSE_SECONDS)
                continue
            self._shift_requests.ask()
            with contextlib.suppress(RuntimeError):  # the sentinel has ended already; how is seen below
                self.start()
            while self.sentinel.is_alive() and not self._is_stopping:
                self.sentinel.join(LOOK_EVERY_SECONDS)
            if self._is_stopping:
                self.stop()
            elif self.sentinel.exitcode < 0:
                signal = -self.sentinel.exitcode
                raise ClusterDied(f"The sentinel was killed by signal {signal}; its workers may live on.")
            else:
                time.sleep(PAUSE_SECONDS)

    def sig_handler(self, *_: Any) -> None:
        """Only notes it. django-q2's own stops the sentinel here and now, or never when that is just being forked."""
        self._is_stopping = True


def _is_queue_there() -> bool:
    try:
        return get_broker().ping()
    except Exception as error:  # of the database or of Redis; each has its own
        log.warning("cluster.waits", error=str(error).strip())
        return False
    finally:
        connections.close_all()
