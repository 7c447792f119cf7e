from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from calls.tests.phone_network import wait_until
from calls.tests.threads import count_waiting, in_thread
from campaigns.tests.factories import CampaignFactory
from contacts.arming import add_contact
from contacts.exclusion import (
    add_numbers_to_do_not_call,
    add_to_do_not_call,
    entries_of,
    exclude_contacts,
    keep_as_hash,
    numbers_on_do_not_call,
    remove_from_do_not_call,
)
from contacts.models import Contact, ContactState, DoNotCallEntry, DoNotCallSource
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

NUMBER = "+12025550123"
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture
def hashed(settings):
    """The number is on the list as a hash."""
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    keep_as_hash([NUMBER])
    return DoNotCallEntry.objects.get()


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
    with django_assert_max_num_queries(8):
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
    assert remove_from_do_not_call([entry.phone_number], now=NOW) == 2
    fresh.refresh_from_db()
    tried.refresh_from_db()
    assert (fresh.do_not_call, fresh.state, fresh.next_attempt_at) == (False, ContactState.PENDING, NOW)
    assert (tried.state, tried.next_attempt_at) == (ContactState.NOT_REACHED, NOW + timedelta(hours=1))
    assert not DoNotCallEntry.objects.exists()


def test_taking_a_number_off_the_list_does_not_undo_a_refusal():
    contact = ContactFactory(state=ContactState.REFUSED, next_attempt_at=None, attempts_count=1)
    entry = add_to_do_not_call(contact.phone_number)
    assert remove_from_do_not_call([entry.phone_number], now=NOW) == 0
    contact.refresh_from_db()
    assert (contact.do_not_call, contact.state, contact.next_attempt_at) == (False, ContactState.REFUSED, None)


# Numbers that are kept as hashes


def test_a_number_is_kept_as_a_hash_that_does_not_tell_it(hashed):
    assert (hashed.phone_number, len(hashed.number_hash), len(hashed.hash_key)) == (None, 64, 16)
    assert NUMBER[1:] not in f"{hashed}{hashed.number_hash}{hashed.reason}"


def test_why_a_hash_is_kept_is_told_in_the_language_of_the_site(settings):
    settings.DO_NOT_CALL_HASH_KEY = "k" * 32
    settings.LANGUAGE_CODE = "it"
    keep_as_hash([NUMBER])
    assert DoNotCallEntry.objects.get().reason == "Conservato alla cancellazione della persona"


def test_a_number_that_could_be_read_is_made_a_hash_once(settings):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    add_to_do_not_call(NUMBER)
    keep_as_hash([NUMBER])
    keep_as_hash([NUMBER])
    assert DoNotCallEntry.objects.get().phone_number is None


def test_a_number_is_found_on_the_list_by_its_hash(hashed):
    assert numbers_on_do_not_call([NUMBER, "+12025550124"]) == {NUMBER}
    assert list(entries_of([NUMBER])) == [hashed]


def test_adding_a_number_again_leaves_the_hash_alone_and_excludes_its_contacts(hashed):
    contact = ContactFactory(phone_number=NUMBER)
    assert add_to_do_not_call(NUMBER) == hashed
    assert DoNotCallEntry.objects.get() == hashed
    assert Contact.objects.get(pk=contact.pk).state == ContactState.EXCLUDED


def test_a_hash_is_taken_off_by_its_number(hashed):
    contact = ContactFactory(phone_number=NUMBER, do_not_call=True, state=ContactState.EXCLUDED, next_attempt_at=None)
    assert remove_from_do_not_call([NUMBER], now=NOW) == 1
    assert not DoNotCallEntry.objects.exists()
    assert Contact.objects.get(pk=contact.pk).next_attempt_at == NOW


def test_a_new_contact_whose_number_is_kept_as_a_hash_is_excluded(hashed):
    contact = add_contact(ContactFactory.build(campaign=CampaignFactory(), phone_number=NUMBER), now=NOW)
    assert (contact.state, contact.do_not_call) == (ContactState.EXCLUDED, True)


def test_a_number_that_stands_there_twice_can_still_be_added(hashed):
    DoNotCallEntryFactory(phone_number=NUMBER)
    assert add_to_do_not_call(NUMBER) in DoNotCallEntry.objects.all()


def test_without_a_key_the_list_is_asked_once(settings, django_assert_num_queries):
    settings.DO_NOT_CALL_HASH_KEY = ""
    with django_assert_num_queries(1):
        assert numbers_on_do_not_call([NUMBER]) == set()


# On real second connections


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("was_listed", [False, True])
def test_who_adds_a_number_that_is_just_being_made_a_hash_finds_the_hash(settings, was_listed):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    if was_listed:
        add_to_do_not_call(NUMBER)
    with transaction.atomic():
        keep_as_hash([NUMBER])
        add = in_thread(lambda: add_to_do_not_call(NUMBER))
        wait_until(lambda: count_waiting() == 1)
    assert [add()] == list(DoNotCallEntry.objects.filter(phone_number=None)) == list(DoNotCallEntry.objects.all())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("leave", [keep_as_hash, lambda numbers: remove_from_do_not_call(numbers, now=NOW)])
def test_who_adds_numbers_waits_for_nobody_else_who_does_and_is_waited_for_by_whoever_takes_them_off(settings, leave):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    with transaction.atomic():
        add_to_do_not_call(NUMBER)
        assert in_thread(lambda: add_to_do_not_call("+12025550124"))() != "still at it"
        left = in_thread(lambda: leave([NUMBER]))
        wait_until(lambda: count_waiting() == 1)
    left()
    assert not DoNotCallEntry.objects.filter(phone_number=NUMBER).exists()
