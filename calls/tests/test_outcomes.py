"""What happened to a call: whatever the order in which it is told, one end, and a contact that fits it."""

import itertools
import threading
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection, transaction
from structlog.testing import capture_logs

from calls import conversation, outcomes, wakeups
from calls.models import CallAttempt
from calls.outcomes import Applied, apply_event
from calls.providers.base import Answerer, CallEvent, CallProgress, PlacedCall, Said
from calls.states import AttemptStatus
from campaigns.models import CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.exclusion import add_to_do_not_call
from contacts.models import CallOutcome, Contact, ContactState
from contacts.rearming import rearm_contacts
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

from .conftest import NOON
from .factories import CallAttemptFactory
from .phone_network import wait_until

pytestmark = pytest.mark.django_db

SID = "CA1"
LATER = NOON + timedelta(minutes=5)
HOUR = timedelta(hours=1)
TERMINAL = [
    CallProgress.HUNG_UP,
    CallProgress.BUSY,
    CallProgress.NO_ANSWER,
    CallProgress.FAILED,
    CallProgress.CANCELED,
]


def contact_in_call(**values):
    """Rung for the first time out of three, an hour apart, at any hour."""
    defaults = {"state": ContactState.IN_PROGRESS, "attempts_count": 1, "next_attempt_at": None}
    return ContactFactory(**defaults | values)


def make_attempt(status=AttemptStatus.PLACING, contact=None, **values):
    values = {"provider_call_id": ""} | values
    return CallAttemptFactory(status=status, contact=contact or contact_in_call(), **values)


def make_event(attempt, progress, sid=SID, **more):
    return CallEvent(
        call_id=attempt.call_id, provider_call_id=sid, progress=progress, raw_status=progress.value, **more
    )


def tell(attempt, progress, now=NOON, sid=SID, **more):
    return apply_event(make_event(attempt, progress, sid, **more), now=now)


def tell_taken_part(attempt, now=NOON, sid=SID, keys="1"):
    """Whoever agrees to take part in a campaign without questions has answered them all."""
    event = make_event(attempt, CallProgress.ANSWERED, sid, said=Said(keys=keys))
    return conversation.hear_consent(event, is_again=False, now=now)


def end(attempt, outcome, now=NOON, **options):
    with transaction.atomic():
        return outcomes.end_attempt(attempt, outcome, now=now, **options)


def give_back(attempt, now=NOON, **options):
    return outcomes.give_back(attempt, code="unavailable", message="Not placed.", now=now, **options)


def fresh(row):
    return type(row).objects.get(pk=row.pk)


# The end of a call


@pytest.mark.parametrize("outcome", [CallOutcome.NO_ANSWER, CallOutcome.BUSY, CallOutcome.FAILED])
def test_who_was_not_reached_is_tried_again(outcome):
    attempt = make_attempt()
    assert end(attempt, outcome)
    contact = fresh(attempt.contact)
    assert (contact.state, contact.last_outcome, contact.last_attempt_at) == (ContactState.NOT_REACHED, outcome, NOON)
    assert contact.next_attempt_at == NOON + HOUR
    assert contact.attempts_count == 1
    assert (fresh(attempt).status, fresh(attempt).outcome, fresh(attempt).ended_at) == (
        AttemptStatus.ENDED,
        outcome,
        NOON,
    )


@pytest.mark.parametrize(
    ("progress", "has_taken_part", "outcome"),
    [
        (CallProgress.HUNG_UP, True, CallOutcome.COMPLETED),
        (CallProgress.HUNG_UP, False, CallOutcome.NO_ANSWER),
        (CallProgress.BUSY, False, CallOutcome.BUSY),
        (CallProgress.NO_ANSWER, False, CallOutcome.NO_ANSWER),
        (CallProgress.FAILED, False, CallOutcome.FAILED),
        (CallProgress.CANCELED, False, CallOutcome.FAILED),
    ],
)
def test_the_last_event_of_a_call_is_its_outcome_unless_the_person_has_decided_it(progress, has_taken_part, outcome):
    attempt = make_attempt(AttemptStatus.ANSWERED)
    if has_taken_part:
        tell_taken_part(attempt)
    assert tell(attempt, progress, error_code="487") == Applied.YES
    assert (fresh(attempt).outcome, fresh(attempt).error_code) == (outcome, "487")


@pytest.mark.parametrize(
    ("progress", "status"),
    [
        (CallProgress.QUEUED, AttemptStatus.QUEUED),
        (CallProgress.RINGING, AttemptStatus.RINGING),
        (CallProgress.ANSWERED, AttemptStatus.ANSWERED),
    ],
)
def test_an_event_on_the_way_moves_the_attempt_and_leaves_the_contact(progress, status, settings):
    attempt = make_attempt()
    before = Contact.objects.values().get()
    assert tell(attempt, progress) == Applied.YES
    attempt = fresh(attempt)
    assert (attempt.status, attempt.provider_call_id) == (status, SID)
    assert attempt.answered_at == (NOON if status == AttemptStatus.ANSWERED else None)
    assert attempt.check_at == NOON + timedelta(seconds=settings.CALL_SILENCE_SECONDS)
    assert Contact.objects.values().get() == before


