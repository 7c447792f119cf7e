from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from calls import conversation, outcomes
from calls.metrics import counting
from calls.models import CallAttempt
from calls.providers.base import (
    CallEvent,
    CallProgress,
    CallRejected,
    PlacementUnknown,
    ProviderMisconfigured,
    ProviderUnavailable,
    Said,
)
from calls.tests.conftest import NOON
from calls.tests.factories import CallAttemptFactory
from contacts.models import CallOutcome, ContactState
from contacts.tests.factories import ContactFactory


def value_of(metric, *labels):
    return (metric.labels(*labels) if labels else metric)._value.get()


def ended(attempt, outcome):
    return value_of(counting.attempts_ended, str(attempt.campaign_id), outcome)


def make_attempt():
    contact = ContactFactory(state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=1)
    return CallAttemptFactory(ringing=True, contact=contact)


def end(attempt, outcome=CallOutcome.BUSY):
    with transaction.atomic():
        outcomes.end_attempt(attempt, outcome, now=NOON)


def take_part(attempt):
    names = {"call_id": attempt.call_id, "provider_call_id": attempt.provider_call_id, "said": Said(keys="1")}
    consent = CallEvent(**names, progress=CallProgress.ANSWERED, raw_status="in-progress")
    conversation.hear_consent(consent, is_again=False, now=NOON)


@pytest.mark.django_db(transaction=True)
def test_an_end_is_counted_once_by_campaign_and_outcome():
    attempt = make_attempt()
    end(attempt)
    end(attempt)
    assert ended(attempt, "busy") == 1


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_was_given_back_is_told_from_a_failed_one():
    attempt = make_attempt()
    outcomes.give_back(attempt, code="x", message="x", now=NOON)
    assert (ended(attempt, "given_back"), ended(attempt, "failed")) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_an_end_that_was_rolled_back_is_not_counted():
    attempt = make_attempt()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        outcomes.end_attempt(attempt, CallOutcome.BUSY, now=NOON)
        raise ZeroDivisionError
    assert ended(attempt, "busy") == 0


@pytest.mark.django_db(transaction=True)
def test_the_correction_of_an_outcome_is_counted_beside_the_end_that_it_corrects():
    attempt = make_attempt()
    end(attempt, CallOutcome.NO_ANSWER)
    for _ in range(2):
        take_part(attempt)
    assert (ended(attempt, "no_answer"), ended(attempt, "completed")) == (1, 0)
    assert value_of(counting.attempts_corrected, str(attempt.campaign_id)) == 1


@pytest.mark.django_db
def test_counting_asks_the_database_nothing():
    with CaptureQueriesContext(transaction.get_connection()) as queries:
        counting.count_end(uuid4(), "busy")
        counting.count_correction(uuid4())
        counting.count_callback("applied")
        with counting.asking_provider("place"):
            pass
    assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
def test_claims_and_starts_are_counted(make_scheduler, clock):
    before = value_of(counting.attempts_claimed), value_of(counting.calls_started)
    ContactFactory.create_batch(3)
    make_scheduler().run_once()
    assert (value_of(counting.attempts_claimed), value_of(counting.calls_started)) == (before[0] + 3, before[1] + 3)


@pytest.mark.parametrize(
    "error, kind",
    [
        (CallRejected("x"), "rejected"),
        (ProviderMisconfigured("x"), "misconfigured"),
        (ProviderUnavailable("x"), "unavailable"),
        (PlacementUnknown("x"), "unknown"),
        (ValueError("x"), "unexpected"),
    ],
)
def test_errors_of_the_provider_are_counted_by_kind_and_go_on(error, kind):
    before = value_of(counting.provider_errors, "look_up", kind)
    with pytest.raises(type(error)), counting.asking_provider("look_up"):
        raise error
    assert value_of(counting.provider_errors, "look_up", kind) == before + 1


def test_an_error_while_counting_hurts_nobody(monkeypatch):
    monkeypatch.setattr(counting, "callbacks", None)
    monkeypatch.setattr(counting, "calls_started", None)
    monkeypatch.setattr(counting, "provider_seconds", None)
    counting.count_callback("applied")
    with counting.asking_provider("place"):
        done = True
    assert done


@pytest.mark.django_db
def test_every_result_of_a_callback_is_known_from_the_start():
    assert {result.value for result in outcomes.Applied} < set(counting.CALLBACK_RESULTS)


@pytest.mark.django_db
def test_a_forged_report_is_counted(client):
    before = value_of(counting.callbacks, "forged")
    client.post("/webhooks/telephony/events?call_id=x", {"CallStatus": "completed"})
    assert value_of(counting.callbacks, "forged") == before + 1


@pytest.mark.django_db
def test_a_scheduler_leaves_a_sign_of_life_without_work_and_not_too_often(make_scheduler, clock, lines):
    scheduler = make_scheduler(interval_seconds=5)
    scheduler.run_once()
    lines.refresh_from_db()
    assert lines.scheduler_seen_at == clock()
    assert lines.scheduler_expected_by == clock() + timedelta(seconds=180)
    clock.sleep(9)
    scheduler.run_once()
    lines.refresh_from_db()
    assert lines.scheduler_seen_at == clock() - timedelta(seconds=9)
    clock.sleep(1)
    scheduler.run_once()
    lines.refresh_from_db()
    assert lines.scheduler_seen_at == clock()


@pytest.mark.django_db
def test_the_most_patient_scheduler_says_when_the_next_sign_of_life_is_due(make_scheduler, clock, lines):
    make_scheduler(interval_seconds=600).run_once()
    clock.sleep(20)
    make_scheduler(interval_seconds=60).run_once()
    lines.refresh_from_db()
    assert lines.scheduler_seen_at == clock()
    assert lines.scheduler_expected_by == clock() + timedelta(seconds=1780)
    assert not CallAttempt.objects.exists()


@pytest.mark.django_db
def test_a_clock_that_was_set_back_neither_silences_schedulers_nor_hides_that_they_are_dead(
    make_scheduler, clock, lines
):
    scheduler = make_scheduler(interval_seconds=5)
    scheduler.run_once()
    clock.sleep(-3600)
    scheduler.run_once()
    lines.refresh_from_db()
    assert lines.scheduler_seen_at == clock()
    assert lines.scheduler_expected_by == clock() + timedelta(seconds=180)
