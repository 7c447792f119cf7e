"""The queue of background jobs: told of a job at once, and otherwise silent."""

import threading
import time

import pytest
from django.db import OperationalError, connection, transaction
from django_q.brokers import get_broker

from calls import queue
from calls.queue import WokenBroker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker():
    broker = get_broker("tests")
    broker.dequeue()  # nothing is there, and from now on it waits to be told
    yield broker
    broker._listener.__exit__()


def take(broker, seconds=5.0):
    """Every job that comes until there is one, as the cluster asks for them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if jobs := broker.dequeue():
            return [payload for _, payload in jobs]
    return []


def enqueue_elsewhere(*tasks):
    def enqueue():
        with transaction.atomic():
            for task in tasks:
                WokenBroker(list_key="tests").enqueue(task)
        connection.close()

    thread = threading.Thread(target=enqueue)
    thread.start()
    thread.join(timeout=10)


def test_the_cluster_takes_its_jobs_from_it(settings):
    assert isinstance(get_broker(), WokenBroker)


def test_a_job_is_taken_at_once_and_once(broker):
    enqueue_elsewhere("job")
    begin = time.monotonic()
    assert take(broker) == ["job"]
    assert time.monotonic() - begin < 1
    assert take(broker, 1.0) == []


def test_several_jobs_of_one_commit_are_all_taken(broker):
    enqueue_elsewhere("first", "second")
    assert take(broker) + take(broker) == ["first", "second"]


def test_a_queue_without_jobs_is_not_asked(broker, django_assert_num_queries):
    with django_assert_num_queries(0):
        for _ in range(3):
            assert broker.dequeue() is None


def test_a_wait_is_so_short_that_the_cluster_can_stop(broker):
    begin = time.monotonic()
    broker.dequeue()
    assert time.monotonic() - begin < 2 * queue.LONGEST_WAIT_SECONDS


def test_a_job_whose_news_got_lost_is_found_later(broker, monkeypatch):
    monkeypatch.setattr(queue, "notify_after_commit", lambda _channel: None)
    enqueue_elsewhere("job")
    assert take(broker, 1.0) == []
    broker._look_at = time.monotonic()
    assert take(broker) == ["job"]


def test_a_job_is_taken_also_after_the_database_hung_up(broker):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [broker._listener._connection.info.backend_pid])
    enqueue_elsewhere("job")
    assert take(broker) == ["job"]


def test_a_job_is_taken_also_after_the_database_could_not_be_reached(broker, monkeypatch):
    monkeypatch.setattr(queue, "DATABASE_RETRY_SECONDS", 0.01)
    failures, get_connection = iter([OperationalError("connection refused")]), WokenBroker.get_connection

    def fail_once(*args):
        if failure := next(failures, None):
            raise failure
        return get_connection(*args)

    enqueue_elsewhere("job")
    monkeypatch.setattr(WokenBroker, "get_connection", fail_once)
    broker._look_at = time.monotonic()
    assert broker.dequeue() is None
    assert take(broker) == ["job"]