def test_a_word_that_we_do_not_know_changes_nothing():
    attempt = make_attempt()
    before = CallAttempt.objects.values().get()
    assert tell(attempt, CallProgress.OTHER) == Applied.STALE
    assert CallAttempt.objects.values().get() == before


@pytest.mark.parametrize(
    ("zone", "interval", "ended_at", "next_attempt_at"),
    [
        # Rome is an hour ahead of UTC in winter, Honolulu ten behind.
        ("Europe/Rome", 60, "2026-03-04T12:00", "2026-03-04T13:00"),  # still open then
        ("Europe/Rome", 0, "2026-03-04T12:00", "2026-03-04T12:00"),
        ("Europe/Rome", 60, "2026-03-04T16:30", "2026-03-05T08:00"),  # the next morning
        ("Europe/Rome", 60, "2026-03-06T16:30", "2026-03-09T08:00"),  # over the weekend
        ("Pacific/Honolulu", 60, "2026-03-04T12:00", "2026-03-04T19:00"),
        ("Pacific/Honolulu", 60, "2026-03-04T16:30", "2026-03-04T19:00"),
        ("", 60, "2026-03-04T16:30", "2026-03-05T09:00"),  # the campaign's own zone
    ],
)
def test_the_next_attempt_is_after_the_interval_within_the_window_of_the_contacts_zone(
    zone, interval, ended_at, next_attempt_at
):
    campaign = CampaignFactory(
        allowed_call_start=time(9),
        allowed_call_end=time(18) if zone else time(17),
        weekdays=[1, 2, 3, 4, 5],
        retry_interval_minutes=interval,
    )
    attempt = make_attempt(contact=contact_in_call(campaign=campaign, calling_zone=zone))
    end(attempt, CallOutcome.BUSY, now=datetime.fromisoformat(ended_at).replace(tzinfo=UTC))
    expected = datetime.fromisoformat(next_attempt_at).replace(tzinfo=UTC)
    assert fresh(attempt.contact).next_attempt_at == expected


@pytest.mark.parametrize(
    ("progress", "tries", "expected"),
    [
        (CallProgress.BUSY, 1, timedelta(minutes=5)),
        (CallProgress.BUSY, 2, timedelta(hours=2)),
        (CallProgress.BUSY, 4, timedelta(hours=12)),  # the day after: it is noon
        (CallProgress.NO_ANSWER, 1, timedelta(hours=3)),
        (CallProgress.HUNG_UP, 1, timedelta(hours=3)),  # it counts as not answered
        (CallProgress.FAILED, 1, timedelta(minutes=30)),  # which has no intervals of its own
    ],
)
def test_the_interval_is_that_of_the_outcome_and_of_the_try(progress, tries, expected):
    campaign = CampaignFactory(
        max_attempts=5, retry_interval_minutes=30, retry_busy="5 min, 2 h, next day", retry_no_answer="3 h"
    )
    contact = contact_in_call(campaign=campaign, attempts_count=tries, last_outcome="failed")
    tell(make_attempt(contact=contact), progress)
    assert fresh(contact).next_attempt_at == NOON + expected


@pytest.mark.parametrize(("attempts_count", "is_tried_again"), [(1, True), (2, True), (3, False), (4, False)])
def test_a_contact_whose_attempts_are_used_up_is_not_tried_again(attempts_count, is_tried_again):
    attempt = make_attempt(contact=contact_in_call(attempts_count=attempts_count))
    end(attempt, CallOutcome.NO_ANSWER)
    contact = fresh(attempt.contact)
    assert contact.state == ContactState.NOT_REACHED
    assert (contact.next_attempt_at is not None) is is_tried_again


@pytest.mark.parametrize(
    ("keys", "outcome", "state"),
    [
        ("1", CallOutcome.COMPLETED, ContactState.COMPLETED),
        ("2", CallOutcome.REFUSED, ContactState.REFUSED),
        ("", CallOutcome.NO_ANSWER, ContactState.EXCLUDED),
        ("", CallOutcome.BUSY, ContactState.EXCLUDED),
        ("", CallOutcome.FAILED, ContactState.EXCLUDED),
    ],
)
def test_who_was_put_on_the_do_not_call_list_during_the_call_is_excluded_at_its_end_unless_done(keys, outcome, state):
    attempt = make_attempt(AttemptStatus.ANSWERED)
    add_to_do_not_call(attempt.phone_number)
    assert fresh(attempt.contact).state == ContactState.IN_PROGRESS
    tell_taken_part(attempt, keys=keys)
    end(attempt, outcome)
    contact = fresh(attempt.contact)
    assert (contact.state, contact.next_attempt_at, contact.last_outcome) == (state, None, outcome)


