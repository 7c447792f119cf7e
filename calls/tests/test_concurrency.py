"""Schedulers beside each other, on real second connections."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction

from calls import claiming
from calls.claiming import Reason, claim_calls
from calls.clock import DatabaseClock
from calls.models import CallAttempt, ProviderConfig
from calls.outcomes import end_attempt
from calls.roster import Roster
from calls.tests.threads import in_thread
from campaigns.lifecycle import complete_if_done
from campaigns.tests.factories import CampaignFactory
from contacts.models import CallOutcome, Contact, ContactState
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def plenty_of_calls_per_second(db):
    ProviderConfig.objects.update(calls_per_second=100_000, max_concurrent_calls=10)


def claim(roster=None):
    return claim_calls(max_concurrent_calls=None, batch_size=50, room=50, clock=DatabaseClock(), roster=roster)


@contextmanager
def claim_held_open(monkeypatch):
    """Another scheduler that has counted the free lines and not yet committed what it claims."""
    counted, go_on = threading.Event(), threading.Event()
    read = Roster.read

    def wait_and_read(roster, openings, now):
        if threading.current_thread() is not threading.main_thread():
            counted.set()
            go_on.wait(timeout=20)
        return read(roster, openings, now)

    monkeypatch.setattr(Roster, "read", wait_and_read)
    result = in_thread(claim)
    assert counted.wait(timeout=20)
    try:
        yield
    finally:
        go_on.set()
        result()


def test_two_schedulers_never_claim_the_same_contact_or_more_than_the_lines(monkeypatch):
    ContactFactory.create_batch(30, campaign=CampaignFactory())
    with claim_held_open(monkeypatch):
        assert claim().blocked == Reason.LOCKED
    assert CallAttempt.objects.open().count() == 10
    assert claim().blocked == Reason.LINES_BUSY


def test_many_schedulers_at_once_ring_everybody_once_and_never_exceed_the_lines():
    ContactFactory.create_batch(120, campaign=CampaignFactory(max_attempts=1))
    peaks = []

    def work():
        idle = 0
        while idle < 20:
            attempts = claim().attempts
            idle = 0 if attempts else idle + 1
            peaks.append(CallAttempt.objects.open().count())
            for attempt in attempts:
                end_attempt(attempt, CallOutcome.BUSY, now=attempt.claimed_at)
        return True

    assert all(result() for result in [in_thread(work) for _ in range(6)])
    assert CallAttempt.objects.count() == 120
    assert CallAttempt.objects.values("contact").distinct().count() == 120
    assert max(peaks) <= 10


def test_a_contact_that_somebody_else_has_locked_is_passed_over():
    campaign = CampaignFactory()
    first, second = ContactFactory.create_batch(2, campaign=campaign)
    with transaction.atomic():
        Contact.objects.select_for_update().get(pk=first.pk)
        attempts = in_thread(claim)().attempts
    assert [attempt.contact for attempt in attempts] == [second]


def test_an_operator_who_edits_the_provider_does_not_wait_for_a_claim(monkeypatch):
    """The claim's lock is not a key lock, and a claim is over in milliseconds; the edit then goes through."""
    ContactFactory()
    with claim_held_open(monkeypatch):
        edit = in_thread(lambda: ProviderConfig.objects.update(max_concurrent_calls=3))
    assert edit() == 1


# Contacts that somebody else has locked


@contextmanager
def locked(contacts):
    """By somebody who edits or imports them."""
    is_locked, go_on = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(contacts.select_for_update(no_key=True))
            is_locked.set()
            go_on.wait(timeout=20)

    release = in_thread(hold)
    is_locked.wait(timeout=20)
    try:
        yield
    finally:
        go_on.set()
        release()


def test_a_campaign_whose_contacts_are_locked_keeps_nobody_else_from_being_rung():
    ProviderConfig.objects.update(max_concurrent_calls=1)
    edited, other = CampaignFactory.create_batch(2)
    ContactFactory.create_batch(3, campaign=edited)
    (contact,) = ContactFactory.create_batch(1, campaign=other)
    with locked(edited.contacts):
        assert [attempt.contact for attempt in claim().attempts] == [contact]


def test_whoever_is_locked_is_told_to_be_and_called_afterwards():
    roster = Roster()
    contacts = ContactFactory.create_batch(3, campaign=(campaign := CampaignFactory()))
    with locked(campaign.contacts):
        result = claim(roster)
        assert (result.attempts, result.reasons) == ([], {campaign.pk: Reason.BEING_EDITED})
        assert result.look_again_at is not None
    assert len(claim(roster).attempts) == len(contacts)


def test_nobody_is_passed_over_for_good_because_the_contact_before_was_locked():
    roster = Roster()
    contacts = ContactFactory.create_batch(3, campaign=(campaign := CampaignFactory()))
    claim_calls(max_concurrent_calls=None, batch_size=1, room=50, clock=DatabaseClock(), roster=roster)
    with locked(campaign.contacts.filter(pk=contacts[1].pk)):
        claimed = claim(roster).attempts
    assert [attempt.contact for attempt in claimed] == [contacts[2]]
    assert [attempt.contact for attempt in claim(roster).attempts] == [contacts[1]]


def test_who_was_put_off_after_being_chosen_is_not_rung(monkeypatch):
    contact = ContactFactory()
    reserve = claiming.reserve

    def put_off_and_reserve(*arguments, **options):
        in_thread(lambda: Contact.objects.update(next_attempt_at=DatabaseClock()() + timedelta(hours=1)))()
        return reserve(*arguments, **options)

    monkeypatch.setattr(claiming, "reserve", put_off_and_reserve)
    assert claim().attempts == []
    contact.refresh_from_db()
    assert contact.state == ContactState.PENDING


def test_a_campaign_is_not_completed_under_somebody_who_is_being_claimed():
    campaign = ContactFactory().campaign
    claims = []

    def claim_after_the_first_question(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if not claims and "contacts_contact" in sql:
            claims.append(in_thread(claim)().attempts)
        return result

    with connection.execute_wrapper(claim_after_the_first_question):
        assert not complete_if_done(campaign.pk, DatabaseClock()())
    assert len(claims[0]) == 1
