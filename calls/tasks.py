"""What django-q2 runs."""

from django.utils import timezone

from calls.providers import get_provider
from calls.reconciliation import reconcile_calls
from calls.shifts import run_shift


def run_scheduler() -> str:
    return run_shift()


def reconcile() -> str:
    return f"{reconcile_calls(get_provider(), now=timezone.now())} silent calls"