def test_the_rules_are_those_at_the_end_of_the_call():
    attempt = make_attempt(contact=contact_in_call(attempts_count=2))
    attempt.campaign.max_attempts = 2
    attempt.campaign.save()
    end(attempt, CallOutcome.BUSY)
    assert fresh(attempt.contact).next_attempt_at is None


# Once, in whatever order


@pytest.mark.parametrize(("first", "second"), [*itertools.product(TERMINAL, repeat=2)])
def test_the_first_terminal_event_wins(first, second):
    attempt = make_attempt(AttemptStatus.ANSWERED)
    assert tell(attempt, first) == Applied.YES
    ended, settled = CallAttempt.objects.values().get(), Contact.objects.values().get()
    assert tell(attempt, second, now=LATER, error_code="1") == Applied.STALE
    assert (CallAttempt.objects.values().get(), Contact.objects.values().get()) == (ended, settled)


STORY = [CallProgress.QUEUED, CallProgress.RINGING, CallProgress.ANSWERED, CallProgress.HUNG_UP]


@pytest.mark.parametrize("order", [*itertools.permutations(STORY)], ids=lambda order: "-".join(order))
@pytest.mark.parametrize("has_taken_part", [True, False])
def test_every_order_of_events_ends_the_same(order, has_taken_part):
    attempt = make_attempt()
    if has_taken_part:
        tell_taken_part(attempt)
    for progress in order:
        tell(attempt, progress)
    check_story_is_over(attempt, has_taken_part)


@pytest.mark.parametrize(
    "order",
    [
        [*STORY, *STORY],
        [*STORY, *reversed(STORY)],
        [progress for progress in STORY for _ in range(2)],
        [*reversed(STORY), *reversed(STORY)],
    ],
)
@pytest.mark.parametrize("has_taken_part", [True, False])
def test_events_told_twice_end_the_same(order, has_taken_part):
    attempt = make_attempt()
    if has_taken_part:
        tell_taken_part(attempt)
    for progress in order:
        tell(attempt, progress)
    check_story_is_over(attempt, has_taken_part)


def check_story_is_over(attempt, has_taken_part):
    outcome = CallOutcome.COMPLETED if has_taken_part else CallOutcome.NO_ANSWER
    attempt, contact = fresh(attempt), fresh(attempt.contact)
    assert (attempt.status, attempt.outcome, attempt.ended_at) == (AttemptStatus.ENDED, outcome, NOON)
    assert (contact.state, contact.last_outcome, contact.attempts_count, contact.next_attempt_at) == (
        (ContactState.COMPLETED if has_taken_part else ContactState.NOT_REACHED),
        outcome,
        1,
        (None if has_taken_part else NOON + HOUR),
    )


@pytest.mark.parametrize("progress", [*CallProgress])
def test_an_event_of_another_call_is_ignored(progress):
    attempt = make_attempt(AttemptStatus.RINGING, provider_call_id="CA2")
    before = CallAttempt.objects.values().get()
    assert tell(attempt, progress) == Applied.FOREIGN
    assert CallAttempt.objects.values().get() == before


def test_an_event_whose_call_belongs_to_another_attempt_is_ignored():
    make_attempt(AttemptStatus.RINGING, provider_call_id=SID)
    attempt = make_attempt()
    assert tell(attempt, CallProgress.BUSY) == Applied.FOREIGN
    assert fresh(attempt).status == AttemptStatus.PLACING


def test_an_event_of_a_call_that_we_do_not_know_is_logged():
    with capture_logs() as logs:
        assert tell(CallAttempt(call_id="never-made"), CallProgress.BUSY) == Applied.UNKNOWN_CALL
    assert [(line["call_id"], line["result"]) for line in logs] == [("never-made", "unknown_call")]


# Decided by the person, before the end


@pytest.mark.parametrize(
    ("keys", "outcome", "state"),
    [("1", CallOutcome.COMPLETED, ContactState.COMPLETED), ("2", CallOutcome.REFUSED, ContactState.REFUSED)],
)
def test_a_decision_settles_the_contact_at_once_and_the_line_stays_taken_until_the_call_ends(keys, outcome, state):
    attempt = make_attempt(AttemptStatus.ANSWERED)
    tell_taken_part(attempt, keys=keys)
    decided, contact = fresh(attempt), fresh(attempt.contact)
    assert (decided.outcome, decided.decided_at, decided.status, decided.ended_at) == (
        outcome,
        NOON,
        AttemptStatus.ANSWERED,
        None,
    )
    assert (contact.state, contact.last_outcome, contact.next_attempt_at) == (state, outcome, None)
    assert CallAttempt.objects.open().count() == 1
    assert tell(attempt, CallProgress.HUNG_UP, now=LATER) == Applied.YES
    ended, contact = fresh(attempt), fresh(attempt.contact)
    assert (ended.outcome, ended.decided_at, ended.ended_at) == (outcome, NOON, LATER)
    assert (contact.state, contact.last_attempt_at, contact.next_attempt_at) == (state, LATER, None)


