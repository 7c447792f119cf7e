"""One pass of the scheduler with a clock that stands still and a provider that does what it is told."""

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import OperationalError, connection, transaction

from calls import outcomes
from calls.claiming import Reason
from calls.models import CallAttempt, ProviderConfig
from calls.pacing import HEADROOM, gap_between
from calls.providers.base import (
    CallRejected,
    Detection,
    PlacementUnknown,
    ProviderMisconfigured,
    ProviderUnavailable,
)
from calls.scheduler import DETECTION, CallScheduler, CallSchedulerConfig
from calls.tests.conftest import NOON, InlineSenders
from calls.tests.factories import CallAttemptFactory
from campaigns.models import Campaign, CampaignStatus, MachineDetection
from campaigns.tests.factories import CampaignFactory
from contacts.exclusion import add_to_do_not_call, keep_as_hash
from contacts.models import ContactState
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db


def test_the_defaults_are_those_that_were_asked_for():
    config = CallSchedulerConfig()
    assert (config.interval_seconds, config.max_concurrent_calls, config.batch_size) == (60, 10, 50)


def test_a_due_contact_is_rung(scheduler, provider):
    contact = ContactFactory()
    report = scheduler.run_once()
    assert (report.claimed, report.placed) == (1, 1)
    assert provider.numbers == [contact.phone_number]
    attempt = CallAttempt.objects.get()
    assert (attempt.status, attempt.started_at, attempt.outcome) == ("queued", NOON, "")
    assert attempt.provider_call_id.startswith("CA")


def test_the_provider_is_told_where_to_report_and_what_number_to_show(scheduler, provider):
    ContactFactory()
    scheduler.run_once()
    (request,) = provider.requests
    call_id = CallAttempt.objects.get().call_id
    assert request.events_url == f"http://127.0.0.1:8000/webhooks/telephony/events?call_id={call_id}"
    assert request.answer_url == f"http://127.0.0.1:8000/webhooks/telephony/voice?call_id={call_id}"
    assert request.from_ == "+12025550199"


def test_a_campaigns_own_number_is_shown(scheduler, provider):
    ContactFactory(campaign__caller_id="+12025550177")
    scheduler.run_once()
    assert provider.requests[0].from_ == "+12025550177"


@pytest.mark.parametrize(
    ("treatment", "detection"),
    [
        ("off", Detection.NONE),
        ("hang_up", Detection.MACHINE),
        ("leave_message", Detection.END_OF_GREETING),
    ],
)
def test_the_provider_finds_out_who_answers_as_far_as_the_campaign_needs_it(scheduler, provider, treatment, detection):
    ContactFactory(campaign__machine_detection=treatment)
    scheduler.run_once()
    assert provider.requests[0].detection == detection


def test_every_treatment_of_machines_has_its_detection():
    assert {*DETECTION} == {*MachineDetection}


@pytest.mark.django_db(transaction=True)
def test_the_attempt_is_committed_before_the_provider_hears_of_it(make_scheduler, provider):
    seen, scheduler = [], make_scheduler()
    scheduler._senders._pool = ThreadPoolExecutor(1)

    def look_from_another_connection(request):
        seen.append(CallAttempt.objects.filter(call_id=request.call_id).values_list("status", flat=True).get())
        connection.close()

    provider.on_call = look_from_another_connection
    ContactFactory()
    scheduler.run_once()
    assert seen == ["placing"]


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_provider_is_asked(make_scheduler, provider):
    provider.on_call = lambda _: open_transactions.append(main_connection.in_atomic_block)
    open_transactions, main_connection = [], transaction.get_connection()
    ContactFactory()
    make_scheduler().run_once()
    assert open_transactions == [False]


def test_calls_start_at_their_instants(make_scheduler, provider):
    ProviderConfig.objects.update(calls_per_second=5)
    ContactFactory.create_batch(3, campaign=CampaignFactory())
    make_scheduler().run_once()
    assert provider.started_at == [NOON + HEADROOM + index * gap_between(5) for index in range(3)]


