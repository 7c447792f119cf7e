"""The circuit breaker: a provider that fails again and again is left alone, for longer and longer."""

from datetime import datetime, timedelta

import structlog
from django.db import transaction

from calls.models import ProviderConfig

log = structlog.get_logger(__name__)

FAILURES_THAT_OPEN = 5
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)

FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(minutes=5)


def pause_after(failures: int) -> timedelta:
    """How long nobody is rung after so many failures in a row; zero while the breaker is closed."""
    if failures < FAILURES_THAT_OPEN:
        return timedelta(0)
    return _double(FIRST_PAUSE, failures - FAILURES_THAT_OPEN, LONGEST_PAUSE)


def delay_after(failures: int) -> timedelta:
    """How long a contact waits whose call the provider has certainly not placed."""
    return _double(FIRST_DELAY, max(0, failures - 1), LONGEST_DELAY)


def _double(first: timedelta, times: int, longest: timedelta) -> timedelta:
    return min(first * 2 ** min(times, 16), longest)


def is_probing(provider: ProviderConfig) -> bool:
    """The pause is over and one call may find out whether the provider is back."""
    return provider.consecutive_failures >= FAILURES_THAT_OPEN


def find_end_of_pause(provider: ProviderConfig, now: datetime) -> datetime | None:
    """Until when nobody may be rung; None when there is no pause. For who holds the row's lock.

    A pause that lasts longer than one that begins now is of a clock that has been set back since. It then begins
    now, as if the provider had just failed.
    """
    if not provider.paused_until or provider.paused_until <= now:
        return None
    latest = now + pause_after(provider.consecutive_failures)
    if provider.paused_until > latest:
        provider.paused_until, provider.last_error_at = latest, now
        provider.save(update_fields=["paused_until", "last_error_at"])
    return provider.paused_until


def note_success() -> None:
    failing = ProviderConfig.objects.filter(consecutive_failures__gt=0)
    if failing.update(consecutive_failures=0, paused_until=None):
        log.info("breaker.closed")


def note_failure(error: Exception, now: datetime) -> int:
    """Count it, and open the breaker when it was one too many. Returns the failures in a row.

    Calls that were already out when the breaker opened may fail too; only the first probe after a pause
    makes the next pause longer.
    """
    with transaction.atomic():
        provider = ProviderConfig.objects.select_for_update(no_key=True).get()
        if _is_pausing(provider, now):
            return provider.consecutive_failures
        provider.consecutive_failures += 1
        provider.last_error, provider.last_error_at = str(error), now
        if pause := pause_after(provider.consecutive_failures):
            provider.paused_until = now + pause
            log.warning("breaker.open", failures=provider.consecutive_failures, pause_seconds=pause.total_seconds())
        provider.save(update_fields=["consecutive_failures", "last_error", "last_error_at", "paused_until"])
    return provider.consecutive_failures


def _is_pausing(provider: ProviderConfig, now: datetime) -> bool:
    """The breaker is open and no probe is out; whoever claims one puts off the end of the pause."""
    if not is_probing(provider) or not provider.paused_until or provider.paused_until <= now:
        return False
    return provider.paused_until <= (provider.last_error_at or now) + pause_after(provider.consecutive_failures)


def halt_dialling(error: Exception, now: datetime) -> None:
    """Stop until an operator has put the settings right and switches dialling on again."""
    log.error("dialling.halted", reason=str(error))
    ProviderConfig.objects.update(
        dialing_enabled=False, halted_reason=str(error), last_error=str(error), last_error_at=now
    )
