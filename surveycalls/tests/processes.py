"""Other processes, in an environment that holds our variables only as given."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VARIABLES = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

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


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=make_environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


def run_manage(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=make_environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


def is_demanded(what):
    """Whether REQUIRE_... says that this machine has what a test would otherwise be skipped without."""
    return os.environ.get(f"REQUIRE_{what}", "") not in ("", "0")
