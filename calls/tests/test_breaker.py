"""A provider that fails again and again is left alone, and tried with one call at a time."""

from datetime import timedelta

import pytest

from calls import breaker
from calls.claiming import Reason, claim_calls
from calls.models import CallAttempt, ProviderConfig
from calls.providers.base import (
    CallRejected,
    PlacementUnknown,
    ProviderMisconfigured,
    ProviderUnavailable,
)
from campaigns.tests.factories import CampaignFactory
from contacts.models import Contact
from contacts.tests.factories import ContactFactory

from .conftest import NOON

pytestmark = pytest.mark.django_db
ERROR = ProviderUnavailable("The provider takes no more requests at the moment.")


def seconds(number):
    return timedelta(seconds=number)


def provider_row():
    return ProviderConfig.objects.get()


def fail(times, now=NOON):
    return [breaker.note_failure(ERROR, now) for _ in range(times)]


@pytest.fixture
def many_waiting(lines):
    ContactFactory.create_batch(20, campaign=CampaignFactory(max_attempts=5))


@pytest.fixture
def claim(many_waiting, clock):
    return lambda: claim_calls(max_concurrent_calls=None, batch_size=50, room=50, clock=clock)


# The arithmetic


@pytest.mark.parametrize(
    ("failures", "pause"),
    [
        (0, 0),
        (1, 0),
        (4, 0),  # closed
        (5, 10),  # open
        (6, 20),
        (7, 40),
        (10, 320),
        (11, 600),  # no longer than ten minutes
        (1000, 600),
    ],
)
def test_the_pause_doubles_up_to_a_limit(failures, pause):
    assert breaker.pause_after(failures) == seconds(pause)


