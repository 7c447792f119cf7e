"""Real scheduler processes and clusters, the real simulator, real HTTP in both directions."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from django.conf import settings as django_settings
from django.db import connection

from calls.models import CallAttempt, ProviderConfig
from calls.providers import get_provider
from calls.shifts import request_shift
from calls.simulator import ledger
from calls.tests.phone_network import SHORT_CALLS, running_phone_network, wait_until
from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.models import Contact
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db(transaction=True)

LINES = 4
CALLS_PER_SECOND = 20

# The ledger counts arrivals. Requests of several processes on a busy machine may arrive closer than they were
# sent; that each process holds back for its own is test_scheduler's.
JITTER = 1


@pytest.fixture
def network(live_server, settings):
    with running_phone_network(speed=60) as network:
        settings.PUBLIC_BASE_URL = live_server.url
        settings.TWILIO_ACCOUNT_SID = network.account_sid
        settings.TWILIO_AUTH_TOKEN = network.auth_token
        settings.TWILIO_API_BASE_URL = network.base_url
        get_provider.cache_clear()
        ProviderConfig.objects.update(
            max_concurrent_calls=LINES, calls_per_second=CALLS_PER_SECOND, outbound_number="+12025550199"
        )
        yield network
        get_provider.cache_clear()


@contextmanager
def running(network, settings, *command, **environment):
    process = subprocess.Popen(
        [sys.executable, "manage.py", *command],
        cwd=django_settings.BASE_DIR,
        env={
            **os.environ,
            "DATABASE_NAME": connection.settings_dict["NAME"],
            "PUBLIC_BASE_URL": settings.PUBLIC_BASE_URL,
            "TWILIO_ACCOUNT_SID": network.account_sid,
            "TWILIO_AUTH_TOKEN": network.auth_token,
            "TWILIO_API_BASE_URL": network.base_url,
            "LOG_LEVEL": "WARNING",
            "PYTHONFAULTHANDLER": "1",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGABRT)  # each of its processes shows what it is at, and ends
            output, _ = process.communicate(timeout=20)
            pytest.fail(f"It did not end within 20 s of SIGTERM.\n{output}")


def make_campaign(contacts):
    campaign = CampaignFactory(retry_interval_minutes=0, max_attempts=2)
    ContactFactory.create_batch(contacts, campaign=campaign)
    return campaign


def is_completed(campaign):
    return Campaign.objects.get(pk=campaign.pk).status == CampaignStatus.COMPLETED


def assert_promises_kept(network):
    calls = network.calls()
    assert ledger.find_duplicates(calls) == []
    assert ledger.peak_concurrent(calls) <= LINES
    assert ledger.peak_starts_per_second(calls) <= CALLS_PER_SECOND + JITTER
    placed = set(CallAttempt.objects.exclude(provider_call_id="").values_list("call_id", flat=True))
    assert {call.call_id for call in calls} == placed
    assert not CallAttempt.objects.open().exists()
    assert not Contact.objects.unfinished().exists()


def test_several_scheduler_processes_finish_a_campaign_within_the_limits(network, settings):
    campaign = make_campaign(40)
    with (
        running(network, settings, "run_scheduler"),
        running(network, settings, "run_scheduler"),
        running(network, settings, "run_scheduler"),
    ):
        wait_until(lambda: is_completed(campaign), seconds=40)
    assert_promises_kept(network)


def test_a_cluster_alone_finishes_a_campaign(network, settings):
    campaign = make_campaign(25)
    request_shift()
    with running(network, settings, "qcluster", QCLUSTER_WORKERS="2"):
        wait_until(lambda: is_completed(campaign), seconds=40)
    assert_promises_kept(network)


def test_a_scheduler_and_a_cluster_beside_each_other_finish_a_campaign_within_the_limits(network, settings):
    campaign = make_campaign(40)
    request_shift()
    with (
        running(network, settings, "qcluster", QCLUSTER_WORKERS="2"),
        running(network, settings, "run_scheduler"),
    ):
        wait_until(lambda: is_completed(campaign), seconds=40)
    assert_promises_kept(network)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_scheduler_that_is_told_to_stop_finishes_what_it_is_placing(network, settings, number):
    make_campaign(40)
    network.inject({"kind": "slow", "count": None, "seconds": 1})
    with running(network, settings, "run_scheduler") as process:
        wait_until(lambda: CallAttempt.objects.filter(status="placing").exists(), seconds=20)
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert not CallAttempt.objects.filter(status__in=["claimed", "placing"]).exists()
    answered = set(CallAttempt.objects.exclude(provider_call_id="").values_list("call_id", flat=True))
    assert {call.call_id for call in network.calls()} == answered


def test_one_pass_reports_what_it_did(network, settings):
    make_campaign(1)
    with running(network, settings, "run_scheduler", "--once") as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert "claimed 1, placed 1, rejected 0, given back 0, unknown 0" in output


@pytest.mark.parametrize("arguments", [["--interval", "0"], ["--batch-size", "0"], ["--interval", "soon"]])
def test_wrong_options_are_refused_by_name(network, settings, arguments):
    with running(network, settings, "run_scheduler", *arguments) as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    assert arguments[0] in output
    assert "Traceback" not in output


def test_calls_of_a_killed_scheduler_are_settled_and_the_campaign_is_finished(network, settings):
    campaign = make_campaign(20)
    network.inject({"kind": "hang_after_placing", "count": 2, "seconds": 30})
    with running(network, settings, "run_scheduler", **SHORT_CALLS) as process:
        wait_until(lambda: len(network.calls()) >= 3, seconds=20)
        process.kill()
    with running(network, settings, "run_scheduler", **SHORT_CALLS):
        wait_until(lambda: is_completed(campaign), seconds=60)
    assert_promises_kept(network)


def test_a_scheduler_goes_on_after_it_lost_the_database(network, settings):
    campaign = make_campaign(30)
    with running(network, settings, "run_scheduler", PGAPPNAME="victim") as process:
        wait_until(lambda: len(network.calls()) > 5, seconds=20)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'")
            assert len(cursor.fetchall()) >= 2  # its own and the one that listens for wake-ups
        wait_until(lambda: is_completed(campaign), seconds=40)
        assert process.poll() is None
    assert_promises_kept(network)
