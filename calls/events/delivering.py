"""From the outbox to the subscribers: at least once each, and one that is slow or gone holds up nobody else.

A delivery is due again before it is sent, so whoever is killed between the subscriber's answer and its record has it
sent once more, under the same webhook-id. No transaction is open while a subscriber is waited for.
"""

import random
import time
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import requests
import structlog
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_noop
from django_q.tasks import async_task

from calls.clock import Clock
from calls.events.addresses import IN_THE_CLEAR, REFUSED, make_session
from calls.events.backoff import MOST_TRIES, find_next_try
from calls.events.emailing import plan_emails
from calls.events.models import LEASE, DeliveryState, SurveyEvent, WebhookDelivery, WebhookSubscription
from calls.events.payloads import make_body
from calls.events.signing import make_headers
from calls.locks import try_lock

log = structlog.get_logger(__name__)

TASK = "calls.tasks.deliver_webhooks"
CHUNK_SIZE = 500
# A job that is over soon lets the cluster stop soon; the next one goes on.
SLICE_SECONDS = 20.0
CONNECT_SECONDS, ANSWER_SECONDS = 5, 10
# After a try without any answer. Less than a minute, lest the schedule that comes round then finds it too early.
PAUSE = timedelta(seconds=50)

# As they are stored; pages translate them.
SWITCHED_OFF = gettext_noop("The webhook was switched off")
INTERRUPTED = gettext_noop("The last try was interrupted")
NO_ANSWER = gettext_noop("No answer")


class Answered(NamedTuple):
    """The HTTP status that a subscriber answered, or why there was none."""

    status: int | None = None
    error: str = ""

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def hand_out_events(*, now: datetime) -> int:
    """Decide to whom the next events are told; returns how many there were. Two at once take different ones."""
    with transaction.atomic():
        waiting = SurveyEvent.objects.filter(handed_out_at=None).order_by("pk").select_related("contact__campaign")
        events = list(waiting.select_for_update(of=("self",), skip_locked=True, no_key=True)[:CHUNK_SIZE])
        subscriptions = list(WebhookSubscription.objects.filter(is_active=True)) if events else []
        WebhookDelivery.objects.bulk_create(
            [
                WebhookDelivery(event=event, subscription=subscription, next_try_at=now)
                for event in events
                for subscription in subscriptions
                if subscription.wants(event)
            ],
            ignore_conflicts=True,
        )
        plan_emails(events, now=now)
        SurveyEvent.objects.filter(pk__in=[event.pk for event in events]).update(handed_out_at=now)
    return len(events)


def hand_out_for_a_while(*, clock: Clock) -> int:
    """All events that wait, or as many as the time suffices for, and jobs for those who are to be told."""
    end, events = time.monotonic() + SLICE_SECONDS, 0
    while chunk := hand_out_events(now=clock()):
        events += chunk
        if time.monotonic() >= end:
            break
    request_deliveries(now=clock())
    return events


def request_deliveries(*, now: datetime) -> int:
    """A job for each subscriber to whom something is to be sent and who has none; returns how many."""
    give_up_switched_off()
    due = list(WebhookSubscription.objects.with_something_due(now).without_job(now).values_list("pk", flat=True))
    return sum(request_delivery(subscription_id, now=now) for subscription_id in due)


def request_delivery(subscription_id: UUID, *, now: datetime) -> bool:
    """A job for this one, unless it has none to send or has a job; of those who ask at once one is heard."""
    wanted = WebhookSubscription.objects.filter(pk=subscription_id).with_something_due(now).without_job(now)
    if not wanted.update(job_asked_at=now):
        return False
    async_task(TASK, str(subscription_id), group="webhooks", save=False)
    return True


def give_up_switched_off() -> None:
    waiting = WebhookDelivery.objects.filter(subscription__is_active=False, state=DeliveryState.PENDING)
    waiting.update(state=DeliveryState.DEAD, last_error=SWITCHED_OFF)


