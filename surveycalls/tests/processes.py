"""Other processes, in an environment that holds our variables only as given."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VARIABLES = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
STOP_SECONDS = 20

PRODUCTION = {
    "SECRET_KEY": "a-test-of-the-deployment-checks-" + "0123456789abcdefghijklmnopqrstuv",
    "DATABASE_URL": "postgres://surveycalls:secret@db.example.org:5432/surveycalls",
    "PUBLIC_BASE_URL": "https://calls.example.org",
    "TWILIO_ACCOUNT_SID": "AC0123",
    "TWILIO_AUTH_TOKEN": "token",
}


def make_environment(**values):
    """Ours are emptied, which is unset, and unlike an absent one it is not read from a developer's .env."""
    return os.environ | dict.fromkeys(VARIABLES, "") | {name: str(value) for name, value in values.items()}


def run(command, *, timeout=120, **options):
    """As subprocess.run does, from the project's directory; when time is up, what the command has started ends with it.

    That would otherwise hold the pipes open, and nobody would come back who waits for their end.
    """
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except BaseException as error:  # also what comes from a signal: nobody else would end it
        output, errors = _end_all(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise AssertionError(f"It was not done within {timeout} s.\n{output}{errors}") from None
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _end_all(process):
    for number in (signal.SIGTERM, signal.SIGKILL):  # it may have servers to stop
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=STOP_SECONDS)
    return "", ""  # somebody else holds the pipes


def run_python(code, *arguments, timeout=120, **environment):
    return run([sys.executable, "-c", code, *arguments], timeout=timeout, env=make_environment(**environment))


def run_manage(*arguments, **environment):
    return run([sys.executable, "manage.py", *arguments], env=make_environment(**environment))


def is_demanded(what):
    """Whether REQUIRE_... says that this machine has what a test would otherwise be skipped without."""
    return os.environ.get(f"REQUIRE_{what}", "") not in ("", "0")
