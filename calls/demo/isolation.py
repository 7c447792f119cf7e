"""The demo's own world: a database made anew, and settings that reach nobody outside this machine."""

import os
import secrets
import sys

from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, OperationalError, connection

# Holds the id of the process that it was made for, so that a child of a demo is not taken for one.
_MARK = "SURVEYCALLS_DEMO"


def enter_own_environment() -> None:
    """Start this process anew with the demo's environment; returns only in the one that has it.

    Settings are read once, before any command runs. Only a new start makes this process and its children
    see the same ones, whatever database, queue and credentials were configured before.
    """
    if os.environ.get(_MARK) == str(os.getpid()):
        return
    sys.stdout.flush()
    environment = os.environ | _make_environment(f"demo_{connection.settings_dict['NAME']}")
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _make_environment(database: str) -> dict[str, str]:
    """An empty value is the default, and keeps the one in .env out."""
    return {
        _MARK: str(os.getpid()),
        "DATABASE_NAME": database,
        "REDIS_URL": "",
        "TWILIO_ACCOUNT_SID": f"AC{secrets.token_hex(16)}",
        "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
        "TWILIO_API_KEY_SID": "",
        "TWILIO_API_KEY_SECRET": "",
        "SCHEDULER_MAX_CONCURRENT_CALLS": "",
        "ALLOWED_HOSTS": "",
        "BEHIND_PROXY": "",
        "LOG_LEVEL": "WARNING",
    }


def create_database() -> None:
    """Drop what the last demo left, and make the configured database anew. Raises CommandError."""
    name = connection.settings_dict["NAME"]
    quoted = connection.ops.quote_name(name)
    try:
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted}")
            cursor.execute(f"CREATE DATABASE {quoted}")
    except OperationalError as exc:
        raise CommandError(
            f"The database {name} cannot be made anew: {str(exc).strip()} "
            "Stop the demo that uses it, or set DATABASE_NAME to have another one."
        ) from exc
    except DatabaseError as exc:
        raise CommandError(f"The database {name} cannot be created: {str(exc).strip()}") from exc
    call_command("migrate", verbosity=0, interactive=False)
