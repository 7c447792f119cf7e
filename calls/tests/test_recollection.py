"""A clock that only the work itself moves."""

import threading

import pytest

from calls import recollection
from calls.recollection import REST, Recollection


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(recollection, "time", clock)
    return clock


@pytest.fixture
def work(clock):
    """Takes two seconds, and returns how often it was done."""
    done = []

    def find():
        clock.now += 2
        done.append(1)
        return len(done)

    return find


def test_what_took_two_seconds_is_kept_for_twenty_times_as_long(clock, work):
    kept = Recollection()
    assert kept.recall("key", work) == 1
    clock.now += 2 * REST - 0.1
    assert kept.recall("key", work) == 1
    clock.now += 0.2
    assert kept.recall("key", work) == 2


def test_what_took_no_time_is_found_out_each_time():
    kept, done = Recollection(), []
    for _ in range(2):
        kept.recall("key", lambda: done.append(1))
        threading.Event().wait(0.01)
    assert len(done) == 2


def test_keys_know_nothing_of_each_other(clock, work):
    kept = Recollection()
    assert [kept.recall(key, work) for key in ("one", "other", "one")] == [1, 2, 1]


def test_what_failed_is_not_kept(clock, work):
    kept = Recollection()
    with pytest.raises(ZeroDivisionError):
        kept.recall("key", lambda: 1 / 0)
    assert kept.recall("key", work) == 1


def test_it_does_not_grow_for_ever(clock, work, monkeypatch):
    monkeypatch.setattr(recollection, "MOST_KEPT", 3)
    kept = Recollection()
    for key in range(10):
        kept.recall(key, work)
    assert len(kept._kept) <= 3


def test_of_many_who_ask_at_once_one_finds_out():
    kept, done = Recollection(), []

    def find():
        done.append(1)
        threading.Event().wait(0.2)
        return "found"

    answers = []
    threads = [threading.Thread(target=lambda: answers.append(kept.recall("key", find))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert answers == ["found"] * 5
    assert len(done) == 1
