"""The scheduler inside a django-q2 cluster: short shifts of the loop, one after the other.

A job that is over in seconds lets the cluster stop in seconds. While there is work each shift is followed by
the next; otherwise the schedule, once a minute, or the news that somebody may be rung begins anew.
"""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django_q.tasks import async_task

from calls.clock import DatabaseClock
from calls.locks import try_lock
from calls.models import ProviderConfig
from calls.scheduler import CallScheduler, CallSchedulerConfig, SchedulerReport
from calls.wakeups import WakeupListener, wake_schedulers

SHIFT = timedelta(seconds=5)
REST = timedelta(seconds=60)  # the schedule comes round that often
REQUESTED_TASK = "calls.tasks.run_requested_scheduler"

# One shift at a time is enough; two would be safe, and twice the work. Any number that no other lock has.
SHIFT_LOCK = 7_265_001


def wake_everybody(**_kwargs: Any) -> None:
    """Somebody may be rung from now on: wake the running schedulers, and a cluster in which none is at work."""
    wake_schedulers()
    transaction.on_commit(request_shift, robust=True)


def request_shift() -> None:
    """Have a cluster look for work now, unless it has been asked and has not got round to it yet.

    The mark bounds the queue: with few workers shifts would otherwise ask for more shifts than can be worked
    off, and without a cluster, when run_scheduler alone is at work, each campaign would leave a job behind.
    """
    if ProviderConfig.objects.filter(shift_requested_at=None).update(shift_requested_at=DatabaseClock()()):
        try:
            async_task(REQUESTED_TASK, group="scheduler")
        except Exception:
            ProviderConfig.objects.update(shift_requested_at=None)
            raise


def request_shift_anew() -> None:
    """As request_shift, even when somebody has asked: that request may have died with a cluster."""
    ProviderConfig.objects.update(shift_requested_at=None)
    request_shift()


def run_scheduled_shift() -> str:
    """The one that comes round every minute. It does not wait for a request that should have been met by now.

    A Redis that begins anew has lost it. One that only stands in a long queue is made a second time, which costs a
    look and no more.
    """
    ProviderConfig.objects.filter(shift_requested_at__lt=DatabaseClock()() - 2 * SHIFT).update(shift_requested_at=None)
    return run_shift()


def run_requested_shift() -> str:
    ProviderConfig.objects.update(shift_requested_at=None)
    return run_shift()


def run_shift() -> str:
    """Ring until the shift is over; returns what there was to do, for the list of jobs."""
    with try_lock(SHIFT_LOCK) as is_only:
        if not is_only:
            return "another worker is at it"
        scheduler = CallScheduler(CallSchedulerConfig.from_settings())
        with WakeupListener() as wakeups:
            report = scheduler.run(wakeups, seconds=SHIFT.total_seconds())
    if _is_work_left(report):
        request_shift()
        return f"{report.open_calls} calls open"
    return str(report.blocked or "nobody to ring at the moment")


def _is_work_left(report: SchedulerReport) -> bool:
    if report.open_calls or report.claimed:
        return True
    return report.look_again_at is not None and report.look_again_at < DatabaseClock()() + REST
