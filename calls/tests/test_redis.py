"""A real Redis below a real cluster: django-q2's queue when REDIS_URL is set."""

import shutil
import signal
import socket
import subprocess
import time

import pytest
import redis
from django.utils import timezone
from django_q.models import Schedule

from calls.models import ProviderConfig
from calls.tests.phone_network import wait_until
from calls.tests.test_processes import assert_promises_kept, is_completed, make_campaign, network, running
from surveycalls.tests.processes import is_demanded

__all__ = ["network"]

pytestmark = pytest.mark.django_db(transaction=True)

# The cluster looks at its schedules twice a minute.
SCHEDULE_SECONDS = 30


class RedisServer:
    """Keeps nothing on disk: who kills it loses the queue."""

    def __init__(self, directory):
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url)
        self._directory = directory

    def start(self):
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._directory}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        wait_until(self.answers, seconds=10)

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def answers(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def queue_size(self):
        return sum(self.client.llen(key) for key in self.client.keys("django_q:*:q"))


@pytest.fixture
def redis_server(tmp_path):
    if not shutil.which("redis-server"):
        if is_demanded("REDIS"):
            pytest.fail("REQUIRE_REDIS is set, but there is no redis-server (Debian: apt-get install redis-server)")
        pytest.skip("there is no redis-server on this machine")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def request_shift(network, settings, server):
    """As the web server does when a campaign is activated; in a process that has REDIS_URL."""
    code = "from calls.shifts import request_shift; request_shift()"
    with running(network, settings, "shell", "-c", code, REDIS_URL=server.url) as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output


def test_a_cluster_over_redis_finishes_a_campaign_within_the_limits(network, settings, redis_server):
    campaign = make_campaign(25)
    request_shift(network, settings, redis_server)
    assert redis_server.queue_size() == 1
    with running(network, settings, "qcluster", REDIS_URL=redis_server.url, QCLUSTER_WORKERS="2"):
        wait_until(lambda: is_completed(campaign), seconds=40)
    assert_promises_kept(network)


@pytest.mark.skipif(not is_demanded("REDIS"), reason="takes a minute: set REQUIRE_REDIS=1 to run it")
def test_a_queue_that_is_lost_with_redis_costs_no_more_than_a_minute(network, settings, redis_server):
    campaign = make_campaign(60)
    request_shift(network, settings, redis_server)
    with running(network, settings, "qcluster", REDIS_URL=redis_server.url, QCLUSTER_WORKERS="2") as cluster:
        wait_until(lambda: len(network.calls()) > 5, seconds=20)
        redis_server.kill()
        time.sleep(7)  # longer than a shift: the one that is at work finds nobody to ask for the next
        redis_server.start()
        # The request that it had made before is lost as well, and nobody will take the mark away.
        ProviderConfig.objects.update(shift_requested_at=timezone.now())
        Schedule.objects.update(next_run=timezone.now())  # or up to a minute later
        wait_until(lambda: is_completed(campaign), seconds=3 * SCHEDULE_SECONDS)
        assert cluster.poll() is None
    assert_promises_kept(network)
