"""Calls that nobody heard back from are settled in the end, and none of them on a guess."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from calls import conversation, outcomes, reconciliation
from calls.callback_urls import answer_url, events_url
from calls.metrics import counting
from calls.models import CallAttempt
from calls.providers import get_provider
from calls.providers.base import (
    CallEvent,
    CallProgress,
    CallRequest,
    PlacementUnknown,
    ProviderMisconfigured,
    ProviderUnavailable,
    Said,
)
from calls.providers.twilio import TwilioProvider
from calls.reconciliation import longest_call, longest_queue, reconcile_calls
from calls.states import AttemptStatus
from calls.tests.threads import in_thread
from contacts.models import CallOutcome, Contact, ContactState

from .conftest import NOON, FakeClock, FakeProvider
from .factories import CallAttemptFactory
from .phone_network import ACCOUNT_SID, AUTH_TOKEN, running_phone_network, wait_until

pytestmark = pytest.mark.django_db

SID = "CA1"
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


class LookedUpProvider(FakeProvider):
    """Keeps what it was asked, and fails when told to."""

    def __init__(self, clock):
        super().__init__(clock)
        self.asked = []
        self.failure = None
        self.on_look_up = lambda: None

    def fetch_call(self, provider_call_id):
        return self._answer(provider_call_id, super().fetch_call(provider_call_id))

    def find_call(self, to, *, since, known, from_=""):
        self.since, self.known = since, known
        return self._answer(to, super().find_call(to, since=since, known=known, from_=from_))

    def hang_up(self, provider_call_id):
        super().hang_up(provider_call_id)
        if call := self.calls.get(provider_call_id):
            self.calls[provider_call_id] = replace(call, progress=CallProgress.CANCELED, raw_status="canceled")

    def _answer(self, asked, answer):
        self.asked.append(asked)
        self.on_look_up()
        if self.failure:
            raise self.failure
        return answer


@pytest.fixture
def provider():
    return LookedUpProvider(FakeClock())


def reconcile(provider, *, now):
    return reconcile_calls(provider, clock=FakeClock(now))


def event(progress, sid=SID, **values):
    return CallEvent(call_id="", provider_call_id=sid, progress=progress, raw_status=progress.value, **values)


def silent_attempt(status=AttemptStatus.RINGING, check_at=NOON, **values):
    """Asked for two minutes before noon, and to be looked into at noon."""
    started_at = NOON - timedelta(minutes=2)
    defaults = {
        "claimed_at": started_at,
        "provider_call_id": SID
        if status in (AttemptStatus.QUEUED, AttemptStatus.RINGING, AttemptStatus.ANSWERED)
        else "",
        "contact__state": ContactState.IN_PROGRESS,
        "contact__attempts_count": 1,
        "contact__next_attempt_at": None,
    }
    return CallAttemptFactory(status=status, check_at=check_at, **defaults | values)


def fresh(row):
    return type(row).objects.get(pk=row.pk)


# Who is looked into


@pytest.mark.parametrize(("check_at", "taken"), [(NOON, 1), (NOON + timedelta(microseconds=1), 0)])
def test_a_call_is_looked_into_when_it_has_been_silent_for_too_long(provider, check_at, taken):
    silent_attempt(check_at=check_at)
    assert reconcile(provider, now=NOON) == taken
    assert len(provider.asked) == taken


def test_a_call_that_has_ended_is_not_looked_into(provider):
    CallAttemptFactory(check_at=NOON)
    assert reconcile(provider, now=NOON) == 0


def test_nobody_asks_again_before_the_next_look_is_due(provider, settings):
    silent_attempt()
    reconcile(provider, now=NOON)
    next_look = NOON + timedelta(seconds=settings.CALL_LOOKUP_SECONDS)
    assert reconcile(provider, now=next_look - SECOND) == 0
    assert reconcile(provider, now=next_look) == 1


def test_those_that_are_overdue_longest_come_first_and_no_more_than_a_batch(provider, monkeypatch):
    monkeypatch.setattr("calls.reconciliation.BATCH", 2)
    for index, minutes in enumerate([1, 3, 2]):
        silent_attempt(check_at=NOON - timedelta(minutes=minutes), provider_call_id=f"CA{index}")
    assert reconcile(provider, now=NOON) == 2
    assert provider.asked == ["CA1", "CA2"]


# Never sent


def test_a_claimed_call_past_its_deadline_is_given_back_without_asking_the_provider(provider):
    attempt = silent_attempt(AttemptStatus.CLAIMED, started_at=None)
    reconcile(provider, now=NOON)
    attempt, contact = fresh(attempt), fresh(attempt.contact)
    assert provider.asked == []
    assert (attempt.status, attempt.given_back, attempt.error_code) == (AttemptStatus.ENDED, True, "send_deadline")
    assert (contact.state, contact.attempts_count, contact.next_attempt_at) == (ContactState.PENDING, 0, NOON)


def test_a_claimed_call_that_is_sent_at_that_moment_is_not_given_back(provider, monkeypatch):
    attempt = silent_attempt(AttemptStatus.CLAIMED, started_at=None)
    give_back_from = reconciliation._give_back_from

    def send_and_go_on(*arguments, now):
        CallAttempt.objects.update(status=AttemptStatus.PLACING, started_at=now)
        give_back_from(*arguments, now=now)

    monkeypatch.setattr(reconciliation, "_give_back_from", send_and_go_on)
    reconcile(provider, now=NOON)
    assert fresh(attempt).status == AttemptStatus.PLACING


# Nobody knows whether it was placed


@pytest.mark.parametrize("status", [AttemptStatus.PLACING, AttemptStatus.UNKNOWN])
@pytest.mark.parametrize(
    ("progress", "settled", "outcome", "state"),
    [
        (CallProgress.RINGING, AttemptStatus.RINGING, "", ContactState.IN_PROGRESS),
        (CallProgress.ANSWERED, AttemptStatus.ANSWERED, "", ContactState.IN_PROGRESS),
        (CallProgress.BUSY, AttemptStatus.ENDED, CallOutcome.BUSY, ContactState.NOT_REACHED),
        (CallProgress.HUNG_UP, AttemptStatus.ENDED, CallOutcome.NO_ANSWER, ContactState.NOT_REACHED),
        (CallProgress.FAILED, AttemptStatus.ENDED, CallOutcome.FAILED, ContactState.NOT_REACHED),
    ],
)
def test_a_call_without_an_answer_is_found_by_its_number_and_settled(
    provider, status, progress, settled, outcome, state
):
    attempt = silent_attempt(status)
    provider.listed = {attempt.phone_number: event(progress)}
    reconcile(provider, now=NOON)
    contact, attempt = fresh(attempt.contact), fresh(attempt)
    assert (attempt.status, attempt.outcome, attempt.provider_call_id) == (settled, outcome, SID)
    assert (contact.state, contact.attempts_count) == (state, 1)


def test_an_id_that_is_of_a_call_to_somebody_else_is_forgotten_and_the_attempts_own_is_found(provider):
    """Two orders in a row are answered with the id of the order before."""
    other = silent_attempt(AttemptStatus.UNKNOWN, check_at=NOON + HOUR)
    attempt = silent_attempt(provider_call_id="CAother")
    provider.calls["CAother"] = event(CallProgress.BUSY, "CAother", to=other.phone_number)
    provider.listed[attempt.phone_number] = event(CallProgress.NO_ANSWER, "CAown")
    reconcile(provider, now=NOON)
    settled = fresh(attempt)
    assert (settled.outcome, settled.provider_call_id) == (CallOutcome.NO_ANSWER, "CAown")
    assert outcomes.apply_event(replace(event(CallProgress.BUSY, "CAother"), call_id=other.call_id), now=NOON)
    assert (fresh(other).outcome, fresh(other).provider_call_id) == (CallOutcome.BUSY, "CAother")


def test_an_id_of_a_call_to_somebody_else_is_not_hung_up(provider):
    other = silent_attempt(AttemptStatus.UNKNOWN, check_at=NOON + HOUR)
    attempt = silent_attempt(provider_call_id="CAother")
    provider.calls["CAother"] = event(CallProgress.ANSWERED, "CAother", to=other.phone_number)
    reconcile(provider, now=NOON + longest_call())
    assert provider.hung_up == []
    assert fresh(attempt).provider_call_id == ""


def test_a_number_that_the_provider_writes_in_its_own_way_is_the_same_call(provider):
    attempt = silent_attempt(phone_number="+5215512345678")
    provider.calls[SID] = event(CallProgress.BUSY, to="+525512345678")
    reconcile(provider, now=NOON)
    assert (fresh(attempt).outcome, fresh(attempt).provider_call_id) == (CallOutcome.BUSY, SID)


def test_the_search_begins_when_the_provider_was_asked_and_leaves_out_the_numbers_other_calls(provider):
    attempt = silent_attempt(AttemptStatus.UNKNOWN, attempt_number=2)
    CallAttemptFactory(contact=attempt.contact, provider_call_id="CA-earlier")
    CallAttemptFactory(provider_call_id="CA-of-another-number")
    reconcile(provider, now=NOON)
    assert provider.asked == [attempt.phone_number]
    assert (provider.since, provider.known) == (attempt.started_at, {"CA-earlier"})


@pytest.mark.parametrize("status", [AttemptStatus.PLACING, AttemptStatus.UNKNOWN, AttemptStatus.RINGING])
@pytest.mark.parametrize("late", [timedelta(minutes=1), longest_call])
def test_a_call_that_is_not_found_keeps_its_line_while_it_could_still_go_on(provider, status, late):
    attempt = silent_attempt(status)
    now = attempt.started_at + (late() if callable(late) else late)
    CallAttempt.objects.update(check_at=now)
    reconcile(provider, now=now)
    assert fresh(attempt).status == status
    assert fresh(attempt.contact).state == ContactState.IN_PROGRESS


@pytest.mark.parametrize("status", [AttemptStatus.PLACING, AttemptStatus.UNKNOWN, AttemptStatus.RINGING])
def test_a_call_that_is_not_found_has_failed_and_counts_when_the_longest_call_is_over(provider, status):
    attempt = silent_attempt(status)
    now = attempt.started_at + longest_call() + SECOND
    reconcile(provider, now=now)
    attempt, contact = fresh(attempt), fresh(attempt.contact)
    assert (attempt.outcome, attempt.given_back, attempt.error_code) == (CallOutcome.FAILED, False, "lost")
    assert (contact.state, contact.attempts_count) == (ContactState.NOT_REACHED, 1)
    assert contact.next_attempt_at == now + HOUR


def test_who_has_answered_everything_took_part_though_the_call_is_not_found(provider):
    attempt = silent_attempt(AttemptStatus.ANSWERED, outcome=CallOutcome.COMPLETED)
    reconcile(provider, now=attempt.started_at + longest_call() + SECOND)
    assert fresh(attempt).outcome == CallOutcome.COMPLETED
    assert fresh(attempt.contact).state == ContactState.COMPLETED


def test_the_longest_call_waits_rings_and_talks_as_long_as_the_provider_lets_it(settings):
    settings.CALL_QUEUE_SECONDS, settings.CALL_RING_TIMEOUT_SECONDS, settings.CALL_TIME_LIMIT_SECONDS = 60, 30, 600
    assert longest_call() == timedelta(seconds=690)


def test_a_call_that_is_found_at_the_very_end_is_settled_by_what_is_found(provider):
    attempt = silent_attempt(AttemptStatus.UNKNOWN)
    provider.listed = {attempt.phone_number: event(CallProgress.BUSY)}
    reconcile(provider, now=attempt.started_at + longest_call() + SECOND)
    assert (fresh(attempt).outcome, fresh(attempt).error_code) == (CallOutcome.BUSY, "")


# Placed, and silent since


@pytest.mark.parametrize("status", [AttemptStatus.QUEUED, AttemptStatus.RINGING, AttemptStatus.ANSWERED])
@pytest.mark.parametrize(
    ("progress", "outcome"),
    [
        (CallProgress.BUSY, CallOutcome.BUSY),
        (CallProgress.NO_ANSWER, CallOutcome.NO_ANSWER),
        (CallProgress.CANCELED, CallOutcome.FAILED),
        (CallProgress.HUNG_UP, CallOutcome.NO_ANSWER),
    ],
)
def test_a_silent_call_is_fetched_and_settled(provider, status, progress, outcome):
    attempt = silent_attempt(status)
    provider.calls = {SID: event(progress, error_code="487")}
    reconcile(provider, now=NOON)
    assert provider.asked == [SID]
    assert (fresh(attempt).outcome, fresh(attempt).error_code) == (outcome, "487")
    assert fresh(attempt.contact).next_attempt_at == NOON + HOUR


def test_a_silent_call_in_which_everything_was_answered_is_completed(provider):
    attempt = silent_attempt(AttemptStatus.ANSWERED, outcome=CallOutcome.COMPLETED)
    provider.calls = {SID: event(CallProgress.HUNG_UP)}
    reconcile(provider, now=NOON)
    assert fresh(attempt).outcome == CallOutcome.COMPLETED
    assert fresh(attempt.contact).state == ContactState.COMPLETED


@pytest.mark.parametrize("progress", [CallProgress.RINGING, CallProgress.ANSWERED, CallProgress.OTHER])
def test_a_call_that_goes_on_is_looked_into_again_later(provider, progress, settings):
    attempt = silent_attempt(AttemptStatus.ANSWERED)
    provider.calls = {SID: event(progress)}
    reconcile(provider, now=NOON)
    assert fresh(attempt).status == AttemptStatus.ANSWERED
    assert fresh(attempt).check_at == NOON + timedelta(seconds=settings.CALL_SILENCE_SECONDS)
    assert provider.hung_up == []


def test_a_look_up_that_fails_is_tried_again_later_and_changes_nothing_else(provider, settings):
    for status in (AttemptStatus.UNKNOWN, AttemptStatus.RINGING):
        silent_attempt(status)
    unchanged = [name for name in (field.attname for field in CallAttempt._meta.fields) if name != "check_at"]
    before = list(CallAttempt.objects.values(*unchanged)), list(Contact.objects.values())
    provider.failure = ProviderUnavailable("The provider answered 500.")
    now = NOON
    assert reconcile(provider, now=now) == 2
    assert (list(CallAttempt.objects.values(*unchanged)), list(Contact.objects.values())) == before
    next_look = now + timedelta(seconds=settings.CALL_LOOKUP_SECONDS)
    assert set(CallAttempt.objects.values_list("check_at", flat=True)) == {next_look}
    provider.failure = None
    assert reconcile(provider, now=next_look) == 2


@pytest.mark.parametrize("status", [AttemptStatus.PLACING, AttemptStatus.UNKNOWN, AttemptStatus.RINGING])
def test_a_provider_that_cannot_be_asked_keeps_no_line_for_longer_than_the_longest_call(provider, status):
    attempt = silent_attempt(status)
    provider.failure = ProviderMisconfigured("Authenticate", "20003")
    reconcile(provider, now=attempt.started_at + longest_call())
    assert fresh(attempt).status == status
    CallAttempt.objects.update(check_at=NOON)
    reconcile(provider, now=attempt.started_at + longest_call() + SECOND)
    assert (fresh(attempt).outcome, fresh(attempt).error_code) == (CallOutcome.FAILED, "lost")
    assert fresh(attempt.contact).state == ContactState.NOT_REACHED


def test_a_reconciliation_that_is_to_stop_leaves_the_rest_for_later(provider):
    silent_attempt()
    reconcile_calls(provider, clock=FakeClock(), is_stopping=lambda: True)
    assert provider.asked == []


def test_a_look_up_that_fails_does_not_hold_up_the_others(provider):
    first = silent_attempt(provider_call_id="CA1", check_at=NOON - SECOND)
    second = silent_attempt(provider_call_id="CA2")
    provider.calls = {"CA2": event(CallProgress.BUSY, sid="CA2")}

    def fail_for_the_first():
        provider.failure = ProviderUnavailable("500") if provider.asked[-1] == "CA1" else None

    provider.on_look_up = fail_for_the_first
    reconcile(provider, now=NOON)
    assert (fresh(first).outcome, fresh(second).outcome) == ("", CallOutcome.BUSY)


def test_a_callback_during_the_look_up_stands(provider):
    attempt = silent_attempt(AttemptStatus.ANSWERED)
    provider.calls = {SID: event(CallProgress.BUSY)}

    def hear_the_end():
        ended = replace(event(CallProgress.HUNG_UP), call_id=attempt.call_id)
        conversation.hear_consent(replace(ended, said=Said(keys="1")), is_again=False, now=NOON)
        outcomes.apply_event(ended, now=NOON)

    provider.on_look_up = hear_the_end
    reconcile(provider, now=NOON)
    assert fresh(attempt).outcome == CallOutcome.COMPLETED


# Longer than it may last


def test_a_call_that_waits_too_long_in_the_providers_queue_is_hung_up(provider):
    attempt = silent_attempt(AttemptStatus.QUEUED)
    provider.calls = {SID: event(CallProgress.QUEUED)}
    CallAttempt.objects.update(check_at=attempt.started_at)
    reconcile(provider, now=attempt.started_at + longest_queue() + SECOND)
    assert provider.hung_up == [SID]
    assert (fresh(attempt).given_back, fresh(attempt).error_code) == (True, "queued_too_long")
    contact = fresh(attempt.contact)
    assert (contact.state, contact.attempts_count) == (ContactState.PENDING, 0)


def test_a_queued_call_that_was_cancelled_when_it_rang_after_all_counts(provider):
    attempt = silent_attempt(AttemptStatus.QUEUED)
    provider.calls = {SID: event(CallProgress.QUEUED)}
    CallAttempt.objects.update(check_at=attempt.started_at)
    ringing = replace(event(CallProgress.RINGING), call_id=attempt.call_id)
    provider.on_look_up = lambda: outcomes.apply_event(ringing, now=NOON)
    reconcile(provider, now=attempt.started_at + longest_queue() + SECOND)
    assert (fresh(attempt).given_back, fresh(attempt).outcome) == (False, CallOutcome.FAILED)


def test_a_call_may_wait_in_the_providers_queue_for_a_while(provider):
    attempt = silent_attempt(AttemptStatus.QUEUED)
    provider.calls = {SID: event(CallProgress.QUEUED)}
    CallAttempt.objects.update(check_at=attempt.started_at)
    reconcile(provider, now=attempt.started_at + longest_queue())
    assert (provider.hung_up, fresh(attempt).status) == ([], AttemptStatus.QUEUED)


@pytest.mark.parametrize("progress", [CallProgress.RINGING, CallProgress.ANSWERED, CallProgress.OTHER])
def test_a_call_that_goes_on_for_longer_than_it_can_is_hung_up(provider, progress):
    attempt = silent_attempt(AttemptStatus.ANSWERED)
    provider.calls = {SID: event(progress)}
    reconcile(provider, now=attempt.started_at + longest_call() + SECOND)
    assert provider.hung_up == [SID]
    assert fresh(attempt).outcome == CallOutcome.FAILED


def test_a_request_to_hang_up_that_fails_is_timed_and_counted_as_such(provider, monkeypatch):
    def fail(provider_call_id):
        raise ProviderUnavailable("The provider cannot be reached.")

    attempt = silent_attempt(AttemptStatus.ANSWERED)
    provider.calls = {SID: event(CallProgress.ANSWERED)}
    monkeypatch.setattr(provider, "hang_up", fail)
    taken = counting.provider_seconds.labels("hang_up")._sum
    failed = counting.provider_errors.labels("hang_up", "unavailable")._value
    before = taken.get(), failed.get()
    reconcile(provider, now=attempt.started_at + longest_call() + SECOND)
    assert taken.get() > before[0]
    assert failed.get() == before[1] + 1


def test_a_call_whose_end_the_provider_describes_in_words_of_its_own_does_not_keep_its_line(provider, monkeypatch):
    attempt = silent_attempt(AttemptStatus.ANSWERED)
    provider.calls = {SID: event(CallProgress.OTHER)}
    monkeypatch.setattr(provider, "hang_up", lambda sid: None)
    reconcile(provider, now=attempt.started_at + longest_call() + SECOND)
    assert (fresh(attempt).outcome, fresh(attempt).error_code) == (CallOutcome.FAILED, "lost")


# Beside others


@pytest.mark.django_db(transaction=True)
def test_two_reconciliations_at_once_take_each_call_once(monkeypatch):
    monkeypatch.setattr("calls.reconciliation.BATCH", 8)
    for index in range(16):
        silent_attempt(provider_call_id=f"CA{index}")
    start, provider = threading.Barrier(2, timeout=10), LookedUpProvider(FakeClock())
    taken = []

    def reconcile_together():
        start.wait()
        taken.append(reconcile(provider, now=NOON))

    for result in [in_thread(reconcile_together), in_thread(reconcile_together)]:
        result()
    assert sum(taken) == 16 or reconcile(provider, now=NOON) == 16 - sum(taken)
    assert sorted(provider.asked) == sorted(f"CA{index}" for index in range(16))


@pytest.mark.django_db(transaction=True)
def test_a_call_that_a_callback_is_just_about_is_passed_over_and_not_waited_for(provider):
    busy = silent_attempt(provider_call_id="CA1")
    silent_attempt(provider_call_id="CA2")
    with transaction.atomic():
        CallAttempt.objects.select_for_update().get(pk=busy.pk)
        reconciled = in_thread(lambda: reconcile(provider, now=NOON))
        assert reconciled(timeout=10) != "still at it"
    assert provider.asked == ["CA2"]


# With the phone network


@pytest.fixture
def account(settings):
    settings.PUBLIC_BASE_URL = "https://calls.example.org"


ANNE, BEN, CARL = "+12025550123", "+12025550124", "+12025550125"


@pytest.fixture
def network(account):
    """Its callbacks all get lost, and nobody tells it what to say."""
    with running_phone_network(
        speed=200,
        behaviours={ANNE: "answers", BEN: "busy", CARL: "no_answer"},
        callback_base_url="http://127.0.0.1:9",
    ) as network:
        network.inject({"kind": "callback_lost", "count": None})
        yield network


@pytest.fixture
def real_provider(network):
    return TwilioProvider(
        account_sid=network.account_sid, auth_token=network.auth_token, base_url=network.base_url, read_timeout=0.3
    )


def place(attempt, provider):
    request = CallRequest(
        call_id=attempt.call_id,
        to=attempt.phone_number,
        from_="+12025550199",
        answer_url=answer_url(attempt.call_id),
        events_url=events_url(attempt.call_id),
        ring_timeout=30,
        time_limit=60,
    )
    return provider.initiate_call(request, leave=lambda: None)


def place_and_record(attempt, provider):
    placed = place(attempt, provider)
    outcomes.record_placed([(attempt, placed)], now=timezone.now())


def placing_attempt(number):
    now = timezone.now()
    return silent_attempt(
        AttemptStatus.PLACING, check_at=now, claimed_at=now, contact__phone_number=number, phone_number=number
    )


def in_a_minute():
    return timezone.now() + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(ANNE, CallOutcome.NO_ANSWER), (BEN, CallOutcome.BUSY), (CARL, CallOutcome.NO_ANSWER)],
)
def test_calls_whose_callbacks_are_lost_are_settled_in_the_end(network, real_provider, number, outcome):
    attempt = placing_attempt(number)
    place_and_record(attempt, real_provider)
    wait_until(lambda: network.calls()[0].ended_at)
    assert fresh(attempt).status == AttemptStatus.QUEUED
    reconcile(real_provider, now=in_a_minute())
    assert fresh(attempt).outcome == outcome


@pytest.fixture
def make_provider_anew():
    get_provider.cache_clear()
    yield
    get_provider.cache_clear()


@pytest.mark.usefixtures("make_provider_anew")
@pytest.mark.django_db(transaction=True)
def test_who_has_heard_the_script_to_its_end_took_part_though_the_callbacks_are_lost(live_server, settings):
    settings.PUBLIC_BASE_URL = live_server.url
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT_SID, AUTH_TOKEN
    with running_phone_network(speed=200, behaviours={ANNE: "answers"}) as network:
        settings.TWILIO_API_BASE_URL = network.base_url
        network.inject({"kind": "callback_lost", "count": None})
        attempt = placing_attempt(ANNE)
        place(attempt, get_provider())
        wait_until(lambda: network.calls()[0].ended_at)
        assert fresh(attempt).status == AttemptStatus.ANSWERED
        reconcile(get_provider(), now=in_a_minute())
    assert fresh(attempt).outcome == CallOutcome.COMPLETED


@pytest.mark.parametrize(
    "fault", ["reset_after_placing", "server_error_after_placing", "wrong_json", "hang_after_placing"]
)
def test_a_call_whose_answer_is_lost_is_found_by_its_number(network, real_provider, fault):
    attempt = placing_attempt(BEN)
    network.inject({"kind": fault, "seconds": 0.5})
    lose_the_answer(attempt, real_provider)
    wait_until(lambda: network.calls()[0].ended_at)
    reconcile(real_provider, now=in_a_minute())
    assert (fresh(attempt).outcome, fresh(attempt).provider_call_id) == (CallOutcome.BUSY, network.calls()[0].sid)


def lose_the_answer(attempt, provider):
    with pytest.raises(PlacementUnknown) as raised:
        place(attempt, provider)
    outcomes.record_unknown(attempt, message=str(raised.value), now=timezone.now())


def test_a_call_that_was_never_placed_keeps_its_line_until_the_longest_call_is_over(network, real_provider):
    attempt = placing_attempt(BEN)
    network.inject({"kind": "reset"})
    lose_the_answer(attempt, real_provider)
    reconcile(real_provider, now=in_a_minute())
    assert fresh(attempt).status == AttemptStatus.UNKNOWN
    reconcile(real_provider, now=attempt.started_at + longest_call() + SECOND)
    assert fresh(attempt).error_code == "lost"
    assert network.calls() == []


def test_a_call_that_is_listed_late_is_found_at_a_later_look(network, real_provider, settings):
    attempt = placing_attempt(BEN)
    network.inject({"kind": "reset_after_placing"})
    network.inject({"kind": "lookup_lag", "seconds": 60})
    lose_the_answer(attempt, real_provider)
    wait_until(lambda: network.calls()[0].ended_at)
    now = in_a_minute()
    reconcile(real_provider, now=now)
    assert fresh(attempt).status == AttemptStatus.UNKNOWN
    reconcile(real_provider, now=now + timedelta(seconds=settings.CALL_LOOKUP_SECONDS))
    assert fresh(attempt).outcome == CallOutcome.BUSY


def test_a_provider_that_gives_the_id_of_another_call_is_found_out(network, real_provider):
    first, second = placing_attempt(ANNE), placing_attempt(BEN)
    place_and_record(first, real_provider)
    wait_until(lambda: network.calls()[0].ended_at)
    network.inject({"kind": "same_sid", "to": BEN})
    place_and_record(second, real_provider)
    assert fresh(second).status == AttemptStatus.UNKNOWN
    wait_until(lambda: all(call.ended_at for call in network.calls()))
    reconcile(real_provider, now=in_a_minute())
    sids = {call.to: call.sid for call in network.calls()}
    assert (fresh(second).outcome, fresh(second).provider_call_id) == (CallOutcome.BUSY, sids[BEN])
    assert fresh(first).provider_call_id == sids[ANNE]


def test_a_call_that_the_provider_keeps_in_its_queue_never_rings(account):
    with running_phone_network(calls_per_second=0.01, callback_base_url="http://127.0.0.1:9") as network:
        provider = TwilioProvider(
            account_sid=network.account_sid, auth_token=network.auth_token, base_url=network.base_url
        )
        place(placing_attempt(ANNE), provider)
        attempt = placing_attempt(BEN)
        place_and_record(attempt, provider)
        reconcile(provider, now=attempt.started_at + longest_queue() + SECOND)
        ended = [line for line in network.ledger() if line["kind"] == "ended"]
    assert [line["status"] for line in ended if line["to"] == BEN] == ["canceled"]
    assert fresh(attempt).outcome == CallOutcome.FAILED