@pytest.mark.parametrize(("failures", "delay"), [(0, 5), (1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (1000, 300)])
def test_the_delay_of_a_contact_doubles_up_to_a_limit(failures, delay):
    assert breaker.delay_after(failures) == seconds(delay)


# Counting


def test_four_failures_in_a_row_stop_nobody(lines):
    assert fail(4) == [1, 2, 3, 4]
    assert provider_row().paused_until is None


def test_the_fifth_failure_opens_the_breaker(lines):
    assert fail(5)[-1] == 5
    assert provider_row().paused_until == NOON + seconds(10)


def test_the_last_failure_is_kept_for_operators(lines):
    fail(1)
    assert (provider_row().last_error, provider_row().last_error_at) == (str(ERROR), NOON)


def test_a_success_between_failures_starts_the_count_again(lines):
    fail(4)
    breaker.note_success()
    assert fail(4)[-1] == 4
    assert provider_row().paused_until is None


def test_a_success_closes_the_breaker(lines):
    fail(5)
    breaker.note_success()
    assert (provider_row().consecutive_failures, provider_row().paused_until) == (0, None)


@pytest.mark.parametrize("after", [0, 1, 9.9])
def test_failures_of_calls_that_were_already_out_do_not_lengthen_the_pause(lines, after):
    fail(5)
    assert fail(3, now=NOON + seconds(after)) == [5, 5, 5]
    assert provider_row().paused_until == NOON + seconds(10)


def test_a_failure_after_the_pause_makes_the_next_one_longer(lines):
    fail(5)
    assert fail(1, now=NOON + seconds(10)) == [6]
    assert provider_row().paused_until == NOON + seconds(30)


# The probe


def test_nobody_is_claimed_during_the_pause(claim, clock):
    fail(5)
    clock.sleep(9.9)
    assert (claim().blocked, claim().look_again_at) == (Reason.BREAKER_OPEN, NOON + seconds(10))


def test_exactly_one_call_is_claimed_after_the_pause(claim, clock):
    fail(5)
    clock.sleep(10)
    assert len(claim().attempts) == 1


def test_nobody_is_claimed_while_the_probe_is_out(claim, clock):
    fail(5)
    clock.sleep(10)
    claim()
    clock.sleep(5)
    assert claim().blocked == Reason.BREAKER_OPEN


def test_a_probe_of_which_nothing_is_heard_is_followed_by_another(claim, clock):
    fail(5)
    clock.sleep(10)
    claim()
    clock.sleep(10)
    assert len(claim().attempts) == 1


def test_a_pause_is_no_longer_when_the_clock_is_set_back(claim, clock):
    fail(5)
    clock.sleep(-3600)
    assert claim().look_again_at == clock() + seconds(10)
    clock.sleep(9.9)
    assert claim().blocked == Reason.BREAKER_OPEN
    clock.sleep(0.1)
    assert len(claim().attempts) == 1


def test_a_probe_that_fails_after_the_clock_was_set_back_doubles_the_pause(claim, clock):
    fail(5)
    clock.sleep(-3600)
    clock.now = claim().look_again_at
    claim()
    assert fail(1, now=clock()) == [6]
    assert provider_row().paused_until == clock() + seconds(20)


@pytest.mark.parametrize("answer_takes", [0, 0.2, 9, 13])
def test_each_probe_that_fails_doubles_the_pause(claim, clock, answer_takes):
    fail(5)
    for pause in (20, 40, 80):
        clock.now = provider_row().paused_until
        claim()
        clock.sleep(answer_takes)
        fail(1, now=clock())
        assert provider_row().paused_until == clock() + seconds(pause)


def test_a_probe_that_succeeds_opens_all_lines_again(claim, clock):
    fail(5)
    clock.sleep(10)
    claim()
    breaker.note_success()
    assert len(claim().attempts) == 9


@pytest.mark.parametrize("error", [ERROR, PlacementUnknown("No answer.", "20500")])
def test_an_outage_is_met_with_fewer_and_fewer_calls(many_waiting, make_scheduler, provider, clock, error):
    scheduler = make_scheduler(batch_size=1)
    provider.error = error
    while clock() < NOON + seconds(160):
        scheduler.run_once()
        clock.sleep(1)
    gaps = [later - earlier for earlier, later in zip(provider.started_at, provider.started_at[1:], strict=False)]
    assert [round(gap.total_seconds()) for gap in gaps] == [1, 1, 1, 1, 10, 20, 40, 80]


def test_an_outage_in_which_nothing_was_placed_costs_nobody_an_attempt(many_waiting, scheduler, provider, clock):
    provider.error = ERROR
    scheduler.run_once()
    assert CallAttempt.objects.filter(given_back=False).count() == 0
    assert set(Contact.objects.values_list("attempts_count", flat=True)) == {0}


def test_a_rejected_number_is_an_answer_and_closes_the_breaker(many_waiting, scheduler, provider, clock):
    fail(5)
    clock.sleep(10)
    provider.error = CallRejected("No such number.", "21211")
    scheduler.run_once()
    assert provider_row().consecutive_failures == 0


# The halt


def test_halted_dialling_says_why_and_stays_until_it_is_switched_on_again(claim, clock):
    breaker.halt_dialling(ProviderMisconfigured("Authenticate", "20003"), NOON)
    clock.sleep(24 * 3600)
    assert claim().blocked == Reason.SWITCHED_OFF
    assert (provider_row().halted_reason, provider_row().last_error) == ("Authenticate", "Authenticate")
    provider_row().enable_dialling()
    assert len(claim().attempts) == 10


def test_a_success_does_not_switch_halted_dialling_on(claim):
    breaker.halt_dialling(ProviderMisconfigured("Authenticate", "20003"), NOON)
    breaker.note_success()
    assert claim().blocked == Reason.SWITCHED_OFF


def test_switching_dialling_on_forgets_the_failures_and_ends_the_pause(claim):
    fail(6)
    breaker.halt_dialling(ProviderMisconfigured("Authenticate", "20003"), NOON)
    provider_row().enable_dialling()
    row = provider_row()
    assert (row.dialing_enabled, row.halted_reason, row.consecutive_failures, row.paused_until) == (True, "", 0, None)
    assert len(claim().attempts) == 10
