"""Tells receivers of `calls.signals` what happened, so that none of them can hurt a call.

They run in a thread of their own, behind a queue that is bounded. A receiver that raises is logged. One that hangs
holds up the receivers of its process and nobody else: when the queue is full, or the process ends, news is dropped
and counted.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.util import Finalize
from typing import Any

import structlog
from django.db import close_old_connections, connections, transaction
from django.dispatch import Signal

from calls.metrics import counting
from calls.models import CallAttempt
from calls.signals import attempt_claimed, attempt_ended, attempt_placed
from contacts.models import CallOutcome

log = structlog.get_logger(__name__)

WAITING = 1000
DRAIN_SECONDS = 2.0
SLOW_SECONDS = 30.0
WARN_EVERY_SECONDS = 60.0
THREAD_NAME = "hooks"

# Django logs each failure of a receiver with its traceback; here that is done below.
logging.getLogger("django.dispatch").addFilter(lambda record: record.threadName != THREAD_NAME)


def announce_claimed(attempt: CallAttempt) -> None:
    _announce(attempt_claimed, attempt)


def announce_placed(attempt: CallAttempt, provider_call_id: str) -> None:
    _announce(attempt_placed, attempt, provider_call_id=provider_call_id)


def announce_ended(
    attempt: CallAttempt, outcome: CallOutcome, *, given_back: bool = False, corrected: bool = False
) -> None:
    _announce(attempt_ended, attempt, outcome=outcome.value, given_back=given_back, corrected=corrected)


def _announce(signal: Signal, attempt: CallAttempt, **facts: Any) -> None:
    """Once the current transaction is known to have committed.

    Plain values: a row would be read by two threads at once.
    """
    if not signal.has_listeners(CallAttempt):
        return
    facts |= {
        "attempt_id": attempt.pk,
        "call_id": attempt.call_id,
        "attempt_number": attempt.attempt_number,
        "contact_id": attempt.contact_id,
        "campaign_id": attempt.campaign_id,
    }
    transaction.on_commit(partial(_messenger.tell, signal, facts), robust=True)


class Messenger:
    """The queue and the thread of one process; the thread begins with the first news."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._news: queue.Queue[tuple[Signal, dict[str, Any]]] = queue.Queue(waiting)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._warn_at = self._warn_of_slow_at = 0.0
        self._busy_since: float | None = None  # with the news that the receivers are hearing
        self._trace_at: dict[str, float] = {}

    def tell(self, signal: Signal, facts: dict[str, Any]) -> None:
        """Never waits."""
        self._start()
        self._warn_of_slow_receivers()
        try:
            self._news.put_nowait((signal, facts))
        except queue.Full:
            counting.count_dropped_hooks(1)
            if time.monotonic() >= self._warn_at:
                self._warn_at = time.monotonic() + WARN_EVERY_SECONDS
                log.warning("hooks.dropped", waiting=self._news.maxsize)

    def _warn_of_slow_receivers(self) -> None:
        """One that hangs says nothing itself, and long before the queue is full somebody should know."""
        busy_since, now = self._busy_since, time.monotonic()
        if busy_since is not None and now - busy_since > SLOW_SECONDS and now >= self._warn_of_slow_at:
            self._warn_of_slow_at = now + WARN_EVERY_SECONDS
            log.warning("hooks.slow", seconds=round(now - busy_since), waiting=self._news.qsize())

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Give the receivers so long to hear what is still waiting; whether they have."""
        end = time.monotonic() + seconds
        while self._news.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.01)
        return not self._news.unfinished_tasks

    def end(self, seconds: float = DRAIN_SECONDS) -> None:
        """Drain for the last time: what is left is lost with the process, the news that hangs included."""
        if not self.drain(seconds):
            left = self._news.unfinished_tasks
            counting.count_dropped_hooks(left)
            log.warning("hooks.undelivered", left=left)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                # A daemon: a receiver that hangs must not keep the process from ending.
                self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
                self._thread.start()
                # Unlike atexit's, it is also called where multiprocessing ends a worker of the cluster.
                Finalize(None, self.end, exitpriority=0)

    def _run(self) -> None:
        while True:
            signal, facts = self._news.get()
            self._busy_since = time.monotonic()
            try:
                self._send(signal, facts)
            except BaseException:  # also Django's own, of a receiver that fails and has no name, such as a partial
                counting.count_failed_hook()
                log.exception("hooks.failed")
            finally:
                self._busy_since = None
                self._news.task_done()

    def _send(self, signal: Signal, facts: dict[str, Any]) -> None:
        close_old_connections()
        try:
            for receiver, answer in signal.send_robust(sender=CallAttempt, **facts):
                if isinstance(answer, Exception):
                    self._report_failure(receiver, answer)
        finally:
            # Whatever a receiver has left open, a transaction or a lock, ends here.
            connections.close_all()

    def _report_failure(self, receiver: Callable[..., Any], error: Exception) -> None:
        """A line each; the traceback of a receiver's errors once in a while."""
        counting.count_failed_hook()
        name = f"{receiver.__module__}.{receiver.__qualname__}"
        traced = error if time.monotonic() >= self._trace_at.get(name, 0.0) else None
        if traced:
            self._trace_at[name] = time.monotonic() + WARN_EVERY_SECONDS
        log.error("hooks.failed", receiver=name, error=f"{type(error).__name__}: {error}", exc_info=traced)


_messenger = Messenger()


def _begin_anew() -> None:
    """In the child of a fork, which has the queue but not the thread."""
    global _messenger
    _messenger = Messenger()


os.register_at_fork(after_in_child=_begin_anew)
