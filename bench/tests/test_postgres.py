"""A server of one's own is gone when its owner is, however early that is told to end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.postgres import PostgresServer
from surveycalls.tests.processes import ROOT

OPEN_A_SERVER = """
import signal, sys, time
from pathlib import Path
from bench.interruption import end_at_signals
from bench.postgres import PostgresServer

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
if sys.argv[2] == "tells":
    end_at_signals()
with PostgresServer(Path(sys.argv[1])):
    time.sleep(60)
"""


def open_server(directory, *arguments):
    command = [sys.executable, "-c", OPEN_A_SERVER, str(directory), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"waited 60 s for {path}"
        time.sleep(0.002)


def find_processes(directory):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(directory).encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("file", ["PG_VERSION", "server.log", "postmaster.pid"])
@pytest.mark.parametrize(
    ("number", "way", "code"),
    [(signal.SIGINT, "raises", -signal.SIGINT), (signal.SIGINT, "tells", 130), (signal.SIGTERM, "tells", 143)],
)
def test_interrupted_while_it_is_made_or_starts_it_leaves_nothing(tmp_path, file, number, way, code):
    directory = tmp_path / "postgres"
    owner = open_server(directory, way)
    wait_for(directory / file)
    owner.send_signal(number)
    _, errors = owner.communicate(timeout=30)
    assert owner.returncode == code
    assert ("Stopping ..." in errors, "Traceback" in errors) == (way == "tells", way == "raises")
    assert (find_processes(directory), directory.exists()) == ([], False)


def test_a_second_interrupt_does_not_disturb_the_end(tmp_path):
    directory = tmp_path / "postgres"
    owner = open_server(directory, "tells")
    wait_for(directory / "postmaster.pid")
    while directory.exists():
        owner.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, errors = owner.communicate(timeout=30)
    assert (owner.returncode, errors) == (130, "Stopping ...\n")
    assert (find_processes(directory), directory.exists()) == ([], False)


def test_it_is_back_with_its_data_after_a_crash(tmp_path):
    with PostgresServer(tmp_path / "postgres") as server:
        server.execute("CREATE TABLE kept ()")
        server.crash()
        server.start()
        server.execute("TABLE kept")


def test_nothing_is_said_about_a_runtime_directory():
    command = [sys.executable, "-c", "import bench.postgres"]
    finished = subprocess.run(command, cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
