"""The embedded server is real here: started, shared, orphaned and stopped, each time by processes of its own."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psycopg2
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, transaction

from surveycalls import database
from surveycalls.database import CLIENT_OPTIONS, SESSION_OPTIONS, configure_database
from surveycalls.tests.processes import ROOT, make_environment, run, run_python

STOP_SECONDS = 20

# Says where the server listens, then lives until its input is closed.
USE_DATABASE = """
import sys
from pathlib import Path
from surveycalls.database import configure_database
print(configure_database(Path(sys.argv[1]))["HOST"], flush=True)
sys.stdin.read()
"""

# As above, but ends at once and leaves the waiting to a forked child, whose output says its pid.
LEAVE_IT_TO_A_CHILD = """
import os, sys
from pathlib import Path
from surveycalls.database import configure_database
host = configure_database(Path(sys.argv[1]))["HOST"]
if os.fork():
    os._exit(0)
print(host, os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The data directory is made once; every test leaves its server stopped."""
    return tmp_path_factory.mktemp("data")


def start_user(data_dir, code=USE_DATABASE, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code, str(data_dir)],
        cwd=ROOT,
        env=make_environment(**environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running_user(data_dir, code=USE_DATABASE):
    process = start_user(data_dir, code)
    try:
        process.answer = process.stdout.readline().split()
        assert process.answer, "the server did not start"
        yield process
    finally:
        end(process)


def end(process):
    process.stdin.close()
    process.wait(timeout=STOP_SECONDS)
    process.stdout.close()


def read_server_pid(data_dir):
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def answers(socket_dir):
    try:
        psycopg2.connect(host=socket_dir, user="postgres", dbname="surveycalls").close()
    except psycopg2.OperationalError:
        return False
    return True


def wait_until_gone(pid):
    deadline = time.monotonic() + STOP_SECONDS
    while is_alive(pid):
        assert time.monotonic() < deadline, "the server was left running"
        time.sleep(0.05)


def test_two_processes_share_one_server_until_the_last_one_has_ended(data_dir):
    with running_user(data_dir) as second:
        with running_user(data_dir) as first:
            assert first.answer == second.answer
        server = read_server_pid(data_dir)
        time.sleep(1)
        assert is_alive(server)
        assert answers(second.answer[0])
    wait_until_gone(server)


def test_processes_that_start_at_once_start_one_server(data_dir):
    users = [start_user(data_dir) for _ in range(6)]
    hosts = {user.stdout.readline() for user in users}
    server = read_server_pid(data_dir)
    for user in users:
        end(user)
    assert len(hosts) == 1 and hosts != {""}
    wait_until_gone(server)


def test_a_process_that_starts_while_the_server_stops_gets_a_new_one(data_dir):
    with running_user(data_dir):
        before = read_server_pid(data_dir)
    time.sleep(0.1)
    with running_user(data_dir) as user:
        after = read_server_pid(data_dir)
        assert answers(user.answer[0])
    wait_until_gone(before)
    wait_until_gone(after)


def test_the_server_is_gone_after_a_kill_of_its_last_user(data_dir):
    with running_user(data_dir) as user:
        server = read_server_pid(data_dir)
        user.send_signal(signal.SIGKILL)
        user.wait(timeout=STOP_SECONDS)
        wait_until_gone(server)


def test_a_ctrl_c_meant_for_its_user_does_not_stop_the_server_under_another(data_dir):
    with running_user(data_dir) as other:
        user = subprocess.Popen(
            [sys.executable, "-c", USE_DATABASE, str(data_dir)],
            cwd=ROOT,
            env=make_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        user.stdout.readline()
        os.killpg(user.pid, signal.SIGINT)
        end(user)
        assert answers(other.answer[0])
        server = read_server_pid(data_dir)
    wait_until_gone(server)


def test_a_forked_child_keeps_the_server(data_dir):
    with running_user(data_dir, LEAVE_IT_TO_A_CHILD) as parent:
        host, child = parent.answer[0], int(parent.answer[1])
        parent.wait(timeout=STOP_SECONDS)
        server = read_server_pid(data_dir)
        time.sleep(1)
        assert answers(host)
        os.kill(child, signal.SIGKILL)
        wait_until_gone(server)


def test_a_server_whose_keeper_was_killed_is_taken_over_and_stopped(data_dir):
    with running_user(data_dir) as user:
        server = read_server_pid(data_dir)
        (keeper,) = find_keepers(data_dir)
        os.kill(keeper, signal.SIGKILL)
        assert answers(user.answer[0])
        with running_user(data_dir) as next_user:
            assert answers(next_user.answer[0])
    wait_until_gone(server)


def find_keepers(data_dir):
    listing = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        if "surveycalls.database" in line and str(data_dir / "postgres") in line:
            yield int(line.split()[0])


def test_the_embedded_server_works_below_a_path_that_is_too_long_for_a_socket(tmp_path):
    deep = tmp_path / ("a-directory-with-a-long-name-" * 3) / ("and-another-one-" * 3)
    with running_user(deep) as user:
        assert answers(user.answer[0])
        server = read_server_pid(deep)
    wait_until_gone(server)


def test_a_server_that_cannot_start_says_where_its_log_is(tmp_path):
    (tmp_path / "postgres").write_text("a file where the data should be")
    finished = run_python(
        "from pathlib import Path\n"
        "from surveycalls.database import configure_database\n"
        f"configure_database(Path({str(tmp_path)!r}))"
    )
    assert finished.returncode == 1
    assert f"{tmp_path / 'postgres.keeper.log'} says why" in finished.stderr
    assert (tmp_path / "postgres.keeper.log").read_text()


@pytest.fixture
def without_embedded_server(monkeypatch):
    monkeypatch.delenv("DATABASE_NAME", raising=False)
    monkeypatch.setattr(database, "_start_embedded", lambda data_dir: pytest.fail("the embedded server was started"))


@pytest.fixture
def configure(monkeypatch, tmp_path, without_embedded_server):
    def configure(url):
        monkeypatch.setenv("DATABASE_URL", url)
        return configure_database(tmp_path)

    return configure


def test_database_url_is_used_when_it_is_set(configure):
    settings = configure("postgres://ringer:pass%23word@db.example.org:6543/surveys?sslmode=require")
    assert settings["ENGINE"] == "django.db.backends.postgresql"
    assert (settings["HOST"], settings["PORT"], settings["NAME"]) == ("db.example.org", 6543, "surveys")
    assert (settings["USER"], settings["PASSWORD"]) == ("ringer", "pass#word")
    assert settings["OPTIONS"] == {"sslmode": "require", "options": SESSION_OPTIONS} | CLIENT_OPTIONS


def test_what_database_url_says_of_the_connection_stands(configure):
    settings = configure("postgres://db.example.org/surveys?tcp_user_timeout=30000&connect_timeout=2")
    assert settings["OPTIONS"]["tcp_user_timeout"] == 30000
    assert settings["OPTIONS"]["connect_timeout"] == 2


def test_database_name_replaces_the_name_in_database_url(configure, monkeypatch):
    monkeypatch.setenv("DATABASE_NAME", "surveys_of_tests")
    assert configure("postgres://db.example.org/surveys")["NAME"] == "surveys_of_tests"


@pytest.mark.parametrize("url", ["sqlite:///db.sqlite3", "mysql://db.example.org/surveys", "oracle://db.example.org/x"])
def test_other_engines_are_refused_with_the_reason(configure, url):
    with pytest.raises(
        ImproperlyConfigured, match=r"needs PostgreSQL 14 or newer: .* row locks .* SKIP LOCKED"
    ) as caught:
        configure(url)
    assert url.split(":")[0] in str(caught.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("db.example.org", "names no engine"),
        ("postgres://ringer:hunter2@db.example.org:port/surveys", "its port must be a number"),
        ("postgres://ringer:hunter2@db.example.org:99999/surveys", "its port must be a number"),
        ("postgres://ringer:[hunter2@db.example.org:5432/surveys", "percent-encoded"),
        ("postgres://ringer:hunter2@db.example.org:5432", "names no database"),
    ],
)
def test_a_database_url_that_makes_no_sense_is_explained_without_its_password(configure, url, reason):
    with pytest.raises(ImproperlyConfigured, match=f"^DATABASE_URL .*{reason}") as caught:
        configure(url)
    assert "hunt" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_rests_is_ended_by_the_server():
    assert show_rest_limit() == "10s"
    with pytest.raises(OperationalError), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = '200ms'")
        time.sleep(0.6)
        show_rest_limit()
    connection.close()


def show_rest_limit():
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        return cursor.fetchone()[0]


def test_a_server_that_cannot_be_reached_is_one_line_that_names_the_variable():
    environment = os.environ | {"DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/nowhere"}
    process = run([sys.executable, "manage.py", "migrate"], env=environment)
    assert process.returncode == 1
    assert process.stderr.startswith("The database cannot be used; see DATABASE_URL and DATABASE_NAME: ")
    assert "Traceback" not in process.stderr


def test_a_data_directory_that_cannot_be_used_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    environment = os.environ | {"DATA_DIR": str(file)}
    process = run([sys.executable, "manage.py", "check"], env=environment)
    assert process.returncode == 1
    assert process.stderr.startswith(f"surveycalls is not configured: DATA_DIR='{file}' cannot be used")
