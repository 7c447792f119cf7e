"""The database's time, in processes that cannot ask for it at every turn."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import DatabaseError, connection

from calls import clock as clocks
from calls.clock import READINGS, DatabaseClock, SharedClock

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def steady(monkeypatch):
    """The machine's steady clock, which moves only when it is told to."""
    seconds = [1000.0]
    monkeypatch.setattr(clocks.DatabaseClock, "steady", lambda self: seconds[0])
    return seconds


def database_now():
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_a_shared_clock_goes_by_the_database_whatever_the_machine_says():
    with time_machine.travel(NOON):
        assert abs(SharedClock()() - database_now()) < timedelta(seconds=1)


@pytest.mark.django_db
def test_a_shared_clock_asks_once_a_second_however_often_it_is_read(steady, django_assert_num_queries):
    clock = SharedClock()
    with django_assert_num_queries(1):
        first = clock()
        steady[0] += 1.0
        assert clock() == first + timedelta(seconds=1)
    steady[0] += 0.1
    with django_assert_num_queries(1):
        clock()


@pytest.mark.django_db
def test_a_shared_clock_follows_a_database_whose_clock_is_set_anew(steady, monkeypatch):
    clock = SharedClock()
    before = clock()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE SCHEMA shifted;"
            "CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
            "$$ SELECT pg_catalog.clock_timestamp() + interval '90 days' $$;"
            "SET LOCAL search_path = shifted, public, pg_catalog"
        )
    steady[0] += 1.1
    assert clock() - before > timedelta(days=89)


@pytest.mark.django_db
def test_a_shared_clock_never_gives_an_old_reading_and_asks_again_after_a_failure(steady, monkeypatch):
    clock = SharedClock()
    clock()
    steady[0] += 10
    with monkeypatch.context() as broken:
        broken.setattr(clock, "synchronise", lambda: (_ for _ in ()).throw(DatabaseError))
        for _ in range(2):
            with pytest.raises(DatabaseError):
                clock()
    assert abs(clock() - database_now()) < timedelta(seconds=1)


@pytest.mark.django_db
def test_threads_that_find_the_reading_old_ask_once(steady, monkeypatch):
    clock = SharedClock()
    asked, may_answer = [], threading.Event()

    def synchronise():
        asked.append(1)
        may_answer.wait(5)
        clock._read = NOON, steady[0]
        return NOON

    monkeypatch.setattr(clock, "synchronise", synchronise)
    readings = []
    threads = [threading.Thread(target=lambda: readings.append(clock())) for _ in range(8)]
    for thread in threads:
        thread.start()
    may_answer.set()
    for thread in threads:
        thread.join()
    assert (asked, readings) == ([1], [NOON] * 8)


class Network:
    """A steady clock, and a database whose answers are this many seconds on their way back."""

    def __init__(self, delays):
        self.seconds = 0.0
        self.delays = list(delays)

    def ask(self):
        answer = self.now
        self.seconds += self.delays.pop(0)
        return answer

    @property
    def now(self):
        return NOON + timedelta(seconds=self.seconds)


@pytest.fixture
def make_clock(monkeypatch):
    def make(*delays):
        network = Network(delays)
        clock = DatabaseClock()
        monkeypatch.setattr(clock, "_ask", network.ask)
        monkeypatch.setattr(clocks.DatabaseClock, "steady", lambda self: network.seconds)
        return clock, network

    return make


def test_a_quick_answer_is_asked_for_once(make_clock):
    clock, network = make_clock(0.001)
    assert network.now - clock.synchronise() <= timedelta(milliseconds=1)


def test_an_answer_that_was_held_up_on_its_way_is_not_taken_for_now(make_clock):
    clock, network = make_clock(8, 0.001)
    assert network.now - clock.synchronise() <= timedelta(milliseconds=1)
    assert clock() == network.now - timedelta(milliseconds=1)


def test_of_slow_answers_the_quickest_counts(make_clock):
    clock, network = make_clock(*[0.3, 0.1, 0.2][:READINGS])
    assert network.now - clock.synchronise() <= timedelta(seconds=0.101)


@pytest.mark.django_db
def test_it_is_the_time_of_the_database():
    clock = DatabaseClock()
    assert abs((clock.synchronise() - datetime.now(UTC)).total_seconds()) < 1
