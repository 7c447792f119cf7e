"""The campaigns and contacts of a benchmark, written in bulk. To be imported in a world."""

from collections.abc import Sequence

from django.db import connection

from campaigns.tests.factories import CampaignFactory
from contacts.models import Contact
from contacts.tests.factories import FIRST_DUE


def replace_everybody(contacts: int, **campaign: object) -> Sequence[Contact]:
    """One campaign, open at all hours, with so many contacts who are due; nothing is left of those before it."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE calls_callattempt, contacts_contact, campaigns_campaign CASCADE")
        cursor.execute("UPDATE calls_providerconfig SET next_call_at = NULL, shift_requested_at = NULL")
    running = CampaignFactory(**campaign)
    made = Contact.objects.bulk_create(
        Contact(campaign=running, phone_number=make_number(n), calling_zone="UTC", next_attempt_at=FIRST_DUE)
        for n in range(contacts)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return made


def make_number(n: int) -> str:
    """One of a million numbers of a range that nobody has."""
    return f"+4400{n:08d}"
