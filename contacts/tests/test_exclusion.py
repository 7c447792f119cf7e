from datetime import UTC, datetime, timedelta

import pytest

from campaigns.tests.factories import CampaignFactory
from contacts.exclusion import (
    add_numbers_to_do_not_call,
    add_to_do_not_call,
    exclude_contacts,
    numbers_on_do_not_call,
    remove_from_do_not_call,
)
from contacts.models import Contact, ContactState, DoNotCallEntry, DoNotCallSource
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

NUMBER = "+12025550123"
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def test_a_number_is_added_with_its_reason_and_source():
    entry = add_to_do_not_call(NUMBER, reason="Asked by letter", source=DoNotCallSource.API)
    entry.refresh_from_db()
    assert (entry.phone_number, entry.reason, entry.source) == (NUMBER, "Asked by letter", DoNotCallSource.API)


def test_adding_it_again_keeps_the_first_entry():
    first = add_to_do_not_call(NUMBER, reason="Asked by letter")
    assert add_to_do_not_call(NUMBER, reason="Asked again") == first
    assert DoNotCallEntry.objects.get().reason == "Asked by letter"


def test_its_contacts_are_excluded_from_every_campaign():
    contacts = [ContactFactory(phone_number=NUMBER), ContactFactory(phone_number=NUMBER)]
    add_to_do_not_call(NUMBER)
    for contact in contacts:
        contact.refresh_from_db()
        assert contact.do_not_call
        assert (contact.state, contact.next_attempt_at) == (ContactState.EXCLUDED, None)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (ContactState.PENDING, ContactState.EXCLUDED),
        (ContactState.NOT_REACHED, ContactState.EXCLUDED),
        (ContactState.IN_PROGRESS, ContactState.IN_PROGRESS),  # settled when the call ends
        (ContactState.COMPLETED, ContactState.COMPLETED),
        (ContactState.REFUSED, ContactState.REFUSED),
    ],
)
def test_every_contact_is_marked_and_only_those_who_wait_change_their_state(state, expected):
    contact = ContactFactory(phone_number=NUMBER, state=state, next_attempt_at=None)
    add_to_do_not_call(NUMBER)
    contact.refresh_from_db()
    assert (contact.do_not_call, contact.state) == (True, expected)


def test_other_numbers_stay_as_they_are():
    other = ContactFactory()
    add_to_do_not_call(NUMBER)
    other.refresh_from_db()
    assert (other.do_not_call, other.state) == (False, ContactState.PENDING)


def test_a_contact_that_slipped_through_is_excluded_when_its_number_is_added_again():
    DoNotCallEntryFactory(phone_number=NUMBER)
    contact = ContactFactory(phone_number=NUMBER)
    add_to_do_not_call(NUMBER)
    contact.refresh_from_db()
    assert contact.state == ContactState.EXCLUDED


def test_an_entry_is_not_kept_when_its_contacts_cannot_be_excluded(monkeypatch):
    def fail(contacts):
        raise RuntimeError

    monkeypatch.setattr("contacts.exclusion.exclude_contacts", fail)
    with pytest.raises(RuntimeError):
        add_to_do_not_call(NUMBER)
    assert not DoNotCallEntry.objects.exists()


def test_many_numbers_are_added_with_as_few_queries_as_one(django_assert_max_num_queries):
    contacts = ContactFactory.create_batch(20)
    with django_assert_max_num_queries(7):
        assert add_numbers_to_do_not_call([contact.phone_number for contact in contacts]) == 20
    assert Contact.objects.filter(state=ContactState.EXCLUDED).count() == DoNotCallEntry.objects.count() == 20


def test_excluding_counts_those_who_were_still_allowed():
    waiting = ContactFactory()
    ContactFactory(state=ContactState.EXCLUDED, do_not_call=True, next_attempt_at=None)
    before = waiting.updated_at
    assert exclude_contacts(Contact.objects.all()) == 1
    waiting.refresh_from_db()
    assert waiting.updated_at > before


def test_numbers_are_found_on_the_list():
    DoNotCallEntryFactory(phone_number=NUMBER)
    assert numbers_on_do_not_call([NUMBER, "+12025550124"]) == {NUMBER}


def test_a_number_that_is_taken_off_the_list_is_rung_again_by_the_rules_of_its_campaigns():
    campaign = CampaignFactory(max_attempts=2, retry_interval_minutes=60)
    fresh = ContactFactory(campaign=campaign)
    tried = ContactFactory(
        phone_number=fresh.phone_number,
        campaign__retry_interval_minutes=60,
        state=ContactState.NOT_REACHED,
        attempts_count=1,
        last_attempt_at=NOW,
    )
    entry = add_to_do_not_call(fresh.phone_number)
    assert remove_from_do_not_call(entry, now=NOW) == 2
    fresh.refresh_from_db()
    tried.refresh_from_db()
    assert (fresh.do_not_call, fresh.state, fresh.next_attempt_at) == (False, ContactState.PENDING, NOW)
    assert (tried.state, tried.next_attempt_at) == (ContactState.NOT_REACHED, NOW + timedelta(hours=1))
    assert not DoNotCallEntry.objects.exists()


def test_taking_a_number_off_the_list_does_not_undo_a_refusal():
    contact = ContactFactory(state=ContactState.REFUSED, next_attempt_at=None, attempts_count=1)
    entry = add_to_do_not_call(contact.phone_number)
    assert remove_from_do_not_call(entry, now=NOW) == 0
    contact.refresh_from_db()
    assert (contact.do_not_call, contact.state, contact.next_attempt_at) == (False, ContactState.REFUSED, None)
