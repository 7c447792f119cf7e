"""What django-q2 runs."""

from calls.clock import DatabaseClock
from calls.providers import get_provider
from calls.reconciliation import reconcile_calls
from calls.retention import erase_for_a_while
from calls.shifts import run_requested_shift, run_scheduled_shift
from calls.tallies import count_over


def run_scheduler() -> str:
    return run_scheduled_shift()


def run_requested_scheduler() -> str:
    return run_requested_shift()


def reconcile() -> str:
    return f"{reconcile_calls(get_provider(), clock=DatabaseClock())} silent calls"


def erase_expired() -> str:
    return erase_for_a_while(now=DatabaseClock()())


def keep_tallies() -> str:
    return f"{count_over(now=DatabaseClock().synchronise())} calls"