@pytest.mark.parametrize("finish", [lambda it: end(it, CallOutcome.FAILED), lambda it: tell(it, CallProgress.FAILED)])
def test_no_later_end_of_the_call_takes_a_decision_back(finish):
    attempt = make_attempt(AttemptStatus.ANSWERED)
    tell_taken_part(attempt)
    finish(attempt)
    assert (fresh(attempt).outcome, fresh(attempt.contact).state) == (CallOutcome.COMPLETED, ContactState.COMPLETED)


def test_a_call_whose_outcome_is_decided_is_not_given_back():
    attempt = make_attempt(AttemptStatus.ANSWERED)
    tell_taken_part(attempt)
    assert not give_back(attempt)
    assert (fresh(attempt).ended_at, fresh(attempt.contact).attempts_count) == (None, 1)


def test_a_decision_is_made_once():
    attempt = make_attempt(AttemptStatus.ANSWERED)
    tell_taken_part(attempt)
    tell_taken_part(attempt, now=LATER)
    tell_taken_part(attempt, now=LATER, keys="2")
    assert (fresh(attempt).outcome, fresh(attempt).decided_at) == (CallOutcome.COMPLETED, NOON)


@pytest.mark.parametrize("keys", ["1", "2"])
def test_in_another_call_nothing_is_decided(keys):
    attempt, without_id = make_attempt(AttemptStatus.ANSWERED, provider_call_id="CA2"), make_attempt()
    make_attempt(AttemptStatus.ANSWERED, provider_call_id=SID)
    for other in (attempt, without_id):
        assert tell_taken_part(other, keys=keys).applied == Applied.FOREIGN
        assert (fresh(other).decided_at, fresh(other).consented_at) == (None, None)
    assert tell_taken_part(CallAttempt(call_id="never-made")).applied == Applied.UNKNOWN_CALL


@pytest.mark.parametrize(
    ("keys", "outcome", "state"),
    [("1", CallOutcome.COMPLETED, ContactState.COMPLETED), ("2", CallOutcome.REFUSED, ContactState.REFUSED)],
)
def test_a_decision_stands_also_when_the_end_of_the_call_was_told_first(keys, outcome, state):
    attempt = make_attempt(AttemptStatus.ANSWERED)
    tell(attempt, CallProgress.HUNG_UP)
    tell_taken_part(attempt, now=LATER, keys=keys)
    ended, contact = fresh(attempt), fresh(attempt.contact)
    assert (ended.outcome, ended.decided_at) == (outcome, NOON)
    assert (contact.state, contact.last_outcome, contact.next_attempt_at) == (state, outcome, None)


@pytest.mark.parametrize("outcome", [CallOutcome.BUSY, CallOutcome.FAILED])
def test_in_a_call_that_ended_in_another_way_nothing_is_decided_any_more(outcome):
    attempt = make_attempt(AttemptStatus.ANSWERED)
    end(attempt, outcome)
    tell_taken_part(attempt, now=LATER)
    assert (fresh(attempt).outcome, fresh(attempt).consented_at) == (outcome, None)


def test_what_else_is_said_of_a_call_is_gathered_as_it_moves():
    attempt = make_attempt(metadata={"note": "ours"})
    tell(attempt, CallProgress.ANSWERED, details={"answered_by": "x"}, answerer=Answerer.PERSON)
    tell(attempt, CallProgress.RINGING, details={"answered_by": "late"}, answerer=Answerer.FAX)
    tell(attempt, CallProgress.HUNG_UP, details={"call_duration": "12"})
    tell(attempt, CallProgress.HUNG_UP, details={"call_duration": "99"})
    said = {"answered_by": "x", "answerer": "person", "call_duration": "12"}
    assert fresh(attempt).metadata == {"note": "ours", **said}


def test_who_had_answered_is_kept_also_when_only_the_end_tells_it():
    attempt = make_attempt()
    tell(attempt, CallProgress.HUNG_UP, answerer=Answerer.MACHINE)
    assert fresh(attempt).metadata == {"answerer": "machine"}


def test_each_step_is_remembered_with_its_time_and_the_providers_word():
    attempt = make_attempt()
    record_placed(attempt)
    for seconds, progress in enumerate([CallProgress.RINGING, CallProgress.ANSWERED, CallProgress.HUNG_UP], start=1):
        tell(attempt, progress, now=NOON + timedelta(seconds=seconds))
    assert fresh(attempt).heard == {
        "queued": ["2026-03-04T12:00:00+00:00", "queued"],
        "ringing": ["2026-03-04T12:00:01+00:00", "ringing"],
        "answered": ["2026-03-04T12:00:02+00:00", "answered"],
    }


