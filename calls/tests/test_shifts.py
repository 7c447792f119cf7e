from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from calls import shifts, tasks
from calls.locks import try_lock
from calls.models import ProviderConfig
from calls.schedules import SCHEDULES
from calls.tests.factories import CallAttemptFactory
from calls.tests.test_concurrency import in_thread
from campaigns import lifecycle
from campaigns.models import CampaignStatus
from campaigns.tests.factories import AskingCampaignFactory
from contacts.models import ContactState
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def short_shifts(monkeypatch):
    monkeypatch.setattr(shifts, "SHIFT", shifts.SHIFT / 25)


def queued_tasks():
    return [message.func() for message in OrmQ.objects.all()]


def test_a_shift_without_work_is_not_followed_by_another():
    assert shifts.run_shift() == "no campaign is running"
    assert queued_tasks() == []


def test_a_shift_with_calls_open_is_followed_by_another():
    ProviderConfig.objects.update(max_concurrent_calls=1)
    contact = ContactFactory(state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=1)
    in_an_hour = timezone.now() + timedelta(hours=1)
    CallAttemptFactory(contact=contact, ringing=True, check_at=in_an_hour)
    assert shifts.run_shift() == "1 calls open"
    assert queued_tasks() == ["calls.tasks.run_requested_scheduler"]


def test_a_second_shift_beside_the_first_ends_at_once():
    with try_lock(shifts.SHIFT_LOCK) as first:
        assert first
        assert in_thread(shifts.run_shift)() == "another worker is at it"
    assert queued_tasks() == []


def test_activating_a_campaign_asks_for_a_shift():
    campaign = ContactFactory(campaign=AskingCampaignFactory(status=CampaignStatus.DRAFT)).campaign
    lifecycle.activate(campaign, now=campaign.created_at)
    assert queued_tasks() == ["calls.tasks.run_requested_scheduler"]


def test_migrating_twice_leaves_each_schedule_once():
    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)
    rows = Schedule.objects.order_by("name").values("name", "func", "schedule_type", "minutes", "repeats")
    usual = {"minutes": None}
    assert list(rows) == [{"name": name, **usual, **SCHEDULES[name]} for name in sorted(SCHEDULES)]


def test_schedules_are_not_caught_up_with(settings):
    assert settings.Q_CLUSTER["catch_up"] is False
    assert settings.Q_CLUSTER["retry"] > settings.Q_CLUSTER["timeout"]


def test_shifts_are_not_asked_for_twice_before_one_of_them_began():
    shifts.request_shift()
    shifts.request_shift()
    assert len(queued_tasks()) == 1
    shifts.run_requested_shift()
    shifts.request_shift()
    assert len(queued_tasks()) == 2


def test_a_scheduled_shift_beside_a_requested_one_does_not_start_a_second_chain():
    """As with one worker, which works off one after the other what would otherwise meet the lock."""
    in_an_hour = timezone.now() + timedelta(hours=1)
    contact = ContactFactory(state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=1)
    CallAttemptFactory(contact=contact, ringing=True, check_at=in_an_hour)
    for _ in range(3):
        shifts.run_shift()
    assert len(queued_tasks()) == 1


def test_the_schedule_does_not_wait_for_a_request_that_was_lost_with_its_queue():
    contact = ContactFactory(state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=1)
    CallAttemptFactory(contact=contact, ringing=True, check_at=timezone.now() + timedelta(hours=1))
    shifts.request_shift()
    OrmQ.objects.all().delete()
    ProviderConfig.objects.update(shift_requested_at=timezone.now() - timedelta(seconds=30))
    tasks.run_scheduler()
    assert queued_tasks() == ["calls.tasks.run_requested_scheduler"]


def test_the_schedule_waits_for_a_request_that_was_made_just_now():
    contact = ContactFactory(state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=1)
    CallAttemptFactory(contact=contact, ringing=True, check_at=timezone.now() + timedelta(hours=1))
    shifts.request_shift()
    tasks.run_scheduler()
    assert len(queued_tasks()) == 1


def test_a_request_that_the_queue_did_not_take_is_made_again(monkeypatch):
    def refuse(*_arguments, **_options):
        raise ConnectionError

    with monkeypatch.context() as broken, pytest.raises(ConnectionError):
        broken.setattr(shifts, "async_task", refuse)
        shifts.request_shift()
    shifts.request_shift()
    assert len(queued_tasks()) == 1
