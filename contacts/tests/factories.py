from datetime import UTC, datetime

import factory

from campaigns.tests.factories import CampaignFactory
from contacts.models import Contact, DoNotCallEntry

FIRST_DUE = datetime(2026, 1, 1, tzinfo=UTC)


def make_number(n: int) -> str:
    """One of the 100,000 numbers that Ireland reserves for fiction (020 91x xxxx)."""
    return f"+3532091{n % 100_000:05d}"


class ContactFactory(factory.django.DjangoModelFactory):
    """Pending and due since the first day of 2026, in the campaign's zone."""

    class Meta:
        model = Contact

    campaign = factory.SubFactory(CampaignFactory)
    phone_number = factory.Sequence(make_number)
    next_attempt_at = FIRST_DUE


class DoNotCallEntryFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = DoNotCallEntry

    phone_number = factory.Sequence(make_number)