def test_what_moves_nothing_is_not_remembered():
    attempt = make_attempt()
    tell(attempt, CallProgress.ANSWERED)
    heard = fresh(attempt).heard
    tell(attempt, CallProgress.ANSWERED, now=LATER)
    tell(attempt, CallProgress.RINGING, now=LATER)
    record_placed(attempt, now=LATER)
    assert fresh(attempt).heard == heard


def test_it_is_remembered_when_nobody_knew_whether_a_call_was_placed():
    attempt = make_attempt()
    outcomes.record_unknown(attempt, message="No answer.", now=NOON)
    assert fresh(attempt).heard == {"unknown": ["2026-03-04T12:00:00+00:00", ""]}


# Giving back


def test_an_attempt_that_is_given_back_stays_on_record_and_does_not_count():
    attempt = make_attempt(contact=contact_in_call(attempts_count=2))
    assert give_back(attempt)
    attempt, contact = fresh(attempt), fresh(attempt.contact)
    assert (attempt.status, attempt.outcome, attempt.given_back) == (AttemptStatus.ENDED, CallOutcome.FAILED, True)
    assert (attempt.error_code, attempt.error_message, attempt.ended_at) == ("unavailable", "Not placed.", NOON)
    assert (contact.state, contact.attempts_count, contact.next_attempt_at) == (ContactState.PENDING, 1, NOON)
    assert (contact.last_outcome, contact.last_attempt_at) == ("", None)


def test_a_contact_that_is_given_back_waits_for_the_delay():
    attempt = make_attempt()
    give_back(attempt, delay=timedelta(seconds=20))
    assert fresh(attempt.contact).next_attempt_at == NOON + timedelta(seconds=20)


def test_an_attempt_is_given_back_once():
    attempt = make_attempt()
    assert give_back(attempt)
    before = Contact.objects.values().get()
    assert not give_back(attempt, now=LATER)
    assert Contact.objects.values().get() == before


@pytest.mark.parametrize("outcome", [CallOutcome.NO_ANSWER, CallOutcome.BUSY, CallOutcome.FAILED])
def test_an_attempt_that_has_ended_is_not_given_back(outcome):
    attempt = make_attempt()
    end(attempt, outcome)
    before = Contact.objects.values().get()
    assert not give_back(attempt)
    assert (Contact.objects.values().get(), fresh(attempt).given_back) == (before, False)


@pytest.mark.parametrize("progress", TERMINAL)
def test_what_is_told_of_an_attempt_that_was_given_back_comes_too_late(progress):
    attempt = make_attempt()
    give_back(attempt)
    before = Contact.objects.values().get()
    assert tell(attempt, progress, now=LATER) == Applied.STALE
    assert Contact.objects.values().get() == before


def test_who_was_put_on_the_do_not_call_list_meanwhile_is_excluded_instead_of_waiting():
    attempt = make_attempt()
    add_to_do_not_call(attempt.phone_number)
    give_back(attempt)
    contact = fresh(attempt.contact)
    assert (contact.state, contact.next_attempt_at, contact.attempts_count) == (ContactState.EXCLUDED, None, 0)


# Placing


def claimed_attempt(**values):
    return make_attempt(AttemptStatus.CLAIMED, started_at=None, **values)


def test_a_claimed_attempt_may_be_placed():
    attempt = claimed_attempt()
    assert outcomes.start_placing([attempt], now=NOON)
    assert (fresh(attempt).status, fresh(attempt).started_at) == (AttemptStatus.PLACING, NOON)


@pytest.mark.parametrize(("seconds", "may_ring"), [(0, True), (4.999, True), (5, False), (3600, False)])
def test_an_attempt_is_not_placed_after_its_deadline(seconds, may_ring):
    started = outcomes.start_placing([claimed_attempt()], now=NOON + timedelta(seconds=seconds))
    assert bool(started) is may_ring


@pytest.mark.parametrize("status", [status for status in CampaignStatus if status != CampaignStatus.RUNNING])
def test_an_attempt_is_not_placed_when_its_campaign_does_not_run_any_more(status):
    attempt = claimed_attempt()
    type(attempt.campaign).objects.update(status=status)
    assert not outcomes.start_placing([attempt], now=NOON)


def put_on_the_list(attempt):
    add_to_do_not_call(attempt.phone_number)


def list_number_alone(attempt):
    DoNotCallEntryFactory(phone_number=attempt.phone_number)


def mark_contact_alone(attempt):
    Contact.objects.filter(pk=attempt.contact_id).update(do_not_call=True)


@pytest.mark.parametrize("exclude", [put_on_the_list, list_number_alone, mark_contact_alone])
def test_an_attempt_is_not_placed_when_its_number_is_not_to_be_called_any_more(exclude):
    attempt = claimed_attempt()
    exclude(attempt)
    assert not outcomes.start_placing([attempt], now=NOON)
    assert fresh(attempt).status == AttemptStatus.CLAIMED