def deliver_for_a_while(subscription_id: UUID, *, clock: Clock) -> int:
    """What is due for a subscriber, one after the other; how many it has taken.

    One worker for each is enough: with several a slow one would take them all, and those who ring people among them.
    When the time is up another job goes on, after those that wait already.
    """
    with try_lock(subscription_id.int % 2**63) as is_only:
        if not is_only:
            return 0
        taken = _deliver(subscription_id, clock=clock)
    # After the lock, which else the next job would find taken; and what came meanwhile asked for none.
    WebhookSubscription.objects.filter(pk=subscription_id).update(job_asked_at=None)
    request_delivery(subscription_id, now=clock())
    return taken


def _deliver(subscription_id: UUID, *, clock: Clock) -> int:
    """When it does not answer at all the others wait for a later job, without using up their tries."""
    end, taken = time.monotonic() + SLICE_SECONDS, 0
    with make_session() as session:
        while delivery := claim_next(subscription_id, now=clock()):
            answered = send(session, delivery, now=clock())
            record(delivery, answered, now=clock())
            taken += answered.is_taken
            if answered.status is None:
                pause(subscription_id, until=clock() + PAUSE)
            if answered.status is None or time.monotonic() >= end:
                break
    return taken


def pause(subscription_id: UUID, *, until: datetime) -> None:
    WebhookSubscription.objects.filter(pk=subscription_id).update(not_before=until)


@transaction.atomic
def claim_next(subscription_id: UUID, *, now: datetime) -> WebhookDelivery | None:
    """The one that has been due for longest, if nobody else has it; from now on it counts as tried."""
    due = WebhookDelivery.objects.due(now).filter(subscription=subscription_id, subscription__is_active=True)
    due = due.filter(Q(subscription__not_before=None) | Q(subscription__not_before__lte=now))
    related = due.select_related("event__contact__campaign", "event__attempt", "subscription")
    locked = related.order_by("next_try_at").select_for_update(of=("self",), skip_locked=True, no_key=True)
    while delivery := locked.first():
        if delivery.attempts >= MOST_TRIES:
            # Nobody has lived to say what came of the last one.
            delivery.state, delivery.last_error = DeliveryState.DEAD, INTERRUPTED
            delivery.save(update_fields=["state", "last_error"])
            continue
        delivery.attempts += 1
        delivery.next_try_at = now + LEASE
        delivery.save(update_fields=["attempts", "next_try_at"])
        return delivery
    return None


def send(session: requests.Session, delivery: WebhookDelivery, *, now: datetime) -> Answered:
    """Never raises for what a subscriber does, nor reads what it says beside the status."""
    subscription = delivery.subscription
    body = make_body(delivery.event, subscription)
    signed = make_headers(subscription.secret, str(delivery.event_id), body, now=now)
    headers = {"Content-Type": "application/json", "User-Agent": "surveycalls", **signed}
    try:
        with session.post(
            subscription.url,
            data=body,
            headers=headers,
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            allow_redirects=False,
            stream=True,
        ) as response:
            return Answered(status=response.status_code)
    except (requests.RequestException, ValueError) as error:  # ValueError: an address that cannot be one
        refused = (reason for reason in (REFUSED, IN_THE_CLEAR) if reason in str(error))
        return Answered(error=next(refused, f"{NO_ANSWER}: {type(error).__name__}"))


def record(delivery: WebhookDelivery, answered: Answered, *, now: datetime) -> None:
    """What was taken stays so, whoever else may have tried meanwhile; a failure counts only for who tried last."""
    mine = WebhookDelivery.objects.filter(pk=delivery.pk)
    if answered.is_taken:
        mine.update(state=DeliveryState.DELIVERED, delivered_at=now, response_status=answered.status, last_error="")
    else:
        next_try_at = find_next_try(delivery.attempts, chance=random.random(), now=now)
        mine.filter(state=DeliveryState.PENDING, attempts=delivery.attempts).update(
            state=DeliveryState.PENDING if next_try_at else DeliveryState.DEAD,
            next_try_at=next_try_at or now,
            response_status=answered.status,
            last_error=answered.error or f"HTTP {answered.status}",
        )
    log.info(
        "webhook.sent",
        event_id=str(delivery.event_id),
        subscription=str(delivery.subscription_id),
        attempt=delivery.attempts,
        status=answered.status,
        error=answered.error,
    )
