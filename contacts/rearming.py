"""When a contact is tried again, and what a change of the campaign's rules does to those who wait."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from campaigns.models import Campaign
from campaigns.retries import find_next_try
from contacts.models import Contact, ContactState
from contacts.waiting import announce_waiting

CHUNK_SIZE = 1000

# How long an edit may have been going on; generous, for clocks that differ. More is only a little more work.
LONGEST_EDIT = timedelta(minutes=10)


def next_attempt_after(campaign: Campaign, contact: Contact, ended_at: datetime) -> datetime:
    """When to try again whoever was not reached by an attempt that ended then: in the first opening after the interval.

    The interval follows from the contact's last outcome and how often it was tried. Without any opening it is the
    interval's end: whoever claims checks the window.
    """
    delays = campaign.delays_after(contact.last_outcome)
    zones = campaign.zones_of(contact.calling_zone)
    instant = find_next_try(delays, tries=contact.attempts_count, ended_at=ended_at, zones=zones)
    return campaign.next_opening_for(contact.calling_zone, instant) or instant


def rearm_contacts(campaign: Campaign, *, now: datetime) -> int:
    """Apply the campaign's present rules to its contacts; returns how many have another next attempt now.

    To be called in the transaction in which its number of attempts, hours, days, retry intervals or zone were
    changed and saved. Contacts in a call are left out, the end of their call applies the rules.
    """
    # Until the commit a call that ends goes by the old rules still, and to lock who is in one would keep the
    # provider's reports waiting for the commit. So they have their turn after it.
    transaction.on_commit(lambda: _rearm_who_was_in_call(campaign.pk, now), robust=True)
    return _rearm_chunks(campaign, _find_rearmable(campaign), now)


def _rearm_who_was_in_call(campaign_id: UUID, now: datetime) -> None:
    """Apply the present rules to those whose call has ended since, or is just being ended."""
    with transaction.atomic():
        # Read again, because another edit may have followed, and locked, so that none does now.
        campaign = Campaign.objects.select_for_update(no_key=True).get(pk=campaign_id)
        ended = _find_rearmable(campaign).filter(last_attempt_at__gte=now - LONGEST_EDIT)
        _rearm_chunks(campaign, ended | campaign.contacts.in_progress(), now)


def _find_rearmable(campaign: Campaign) -> QuerySet[Contact]:
    tried = Q(state=ContactState.NOT_REACHED)
    # Who is due without a call behind it waits for no interval; only the number of attempts concerns it.
    pending = Q(state=ContactState.PENDING) & (Q(next_attempt_at=None) | Q(attempts_count__gte=campaign.max_attempts))
    return campaign.contacts.filter(tried | pending, do_not_call=False, number_rejected=False, erased_at=None)


def _rearm_chunks(campaign: Campaign, contacts: QuerySet[Contact], now: datetime) -> int:
    ids = list(contacts.order_by("pk").values_list("pk", flat=True))
    chunks = (ids[start : start + CHUNK_SIZE] for start in range(0, len(ids), CHUNK_SIZE))
    changed = sum(_rearm_chunk(campaign, contacts.filter(pk__in=chunk), now) for chunk in chunks)
    if changed:
        announce_waiting()
    return changed


def next_attempt_of(campaign: Campaign, contact: Contact, now: datetime) -> datetime | None:
    """When a contact that is pending or not reached is to be rung by the campaign's rules; None for never again."""
    if contact.number_rejected or contact.attempts_count >= campaign.max_attempts:
        return None
    if contact.state == ContactState.PENDING:
        return contact.next_attempt_at or now
    return next_attempt_after(campaign, contact, contact.last_attempt_at or now)


@transaction.atomic
def _rearm_chunk(campaign: Campaign, contacts: QuerySet[Contact], now: datetime) -> int:
    # The lock waits for calls that are just being ended or claimed, and looks at the conditions again.
    locked = contacts.order_by("pk").select_for_update(of=("self",), no_key=True)
    idle = [contact for contact in locked if contact.state != ContactState.IN_PROGRESS]
    planned = [(contact, next_attempt_of(campaign, contact, now)) for contact in idle]
    moved = {contact.pk: instant for contact, instant in planned if instant != contact.next_attempt_at}
    set_next_attempts(moved, now)
    return len(moved)


def set_next_attempts(instants: Mapping[UUID, datetime | None], now: datetime) -> None:
    """Of contacts that are locked. One UPDATE from two arrays: bulk_update() takes several times as long for it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE contacts_contact SET next_attempt_at = moved.instant, updated_at = %s
            FROM unnest(%s::uuid[], %s::timestamptz[]) AS moved (id, instant)
            WHERE contacts_contact.id = moved.id
            """,
            [now, list(instants), list(instants.values())],
        )
