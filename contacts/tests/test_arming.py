from datetime import UTC, datetime

import pytest

from campaigns.lifecycle import CampaignIsCancelled
from campaigns.models import Campaign
from campaigns.tests.factories import CampaignFactory
from contacts.arming import add_contact, change_number
from contacts.models import Contact, ContactState
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
NUMBER = "+12025550123"

pytestmark = pytest.mark.django_db


def test_a_new_contact_is_due_now_in_the_zones_of_its_number():
    add_contact(Contact(campaign=CampaignFactory(), phone_number=NUMBER), now=NOW)
    contact = Contact.objects.get()
    assert (contact.state, contact.next_attempt_at) == (ContactState.PENDING, NOW)
    assert contact.calling_zone == "America/New_York"


def test_a_campaign_that_was_cancelled_meanwhile_takes_no_contact():
    contact = Contact(campaign=CampaignFactory(), phone_number=NUMBER)
    Campaign.objects.update(status="cancelled")
    with pytest.raises(CampaignIsCancelled):
        add_contact(contact, now=NOW)
    assert not Contact.objects.exists()


@pytest.mark.parametrize(
    ("edited", "zone"),
    [(["phone_number"], "America/New_York"), (["phone_number", "calling_zone"], "Europe/Rome")],
)
def test_the_zones_follow_a_new_number_unless_they_were_edited_too(edited, zone):
    contact = ContactFactory(calling_zone="Europe/Rome")
    contact.phone_number = NUMBER
    change_number(contact, edited=edited, now=NOW)
    contact.refresh_from_db()
    assert (contact.phone_number, contact.calling_zone, contact.next_attempt_at) == (NUMBER, zone, NOW)


def test_another_number_that_is_on_the_do_not_call_list_excludes_its_contact():
    contact = ContactFactory()
    DoNotCallEntryFactory(phone_number=NUMBER)
    contact.phone_number = NUMBER
    change_number(contact, edited=["phone_number"], now=NOW)
    contact.refresh_from_db()
    assert (contact.state, contact.next_attempt_at) == (ContactState.EXCLUDED, None)
