import fcntl
import os
import signal
import subprocess
import sys

import pytest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from calls.metrics.slots import RESERVED_BYTES, ProcessSlots
from surveycalls.tests.processes import ROOT

COUNT_AND_WAIT = """
import os, sys
from pathlib import Path
from prometheus_client import Counter, values
from calls.metrics.slots import ProcessSlots
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
values.ValueClass = values.MultiProcessValue(ProcessSlots(Path(sys.argv[1])).own)
counter = Counter("things", "Things.", registry=None)
counter.inc()
if os.fork() == 0:
    counter.inc(10)
    os._exit(0)
os.wait()
print("counted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def count(tmp_path):
    """Start a process that counts 1, and 10 in a child that ends at once, and lives until it is killed."""
    processes = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", COUNT_AND_WAIT, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        assert process.stdout.readline() == b"counted\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def total(directory):
    (metric,) = MultiProcessCollector.merge(ProcessSlots(directory).files())
    return metric.samples[0].value


def list_counters(directory):
    return sorted(path.name for path in directory.glob("counter_*.db"))


def test_processes_at_once_and_their_forked_children_are_summed_up(count, tmp_path):
    count()
    count()
    assert total(tmp_path) == 22


def test_what_a_killed_process_has_counted_stays_and_its_file_is_gone_on_with(count, tmp_path):
    count()
    for _ in range(4):
        kill(count())
    assert total(tmp_path) == 55
    assert list_counters(tmp_path) == ["counter_0.db", "counter_1.db", "counter_2.db"]


def test_everything_begins_anew_when_nobody_was_counting(count, tmp_path):
    kill(count())
    count()
    assert total(tmp_path) == 11


def test_the_space_is_taken_from_the_disk_before_it_is_written_to(tmp_path):
    slots = ProcessSlots(tmp_path)
    slots.own()
    (counters,) = tmp_path.glob("counter_*.db")
    assert counters.stat().st_blocks * 512 >= RESERVED_BYTES["counter"]
    assert MmapedDict(str(counters))._capacity == RESERVED_BYTES["counter"]


def test_the_space_is_taken_on_systems_without_posix_fallocate_too(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    ProcessSlots(tmp_path).own()
    (counters,) = tmp_path.glob("counter_*.db")
    assert counters.stat().st_size == RESERVED_BYTES["counter"]


def test_what_is_missing_of_a_file_that_is_too_short_is_added_and_the_rest_kept(tmp_path):
    counters = tmp_path / "counter_0.db"
    with (tmp_path / "1.lock").open("a") as other:  # somebody is counting, so nothing is begun anew
        fcntl.flock(other, fcntl.LOCK_EX)
        counters.write_bytes(b"counted")
        ProcessSlots(tmp_path).own()
    assert counters.read_bytes() == b"counted".ljust(RESERVED_BYTES["counter"], b"\0")


def test_a_slot_is_the_same_as_long_as_the_process(tmp_path):
    slots = ProcessSlots(tmp_path)
    assert slots.own() == slots.own() == "0"
    assert ProcessSlots(tmp_path).own() == "1"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_files_of_another_user_are_passed_over(tmp_path):
    (tmp_path / "0.lock").touch(mode=0o400)
    assert ProcessSlots(tmp_path).own() == "1"