def test_a_report_says_per_campaign_why_it_got_nothing(scheduler):
    idle = ContactFactory(next_attempt_at=NOON + timedelta(hours=1)).campaign
    closed = ContactFactory(campaign__time_zone="").campaign
    assert scheduler.run_once().reasons == {idle.pk: Reason.NOBODY_DUE, closed.pk: Reason.NEVER_OPEN}


# What the provider answers


def test_a_rejected_number_is_never_tried_again(scheduler, provider):
    provider.error = CallRejected("The number is invalid.", "21211")
    contact = ContactFactory()
    assert scheduler.run_once().rejected == 1
    contact.refresh_from_db()
    attempt = CallAttempt.objects.get()
    assert (attempt.outcome, attempt.error_code, attempt.given_back) == ("failed", "21211", False)
    assert (contact.state, contact.next_attempt_at) == (ContactState.NOT_REACHED, None)
    assert (contact.attempts_count, contact.last_outcome) == (1, "failed")


def test_a_call_that_was_certainly_not_placed_is_given_back(scheduler, provider):
    provider.error = ProviderUnavailable("Too many requests.", "20429")
    contact = ContactFactory()
    assert scheduler.run_once().given_back == 1
    contact.refresh_from_db()
    attempt = CallAttempt.objects.get()
    assert (attempt.outcome, attempt.error_code, attempt.given_back) == ("failed", "20429", True)
    assert (contact.state, contact.attempts_count) == (ContactState.PENDING, 0)
    assert contact.next_attempt_at == NOON + HEADROOM + timedelta(seconds=5)


def test_an_attempt_that_was_given_back_leaves_its_number_to_the_next(scheduler, provider, clock):
    provider.error = ProviderUnavailable("Too many requests.")
    ContactFactory()
    scheduler.run_once()
    provider.error = None
    clock.sleep(60)
    scheduler.run_once()
    assert list(CallAttempt.objects.order_by("id").values_list("attempt_number", "given_back")) == [
        (1, True),
        (1, False),
    ]


def test_wrong_settings_stop_dialling_and_cost_nobody_an_attempt(scheduler, provider):
    provider.error = ProviderMisconfigured("Authenticate", "20003")
    contact = ContactFactory()
    scheduler.run_once()
    contact.refresh_from_db()
    row = ProviderConfig.objects.get()
    assert (row.dialing_enabled, row.halted_reason) == (False, "Authenticate")
    assert (contact.state, contact.attempts_count) == (ContactState.PENDING, 0)
    assert scheduler.run_once().blocked == Reason.SWITCHED_OFF


@pytest.mark.parametrize("error", [PlacementUnknown("No answer."), RuntimeError("a bug")])
def test_a_call_that_may_have_been_placed_keeps_its_line_and_is_not_redialled(scheduler, provider, clock, error):
    provider.error = error
    contact = ContactFactory()
    assert scheduler.run_once().unknown == 1
    contact.refresh_from_db()
    assert CallAttempt.objects.get().status == "unknown"
    assert contact.state == ContactState.IN_PROGRESS
    clock.sleep(300)
    assert scheduler.run_once().claimed == 0
    assert len(provider.requests) == 1


def test_a_failure_of_one_call_does_not_stop_the_others(scheduler, provider):
    first, second, third = ContactFactory.create_batch(3, campaign=CampaignFactory())
    provider.errors = {
        first.phone_number: CallRejected("Bad number.", "21211"),
        second.phone_number: PlacementUnknown("No answer."),
    }
    report = scheduler.run_once()
    assert (report.placed, report.rejected, report.unknown) == (1, 1, 1)
    assert third.phone_number in provider.numbers


