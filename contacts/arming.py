"""Making a contact ready to be rung that did not come with an import."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from campaigns.lifecycle import admit_contacts
from contacts.exclusion import numbers_on_do_not_call
from contacts.models import Contact, ContactState
from contacts.phones import calling_zones_of
from contacts.waiting import announce_waiting


def add_contact(contact: Contact, *, now: datetime) -> Contact:
    """Save a new contact, due at once unless its number is on the do-not-call list.

    Raises CampaignIsCancelled.
    """
    with transaction.atomic():
        admit_contacts(contact.campaign)
        _arm_contact(contact, now)
        contact.save(force_insert=True)
        announce_waiting()
    return contact


def change_number(contact: Contact, *, edited: Collection[str], now: datetime) -> None:
    """Save a contact that was never called and whose number was among the ``edited`` fields.

    Its zones are found from the new number, unless they were edited too; it is due at once, unless the number
    is on the do-not-call list.
    """
    with transaction.atomic():
        if "calling_zone" not in edited:
            contact.calling_zone = ""
        _arm_contact(contact, now)
        contact.save(update_fields=[*edited, "calling_zone", "do_not_call", "state", "next_attempt_at", "updated_at"])
        announce_waiting()


def _arm_contact(contact: Contact, now: datetime) -> None:
    """Set what follows from the number of a contact that was never called; does not save it."""
    contact.calling_zone = contact.calling_zone or calling_zones_of(contact.phone_number)
    contact.do_not_call = bool(numbers_on_do_not_call([contact.phone_number]))
    contact.state = ContactState.EXCLUDED if contact.do_not_call else ContactState.PENDING
    contact.next_attempt_at = None if contact.do_not_call else now
