"""What django-q2 runs."""

from uuid import UUID

from calls.clock import DatabaseClock
from calls.events import delivering, emailing, keeping
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
    now = DatabaseClock()()
    keeping.delete_old_events(now=now)
    return erase_for_a_while(now=now)


def delete_old_events() -> str:
    return f"{keeping.delete_old_events(now=DatabaseClock()())} events"


def tell_others() -> str:
    return f"{hand_out_events()}, {send_emails()}"


def hand_out_events() -> str:
    return f"{delivering.hand_out_for_a_while(clock=DatabaseClock())} events"


def send_emails() -> str:
    return f"{emailing.send_emails_for_a_while(clock=DatabaseClock())} e-mails"


def deliver_webhooks(subscription: str) -> str:
    return f"{delivering.deliver_for_a_while(UUID(subscription), clock=DatabaseClock())} webhooks"


def keep_tallies() -> str:
    return f"{count_over(now=DatabaseClock().synchronise())} calls"
