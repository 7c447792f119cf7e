"""Real web workers, schedulers and a machine's own exporter: what they count is summed up, killed ones included."""

import signal
import socket

import pytest
import requests
from django.db import connection
from django.db.models import Count
from prometheus_client.parser import text_string_to_metric_families

from calls.demo.processes import ChildProcesses
from calls.models import CallAttempt, ProviderConfig
from calls.tests.phone_network import SHORT_CALLS, running_phone_network, wait_until
from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.tests.factories import ContactFactory
from surveycalls.tests.processes import ROOT

TOKEN = {"Authorization": "Bearer a-token"}


@pytest.fixture
def environment(transactional_db):
    with running_phone_network(speed=60) as network, socket.create_server(("127.0.0.1", 0)) as web_socket:
        ProviderConfig.objects.update(max_concurrent_calls=4, calls_per_second=20, outbound_number="+12025550199")
        yield (
            web_socket,
            {
                "DATABASE_NAME": connection.settings_dict["NAME"],
                "PUBLIC_BASE_URL": f"http://127.0.0.1:{web_socket.getsockname()[1]}",
                "TWILIO_ACCOUNT_SID": network.account_sid,
                "TWILIO_AUTH_TOKEN": network.auth_token,
                "TWILIO_API_BASE_URL": network.base_url,
                "METRICS_TOKEN": "a-token",
                "LOG_LEVEL": "WARNING",
                **SHORT_CALLS,
            },
        )


def scrape(url):
    response = requests.get(f"{url}/metrics", headers=TOKEN, timeout=10)
    assert response.status_code == 200, response.text
    families = text_string_to_metric_families(response.text)
    return {(sample.name, *sorted(sample.labels.items())): sample.value for f in families for sample in f.samples}


def kill_between_claims(victim, url):
    """A claim is counted after its commit, and not at all when its process is killed between the two."""

    def is_between_claims():
        victim.process.send_signal(signal.SIGSTOP)
        if scrape(url)["surveycalls_attempts_claimed_total",] == CallAttempt.objects.count():
            return True
        victim.process.send_signal(signal.SIGCONT)
        return False

    wait_until(is_between_claims, seconds=20)
    victim.process.kill()


def test_counters_of_all_processes_are_summed_up(environment, tmp_path):
    web_socket, variables = environment
    url, manage = variables["PUBLIC_BASE_URL"], str(ROOT / "manage.py")
    campaign = CampaignFactory(retry_interval_minutes=0, max_attempts=2)
    ContactFactory.create_batch(25, campaign=campaign)
    gunicorn = ["-m", "gunicorn", "surveycalls.wsgi", f"--chdir={ROOT}", "--no-control-socket", "--workers=2"]
    with ChildProcesses(tmp_path) as children:
        exporter = children.start("exporter", [manage, "serve_metrics", "--port=0"], variables)
        bind = f"--bind=fd://{web_socket.fileno()}"
        children.start("web", [*gunicorn, "--threads=4", bind], variables, pass_fds=[web_socket.fileno()])
        port = children.wait_for_line(exporter, "listening on 127.0.0.1 ")
        assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 503
        victim = children.start("victim", [manage, "run_scheduler"], variables)
        wait_until(lambda: CallAttempt.objects.filter(status="ended").count() >= 5, seconds=30)
        kill_between_claims(victim, f"http://127.0.0.1:{port}")
        scheduler = children.start("scheduler", [manage, "run_scheduler"], variables)
        wait_until(lambda: Campaign.objects.get().status == CampaignStatus.COMPLETED, seconds=60)
        assert requests.get(f"{url}/readyz", timeout=10).text == "Ready.\n"
        children.stop(scheduler)  # or it might count between the two scrapes
        by_web, by_exporter = scrape(url), scrape(f"http://127.0.0.1:{port}")
    assert by_web["surveycalls_attempts_claimed_total",] == CallAttempt.objects.count()
    rows = CallAttempt.objects.filter(given_back=False).order_by().values_list("outcome").annotate(n=Count("pk"))
    for outcome, number in rows:
        labels = ("campaign", str(campaign.pk)), ("outcome", outcome)
        assert by_web["surveycalls_attempts_ended_total", *labels] == number
    assert by_web["surveycalls_callbacks_total", ("result", "applied")] > 25
    counted = {key for key in by_web if key[0].endswith(("_total", "_count"))}
    assert {key: by_web[key] for key in counted} == {key: by_exporter[key] for key in counted}
