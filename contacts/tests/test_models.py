from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from contacts.models import Contact, ContactState
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
ERASED = {"phone_number": None, "erased_at": NOW, "next_attempt_at": None, "state": ContactState.NOT_REACHED}
HASHED = {"phone_number": None, "number_hash": "0" * 64, "hash_key": "0123456789abcdef"}

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("contact_is_a_person_or_erased", {"phone_number": "2025550123"}),
        ("contact_is_a_person_or_erased", {"phone_number": "+0202555012"}),
        ("contact_is_a_person_or_erased", {"phone_number": "+12025"}),
        ("contact_is_a_person_or_erased", {"phone_number": "+1 202555012"}),
        ("contact_is_a_person_or_erased", {"phone_number": "+12025550123\n"}),
        ("contact_is_a_person_or_erased", {"phone_number": None}),
        ("contact_is_a_person_or_erased", {"erased_at": NOW}),
        ("contact_is_a_person_or_erased", ERASED | {"phone_number": "+12025550123"}),
        ("contact_is_a_person_or_erased", ERASED | {"phone_number": ""}),
        ("contact_is_a_person_or_erased", ERASED | {"external_contact_id": "P-17"}),
        ("contact_is_a_person_or_erased", ERASED | {"email": "p17@example.org"}),
        ("contact_is_a_person_or_erased", ERASED | {"next_attempt_at": NOW}),
        ("contact_is_a_person_or_erased", ERASED | {"state": ContactState.PENDING}),
        ("contact_is_a_person_or_erased", ERASED | {"state": ContactState.IN_PROGRESS}),
        ("contact_waits_only_when_callable", {"state": ContactState.IN_PROGRESS}),
        ("contact_waits_only_when_callable", {"state": ContactState.COMPLETED}),
        ("contact_waits_only_when_callable", {"state": ContactState.REFUSED}),
        ("contact_waits_only_when_callable", {"state": ContactState.EXCLUDED}),
        ("contact_on_do_not_call_is_not_callable", {"do_not_call": True, "next_attempt_at": None}),
        (
            "contact_on_do_not_call_is_not_callable",
            {"do_not_call": True, "next_attempt_at": None, "state": ContactState.NOT_REACHED},
        ),
    ],
)
def test_the_database_refuses_a_contact_that_a_constraint_forbids(constraint, values):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        ContactFactory(**values)


def test_a_contact_on_do_not_call_waits_for_no_call():
    with pytest.raises(IntegrityError), transaction.atomic():
        ContactFactory(do_not_call=True, state=ContactState.EXCLUDED)


def test_a_campaign_has_a_number_once():
    first = ContactFactory()
    with (
        pytest.raises(IntegrityError, match="contact_number_is_unique_in_campaign"),
        transaction.atomic(),
    ):
        ContactFactory(campaign=first.campaign, phone_number=first.phone_number)


def test_another_campaign_may_have_the_same_number():
    first = ContactFactory()
    assert ContactFactory(phone_number=first.phone_number).campaign != first.campaign


def test_a_campaign_may_have_any_number_of_erased_people():
    first = ContactFactory(**ERASED)
    assert ContactFactory(campaign=first.campaign, **ERASED).campaign.contacts.count() == 2


@pytest.mark.parametrize("number", ["2025550123", "+0202555012", "+12025"])
def test_the_do_not_call_list_takes_numbers_in_e164_only(number):
    with pytest.raises(IntegrityError, match="do_not_call_has_a_number_or_a_hash"), transaction.atomic():
        DoNotCallEntryFactory(phone_number=number)


@pytest.mark.parametrize(
    "values",
    [
        {"phone_number": None},
        HASHED | {"phone_number": "+12025550123"},
        HASHED | {"number_hash": None},
        HASHED | {"number_hash": "0" * 63},
        HASHED | {"hash_key": ""},
    ],
)
def test_an_entry_has_a_number_or_else_a_hash_and_the_key_of_it(values):
    with pytest.raises(IntegrityError, match="do_not_call_has_a_number_or_a_hash"), transaction.atomic():
        DoNotCallEntryFactory(**values)


def test_the_do_not_call_list_has_a_hash_once():
    DoNotCallEntryFactory(**HASHED)
    with pytest.raises(IntegrityError, match="do_not_call_hash_is_unique"), transaction.atomic():
        DoNotCallEntryFactory(**HASHED)


def test_the_do_not_call_list_has_a_number_once():
    entry = DoNotCallEntryFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        DoNotCallEntryFactory(phone_number=entry.phone_number)


def test_each_zone_of_a_contact_must_exist():
    contact = ContactFactory.build(calling_zone="Europe/Rome Europe/Atlantis")
    with pytest.raises(ValidationError) as refused:
        contact.full_clean(exclude=["campaign"])
    assert list(refused.value.message_dict) == ["calling_zone"]


def test_due_contacts_are_those_whose_instant_has_come():
    due = ContactFactory(next_attempt_at=NOW)
    ContactFactory(next_attempt_at=NOW + timedelta(seconds=1))
    ContactFactory(next_attempt_at=None)
    assert list(Contact.objects.due(NOW)) == [due]


def test_unfinished_contacts_are_waiting_or_in_a_call():
    waiting = ContactFactory(next_attempt_at=NOW + timedelta(days=1))
    in_call = ContactFactory(state=ContactState.IN_PROGRESS, next_attempt_at=None)
    ContactFactory(state=ContactState.COMPLETED, next_attempt_at=None)
    assert set(Contact.objects.unfinished()) == {waiting, in_call}
    assert list(Contact.objects.in_progress()) == [in_call]
    assert list(Contact.objects.waiting()) == [waiting]