def test_five_failures_in_a_row_open_the_breaker_and_a_probe_closes_it(make_scheduler, provider, clock):
    scheduler = make_scheduler(batch_size=1)
    provider.error = ProviderUnavailable("Too many requests.")
    ContactFactory.create_batch(20, campaign=CampaignFactory())
    for _ in range(5):
        scheduler.run_once()
    assert scheduler.run_once().blocked == Reason.BREAKER_OPEN
    provider.error = None
    clock.sleep(10)
    probing = make_scheduler(batch_size=50)
    assert probing.run_once().placed == 1
    assert probing.run_once().placed > 1


# Held up, or no longer wanted


def hold_up(scheduler, clock, *delays):
    """Let each of the scheduler's sleeps, and its senders', take longer, by as many seconds."""
    delays = list(delays)

    def sleep(seconds):
        clock.sleep(seconds + (delays.pop(0) if delays else 0))

    scheduler._sleep = scheduler._senders._sleep = sleep


@pytest.mark.parametrize("delays", [(6,), (0, 6)], ids=["before it is marked", "just before it is sent"])
def test_a_call_is_given_back_when_its_send_deadline_has_passed(scheduler, provider, clock, delays):
    contact = ContactFactory()
    hold_up(scheduler, clock, *delays)
    report = scheduler.run_once()
    contact.refresh_from_db()
    assert (report.given_back, provider.requests) == (1, [])
    assert (contact.state, contact.attempts_count) == (ContactState.PENDING, 0)
    assert CallAttempt.objects.get().error_code == "send_deadline"


def after_the_claim(monkeypatch, action):
    """Do something between the claim's commit and the start of the first call."""
    start_placing = outcomes.start_placing
    pending = [action]

    def act_and_start(attempts, *, now):
        while pending:
            pending.pop()()
        return start_placing(attempts, now=now)

    monkeypatch.setattr(outcomes, "start_placing", act_and_start)


def test_a_campaign_paused_after_the_claim_rings_nobody(scheduler, provider, monkeypatch):
    contact = ContactFactory()
    after_the_claim(monkeypatch, lambda: Campaign.objects.update(status=CampaignStatus.PAUSED))
    assert scheduler.run_once().given_back == 1
    contact.refresh_from_db()
    assert (provider.requests, contact.state) == ([], ContactState.PENDING)


def test_a_number_put_on_the_do_not_call_list_after_the_claim_is_not_rung(scheduler, provider, monkeypatch):
    contact = ContactFactory()
    after_the_claim(monkeypatch, lambda: add_to_do_not_call(contact.phone_number))
    scheduler.run_once()
    contact.refresh_from_db()
    assert (provider.requests, contact.state) == ([], ContactState.EXCLUDED)


def test_a_number_kept_as_a_hash_after_the_claim_is_not_rung(scheduler, provider, monkeypatch, settings):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    contact = ContactFactory()
    after_the_claim(monkeypatch, lambda: keep_as_hash([contact.phone_number]))
    scheduler.run_once()
    contact.refresh_from_db()
    assert (provider.requests, contact.state) == ([], ContactState.PENDING)


def test_a_scheduler_that_is_stopped_gives_back_what_it_has_not_sent(scheduler, provider, monkeypatch):
    ProviderConfig.objects.update(calls_per_second=5)
    ContactFactory.create_batch(3, campaign=CampaignFactory())
    after_the_claim(monkeypatch, scheduler.stop)
    report = scheduler.run_once()
    assert (report.claimed, report.placed, report.given_back) == (3, 1, 2)


def test_calls_that_are_too_late_for_their_instants_move_together(scheduler, provider, clock):
    ProviderConfig.objects.update(calls_per_second=5)
    ContactFactory.create_batch(3, campaign=CampaignFactory())
    hold_up(scheduler, clock, 0, 0, 0.5)
    scheduler.run_once()
    first, second, third = provider.started_at
    assert second - first > gap_between(5)
    assert third - second == gap_between(5)
    assert ProviderConfig.objects.get().next_call_at == third + gap_between(5)
    assert list(CallAttempt.objects.order_by("id").values_list("start_at", flat=True)) == provider.started_at


