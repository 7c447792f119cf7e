"""The whole product as real processes over a database and a phone network of its own, on this machine."""

import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import django
import requests
from django.conf import settings
from django.core.management import call_command

from bench.peers import CALLER_NUMBER, PEERS_PYTHON
from bench.postgres import PostgresServer
from calls.demo.processes import Child, ChildProcesses
from calls.simulator.ledger import LedgerCall, Line, calls_from, read_ledger
from calls.tests import phone_network

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "surveycalls"
NOWHERE = "http://127.0.0.1:9"
"""Until the phone network runs nobody may be asked for a call, least of all the real provider."""

# As short as the settings allow: a call that got lost is settled within seconds.
SHORT_CALLS = {
    **phone_network.SHORT_CALLS,
    "TWILIO_CONNECT_TIMEOUT_SECONDS": "1",
    "TWILIO_READ_TIMEOUT_SECONDS": "2",
}

PATIENT = {"least_time_limit": 120, "least_ring_timeout": 20}
"""For a network that runs faster: in its seconds, the short calls' limits are over before anybody has said a word."""

# Nothing happens to a call while it is measured: the provider queues it, and is not asked about it.
QUIET_CALLS = {"CALL_SILENCE_SECONDS": "3600", "CALL_QUEUE_SECONDS": "3600"}
QUEUE_ALL_CALLS = 0.001
"""calls_per_second of a phone network that lets all calls but the first wait, so that nobody gets a callback."""

NO_LIMIT = 100_000
"""More lines, or calls per second, than there are."""


class World:
    """As a context manager: a PostgreSQL server with a migrated database, and nobody in it yet.

    Only one in the life of a process, because Django's settings are read once: this process, like its children,
    gets the world's. ``environment`` is added to every process's.
    """

    def __init__(
        self,
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        postgres_options: Mapping[str, str] | None = None,
        networks: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.ledger_path = directory / "ledger.jsonl"
        self.postgres = PostgresServer(directory / "postgres", options=postgres_options, networks=networks)
        self.children = ChildProcesses(directory / "logs")
        self.network_url = ""
        self._environment = environment or {}
        self._exit = ExitStack()

    def __enter__(self) -> "World":
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._exit.enter_context(self.postgres)
            self._exit.enter_context(self.children)
            self._web_socket = self._exit.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
            self.web_url = f"http://127.0.0.1:{self._web_socket.getsockname()[1]}"
            self.postgres.execute(f"CREATE DATABASE {DATABASE}")
            os.environ.update(self._make_environment())
            django.setup()
            call_command("migrate", verbosity=0, interactive=False)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        from django.db import connections

        connections.close_all()
        self._exit.close()

    def set_limits(self, *, lines: int, calls_per_second: float) -> None:
        from calls.models import ProviderConfig

        ProviderConfig.objects.update(
            outbound_number=CALLER_NUMBER, max_concurrent_calls=lines, calls_per_second=calls_per_second
        )

    def start_network(self, *, speed: float = 1.0, seed: int = 1, **options: Any) -> Child:
        """The phone network; ``options`` are more of run_simulator's. To be started before what rings."""
        more = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        arguments = ["run_simulator", "--port=0", f"--seed={seed}", f"--speed={speed}", f"--ledger={self.ledger_path}"]
        child = self.start("network", [str(ROOT / "manage.py"), *arguments, *more])
        self.network_url = self.children.wait_for_line(child, "listening on ")
        os.environ["TWILIO_API_BASE_URL"] = settings.TWILIO_API_BASE_URL = self.network_url
        return child

    def start_web(
        self,
        name: str = "web",
        *,
        workers: int = 1,
        threads: int = 8,
        program: str = "surveycalls.wsgi",
        launcher: Sequence[str] = ("-m", "gunicorn"),
    ) -> Child:
        """gunicorn. The socket is ours: who comes while it is restarted waits instead of being refused."""
        return self._start_gunicorn(name, self._web_socket, program, workers, threads, launcher)

    def start_other_web(self, program: str, *, workers: int = 1, threads: int = 8) -> str:
        """A second gunicorn beside the first, for another program; returns its address."""
        listener = self._exit.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        self._start_gunicorn(program, listener, program, workers, threads)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def _start_gunicorn(
        self,
        name: str,
        listener: socket.socket,
        program: str,
        workers: int,
        threads: int,
        launcher: Sequence[str] = ("-m", "gunicorn"),
    ) -> Child:
        arguments = [program, f"--chdir={ROOT}", "--no-control-socket", f"--workers={workers}", f"--threads={threads}"]
        bind = f"--bind=fd://{listener.fileno()}"
        return self.start(name, [*launcher, *arguments, bind], pass_fds=[listener.fileno()])

    def start_scheduler(self, name: str = "scheduler", **environment: str) -> Child:
        return self.start(name, [str(ROOT / "manage.py"), "run_scheduler"], environment)

    def start_cluster(self, name: str = "cluster", **environment: str) -> Child:
        return self.start(name, [str(ROOT / "manage.py"), "qcluster"], environment)

    def start_peer(self, name: str) -> Child:
        """A worker of bench.peers; procrastinate's has an environment of its own."""
        python = {"python": str(PEERS_PYTHON)} if name == "procrastinate" else {}
        return self.start(name, ["-m", "bench.peers", name], {"PYTHONPATH": str(ROOT)}, **python)

    def start(
        self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None, **options: Any
    ) -> Child:
        return self.children.start(name, arguments, environment or {}, **options)

    def control_network(self, method: str, name: str, body: object = None) -> None:
        """A request to the network's /simulator/: faults, behaviours, clock."""
        response = requests.request(method, f"{self.network_url}/simulator/{name}", json=body, timeout=10)
        response.raise_for_status()

    @property
    def credentials(self) -> tuple[str, str]:
        """The account's name and token at the phone network."""
        return os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]

    def ledger(self) -> list[Line]:
        return read_ledger(self.ledger_path)

    def calls(self) -> list[LedgerCall]:
        return calls_from(self.ledger())

    def count_calls(self) -> int:
        """As len(calls()), but cheap enough to be asked again and again beside what is measured."""
        return self.ledger_path.read_bytes().count(b'"kind": "call"')

    def _make_environment(self) -> dict[str, str]:
        """An empty value is the default, and keeps the one in .env out."""
        return {
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "surveycalls.settings",
            "DATABASE_URL": self.postgres.url(DATABASE),
            "DATABASE_NAME": "",
            "DATA_DIR": str(self.directory / "data"),
            "DEBUG": "",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "REDIS_URL": "",
            "PUBLIC_BASE_URL": self.web_url,
            "ALLOWED_HOSTS": "",
            "BEHIND_PROXY": "",
            "TWILIO_API_BASE_URL": NOWHERE,
            "TWILIO_ACCOUNT_SID": f"AC{secrets.token_hex(16)}",
            "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
            "TWILIO_API_KEY_SID": "",
            "TWILIO_API_KEY_SECRET": "",
            "SCHEDULER_MAX_CONCURRENT_CALLS": "",
            "LOG_LEVEL": "WARNING",
            **self._environment,
        }


@contextmanager
def open_world(
    *, environment: Mapping[str, str] | None = None, postgres_options: Mapping[str, str] | None = None
) -> Iterator[World]:
    """A world in a directory of its own, of which nothing is left."""
    with (
        tempfile.TemporaryDirectory(prefix="surveycalls-bench-") as directory,
        World(Path(directory), environment=environment, postgres_options=postgres_options) as world,
    ):
        yield world
