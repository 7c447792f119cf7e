"""The command as a real process: no database, no project settings, only signals and stdout."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

RUN = """
import sys
from django.conf import settings
settings.configure()
import django; django.setup()
from django.core.management import call_command
from django.core.management.base import CommandError
from calls.management.commands.run_simulator import Command
try:
    call_command(Command(), *sys.argv[1:])
except CommandError as error:
    sys.exit(str(error))
"""
ROOT = Path(__file__).parents[2]
CREDENTIALS = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "token"}


def run_simulator(*options, environment=CREDENTIALS):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_a_signal_stops_it_at_once(tmp_path, stop):
    ledger, behaviours = tmp_path / "deep" / "ledger.jsonl", tmp_path / "behaviours.json"
    behaviours.write_text(json.dumps({"+12025550123": "no_answer"}))
    process = run_simulator("--port=0", f"--ledger={ledger}", f"--behaviours={behaviours}")
    base_url = process.stdout.readline().removeprefix("listening on ").strip()
    requests.post(
        f"{base_url}/2010-04-01/Accounts/AC1/Calls.json",
        data={"To": "+12025550123", "From": "+12025550100", "Twiml": "<Response/>"},
        auth=("AC1", "token"),
        timeout=5,
    ).raise_for_status()
    process.send_signal(stop)
    _, errors = process.communicate(timeout=2)
    assert (process.returncode, errors) == (0, "")
    assert [json.loads(line)["kind"] for line in ledger.read_text().splitlines()][:2] == ["call", "request"]


@pytest.mark.parametrize(
    ("options", "environment", "complaint"),
    [
        ([], {}, "TWILIO_ACCOUNT_SID"),
        (["--speed=0"], CREDENTIALS, "--speed"),
        (["--calls-per-second=-1"], CREDENTIALS, "--calls-per-second"),
        (["--behaviours=none.json"], CREDENTIALS, "none.json"),
    ],
)
def test_it_says_what_is_missing(tmp_path, options, environment, complaint):
    process = run_simulator("--port=0", f"--ledger={tmp_path}/l", *options, environment=environment)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert complaint in errors
    assert "Traceback" not in errors
