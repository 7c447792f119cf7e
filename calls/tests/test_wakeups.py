import threading
import time

import pytest
from django.db import connection, transaction

from calls.tests.phone_network import wait_until
from calls.wakeups import WakeupListener, wake_schedulers
from campaigns import lifecycle
from campaigns.models import CampaignStatus
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 5.0


@pytest.fixture
def listener():
    with WakeupListener() as listener:
        yield listener


def measure_wait(listener, seconds):
    started = time.monotonic()
    listener.wait(seconds)
    return time.monotonic() - started


def test_a_wakeup_ends_the_wait(listener):
    wake_schedulers()
    assert measure_wait(listener, LONG) < LONG / 2


def test_without_a_wakeup_the_time_passes(listener):
    assert measure_wait(listener, 0.1) >= 0.1


def test_many_wakeups_are_one(listener):
    for _ in range(5):
        wake_schedulers()
    time.sleep(0.1)
    listener.wait(LONG)
    assert measure_wait(listener, 0.1) >= 0.1


def test_a_wakeup_waits_for_the_commit(listener):
    with transaction.atomic():
        wake_schedulers()
        assert measure_wait(listener, 0.1) >= 0.1
    assert measure_wait(listener, LONG) < LONG / 2


def test_threads_and_signal_handlers_of_the_process_can_end_the_wait(listener):
    threading.Timer(0.05, listener.wake).start()
    assert measure_wait(listener, LONG) < LONG / 2


def test_a_listener_that_lost_the_database_listens_again(listener):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query = 'LISTEN surveycalls_wakeup' AND datname = current_database()"
        )
        assert len(cursor.fetchall()) == 1
    listener.wait(0.1)

    def hears_again():
        listener.wait(0.05)
        wake_schedulers()
        return measure_wait(listener, 0.5) < 0.4

    wait_until(hears_again, seconds=LONG)


def test_activating_a_campaign_wakes_the_schedulers(listener):
    campaign = ContactFactory(campaign__status=CampaignStatus.DRAFT).campaign
    lifecycle.activate(campaign, now=campaign.created_at)
    assert measure_wait(listener, LONG) < LONG / 2
