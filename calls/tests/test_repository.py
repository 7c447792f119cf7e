"""How attempts are created, found and ended, and what the database refuses by itself."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext

from calls.models import CallAttempt, ProviderConfig
from calls.repository import OpenCall
from calls.states import AttemptStatus
from contacts.models import CallOutcome, ContactState
from contacts.tests.factories import ContactFactory

from .conftest import NOON
from .factories import CallAttemptFactory

pytestmark = pytest.mark.django_db
OPEN_STATUSES = [status for status in AttemptStatus if status != AttemptStatus.ENDED]


def create_attempts(contacts, starts=None, now=NOON):
    starts = starts or [now + timedelta(milliseconds=index) for index in range(len(contacts))]
    deadlines = [now + timedelta(seconds=5)] * len(contacts)
    return CallAttempt.objects.create_attempts(contacts, starts, deadlines, now=now)


def refused_by(constraint):
    return pytest.raises(IntegrityError, match=constraint)


# Creating


def test_a_created_attempt_is_claimed_and_knows_its_contact():
    contact = ContactFactory(attempts_count=1)
    (made,) = create_attempts([contact])
    attempt = CallAttempt.objects.get()
    assert all(getattr(made, field.attname) == getattr(attempt, field.attname) for field in CallAttempt._meta.fields)
    assert (attempt.contact, attempt.campaign, attempt.phone_number) == (
        contact,
        contact.campaign,
        contact.phone_number,
    )
    assert (attempt.status, attempt.outcome, attempt.attempt_number) == (AttemptStatus.CLAIMED, "", 2)
    assert (attempt.claimed_at, attempt.send_before, attempt.check_at) == (
        NOON,
        NOON + timedelta(seconds=5),
        NOON + timedelta(seconds=5),
    )


def test_attempts_are_created_in_the_order_of_their_starts():
    contacts = ContactFactory.create_batch(3, attempts_count=1)
    starts = [NOON + timedelta(seconds=index) for index in range(3)]
    assert [(a.contact, a.start_at) for a in create_attempts(contacts, starts)] == list(
        zip(contacts, starts, strict=True)
    )


def test_with_its_attempt_a_contact_is_in_progress_and_waits_no_more():
    contact, other = ContactFactory.create_batch(2, attempts_count=1)
    create_attempts([contact])
    assert contact.attempts_count == 2
    contact.refresh_from_db()
    assert (contact.state, contact.attempts_count, contact.next_attempt_at) == (ContactState.IN_PROGRESS, 2, None)
    assert contact.updated_at == NOON
    other.refresh_from_db()
    assert (other.state, other.attempts_count) == (ContactState.PENDING, 1)


def test_any_number_of_attempts_is_created_with_one_query(django_assert_num_queries):
    create_attempts([ContactFactory()])  # prepares it
    contacts = ContactFactory.create_batch(20, attempts_count=1)
    with django_assert_num_queries(1):
        create_attempts(contacts)


def test_call_ids_are_unguessable_and_fit_into_a_url():
    call_ids = {attempt.call_id for attempt in create_attempts(ContactFactory.create_batch(20, attempts_count=1))}
    assert len(call_ids) == 20
    assert all(len(call_id) == 22 and call_id.replace("-", "").replace("_", "").isalnum() for call_id in call_ids)


def test_nothing_is_created_when_one_of_the_contacts_is_in_a_call():
    busy, free = ContactFactory.create_batch(2, attempts_count=1)
    CallAttemptFactory(contact=busy, claimed=True, attempt_number=7)
    with pytest.raises(IntegrityError), transaction.atomic():
        create_attempts([free, busy])
    assert CallAttempt.objects.get().contact == busy


# Finding


def test_an_attempt_is_found_by_its_id():
    attempt = CallAttemptFactory()
    assert CallAttempt.objects.find(attempt.pk) == attempt
    assert CallAttempt.objects.find(uuid4()) is None


def test_an_attempt_is_found_by_its_call_id():
    attempt = CallAttemptFactory()
    assert CallAttempt.objects.find_by_call_id(attempt.call_id) == attempt
    assert CallAttempt.objects.find_by_call_id("nobody") is None
    assert CallAttempt.objects.open().find_by_call_id(attempt.call_id) is None


def test_the_attempts_of_a_contact_come_first_one_first():
    contact = ContactFactory()
    attempts = [CallAttemptFactory(contact=contact, attempt_number=number) for number in (1, 2, 3)]
    CallAttemptFactory()
    assert list(CallAttempt.objects.of_contact(contact)) == attempts


def test_open_attempts_are_those_without_an_outcome():
    attempts = [CallAttemptFactory(status=status) for status in AttemptStatus]
    assert set(CallAttempt.objects.open()) == set(attempts[:-1])


def test_the_open_attempts_are_found_in_an_index_that_has_no_others():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    for open_ones in (CallAttempt.objects.open(), CallAttempt.objects.silent(NOON)):
        assert "attempt_one_open_per" in open_ones.order_by().explain()


def test_silent_attempts_are_open_and_past_their_check():
    due = CallAttemptFactory(ringing=True, check_at=NOON)
    CallAttemptFactory(ringing=True, check_at=NOON + timedelta(microseconds=1))
    CallAttemptFactory(check_at=NOON)
    assert list(CallAttempt.objects.silent(NOON)) == [due]


def test_open_attempts_are_read_in_the_order_of_their_starts():
    second, first = (CallAttemptFactory(claimed=True, start_at=NOON + timedelta(seconds=n)) for n in (2, 1))
    CallAttemptFactory()
    assert CallAttempt.objects.read_open() == [OpenCall.of(first), OpenCall.of(second)]


def test_among_some_attempts_those_are_found_that_have_ended():
    ended, _ = CallAttemptFactory(), CallAttemptFactory()
    open_ones = [CallAttemptFactory(status=status) for status in OPEN_STATUSES]
    assert CallAttempt.objects.find_ended([ended.pk, *(attempt.pk for attempt in open_ones)]) == [ended.pk]
    assert CallAttempt.objects.find_ended([]) == []


def test_known_attempts_are_looked_up_by_their_ids_and_not_in_the_index_of_open_calls():
    known = [CallAttemptFactory(claimed=True).pk for _ in range(3)]
    CallAttempt.objects.find_ended(known)  # prepares it
    with CaptureQueriesContext(connection) as queries:
        CallAttempt.objects.find_ended(known)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # there are too few for an index to pay
        cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")  # not one that was made for other settings
        cursor.execute(f"EXPLAIN {queries[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "calls_callattempt_pkey" in plan and "attempt_one_open" not in plan


# Moving on


def advance(attempt, status, **values):
    return CallAttempt.objects.advance(attempt.call_id, status, now=NOON, check_at=NOON, **values)


@pytest.mark.parametrize("status", OPEN_STATUSES)
def test_a_status_only_moves_forward(status):
    attempts = {current: CallAttemptFactory(status=current) for current in AttemptStatus}
    moved = [current for current, attempt in attempts.items() if advance(attempt, status).is_moved]
    order = list(AttemptStatus)
    assert moved == order[: order.index(status)]
    for current, attempt in attempts.items():
        attempt.refresh_from_db()
        assert attempt.status == (status if current in moved else current)


@pytest.mark.parametrize("status", [AttemptStatus.RINGING, AttemptStatus.ANSWERED])
def test_a_step_on_the_way_has_no_index_to_write(status):
    attempt = CallAttemptFactory(status=AttemptStatus.QUEUED)
    before = count_updates_without_index()
    assert advance(attempt, status, provider_call_id=attempt.provider_call_id, answered_at=NOON).is_moved
    assert count_updates_without_index() == before + 1


def count_updates_without_index():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_hot_updated('calls_callattempt'::regclass)")
        return cursor.fetchone()[0]


def test_an_attempt_that_does_not_exist_moves_nowhere():
    assert advance(CallAttempt(call_id="nobody"), AttemptStatus.RINGING) is None


@pytest.mark.parametrize(
    ("own", "told", "is_of_call"), [("CA1", "CA1", True), ("CA1", "CA2", False), ("", "CA2", True), ("", "CA9", False)]
)
def test_an_attempt_is_moved_by_its_own_call_alone(own, told, is_of_call):
    CallAttemptFactory(provider_call_id="CA9")
    attempt = CallAttemptFactory(status=AttemptStatus.PLACING, provider_call_id=own)
    assert advance(attempt, AttemptStatus.RINGING, provider_call_id=told) == (is_of_call, True, is_of_call)
    assert advance(attempt, AttemptStatus.QUEUED, provider_call_id=told) == (False, not is_of_call, is_of_call)
    attempt.refresh_from_db()
    assert attempt.provider_call_id == (told if is_of_call else own)


def read_call(attempt):
    return CallAttempt.objects.read_call(attempt.call_id)


def settle(call, **values):
    """Give the contact of an open call these values, less what else would have to change with them."""
    for name, value in ({"state": ContactState.NOT_REACHED, "next_attempt_at": None} | values).items():
        setattr(call.contact, name, value)
    return call


def record_outcome(call, outcome=CallOutcome.BUSY, **values):
    return CallAttempt.objects.record_outcome(settle(call), outcome, **{"ended_at": NOON} | values)


def test_an_outcome_ends_the_attempt():
    attempt = CallAttemptFactory(answered=True)
    assert record_outcome(read_call(attempt), CallOutcome.NO_ANSWER, error_code="16")
    attempt.refresh_from_db()
    assert (attempt.status, attempt.outcome, attempt.ended_at, attempt.error_code) == (
        AttemptStatus.ENDED,
        CallOutcome.NO_ANSWER,
        NOON,
        "16",
    )


def test_the_first_outcome_stands():
    attempt = CallAttemptFactory(ringing=True)
    stale = read_call(attempt)
    record_outcome(read_call(attempt), CallOutcome.NO_ANSWER)
    assert not record_outcome(stale, ended_at=NOON + timedelta(minutes=1), error_code="1")
    attempt.refresh_from_db()
    assert (attempt.outcome, attempt.ended_at, attempt.error_code) == (CallOutcome.NO_ANSWER, NOON, "")


# What the database refuses


@pytest.mark.parametrize("status", OPEN_STATUSES)
def test_a_contact_has_one_open_attempt(status):
    contact = ContactFactory()
    CallAttemptFactory(contact=contact, status=status)
    with refused_by("attempt_one_open_per_contact"):
        CallAttemptFactory(contact=contact, claimed=True, attempt_number=2, phone_number="+12025550123")


@pytest.mark.parametrize("status", OPEN_STATUSES)
def test_a_phone_number_has_one_open_attempt_over_all_campaigns(status):
    number = CallAttemptFactory(status=status).phone_number
    with refused_by("attempt_one_open_per_phone_number"):
        CallAttemptFactory(claimed=True, phone_number=number)


def test_an_attempt_may_follow_one_that_has_ended():
    contact = CallAttemptFactory().contact
    CallAttemptFactory(contact=contact, claimed=True, attempt_number=2)


def test_a_contact_has_each_attempt_once():
    contact = CallAttemptFactory().contact
    with refused_by("attempt_number_is_unique_for_contact"):
        CallAttemptFactory(contact=contact)


def test_an_attempt_that_was_given_back_leaves_its_number_to_the_next():
    contact = CallAttemptFactory(given_back=True).contact
    CallAttemptFactory(contact=contact)


def test_a_call_of_the_providers_belongs_to_one_attempt():
    CallAttemptFactory(provider_call_id="CA1")
    with refused_by("attempt_provider_call_id_is_unique"):
        CallAttemptFactory(provider_call_id="CA1")


def test_many_attempts_may_have_no_call_at_the_provider():
    CallAttemptFactory.create_batch(2, provider_call_id="")


@pytest.mark.parametrize("status", AttemptStatus)
@pytest.mark.parametrize("outcome", ["", CallOutcome.NO_ANSWER])
@pytest.mark.parametrize("ended_at", [None, NOON])
def test_an_attempt_has_an_outcome_and_an_end_exactly_when_it_has_ended(status, outcome, ended_at):
    has_ended = status == AttemptStatus.ENDED
    if (has_ended, has_ended) == (bool(outcome), bool(ended_at)):
        CallAttemptFactory(status=status, outcome=outcome, ended_at=ended_at)
    else:
        with refused_by("attempt_(has_an_outcome_when_it_ends|is_decided_by_the_person)"):
            CallAttemptFactory(status=status, outcome=outcome, ended_at=ended_at)


@pytest.mark.parametrize("status", [AttemptStatus.ANSWERED, AttemptStatus.ENDED])
@pytest.mark.parametrize("outcome", [*CallOutcome])
@pytest.mark.parametrize("decided_at", [None, NOON])
def test_a_person_decides_that_they_have_taken_part_or_refused_and_nothing_else(status, outcome, decided_at):
    is_decision = outcome in (CallOutcome.COMPLETED, CallOutcome.REFUSED)
    if is_decision == bool(decided_at) and (is_decision or status == AttemptStatus.ENDED):
        CallAttemptFactory(status=status, outcome=outcome, decided_at=decided_at)
    else:
        with refused_by("attempt_is_decided_by_the_person"):
            CallAttemptFactory(status=status, outcome=outcome, decided_at=decided_at)


def test_a_call_id_is_unique():
    CallAttemptFactory(call_id="same")
    with refused_by("call_id"):
        CallAttemptFactory(call_id="same")


def test_there_is_one_provider():
    assert ProviderConfig.objects.count() == 1
    with refused_by("provider_config_is_the_only_one"):
        ProviderConfig.objects.create()


@pytest.mark.parametrize("limits", [{"max_concurrent_calls": 0}, {"calls_per_second": 0}, {"calls_per_second": -1}])
def test_the_providers_limits_are_positive(limits):
    with refused_by("provider_limits_are_positive"):
        ProviderConfig.objects.update(**limits)


def test_an_attempt_keeps_its_contact_and_campaign_from_being_deleted():
    attempt = CallAttemptFactory()
    for parent in (attempt.contact, attempt.campaign):
        with pytest.raises(ProtectedError):
            parent.delete()
