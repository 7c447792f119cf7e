"""What is told of a call, in any order and number: where it stands follows from the set of what was told alone.

One call has one story: the provider rings, and it ends in one way. The set is that of the story's parts which
were told so far, the provider's answer to our request and an operator's entry in the do-not-call list among them.
"""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calls import conversation, outcomes
from calls.models import CallAttempt
from calls.outcomes import Applied, apply_event
from calls.providers.base import CallEvent, CallProgress, PlacedCall, Said
from calls.reconciliation import reconcile_calls
from calls.states import AttemptStatus
from campaigns.tests.factories import CampaignFactory
from contacts.exclusion import add_to_do_not_call
from contacts.models import CallOutcome, Contact, ContactState
from contacts.tests.factories import ContactFactory

from .conftest import NOON, FakeClock, FakeProvider
from .factories import CallAttemptFactory

pytestmark = pytest.mark.django_db

SID, OTHER_SID = "CA1", "CA2"
MAX_ATTEMPTS = 2
ORDER = [*AttemptStatus]

TAKEN_PART = "taken part"
ACCEPTED, UNANSWERED = "accepted", "unanswered"  # what became of our request
REJECTED, NOT_PLACED = "rejected", "not_placed"

NOISE = ("tell_of_another_call", "tell_an_unknown_word", "place_it_again", "put_it_on_the_list")

WAYS = [CallProgress.QUEUED, CallProgress.RINGING]
STORIES = {
    "taken part to the end": [*WAYS, CallProgress.ANSWERED, TAKEN_PART, CallProgress.HUNG_UP],
    "hung up before the end": [*WAYS, CallProgress.ANSWERED, CallProgress.HUNG_UP],
    "busy": [*WAYS, CallProgress.BUSY],
    "no answer": [*WAYS, CallProgress.NO_ANSWER],
    "failed": [*WAYS, CallProgress.FAILED],
    "canceled": [*WAYS, CallProgress.CANCELED],
    "never placed": [],
}
ENDS = {
    CallProgress.BUSY: CallOutcome.BUSY,
    CallProgress.NO_ANSWER: CallOutcome.NO_ANSWER,
    CallProgress.FAILED: CallOutcome.FAILED,
    CallProgress.CANCELED: CallOutcome.FAILED,
    REJECTED: CallOutcome.FAILED,
    NOT_PLACED: CallOutcome.FAILED,
}
STATUSES = {
    UNANSWERED: AttemptStatus.UNKNOWN,
    ACCEPTED: AttemptStatus.QUEUED,
    CallProgress.QUEUED: AttemptStatus.QUEUED,
    CallProgress.RINGING: AttemptStatus.RINGING,
    CallProgress.ANSWERED: AttemptStatus.ANSWERED,
}


def expected_outcome(told):
    if TAKEN_PART in told:
        return CallOutcome.COMPLETED
    if CallProgress.HUNG_UP in told:
        return CallOutcome.NO_ANSWER
    return next((outcome for end, outcome in ENDS.items() if end in told), "")


def expected_status(told):
    if CallProgress.HUNG_UP in told or not ENDS.keys().isdisjoint(told):
        return AttemptStatus.ENDED
    return max((STATUSES[part] for part in told if part in STATUSES), key=ORDER.index, default=AttemptStatus.PLACING)


def expected_contact(told, attempts_count, is_listed):
    """Its state, its count of attempts, and whether it is due again."""
    outcome = expected_outcome(told)
    if not outcome:
        return ContactState.IN_PROGRESS, attempts_count, False
    if outcome == CallOutcome.COMPLETED:
        return ContactState.COMPLETED, attempts_count, False
    count = attempts_count - (NOT_PLACED in told)
    if is_listed:
        return ContactState.EXCLUDED, count, False
    if NOT_PLACED in told:
        return ContactState.PENDING, count, True
    return ContactState.NOT_REACHED, count, REJECTED not in told and count < MAX_ATTEMPTS


