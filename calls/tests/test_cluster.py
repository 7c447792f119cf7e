"""A real cluster, some of whose processes are killed."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Success
from django_q.tasks import async_task

from calls.cluster import ShiftRequests
from calls.shifts import request_shift
from calls.tests.phone_network import SHORT_CALLS, wait_until
from calls.tests.test_processes import assert_promises_kept, is_completed, make_campaign, network, running

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["network"]

WORKERS = 2


def children_of(pid):
    """In the order in which they began."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_children(pid, count):
    """Read once: from one look to the next one of them may have ended."""
    seen = []

    def are_there():
        seen[:] = children_of(pid)
        return len(seen) == count

    wait_until(are_there, seconds=20)
    return seen


def find_sentinel(cluster):
    return wait_for_children(cluster.pid, 1)[0]


def find_members(cluster):
    """The sentinel's workers and monitor, once all of its processes are there."""
    members = wait_for_children(find_sentinel(cluster), WORKERS + 2)
    return {"workers": members[:WORKERS], "monitor": members[WORKERS:-1]}


def is_at_work(pid):
    """Beside its own thread, and the one that hands in results, a scheduler has its senders' and others."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())) > 2


def count_done():
    return Success.objects.count()


def wait_for_a_job():
    done = count_done()
    request_shift()
    wait_until(lambda: count_done() > done, seconds=20)


@pytest.mark.parametrize("whom", ["workers", "monitor"])
def test_a_cluster_whose_idle_processes_are_killed_goes_on_and_can_be_stopped(network, settings, whom):
    with running(network, settings, "qcluster", QCLUSTER_WORKERS=str(WORKERS)) as cluster:
        wait_until(count_done, seconds=20)
        sentinel = find_sentinel(cluster)
        for pid in find_members(cluster)[whom]:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: find_sentinel(cluster) != sentinel, seconds=20)
        wait_for_a_job()
        cluster.terminate()
        output, _ = cluster.communicate(timeout=20)
    assert cluster.returncode == 0, output
    assert "cluster.begins_anew" in output


def test_a_cluster_whose_worker_is_killed_at_work_rings_on_at_once(network, settings):
    campaign = make_campaign(6)
    with running(network, settings, "qcluster", QCLUSTER_WORKERS=str(WORKERS), **SHORT_CALLS) as cluster:
        sentinel, workers = find_sentinel(cluster), find_members(cluster)["workers"]
        wait_until(lambda: any(map(is_at_work, workers)), seconds=20)
        os.kill(next(filter(is_at_work, workers)), signal.SIGKILL)
        wait_until(lambda: is_completed(campaign), seconds=25)
        assert find_sentinel(cluster) == sentinel
    assert_promises_kept(network)


def test_a_cluster_that_begins_anew_finishes_the_job_at_hand_and_no_others(network, settings):
    campaign = make_campaign(60)  # more than one shift
    with running(network, settings, "qcluster", QCLUSTER_WORKERS=str(WORKERS)) as cluster:
        sentinel, workers = find_sentinel(cluster), find_members(cluster)["workers"]
        wait_until(lambda: any(map(is_at_work, workers)), seconds=20)
        os.kill(next(pid for pid in workers if not is_at_work(pid)), signal.SIGKILL)
        wait_until(lambda: find_sentinel(cluster) != sentinel, seconds=12)
        assert not is_completed(campaign)
        wait_until(lambda: is_completed(campaign), seconds=40)
    assert_promises_kept(network)


def test_a_cluster_whose_sentinel_is_killed_says_so_and_ends(network, settings):
    with running(network, settings, "qcluster", QCLUSTER_WORKERS=str(WORKERS)) as cluster:
        os.kill(find_sentinel(cluster), signal.SIGKILL)
        assert cluster.wait(timeout=20) == 1
        with contextlib.suppress(ProcessLookupError):  # those that live on, if it had begun any
            os.killpg(cluster.pid, signal.SIGKILL)
        output, _ = cluster.communicate(timeout=20)
    assert "sentinel was killed by signal 9" in output


def test_a_cluster_whose_idle_workers_are_killed_while_it_stops_ends(network, settings):
    make_campaign(60)
    with running(network, settings, "qcluster", QCLUSTER_WORKERS=str(WORKERS)) as cluster:
        workers = find_members(cluster)["workers"]
        wait_until(lambda: any(map(is_at_work, workers)), seconds=20)
        cluster.terminate()
        os.kill(next(pid for pid in workers if not is_at_work(pid)), signal.SIGKILL)
        output, _ = cluster.communicate(timeout=20)
    assert cluster.returncode == 0, output
    assert network.calls()


def test_a_cluster_that_stops_finishes_the_jobs_that_it_has_fetched_and_keeps_their_results(network, settings):
    with running(network, settings, "qcluster", QCLUSTER_WORKERS="1") as cluster:
        wait_until(count_done, seconds=20)
        jobs = [async_task("time.sleep", 1) for _ in range(3)]
        wait_until(lambda: not OrmQ.objects.filter(lock__lt=timezone.now()).exists(), seconds=20)
        cluster.terminate()
        output, _ = cluster.communicate(timeout=20)
    assert cluster.returncode == 0, output
    assert Success.objects.filter(id__in=jobs).count() == len(jobs)
    assert not OrmQ.objects.exists()


def test_a_cluster_without_its_queue_waits_for_it_and_can_be_stopped(network, settings):
    with running(network, settings, "qcluster", REDIS_URL="redis://127.0.0.1:9/0") as cluster:
        output = ""
        while output.count("cluster.waits") < 2:
            line = cluster.stdout.readline()
            assert line, output
            output += line
        cluster.terminate()
        output += cluster.communicate(timeout=20)[0]
    assert cluster.returncode == 0
    assert "Traceback" not in output


def test_shifts_are_asked_for_no_more_often_than_the_schedule_does():
    requests = ShiftRequests()
    for _ in range(3):
        requests.ask()
    assert OrmQ.objects.count() == 1


def test_a_cluster_that_is_told_to_stop_while_it_starts_stops(network, settings):
    with running(network, settings, "qcluster", QCLUSTER_WORKERS=str(WORKERS)) as cluster:
        find_sentinel(cluster)
        cluster.terminate()
        cluster.communicate(timeout=20)
    assert cluster.returncode == 0
