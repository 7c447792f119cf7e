"""Events are there exactly when what they tell of is."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django_q.models import OrmQ

from calls import outcomes
from calls.events import outbox
from calls.models import SurveyEvent
from calls.providers.base import CallEvent, CallProgress
from calls.states import AttemptStatus
from calls.wakeups import Bell
from campaigns.models import EmailText, EventType
from campaigns.tests.factories import CampaignFactory
from contacts.exclusion import add_to_do_not_call, remove_from_do_not_call
from contacts.models import CallOutcome, ContactState
from contacts.rearming import rearm_contacts
from contacts.tests.factories import ContactFactory

from .conftest import NOON
from .factories import CallAttemptFactory, SurveyEventFactory, WebhookSubscriptionFactory

LATER = NOON + timedelta(minutes=5)

pytestmark = pytest.mark.django_db


def make_attempt(attempts_count=1, max_attempts=3, **values):
    campaign = CampaignFactory(max_attempts=max_attempts)
    contact = ContactFactory(
        campaign=campaign, state=ContactState.IN_PROGRESS, attempts_count=attempts_count, next_attempt_at=None, **values
    )
    status = AttemptStatus.ANSWERED
    return CallAttemptFactory(contact=contact, status=status, attempt_number=attempts_count)


def hang_up(attempt, now=NOON):
    event = CallEvent(
        call_id=attempt.call_id,
        provider_call_id=attempt.provider_call_id,
        progress=CallProgress.HUNG_UP,
        raw_status="completed",
    )
    outcomes.apply_event(event, now=now)
    attempt.refresh_from_db()
    attempt.contact.refresh_from_db()


def list_events():
    return list(SurveyEvent.objects.order_by("pk").values_list("type", "attempt", "contact", "occurred_at"))


def list_types():
    return [event_type for event_type, *_ in list_events()]


@pytest.mark.parametrize(
    ("outcome", "event_type"),
    [(CallOutcome.COMPLETED, "survey.completed"), (CallOutcome.REFUSED, "survey.refused")],
)
def test_a_decision_is_an_event_once_and_the_end_of_the_call_is_none(outcome, event_type):
    attempt = make_attempt(max_attempts=1)
    assert outcomes.decide(attempt, outcome, now=NOON)
    assert not outcomes.decide(attempt, outcome, now=LATER)
    hang_up(attempt, now=LATER)
    assert list_events() == [(event_type, attempt.pk, attempt.contact_id, NOON)]


def test_who_is_given_up_is_an_event_and_who_is_tried_again_is_none():
    tried_again, given_up = make_attempt(1, max_attempts=2), make_attempt(2, max_attempts=2)
    outcomes.end_attempt(tried_again, CallOutcome.BUSY, now=NOON)
    assert list_events() == []
    outcomes.end_attempt(given_up, CallOutcome.BUSY, now=NOON)
    assert list_events() == [("survey.not_reached", given_up.pk, given_up.contact_id, NOON)]


def test_a_number_that_will_never_work_is_an_event_at_its_first_try():
    attempt = make_attempt()
    outcomes.reject(attempt, code="21211", message="No such number.", now=NOON)
    assert list_types() == ["survey.not_reached"]


def test_who_is_excluded_meanwhile_and_an_attempt_that_is_given_back_are_none():
    excluded = make_attempt(max_attempts=1)
    add_to_do_not_call(excluded.contact.phone_number)
    outcomes.end_attempt(excluded, CallOutcome.BUSY, now=NOON)
    outcomes.give_back(make_attempt(max_attempts=1), code="unavailable", message="Not placed.", now=NOON)
    assert list_events() == []


def test_an_end_that_is_told_twice_is_one_event():
    attempt = make_attempt(max_attempts=1)
    hang_up(attempt)
    hang_up(attempt, now=LATER)
    assert len(list_events()) == 1


def test_answers_that_come_late_are_an_event_after_the_one_of_the_end():
    attempt = make_attempt(max_attempts=1)
    hang_up(attempt)
    assert outcomes.decide(attempt, CallOutcome.COMPLETED, now=LATER)
    assert list_events() == [
        ("survey.not_reached", attempt.pk, attempt.contact_id, NOON),
        ("survey.completed", attempt.pk, attempt.contact_id, LATER),
    ]


def test_fewer_attempts_give_people_up_with_an_event_and_more_and_fewer_again_with_none():
    attempt = make_attempt(1, max_attempts=2)
    outcomes.end_attempt(attempt, CallOutcome.BUSY, now=NOON)
    campaign = attempt.contact.campaign
    for most in (1, 2, 1):
        campaign.max_attempts = most
        campaign.save()
        rearm_contacts(campaign, now=LATER)
        assert list_events() == [("survey.not_reached", attempt.pk, attempt.contact_id, LATER)]


def test_who_is_rung_again_after_that_in_vain_has_another_event_of_that_attempt():
    attempt = make_attempt(max_attempts=1)
    outcomes.end_attempt(attempt, CallOutcome.BUSY, now=NOON)
    contact = attempt.contact
    contact.refresh_from_db()
    contact.state, contact.attempts_count = ContactState.IN_PROGRESS, 2
    contact.save()
    again = CallAttemptFactory(contact=contact, status=AttemptStatus.RINGING, attempt_number=2)
    outcomes.end_attempt(again, CallOutcome.BUSY, now=LATER)
    assert [(event_type, attempt) for event_type, attempt, *_ in list_events()] == [
        ("survey.not_reached", attempt.pk),
        ("survey.not_reached", again.pk),
    ]


def test_who_is_taken_off_the_list_with_no_try_left_is_an_event():
    attempt = make_attempt(max_attempts=1)
    number = attempt.contact.phone_number
    add_to_do_not_call(number)
    outcomes.end_attempt(attempt, CallOutcome.BUSY, now=NOON)
    remove_from_do_not_call([number], now=LATER)
    assert list_events() == [("survey.not_reached", attempt.pk, attempt.contact_id, LATER)]


def test_who_was_never_rung_is_no_event_when_nobody_is_to_be():
    contact = ContactFactory(state=ContactState.PENDING, next_attempt_at=None)
    outbox.write_given_up([contact.pk], NOON)
    assert list_events() == []


class Fault(Exception):
    pass


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("finish", [lambda attempt: outcomes.decide(attempt, CallOutcome.REFUSED, now=NOON), hang_up])
def test_what_is_rolled_back_has_no_event_and_what_is_committed_has_one(finish):
    attempt = make_attempt(max_attempts=1)
    with pytest.raises(Fault), transaction.atomic():
        finish(attempt)
        assert len(list_events()) == 1
        raise Fault
    assert list_events() == []
    attempt.refresh_from_db()
    attempt.contact.refresh_from_db()
    assert attempt.contact.state == ContactState.IN_PROGRESS
    with transaction.atomic():
        finish(attempt)
    assert len(list_events()) == 1


def test_an_end_with_an_event_costs_no_more_questions_than_one_without(django_assert_num_queries):
    warm, without, final = make_attempt(1, max_attempts=1), make_attempt(1), make_attempt(1, max_attempts=1)
    outcomes.end_attempt(warm, CallOutcome.BUSY, now=NOON)
    for attempt in (without, final):
        with django_assert_num_queries(3):  # what is known of it, its campaign, the end
            outcomes.end_attempt(attempt, CallOutcome.BUSY, now=NOON)
    assert SurveyEvent.objects.filter(attempt=final).exists()


@pytest.mark.parametrize(
    "values",
    [
        {"type": EventType.COMPLETED},  # by another attempt
        {"type": EventType.REFUSED},
    ],
)
def test_a_contact_is_settled_by_one_event(values):
    first = SurveyEventFactory(type=EventType.COMPLETED)
    other = CallAttemptFactory(contact=first.contact, attempt_number=2)
    with pytest.raises(IntegrityError, match="event_settles_a_contact_once"), transaction.atomic():
        SurveyEventFactory(attempt=other, **values)


def test_an_attempt_has_no_event_of_a_type_twice():
    event = SurveyEventFactory()
    with pytest.raises(IntegrityError, match="event_is_written_once"), transaction.atomic():
        SurveyEventFactory(attempt=event.attempt)


def test_an_event_is_of_a_known_type():
    with pytest.raises(IntegrityError, match="event_type_is_known"), transaction.atomic():
        SurveyEventFactory(type="survey.lost")


# The news of it


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(outbox, "_bell", Bell(0, tell=outbox.request_job))


def decide(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        outcomes.decide(make_attempt(), CallOutcome.COMPLETED, now=NOON)


def test_nobody_who_is_told_means_no_job(at_once, django_capture_on_commit_callbacks):
    WebhookSubscriptionFactory(is_active=False)
    decide(django_capture_on_commit_callbacks)
    assert OrmQ.objects.count() == 0


def test_news_for_a_subscriber_is_a_job(at_once, django_capture_on_commit_callbacks):
    WebhookSubscriptionFactory()
    decide(django_capture_on_commit_callbacks)
    assert [job.func() for job in OrmQ.objects.all()] == [outbox.TASK]


@pytest.mark.parametrize("host", ["", "mail.example.org"])
def test_an_email_waits_for_the_job_of_the_minute(at_once, django_capture_on_commit_callbacks, settings, host):
    settings.EMAIL_HOST = host
    EmailText.objects.create(campaign=CampaignFactory(), subject="Thank you", body="Thank you.")
    decide(django_capture_on_commit_callbacks)
    assert OrmQ.objects.count() == 0


def test_a_long_queue_is_not_made_longer(at_once, django_capture_on_commit_callbacks, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_WAITING", 2)
    WebhookSubscriptionFactory()
    for _ in range(4):
        decide(django_capture_on_commit_callbacks)
    assert OrmQ.objects.count() == 2


def test_events_to_hand_out_are_found_by_their_index():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT id FROM calls_surveyevent WHERE handed_out_at IS NULL ORDER BY id LIMIT 500")
        assert "event_to_hand_out" in str(cursor.fetchall())
