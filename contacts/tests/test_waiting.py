from datetime import UTC, datetime
from io import BytesIO

import pytest

from campaigns.tests.factories import CampaignFactory
from contacts.arming import add_contact, change_number
from contacts.exclusion import add_to_do_not_call, remove_from_do_not_call
from contacts.importing import import_contacts
from contacts.models import Contact, ContactState
from contacts.rearming import rearm_contacts
from contacts.tests.factories import ContactFactory
from contacts.waiting import contacts_waiting

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
NUMBER = "+12025550123"

pytestmark = pytest.mark.django_db


@pytest.fixture
def hear_news(django_capture_on_commit_callbacks):
    """How often the news of somebody waiting came when the work was committed."""

    def hear(work):
        heard = []

        def receive(**_kwargs):
            heard.append(1)

        contacts_waiting.connect(receive)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                work()
                assert heard == []
        finally:
            contacts_waiting.disconnect(receive)
        return len(heard)

    return hear


def import_text(text):
    import_contacts(CampaignFactory(), BytesIO(text.encode()), now=NOW)


def test_an_import_brings_the_news(hear_news):
    assert hear_news(lambda: import_text("phone_number\n+12025550123\n")) == 1


def test_an_import_of_nobody_does_not(hear_news):
    assert hear_news(lambda: import_text("phone_number\nnonsense\n")) == 0


def test_a_new_contact_brings_the_news(hear_news):
    contact = Contact(campaign=CampaignFactory(), phone_number=NUMBER)
    assert hear_news(lambda: add_contact(contact, now=NOW)) == 1


def test_another_number_brings_the_news(hear_news):
    contact = ContactFactory()
    contact.phone_number = NUMBER
    assert hear_news(lambda: change_number(contact, edited=["phone_number"], now=NOW)) == 1


def test_a_number_that_is_taken_off_the_do_not_call_list_brings_the_news(hear_news):
    entry = add_to_do_not_call(ContactFactory().phone_number)
    assert hear_news(lambda: remove_from_do_not_call([entry.phone_number], now=NOW)) == 1


def test_a_number_that_nobody_has_does_not(hear_news):
    entry = add_to_do_not_call(NUMBER)
    assert hear_news(lambda: remove_from_do_not_call([entry.phone_number], now=NOW)) == 0


def test_new_rules_that_move_somebody_bring_the_news(hear_news):
    contact = ContactFactory(
        state=ContactState.NOT_REACHED, attempts_count=1, last_attempt_at=NOW, next_attempt_at=None
    )
    assert hear_news(lambda: rearm_contacts(contact.campaign, now=NOW)) == 1


def test_new_rules_that_move_nobody_do_not(hear_news):
    campaign = ContactFactory().campaign
    assert hear_news(lambda: rearm_contacts(campaign, now=NOW)) == 0
