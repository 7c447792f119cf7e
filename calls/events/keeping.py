"""Events, and who was told of them, are kept for EVENT_RETENTION_DAYS."""

import time
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django_q.tasks import async_task

from calls.events.models import SurveyEvent, WebhookDelivery
from calls.tallies import smallest_id

log = structlog.get_logger(__name__)

TASK = "calls.tasks.delete_old_events"
CHUNK_SIZE = 1000
# A job that is over soon lets the cluster stop soon; the next one goes on.
SLICE_SECONDS = 20.0


def delete_old_events(*, now: datetime) -> int:
    """Chunk by chunk, for a while; also what is still to be sent. Returns how many events.

    Their ids are numbered in time. E-mails stay with their contacts, or a second one could follow.
    """
    before = smallest_id(now - timedelta(days=settings.EVENT_RETENTION_DAYS))
    end, deleted = time.monotonic() + SLICE_SECONDS, 0
    old = SurveyEvent.objects.filter(pk__lt=before).order_by("pk").values_list("pk", flat=True)
    while chunk := list(old[:CHUNK_SIZE]):
        WebhookDelivery.objects.filter(event__in=chunk).delete()
        deleted += SurveyEvent.objects.filter(pk__in=chunk).delete()[0]
        if time.monotonic() >= end:
            async_task(TASK, group="retention")
            break
    if deleted:
        log.info("events.deleted", events=deleted)
    return deleted