@pytest.mark.parametrize("do", [give_back, lambda attempt: outcomes.start_placing([attempt], now=NOON)])
def test_an_attempt_is_not_placed_when_somebody_has_given_it_back_or_is_placing_it(do):
    attempt = claimed_attempt()
    do(attempt)
    assert not outcomes.start_placing([attempt], now=NOON)


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_is_just_being_given_back_is_waited_for_and_not_placed():
    attempt, answers = claimed_attempt(), []

    def place():
        try:
            answers.append(outcomes.start_placing([attempt], now=NOON))
        finally:
            connection.close()

    with transaction.atomic():
        give_back(attempt)
        placing = threading.Thread(target=place)
        placing.start()
        wait_until(is_somebody_waiting_for_a_lock)
    placing.join(timeout=10)
    assert answers == [set()]
    assert (fresh(attempt).status, fresh(attempt).given_back) == (AttemptStatus.ENDED, True)


def is_somebody_waiting_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return cursor.fetchone()


def test_of_several_attempts_those_are_placed_that_may_be():
    first, paused, last = (claimed_attempt() for _ in range(3))
    type(paused.campaign).objects.filter(pk=paused.campaign_id).update(status=CampaignStatus.PAUSED)
    assert outcomes.start_placing([first, paused, last], now=NOON) == {first.pk, last.pk}
    assert [fresh(attempt).status for attempt in (first, paused, last)] == ["placing", "claimed", "placing"]


# Many reports at once


def hold_lock(attempt, do):
    """Do it while somebody else holds the attempt's row."""
    held, may_end = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            CallAttempt.objects.select_for_update().get(pk=attempt.pk)
            held.set()
            may_end.wait(10)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    try:
        return do()
    finally:
        may_end.set()
        holder.join(timeout=10)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("progress", [*STORY, *TERMINAL])
def test_a_report_that_tells_nothing_new_waits_for_nobody(progress):
    attempt = make_attempt()
    tell(attempt, CallProgress.BUSY)
    assert hold_lock(attempt, lambda: [tell(attempt, progress) for _ in range(3)]) == [Applied.STALE] * 3


@pytest.mark.django_db(transaction=True)
def test_of_many_reports_of_an_end_at_once_one_counts():
    attempt, answers = make_attempt(), []

    def report(progress):
        answers.append(tell(attempt, progress))
        connection.close()

    reports = [threading.Thread(target=report, args=[progress]) for progress in TERMINAL * 2]
    for one in reports:
        one.start()
    for one in reports:
        one.join(timeout=10)
    assert sorted(answers) == sorted([Applied.YES] + [Applied.STALE] * (len(reports) - 1))
    assert fresh(attempt.contact).state == ContactState.NOT_REACHED


def answer_after(change, report, *locked):
    """What the report is answered that has read how things stand, and then waits for others who ``change`` them.

    They hold the locked rows, until their change is committed.
    """
    answers = []

    def run():
        answers.append(report())
        connection.close()

    with transaction.atomic():
        for row in locked:
            type(row).objects.select_for_update(no_key=True).get(pk=row.pk)
        reporting = threading.Thread(target=run)
        reporting.start()
        wait_until(is_somebody_waiting_for_a_lock)
        change()
    reporting.join(timeout=10)
    (answer,) = answers
    return answer


def commit_elsewhere(change):
    """In a transaction of its own, which is over before this returns."""

    def run():
        change()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()


def set_values(row, **values):
    type(row).objects.filter(pk=row.pk).update(**values)


@pytest.mark.django_db(transaction=True)
def test_an_end_that_overtakes_a_decision_is_judged_again():
    attempt = make_attempt(AttemptStatus.ANSWERED)
    answer = answer_after(lambda: tell_taken_part(attempt), lambda: tell(attempt, CallProgress.HUNG_UP), attempt)
    assert answer == Applied.YES
    assert (fresh(attempt).outcome, fresh(attempt.contact).state) == (CallOutcome.COMPLETED, ContactState.COMPLETED)


def report_busy(attempt):
    assert tell(attempt, CallProgress.BUSY) == Applied.YES


