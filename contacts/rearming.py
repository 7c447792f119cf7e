"""When a contact is tried again, and what a change of the campaign's rules does to those who wait."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from campaigns.models import Campaign
from contacts.models import Contact, ContactState

CHUNK_SIZE = 1000


def next_attempt_after(campaign: Campaign, calling_zone: str, ended_at: datetime) -> datetime:
    """When to try again after an attempt that ended then: the retry interval later, in the next opening.

    With no opening within two weeks it is the end of the interval itself: whoever claims checks the window.
    """
    instant = ended_at + campaign.retry_interval
    return campaign.next_opening_for(calling_zone, instant) or instant


def rearm_contacts(campaign: Campaign, *, now: datetime) -> int:
    """Apply the campaign's present rules to its contacts; returns how many have another next attempt now.

    To be called after its number of attempts, hours, weekdays, retry interval or zone were changed and saved.
    Contacts in a call are left out, the end of their call applies the rules.
    """
    tried = Q(state=ContactState.NOT_REACHED)
    # Who is due without a call behind it waits for no interval; only the number of attempts concerns it.
    pending = Q(state=ContactState.PENDING) & (Q(next_attempt_at=None) | Q(attempts_count__gte=campaign.max_attempts))
    contacts = campaign.contacts.filter(tried | pending, do_not_call=False, number_rejected=False)
    ids = list(contacts.order_by("pk").values_list("pk", flat=True))
    changed = 0
    for start in range(0, len(ids), CHUNK_SIZE):
        changed += _rearm_chunk(campaign, contacts.filter(pk__in=ids[start : start + CHUNK_SIZE]), now)
    return changed


def next_attempt_of(campaign: Campaign, contact: Contact, now: datetime) -> datetime | None:
    """When a contact that is pending or not reached is to be rung by the campaign's rules; None for never again."""
    if contact.number_rejected or contact.attempts_count >= campaign.max_attempts:
        return None
    if contact.state == ContactState.PENDING:
        return contact.next_attempt_at or now
    return next_attempt_after(campaign, contact.calling_zone, contact.last_attempt_at or now)


@transaction.atomic
def _rearm_chunk(campaign: Campaign, contacts: QuerySet[Contact], now: datetime) -> int:
    # The lock looks at the conditions again: who has been claimed meanwhile is left out.
    locked = contacts.order_by("pk").select_for_update(of=("self",), no_key=True)
    planned = [(contact, next_attempt_of(campaign, contact, now)) for contact in locked]
    moved = {contact.pk: instant for contact, instant in planned if instant != contact.next_attempt_at}
    _set_next_attempts(moved, now)
    return len(moved)


def _set_next_attempts(instants: Mapping[UUID, datetime | None], now: datetime) -> None:
    """One UPDATE from two arrays: bulk_update() takes several times as long for so many different values."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE contacts_contact SET next_attempt_at = moved.instant, updated_at = %s
            FROM unnest(%s::uuid[], %s::timestamptz[]) AS moved (id, instant)
            WHERE contacts_contact.id = moved.id
            """,
            [now, list(instants), list(instants.values())],
        )
