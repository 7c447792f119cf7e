"""Contacts and the do-not-call list as tables that can be imported again."""

from collections.abc import Iterator, Sequence

from campaigns.models import Campaign
from contacts.models import Contact, DoNotCallEntry
from contacts.spreadsheets import Cell

# Read in pieces, through a cursor of the server: the memory does not grow with the table.
ROWS_AT_ONCE = 2000

# The columns of an import come first, and by its names; the others it ignores.
CONTACT_COLUMNS = {
    "phone_number": "phone_number",
    "external_contact_id": "external_contact_id",
    "email": "email",
    "preferred_language": "preferred_language",
    "has_prior_consent": "has_prior_consent",
    "do_not_call": "do_not_call",
    "time_zone": "calling_zone",
    "state": "state",
    "attempts": "attempts_count",
    "last_outcome": "last_outcome",
    "last_attempt_at": "last_attempt_at",
    "next_attempt_at": "next_attempt_at",
    "imported_at": "created_at",
}
ENTRY_COLUMNS = {"phone_number": "phone_number", "reason": "reason", "source": "source", "added_at": "created_at"}


def list_contacts(campaign: Campaign) -> Iterator[Sequence[Cell]]:
    """Without those that were erased: there is nobody to be imported again."""
    contacts = Contact.objects.filter(campaign=campaign, erased_at=None).order_by("pk")
    return contacts.values_list(*CONTACT_COLUMNS.values()).iterator(chunk_size=ROWS_AT_ONCE)


def list_entries() -> Iterator[Sequence[Cell]]:
    """Without those that are kept as hashes only, which nobody can read."""
    entries = DoNotCallEntry.objects.filter(phone_number__isnull=False).order_by("pk")
    return entries.values_list(*ENTRY_COLUMNS.values()).iterator(chunk_size=ROWS_AT_ONCE)