@pytest.mark.parametrize(("late", "placed"), [(0.25, 1), (0.251, 0)])
def test_a_call_whose_sender_comes_to_it_too_late_is_given_back(scheduler, provider, clock, late, placed):
    contact = ContactFactory()
    scheduler._senders._sleep = lambda seconds: clock.sleep(seconds + late)
    assert scheduler.run_once().placed == len(provider.requests) == placed
    contact.refresh_from_db()
    assert contact.attempts_count == placed


def test_starts_behind_late_ones_are_planned_later_by_as_much(scheduler, provider, clock):
    ProviderConfig.objects.update(calls_per_second=10)
    ContactFactory.create_batch(4, campaign=CampaignFactory())
    hold_up(scheduler, clock, 0, 0.03, 0, 0.02, 0, 0.02)
    scheduler.run_once()
    assert len(provider.started_at) == 4
    # One push makes up for all that were planned before it.
    assert ProviderConfig.objects.get().next_call_at == NOON + HEADROOM + 4 * gap_between(10) + timedelta(seconds=0.03)


def test_a_failure_that_the_database_refuses_to_record_is_counted_once(scheduler, provider, monkeypatch):
    ContactFactory()
    provider.error = ProviderUnavailable("Nobody answers.")
    give_back, failures = outcomes.give_back, [OperationalError("gone")]

    def give_back_at_last(*arguments, **options):
        if failures:
            raise failures.pop()
        return give_back(*arguments, **options)

    monkeypatch.setattr(outcomes, "give_back", give_back_at_last)
    with pytest.raises(OperationalError):
        scheduler.run_once()
    scheduler.close()
    assert ProviderConfig.objects.get().consecutive_failures == 1
    assert CallAttempt.objects.get().given_back


def test_a_call_that_may_have_reached_the_provider_late_holds_back_the_one_a_second_behind_it(
    run_loop, provider, clock
):
    ProviderConfig.objects.update(calls_per_second=3)
    ContactFactory.create_batch(4, campaign=CampaignFactory())
    provider.on_call = lambda request: clock.sleep(0.2 if len(provider.requests) == 1 else 0)
    run_loop(10)
    first, _, _, fourth = provider.started_at
    assert fourth - first >= timedelta(seconds=1.2)


# Campaigns start and end by themselves


def test_a_scheduled_campaign_starts_when_its_time_has_come(scheduler, provider):
    ContactFactory(campaign__status=CampaignStatus.SCHEDULED, campaign__starts_at=NOON)
    assert scheduler.run_once().placed == 1


def test_a_campaign_with_nobody_left_to_call_is_completed(scheduler):
    campaign = ContactFactory(state=ContactState.COMPLETED, next_attempt_at=None).campaign
    scheduler.run_once()
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.COMPLETED


def test_a_campaign_with_a_call_in_progress_is_not_completed(scheduler):
    campaign = ContactFactory().campaign
    scheduler.run_once()
    scheduler.run_once()
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.RUNNING


def test_a_campaign_whose_contacts_wait_for_their_retry_is_not_completed(scheduler):
    campaign = ContactFactory(next_attempt_at=NOON + timedelta(days=3)).campaign
    scheduler.run_once()
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.RUNNING


def test_a_campaign_is_completed_when_its_end_has_passed(scheduler):
    campaign = ContactFactory(campaign__ends_at=NOON).campaign
    scheduler.run_once()
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.COMPLETED


# The loop


class FakeWakeups:
    """Lets the time pass that the loop wanted to wait."""

    def __init__(self, clock):
        self.clock = clock
        self.waits = []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.clock.sleep(max(seconds, 0.001))

    def wake(self):
        pass


@pytest.fixture
def run_loop(make_scheduler, clock, monkeypatch):
    monkeypatch.setattr(CallScheduler, "_reconcile_and_disconnect", lambda self: None)

    def run_loop(seconds, **config):
        wakeups = FakeWakeups(clock)
        make_scheduler(**config).run(wakeups, seconds=seconds)
        return wakeups

    return run_loop