ENDINGS = [report_busy, give_back, lambda attempt: end(attempt, CallOutcome.BUSY)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("finish", ENDINGS)
def test_who_is_put_on_the_list_while_the_call_is_being_ended_is_excluded(finish):
    attempt = make_attempt()
    answer_after(lambda: add_to_do_not_call(attempt.phone_number), lambda: finish(attempt), attempt.contact)
    assert (fresh(attempt.contact).state, fresh(attempt.contact).next_attempt_at) == (ContactState.EXCLUDED, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("values", "next_attempt_at"), [({"attempts_count": 3}, None), ({"calling_zone": "Asia/Tokyo"}, "2026-03-05T00:00")]
)
def test_a_contact_that_is_edited_while_the_end_of_its_call_is_told_is_tried_again_as_it_is_then(
    values, next_attempt_at
):
    campaign = CampaignFactory(allowed_call_start=time(9), allowed_call_end=time(18))
    attempt = make_attempt(contact=contact_in_call(campaign=campaign, calling_zone="Europe/Rome"))
    answer_after(lambda: set_values(attempt.contact, **values), lambda: report_busy(attempt), attempt.contact)
    expected = next_attempt_at and datetime.fromisoformat(next_attempt_at).replace(tzinfo=UTC)
    assert fresh(attempt.contact).next_attempt_at == expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("locked", [["attempt"], ["contact"], ["attempt", "contact"]])
def test_rules_that_are_edited_while_an_end_waits_for_somebody_else_hold_for_it(locked):
    attempt = make_attempt()
    rows = [{"attempt": attempt, "contact": attempt.contact}[name] for name in locked]

    def edit():
        commit_elsewhere(lambda: set_values(attempt.campaign, max_attempts=1))

    answer_after(edit, lambda: report_busy(attempt), *rows)
    assert fresh(attempt.contact).next_attempt_at is None


@pytest.mark.django_db(transaction=True)
def test_an_end_that_waits_for_its_attempt_keeps_nobody_from_the_contact():
    attempt = make_attempt()

    def lock_contact():
        assert Contact.objects.select_for_update(nowait=True).get() == attempt.contact

    answer_after(lock_contact, lambda: report_busy(attempt), attempt)
    assert fresh(attempt).status == AttemptStatus.ENDED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("late", [give_back, lambda attempt: end(attempt, CallOutcome.BUSY)])
@pytest.mark.parametrize("first", [give_back, report_busy])
def test_an_end_that_waits_for_another_end_comes_too_late(first, late):
    attempt, ended = make_attempt(), []

    def finish():
        first(attempt)
        ended.extend([CallAttempt.objects.values().get(), Contact.objects.values().get()])

    assert answer_after(finish, lambda: late(attempt), attempt) is False
    assert [CallAttempt.objects.values().get(), Contact.objects.values().get()] == ended


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("progress", [CallProgress.RINGING, CallProgress.BUSY])
def test_a_report_that_waits_until_the_attempt_has_another_call_is_of_another_call(progress):
    attempt = make_attempt()
    answer = answer_after(lambda: record_placed(attempt, sid="CA2"), lambda: tell(attempt, progress), attempt)
    assert answer == Applied.FOREIGN
    assert (fresh(attempt).status, fresh(attempt).provider_call_id) == (AttemptStatus.QUEUED, "CA2")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("faster", [CallProgress.ANSWERED, CallProgress.BUSY])
def test_a_report_that_waits_until_the_attempt_is_further_changes_nothing(faster):
    attempt = make_attempt()

    def report_late():
        return tell(attempt, CallProgress.RINGING, now=LATER)

    assert answer_after(lambda: tell(attempt, faster), report_late, attempt) == Applied.STALE
    assert fresh(attempt).status in (AttemptStatus.ANSWERED, AttemptStatus.ENDED)
    assert fresh(attempt).check_at < LATER


# What the provider answered


def record_placed(attempt, sid=SID, now=NOON):
    return outcomes.record_placed([(attempt, PlacedCall(provider_call_id=sid, raw_status="queued"))], now=now)


def test_a_placed_call_waits_in_the_providers_queue(settings):
    attempt = make_attempt()
    assert record_placed(attempt)
    attempt = fresh(attempt)
    assert (attempt.status, attempt.provider_call_id) == (AttemptStatus.QUEUED, SID)
    assert attempt.provider_raw_status == "queued"
    assert attempt.check_at == NOON + timedelta(seconds=settings.CALL_SILENCE_SECONDS)


@pytest.mark.parametrize("progress", [progress for progress in CallProgress if progress != CallProgress.OTHER])
def test_a_callback_that_was_faster_than_the_answer_stands(progress):
    attempt = make_attempt()
    tell(attempt, progress)
    before = CallAttempt.objects.values().get()
    assert not record_placed(attempt, now=LATER)
    assert CallAttempt.objects.values().get() == before


def test_an_answer_with_another_id_than_that_of_a_faster_callback_is_not_believed():
    attempt = make_attempt()
    tell(attempt, CallProgress.RINGING)
    assert not record_placed(attempt, sid="CA2")
    assert fresh(attempt).provider_call_id == SID


def test_an_unknown_word_before_the_answer_does_not_hide_the_answer():
    attempt = make_attempt()
    tell(attempt, CallProgress.OTHER)
    assert record_placed(attempt)
    assert fresh(attempt).provider_call_id == SID


def test_several_answers_are_recorded_together_each_by_its_own_condition():
    first, ringing, last = (make_attempt() for _ in range(3))
    tell(ringing, CallProgress.RINGING)
    ids = {attempt: f"CA{number}" for number, attempt in enumerate((first, ringing, last))}
    answers = [(attempt, PlacedCall(provider_call_id=sid, raw_status="queued")) for attempt, sid in ids.items()]
    assert outcomes.record_placed(answers, now=NOON) == 2
    assert [(fresh(attempt).status, fresh(attempt).provider_call_id) for attempt in ids] == [
        ("queued", "CA0"),
        ("ringing", SID),
        ("queued", "CA2"),
    ]


def test_of_several_answers_one_with_an_id_that_another_call_has_spoils_no_other():
    first, second, third = (make_attempt() for _ in range(3))
    sids = [SID, SID, "CA2"]
    answers = [
        (attempt, PlacedCall(provider_call_id=sid, raw_status="queued"))
        for attempt, sid in zip((first, second, third), sids, strict=True)
    ]
    with capture_logs() as logs:
        outcomes.record_placed(answers, now=NOON)
    assert [line["event"] for line in logs] == ["call.id_used_twice"]
    assert [fresh(attempt).status for attempt in (first, second, third)] == ["queued", "unknown", "queued"]


def test_an_id_that_another_call_has_leaves_the_attempt_unknown_and_both_on_record():
    first, second = make_attempt(), make_attempt()
    record_placed(first)
    with capture_logs() as logs:
        assert record_placed(second)
    assert [line["event"] for line in logs] == ["call.id_used_twice"]
    assert (fresh(first).status, fresh(first).provider_call_id) == (AttemptStatus.QUEUED, SID)
    assert (fresh(second).status, fresh(second).provider_call_id) == (AttemptStatus.UNKNOWN, "")
    assert fresh(second.contact).state == ContactState.IN_PROGRESS
    assert tell(second, CallProgress.BUSY, sid="CA2") == Applied.YES


def test_an_unknown_placement_keeps_the_line_and_is_looked_up_soon(settings):
    attempt = make_attempt()
    assert outcomes.record_unknown(attempt, message="No answer.", now=NOON)
    attempt = fresh(attempt)
    assert (attempt.status, attempt.outcome, attempt.error_message) == (AttemptStatus.UNKNOWN, "", "No answer.")
    assert attempt.check_at == NOON + timedelta(seconds=settings.CALL_LOOKUP_SECONDS)
    assert fresh(attempt.contact).state == ContactState.IN_PROGRESS


@pytest.mark.parametrize("progress", [*STORY, CallProgress.BUSY])
def test_an_unknown_placement_is_settled_by_any_callback_before_or_after(progress):
    before, after = make_attempt(), make_attempt()
    tell(before, progress, sid="CA1")
    assert not outcomes.record_unknown(before, message="No answer.", now=NOON)
    outcomes.record_unknown(after, message="No answer.", now=NOON)
    assert tell(after, progress, sid="CA2") == Applied.YES
    assert fresh(before).status == fresh(after).status != AttemptStatus.UNKNOWN


def test_a_rejected_number_is_never_tried_again():
    attempt = make_attempt()
    assert outcomes.reject(attempt, code="21211", message="No such number.", now=NOON)
    attempt, contact = fresh(attempt), fresh(attempt.contact)
    assert (attempt.outcome, attempt.given_back) == (CallOutcome.FAILED, False)
    assert (attempt.error_code, attempt.error_message) == ("21211", "No such number.")
    assert (contact.state, contact.next_attempt_at, contact.attempts_count) == (ContactState.NOT_REACHED, None, 1)


def test_a_call_that_was_told_to_have_ended_is_not_rejected_any_more():
    attempt = make_attempt()
    tell(attempt, CallProgress.BUSY)
    assert not outcomes.reject(attempt, code="21211", message="No such number.", now=LATER)
    assert fresh(attempt.contact).next_attempt_at == NOON + HOUR


@pytest.mark.parametrize("attempts_count", [1, 2])
def test_more_attempts_bring_back_who_has_used_them_up_and_not_who_was_rejected(attempts_count):
    campaign = CampaignFactory(max_attempts=2)
    used_up = make_attempt(contact=contact_in_call(campaign=campaign, attempts_count=2))
    rejected = make_attempt(contact=contact_in_call(campaign=campaign, attempts_count=attempts_count))
    end(used_up, CallOutcome.BUSY)
    outcomes.reject(rejected, code="21211", message="No such number.", now=NOON)
    campaign.max_attempts = 3
    campaign.save()
    rearm_contacts(campaign, now=LATER)
    assert fresh(used_up.contact).next_attempt_at == NOON + HOUR
    assert fresh(rejected.contact).next_attempt_at is None


# Who hears of it


@pytest.mark.parametrize("finish", [give_back, lambda attempt: end(attempt, CallOutcome.BUSY)])
def test_schedulers_are_woken_once_after_the_commit_when_a_line_is_free(finish, django_capture_on_commit_callbacks):
    attempt = make_attempt()
    with django_capture_on_commit_callbacks() as callbacks:
        finish(attempt)
        finish(attempt)
    assert callbacks.count(wakeups._bell.ring) == 1


def test_nobody_is_woken_while_the_line_is_in_use(django_capture_on_commit_callbacks):
    attempt = make_attempt()
    with django_capture_on_commit_callbacks() as callbacks:
        tell(attempt, CallProgress.ANSWERED)
    assert callbacks == []
