"""When a contact is tried again, and what a change of the campaign's rules does to those who wait."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from campaigns.models import Campaign
from contacts.models import Contact, ContactState

# The next opening of a number that may lie in forty zones takes about 15 ms to find. A chunk of such
# numbers has to be done well within the database's limit of 10 s for a transaction that rests.
CHUNK_SIZE = 500


def next_attempt_after(campaign: Campaign, calling_zone: str, ended_at: datetime) -> datetime:
    """When to try again after an attempt that ended then: the retry interval later, in the next opening.

    With no opening within two weeks it is the end of the interval itself: whoever claims checks the window.
    """
    instant = ended_at + campaign.retry_interval
    return campaign.next_opening_for(calling_zone, instant) or instant


def rearm_contacts(campaign: Campaign, *, previous_max_attempts: int, now: datetime) -> int:
    """Apply the campaign's present rules to its contacts; returns how many have another next attempt now.

    To be called after its number of attempts, hours, weekdays, retry interval or zone were changed and saved.
    Contacts in a call are left out, the end of their call applies the rules. So are those that were given up
    before their attempts were used up: their number will never work.
    """
    contacts = _find_contacts(campaign, previous_max_attempts)
    changed = 0
    last: UUID | None = None
    while True:
        with transaction.atomic():
            chunk = _lock_chunk(contacts, last)
            moved = [contact for contact in chunk if _apply_rules(campaign, contact, now)]
            Contact.objects.bulk_update(moved, ["next_attempt_at", "updated_at"])
        if not chunk:
            return changed
        changed += len(moved)
        last = chunk[-1].pk


def _find_contacts(campaign: Campaign, previous_max_attempts: int) -> QuerySet[Contact]:
    waiting = Q(next_attempt_at__isnull=False)
    used_up = Q(attempts_count__gte=previous_max_attempts)
    tried = Q(state=ContactState.NOT_REACHED) & (waiting | used_up)
    # One that is due without a call behind it waits for no interval; only the number of attempts concerns it.
    pending = Q(state=ContactState.PENDING) & (used_up | (waiting & Q(attempts_count__gte=campaign.max_attempts)))
    return campaign.contacts.filter(tried | pending, do_not_call=False)


def _lock_chunk(contacts: QuerySet[Contact], after: UUID | None) -> list[Contact]:
    rest = contacts.filter(pk__gt=after) if after else contacts
    return list(rest.order_by("pk").select_for_update(of=("self",), no_key=True)[:CHUNK_SIZE])


def _apply_rules(campaign: Campaign, contact: Contact, now: datetime) -> bool:
    """Set the contact's next attempt, without saving it; False when it stays as it is."""
    next_attempt_at = _next_attempt(campaign, contact, now)
    if next_attempt_at == contact.next_attempt_at:
        return False
    contact.next_attempt_at = next_attempt_at
    contact.updated_at = now
    return True


def _next_attempt(campaign: Campaign, contact: Contact, now: datetime) -> datetime | None:
    if contact.attempts_count >= campaign.max_attempts:
        return None
    if contact.state == ContactState.PENDING:
        return contact.next_attempt_at or now
    return next_attempt_after(campaign, contact.calling_zone, contact.last_attempt_at or now)