class Story:
    """A call beside another one, and what was told of it so far."""

    def __init__(self, parts, answer, attempts_count):
        self.parts, self.answer, self.attempts_count = parts, answer, attempts_count
        self.told, self.is_listed, self.now, self.seen = set(), False, NOON, (0, "")
        in_call = {
            "campaign": CampaignFactory(max_attempts=MAX_ATTEMPTS),
            "state": ContactState.IN_PROGRESS,
            "next_attempt_at": None,
        }
        self.attempt = CallAttemptFactory(
            contact=ContactFactory(**in_call, attempts_count=attempts_count), claimed=True
        )
        self.other = CallAttemptFactory(
            contact=ContactFactory(**in_call, attempts_count=1), ringing=True, provider_call_id=OTHER_SID
        )
        self.other_before = CallAttempt.objects.values().get(pk=self.other.pk)
        assert outcomes.start_placing([self.attempt], now=NOON)

    def apply(self, step):
        """A part of the story, its answer, or one of NOISE; ("looked up", part) is an answer to reconciliation."""
        self.now += timedelta(seconds=1)
        if step == self.answer:
            self.answer_request()
        elif isinstance(step, tuple):
            self.look_up(step[1])
        elif step in NOISE:
            getattr(self, step)()
        elif step == TAKEN_PART:
            self.take_part()
        else:
            apply_event(self.event(step), now=self.now)
        if step not in NOISE and not isinstance(step, tuple):
            self.told.add(step)

    def check(self):
        self.check_that_all_follows_from_what_was_told()
        self.check_that_it_only_moved_forward()
        self.check_that_a_line_is_free_exactly_when_its_call_has_ended()

    def event(self, progress, sid=SID):
        return CallEvent(
            call_id=self.attempt.call_id, provider_call_id=sid, progress=progress, raw_status=progress.value
        )

    def take_part(self, sid=SID):
        """Whoever agrees to take part in a campaign without questions has answered them all."""
        event = replace(self.event(CallProgress.ANSWERED, sid=sid), said=Said(keys="1"))
        return conversation.hear_consent(event, is_again=False, now=self.now)

    def answer_request(self):
        attempt, now = self.attempt, self.now
        if self.answer == ACCEPTED:
            outcomes.record_placed([(attempt, PlacedCall(provider_call_id=SID, raw_status="queued"))], now=now)
        elif self.answer == UNANSWERED:
            outcomes.record_unknown(attempt, message="No answer.", now=now)
        elif self.answer == REJECTED:
            outcomes.reject(attempt, code="21211", message="No such number.", now=now)
        else:
            outcomes.give_back(attempt, code="unavailable", message="Not placed.", now=now)

    def tell_of_another_call(self):
        for progress in CallProgress:
            assert apply_event(self.event(progress, sid=OTHER_SID), now=self.now) == Applied.FOREIGN
        assert self.take_part(sid=OTHER_SID).applied == Applied.FOREIGN

    def tell_an_unknown_word(self):
        assert apply_event(self.event(CallProgress.OTHER), now=self.now) == Applied.STALE

    def place_it_again(self):
        assert not outcomes.start_placing([self.attempt], now=self.now)

    def put_it_on_the_list(self):
        add_to_do_not_call(self.attempt.phone_number)
        self.is_listed = True

    def look_up(self, part):
        """The provider is asked, by id or by number, and may lag behind what it has reported."""
        provider, event = FakeProvider(FakeClock(self.now)), self.event(part)
        provider.calls, provider.listed = {SID: event}, {self.attempt.phone_number: event}
        silent = CallAttempt.objects.open().filter(pk=self.attempt.pk)
        if silent.update(check_at=self.now - timedelta(seconds=1)):
            reconcile_calls(provider, clock=FakeClock(self.now))
            self.told.add(part)

    def check_that_all_follows_from_what_was_told(self):
        attempt = CallAttempt.objects.get(pk=self.attempt.pk)
        contact = Contact.objects.get(pk=attempt.contact_id)
        told = frozenset(self.told)
        outcome = expected_outcome(told)
        assert (attempt.status, attempt.outcome) == (expected_status(told), outcome), told
        assert (contact.state, contact.attempts_count, contact.next_attempt_at is not None) == expected_contact(
            told, self.attempts_count, self.is_listed
        ), told
        assert attempt.given_back is (NOT_PLACED in told)
        assert (attempt.decided_at is not None) is (TAKEN_PART in told)
        assert attempt.provider_call_id == ("" if not told - {TAKEN_PART, UNANSWERED, REJECTED, NOT_PLACED} else SID)
        if outcome and NOT_PLACED not in told:
            assert (contact.last_outcome, contact.last_attempt_at) == (outcome, attempt.ended_at)

    def check_that_it_only_moved_forward(self):
        attempt = CallAttempt.objects.get(pk=self.attempt.pk)
        rank, end = ORDER.index(attempt.status), (attempt.outcome, attempt.ended_at)
        before, end_before = self.seen
        assert rank >= before
        if before == ORDER.index(AttemptStatus.ENDED):
            # An end is written once. Who is found to have taken part has completed: nothing else is mended.
            is_mended = end_before == (CallOutcome.NO_ANSWER, end[1]) and end[0] == CallOutcome.COMPLETED
            assert end == end_before or (is_mended and TAKEN_PART in self.told)
        self.seen = rank, end

    def check_that_a_line_is_free_exactly_when_its_call_has_ended(self):
        is_open = expected_status(frozenset(self.told)) != AttemptStatus.ENDED
        assert CallAttempt.objects.open().count() == 1 + is_open
        assert CallAttempt.objects.values().get(pk=self.other.pk) == self.other_before


