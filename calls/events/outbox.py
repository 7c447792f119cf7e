"""Events are written here, in the transaction of what they tell of: either both are there or neither.

An event says of an attempt that by it the contact was settled, or given up. Who is rung again after that, because more
tries were allowed, and in vain again, has another event of the same type, of another attempt. Somebody whose answers
come late has survey.completed, or survey.refused, after survey.not_reached. After one of those two nothing comes.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django_q.brokers import get_broker
from django_q.tasks import async_task
from uuid_utils.compat import uuid7

from calls.events.models import SurveyEvent, WebhookSubscription
from calls.models import CallAttempt
from calls.wakeups import Bell
from campaigns.models import EventType
from contacts.models import CallOutcome

TASK = "calls.tasks.hand_out_events"

# News within so many seconds is one job.
DEBOUNCE_SECONDS = 1.0
# With so many jobs in the queue no more are asked for: the cluster has too much to do, or there is none.
MOST_WAITING = 50

TYPE_OF_OUTCOME = {
    CallOutcome.COMPLETED: EventType.COMPLETED,
    CallOutcome.REFUSED: EventType.REFUSED,
}


def write_decision(attempt: CallAttempt, outcome: CallOutcome, *, now: datetime) -> None:
    """For the transaction in which the person has decided it."""
    event = SurveyEvent(
        type=TYPE_OF_OUTCOME[outcome], contact_id=attempt.contact_id, attempt_id=attempt.pk, occurred_at=now
    )
    SurveyEvent.objects.bulk_create([event], ignore_conflicts=True)
    announce_events()


def write_given_up(contacts: Collection[UUID], now: datetime, **_kwargs: Any) -> None:
    """For the transaction in which a change of rules has left these without a further try.

    Of those that were tried. By the same last attempt nobody is given up twice.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO calls_surveyevent (id, type, contact_id, attempt_id, occurred_at)
            SELECT new.id, %s, contact.id, attempt.id, %s
            FROM unnest(%s::uuid[], %s::uuid[]) AS new (contact_id, id)
            JOIN contacts_contact AS contact ON contact.id = new.contact_id
            CROSS JOIN LATERAL (
                SELECT id FROM calls_callattempt WHERE contact_id = contact.id AND NOT given_back
                ORDER BY attempt_number DESC LIMIT 1
            ) AS attempt
            WHERE contact.state IN ('not_reached', 'pending') AND contact.next_attempt_at IS NULL
            ON CONFLICT DO NOTHING
            """,
            [EventType.NOT_REACHED, now, list(contacts), [uuid7() for _ in contacts]],
        )
        if cursor.rowcount:
            announce_events()


def announce_events() -> None:
    """Once the current transaction has committed."""
    transaction.on_commit(_bell.ring, robust=True)


def request_job() -> None:
    """Have a cluster look at the outbox now, if a system is told anything; the schedule does so every minute.

    It also sends the e-mails. They can wait for it, and a mail server that does not answer then is asked no more often.
    """
    if is_any_system_told() and get_broker().queue_size() < MOST_WAITING:
        async_task(TASK, group="events", save=False)


def is_any_system_told() -> bool:
    return WebhookSubscription.objects.filter(is_active=True).exists()


_bell = Bell(DEBOUNCE_SECONDS, tell=request_job)