def test_an_idle_loop_looks_again_after_the_interval(run_loop):
    assert run_loop(120, interval_seconds=60).waits == [60, 60]


def test_the_loop_looks_again_when_the_next_contact_is_due(run_loop, provider):
    ContactFactory(next_attempt_at=NOON + timedelta(seconds=7))
    assert run_loop(10).waits[0] == 7
    assert provider.started_at == [NOON + timedelta(seconds=7) + HEADROOM]


def test_a_loop_ends_in_time_also_when_the_clock_is_set_back(make_scheduler, clock, monkeypatch):
    monkeypatch.setattr(CallScheduler, "_reconcile_and_disconnect", lambda self: None)
    wakeups = FakeWakeups(clock)
    wait = wakeups.wait

    def wait_and_set_back(seconds):
        wait(seconds)
        clock.now -= timedelta(days=365)

    monkeypatch.setattr(wakeups, "wait", wait_and_set_back)
    make_scheduler().run(wakeups, seconds=5)
    assert wakeups.waits == [5]


def test_a_loop_whose_database_is_away_ends_in_time_with_calls_waiting(make_scheduler, clock, monkeypatch):
    monkeypatch.setattr(CallScheduler, "_reconcile_and_disconnect", lambda self: None)
    monkeypatch.setattr(connection, "close", lambda: None)
    ProviderConfig.objects.update(calls_per_second=0.5)
    ContactFactory.create_batch(6, campaign=CampaignFactory())
    scheduler = make_scheduler()

    def fail(*_args, **_kwargs):
        assert clock.steady() < 60
        raise OperationalError("gone")

    after_the_claim(monkeypatch, lambda: monkeypatch.setattr(scheduler, "_place_due", fail))
    scheduler.run(FakeWakeups(clock), seconds=5)
    assert 5 <= clock.steady() < 10


def test_the_loop_goes_on_at_the_rate_until_everybody_is_rung(run_loop, provider):
    ProviderConfig.objects.update(calls_per_second=2)
    ContactFactory.create_batch(6, campaign=CampaignFactory())
    run_loop(10)
    assert provider.started_at == pytest.approx(
        [NOON + HEADROOM + index * gap_between(2) for index in range(6)], abs=timedelta(milliseconds=2)
    )


def test_the_loop_does_not_spin_while_the_provider_is_slow_to_be_asked_about_silent_calls(make_scheduler, clock):
    scheduler = make_scheduler()
    scheduler._reconciler = InlineSenders()
    scheduler._reconciling = Future()  # a run that has not ended
    wakeups = FakeWakeups(clock)
    CallAttemptFactory(ringing=True, contact__state=ContactState.IN_PROGRESS, contact__next_attempt_at=None)
    scheduler.run(wakeups, seconds=20)
    assert len(wakeups.waits) <= 5


def test_a_clock_that_is_set_back_by_an_hour_neither_silences_a_scheduler_nor_bunches_its_calls(
    scheduler, provider, clock, monkeypatch
):
    ProviderConfig.objects.update(calls_per_second=4)
    ContactFactory.create_batch(4, campaign=CampaignFactory())
    steady, set_back, claims = [], [], []

    def synchronise():
        # Between two looks at the database's clock it goes on as before.
        if claims and not set_back:
            set_back.append(timedelta(hours=1))
            clock.now -= set_back[0]
        return clock.now

    monkeypatch.setattr(clock, "synchronise", synchronise)
    after_the_claim(monkeypatch, lambda: claims.append(1))
    provider.on_call = lambda _: steady.append(clock.now + sum(set_back, timedelta(0)))
    for _ in range(6):
        scheduler.run_once()
        clock.sleep(4)
    # What the clock left behind was given back, and is rung as soon as the pace allows by the clock as it is now.
    assert len(steady) == 4
    assert steady[-1] - NOON < timedelta(seconds=30)
    assert all(later - earlier >= timedelta(seconds=0.25) for earlier, later in pairwise(steady))