@st.composite
def tellings(draw):
    """A story, and all its parts in some order: most of them, some twice, among noise and look-ups."""
    parts = STORIES[draw(st.sampled_from([*STORIES]))]
    answer = draw(st.sampled_from([ACCEPTED, UNANSWERED] if parts else [REJECTED, NOT_PLACED]))
    steps = [*parts, answer]
    lookups = [("looked up", part) for part in parts if part != TAKEN_PART]
    more = draw(st.lists(st.sampled_from([*steps, *NOISE, *lookups]), max_size=5))
    order = draw(st.permutations([*steps, *more]))
    left_out = draw(st.none() | st.none() | st.sampled_from(steps))
    return parts, answer, [step for step in order if step != left_out]


HEARD = STORIES["taken part to the end"]
EARLY_END = [step for step in HEARD if step != TAKEN_PART]


@example(telling=(HEARD, ACCEPTED, [*NOISE[:3], TAKEN_PART, "tell_of_another_call", *HEARD]), attempts_count=1)
@example(telling=(HEARD, ACCEPTED, [ACCEPTED, *EARLY_END, TAKEN_PART]), attempts_count=1)
@example(telling=(HEARD, ACCEPTED, [*EARLY_END, "put_it_on_the_list", TAKEN_PART, TAKEN_PART]), attempts_count=2)
@example(telling=(HEARD, UNANSWERED, [*reversed(HEARD), UNANSWERED, *HEARD]), attempts_count=2)
@settings(max_examples=settings.default.max_examples // 2)
@given(telling=tellings(), attempts_count=st.integers(1, MAX_ATTEMPTS))
def test_where_a_call_stands_follows_from_the_set_of_what_was_told(telling, attempts_count):
    parts, answer, steps = telling
    with transaction.atomic():
        story = Story(parts, answer, attempts_count)
        for step in steps:
            story.apply(step)
            story.check()
        transaction.set_rollback(True)


def test_who_is_being_rung_again_is_left_alone_by_what_was_said_in_the_call_before():
    story = Story(HEARD, ACCEPTED, attempts_count=1)
    for step in EARLY_END:
        story.apply(step)
    Contact.objects.filter(pk=story.attempt.contact_id).update(state=ContactState.IN_PROGRESS, next_attempt_at=None)
    before = (
        Contact.objects.values().get(pk=story.attempt.contact_id),
        CallAttempt.objects.values().get(pk=story.attempt.pk),
    )
    story.take_part()
    before[1]["consented_at"] = story.now
    assert before == (
        Contact.objects.values().get(pk=story.attempt.contact_id),
        CallAttempt.objects.values().get(pk=story.attempt.pk),
    )
