"""The sign of life that schedulers and the cluster's shifts leave in the provider's row, for all machines to see."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce, Greatest

from calls.models import ProviderConfig

# All of them together write no more often.
EVERY = timedelta(seconds=10)

# A cluster looks for work once a minute, whatever the interval of schedulers is.
LONGEST_REST = timedelta(seconds=60)
RESTS_THAT_MAY_BE_MISSED = 3


def is_alive(provider: ProviderConfig, now: datetime) -> bool:
    """Whether a scheduler has given a sign of life as lately as it should have."""
    return provider.scheduler_expected_by is not None and provider.scheduler_expected_by > now


def beat(provider: ProviderConfig | None, *, now: datetime, interval_seconds: float) -> None:
    """After a claim, with the row as the claim saw it; None when another scheduler had it, which is alive then.

    Waits for nobody: who holds the row is alive, or writes a sign of life with the next claim.
    """
    if provider is None:
        return
    since_last = now - provider.scheduler_seen_at if provider.scheduler_seen_at else EVERY
    if abs(since_last) < EVERY:
        return
    rest = max(timedelta(seconds=interval_seconds), LONGEST_REST)
    expected_by = Value(now + RESTS_THAT_MAY_BE_MISSED * rest)
    if since_last > timedelta(0):
        # Of schedulers with different intervals the most patient one counts. What was promised before the database's
        # clock was set back does not: until then nobody would notice that all of them are dead.
        expected_by = Greatest(Coalesce("scheduler_expected_by", expected_by), expected_by)
    with transaction.atomic():
        free = ProviderConfig.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=provider.pk)
        ProviderConfig.objects.filter(pk__in=free.values("pk")).update(
            scheduler_seen_at=now, scheduler_expected_by=expected_by
        )
