"""Making a contact ready to be rung that did not come with an import."""

from datetime import datetime

from django.db import transaction

from campaigns.models import Campaign
from contacts.exclusion import numbers_on_do_not_call
from contacts.models import Contact, ContactState
from contacts.phones import calling_zones_of


def add_contact(contact: Contact, *, now: datetime) -> Contact:
    """Save a new contact, due at once unless its number is on the do-not-call list."""
    with transaction.atomic():
        # Locked, so that the campaign is not completed for want of contacts while this one is on its way.
        Campaign.objects.select_for_update(no_key=True).get(pk=contact.campaign_id)
        arm_contact(contact, now=now)
        contact.save(force_insert=True)
    return contact


def arm_contact(contact: Contact, *, now: datetime) -> None:
    """Set what follows from the number of a contact that was never called; does not save it.

    Its zones, when it has none, and when it is due: at once, unless its number is on the do-not-call list.
    """
    contact.calling_zone = contact.calling_zone or calling_zones_of(contact.phone_number)
    contact.do_not_call = bool(numbers_on_do_not_call([contact.phone_number]))
    contact.state = ContactState.EXCLUDED if contact.do_not_call else ContactState.PENDING
    contact.next_attempt_at = None if contact.do_not_call else now
