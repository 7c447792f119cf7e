import os
import select
import sys
import threading
import time

import psycopg2
import pytest
from django.db import connection, transaction

from calls import wakeups
from calls.tests.phone_network import wait_until
from calls.wakeups import WakeupListener, wake_schedulers
from campaigns import lifecycle
from campaigns.models import CampaignStatus
from campaigns.tests.factories import AskingCampaignFactory
from contacts.tests.factories import ContactFactory
from surveycalls.tests.processes import run

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


@pytest.fixture
def bell(monkeypatch):
    """The one of the product, which other tests do without."""
    monkeypatch.setattr(wakeups, "_bell", wakeups.Bell())


@pytest.fixture
def heard(bell):
    """A function: how many times somebody called since it was asked last, waiting for the first."""
    ear = psycopg2.connect(**{**connection.get_connection_params(), "cursor_factory": None, "context": None})
    ear.autocommit = True
    ear.cursor().execute(f"LISTEN {wakeups.SCHEDULERS}")

    def hear(seconds=LONG):
        select.select([ear], [], [], seconds)
        ear.poll()
        notifies, ear.notifies[:] = len(ear.notifies), []
        return notifies

    yield hear
    ear.close()


def run_threads(number, work):
    def run():
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)


@pytest.fixture
def slow(monkeypatch):
    """A bunch lasts so long that even a busy machine makes no more than one of what a test does at once."""
    monkeypatch.setattr(wakeups, "_bell", wakeups.Bell(debounce_seconds=0.5))


def test_of_a_bunch_the_first_calls_at_once_and_all_others_together(heard, slow):
    started = time.monotonic()
    run_threads(3, lambda: [wake_schedulers() for _ in range(5)])
    assert heard() == 1
    assert time.monotonic() - started < 0.4
    assert heard() == 1
    assert time.monotonic() - started >= 0.5
    assert heard(seconds=0.6) == 0


def test_a_bunch_is_heard_when_the_connection_for_it_was_lost(heard):
    for _ in range(2):
        wake_schedulers()
    time.sleep(0.1)
    heard(seconds=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query = 'NOTIFY surveycalls_wakeup' AND datname = current_database()"
        )
        assert len(cursor.fetchall()) == 1
    for _ in range(2):
        wake_schedulers()
    time.sleep(0.2)
    assert heard() == 2


def test_a_process_that_ends_calls_for_those_that_are_left(heard):
    program = "import django; django.setup(); from calls.wakeups import wake_schedulers as wake; wake(); wake()"
    environment = os.environ | {"DATABASE_NAME": connection.settings_dict["NAME"]}
    assert run([sys.executable, "-c", program], env=environment).returncode == 0
    time.sleep(0.2)
    assert heard() == 2


def test_a_child_of_a_process_has_a_bell_of_its_own(bell):
    for _ in range(2):
        wake_schedulers()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if wakeups._bell._thread is None else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_wakeup_waits_for_the_commit(listener):
    with transaction.atomic():
        for _ in range(2):
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
    campaign = ContactFactory(campaign=AskingCampaignFactory(status=CampaignStatus.DRAFT)).campaign
    lifecycle.activate(campaign, now=campaign.created_at)
    assert measure_wait(listener, LONG) < LONG / 2
