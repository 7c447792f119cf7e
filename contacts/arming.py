"""Making a contact ready to be rung that did not come with an import."""

from datetime import datetime

from contacts.exclusion import numbers_on_do_not_call
from contacts.models import Contact, ContactState
from contacts.phones import calling_zones_of


def arm_contact(contact: Contact, *, now: datetime) -> None:
    """Set what follows from the number of a new contact, or of one that was never called; does not save it.

    Its zones, when it has none; and it is due at once, unless its number is on the do-not-call list.
    """
    contact.calling_zone = contact.calling_zone or calling_zones_of(contact.phone_number)
    contact.do_not_call = bool(numbers_on_do_not_call([contact.phone_number]))
    contact.state = ContactState.EXCLUDED if contact.do_not_call else ContactState.PENDING
    contact.next_attempt_at = None if contact.do_not_call else now
