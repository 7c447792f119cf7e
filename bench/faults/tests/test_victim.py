"""The points of faults are found in what the product really says to its database and its provider."""

from itertools import groupby
from threading import Event, Thread

import pytest
import requests
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from bench.faults.points import ACKS, POINTS
from bench.faults.victim import Traps, watch_database, watch_provider
from calls import heartbeat, outcomes
from calls.models import CallAttempt, ProviderConfig
from calls.providers import get_provider
from calls.providers.base import CallEvent, CallProgress
from calls.scheduler import CallScheduler
from calls.tests.factories import CallAttemptFactory
from calls.tests.phone_network import running_phone_network, wait_until
from calls.tests.threads import in_thread
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db(transaction=True)

SCHEDULER, WEB = POINTS["scheduler"], POINTS["web"]


class Passed:
    """Traps that only note who passes by."""

    def __init__(self):
        self.points = []

    def pass_by(self, point, spring=None):
        self.points.append(point)


@pytest.fixture
def passed(monkeypatch):
    # Each is put back afterwards, though it is the victim that replaces it.
    for owner, name in (
        (CursorWrapper, "_execute"),
        (BaseDatabaseWrapper, "_commit"),
        (BaseDatabaseWrapper, "_rollback"),
        (requests.adapters.HTTPAdapter, "send"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    connection.close()  # what it had prepared would be known by its name alone
    passed = Passed()
    watch_database(passed)
    watch_provider(passed)
    return passed


@pytest.fixture
def network(live_server, settings):
    with running_phone_network(speed=100, behaviours={}) as network:
        settings.PUBLIC_BASE_URL = live_server.url
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = network.account_sid, network.auth_token
        settings.TWILIO_API_BASE_URL = network.base_url
        get_provider.cache_clear()
        ProviderConfig.objects.update(outbound_number="+12025550199", calls_per_second=100)
        yield network
        get_provider.cache_clear()


def run_once():
    scheduler = CallScheduler()
    try:
        return scheduler.run_once()
    finally:
        scheduler.close()


def leave_out_repetitions(points):
    return [point for point, _ in groupby(points)]


def test_a_call_from_its_claim_to_its_end_comes_by_every_point(network, passed):
    ContactFactory(phone_number="+12025550100")
    assert run_once().placed == 1
    wait_until(lambda: not CallAttempt.objects.open().exists(), seconds=10)
    wait_until(lambda: "after_report_commit" in passed.points)
    assert set(passed.points) >= {*SCHEDULER, *WEB}


def test_it_comes_by_them_in_their_order(network, passed, settings):
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:9"  # nobody reports
    ContactFactory(phone_number="+12025550100")
    run_once()
    met = leave_out_repetitions(point for point in passed.points if point not in ACKS)
    assert met == [point for point in SCHEDULER if point not in ACKS]


def test_nobody_comes_by_after_a_lock_that_another_holds(passed, network):
    ContactFactory()
    with transaction.atomic():
        ProviderConfig.objects.select_for_update(no_key=True).get()
        passed.points.clear()
        assert in_thread(run_once)() != "still at it"
    assert passed.points == ["before_lock"]


def test_a_trap_does_what_was_ordered_however_soon_it_is_taken_away(tmp_path):
    is_over, sprung = Event(), []

    def take_away():
        while not is_over.is_set():
            for trap in tmp_path.glob("*.sprung.*"):
                trap.unlink()

    thread = Thread(target=take_away)
    thread.start()
    for number in range(300):
        (tmp_path / "web.report_ack").write_text(str(number))
        Traps("web", tmp_path).pass_by("report_ack", sprung.append)
    is_over.set()
    thread.join(timeout=20)
    assert sprung == [*range(300)]


def test_a_trap_that_is_withdrawn_does_nothing(tmp_path):
    sprung = []
    Traps("web", tmp_path).pass_by("report_ack", sprung.append)
    assert sprung == []


def test_a_sign_of_life_is_no_claim(passed):
    heartbeat.beat(ProviderConfig.objects.get(), now=timezone.now(), interval_seconds=60)
    assert ProviderConfig.objects.get().scheduler_seen_at
    assert passed.points == []


def test_a_return_and_an_unknown_answer_are_neither_sent_nor_recorded(passed):
    attempts = CallAttemptFactory.create_batch(2, status="placing", contact__attempts_count=1)
    passed.points.clear()
    assert outcomes.give_back(attempts[0], code="late", message="Too late.", now=timezone.now())
    assert outcomes.record_unknown(attempts[1], message="No answer.", now=timezone.now())
    assert not set(SCHEDULER).intersection(passed.points)


def test_what_a_look_up_finds_is_no_answer_that_is_recorded(passed):
    attempt = CallAttemptFactory(status="unknown", provider_call_id="")
    passed.points.clear()
    event = CallEvent(
        call_id=attempt.call_id, provider_call_id="CA1", progress=CallProgress.QUEUED, raw_status="queued"
    )
    assert outcomes.apply_event(event, now=timezone.now()) == outcomes.Applied.YES
    assert CallAttempt.objects.get().status == "queued"
    assert set(passed.points) == set(WEB)  # a report like any other
