"""manage.py demo: the whole product at work against a simulated phone network, and a judgement on it."""

import json
import math
import signal
import socket
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone

from calls.demo.campaign import (
    OPERATOR,
    create_operator,
    find_do_not_call_numbers,
    load_closed_campaign,
    load_open_campaign,
    read_contact_lines,
    set_limits,
)
from calls.demo.isolation import create_database, enter_own_environment
from calls.demo.processes import ChildError, ChildProcesses
from calls.demo.progress import open_display, read_progress
from calls.demo.report import Report, collect_evidence, write_report
from calls.simulator.ledger import calls_from, read_ledger
from campaigns import lifecycle
from campaigns.models import Campaign

LOOK_EVERY_SECONDS = 0.25

LOGGING = {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}

KEPT, BROKEN, TOO_LATE, INTERRUPTED = 0, 1, 2, 130


class StopRequest:
    """Whether somebody wants the demo to end; it then ends in order, in its own time.

    A plain flag: an Event that is set by a signal's handler can wait for ever for the lock that the very code
    which it interrupted is holding.
    """

    def __init__(self) -> None:
        self.is_made = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._make)

    def _make(self, *_signal: object) -> None:
        self.is_made = True


class Command(BaseCommand):
    help = "Call the contacts of a demo campaign over a simulated phone network, and report whether all went well."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--contacts", type=int, help="only the first so many of the file (default: all)")
        parser.add_argument("--until-done", action="store_true", help="end when nobody is left to call")
        parser.add_argument("--time-limit", type=float, default=600, help="seconds for --until-done (%(default)s)")
        parser.add_argument("--speed", type=float, default=10, help="people ring and talk so much faster (%(default)s)")
        parser.add_argument("--seed", type=int, default=1, help="who answers, who is busy (%(default)s)")
        parser.add_argument("--lines", type=int, default=10, help="calls at once (%(default)s)")
        parser.add_argument("--calls-per-second", type=float, default=10, help="starts in a second (%(default)s)")
        parser.add_argument(
            "--port", type=int, default=8000, help="of the web server; 0 takes a free one (%(default)s)"
        )

    def handle(self, **options: Any) -> None:
        check_options(options)
        enter_own_environment()
        sys.stdout.reconfigure(line_buffering=True)  # also for whoever reads it through a pipe
        stop = StopRequest()
        with listen(options["port"]) as web_socket:
            sys.exit(self._run(web_socket, options, stop))

    def _run(self, web_socket: socket.socket, options: dict[str, Any], stop: StopRequest) -> int:
        """Returns the exit code."""
        url = f"http://127.0.0.1:{web_socket.getsockname()[1]}"
        self.stdout.write("Making the demo's database ...")
        create_database()
        directory = settings.DATA_DIR / connection.settings_dict["NAME"]
        ledger = directory / "ledger.jsonl"
        ledger.unlink(missing_ok=True)
        set_limits(max_concurrent_calls=options["lines"], calls_per_second=options["calls_per_second"])
        contact_lines = read_contact_lines(options["contacts"])
        campaign = load_open_campaign(contact_lines, now=timezone.now())
        closed_campaign = load_closed_campaign(now=timezone.now())
        self._greet(url, password=create_operator(), directory=directory)
        try:
            with ChildProcesses(directory) as children:
                start_services(children, web_socket, ledger, url=url, seed=options["seed"], speed=options["speed"])
                started_at = time.monotonic()
                for each in (campaign, closed_campaign):
                    lifecycle.activate(each, now=timezone.now())
                done_at = self._watch(campaign, children, options, stop, advice=f"{url}/admin/  Ctrl-C stops.")
                over_at = done_at or time.monotonic()
                self.stdout.write("Stopping ...")
        except ChildError as exc:
            raise CommandError(str(exc)) from exc
        report = write_report(
            collect_evidence(
                campaign,
                calls_from(read_ledger(ledger)),
                do_not_call=find_do_not_call_numbers(contact_lines),
                seconds=over_at - started_at,
                was_interrupted=stop.is_made,  # in the middle, or after an operator gave it more to do
            )
        )
        self._show_report(report)
        if options["until_done"] and done_at is None:
            return INTERRUPTED if stop.is_made else TOO_LATE
        return BROKEN if report["broken_promises"] else KEPT

    def _greet(self, url: str, *, password: str, directory: Path) -> None:
        self.stdout.write(
            f"\nThe operators' site: {url}/admin/\n"
            f"Login: {OPERATOR}   Password: {password}\n"
            f"Logs, and the phone network's ledger: {directory}\n"
            "Ctrl-C stops everything.\n"
        )

    def _watch(
        self,
        campaign: Campaign,
        children: ChildProcesses,
        options: dict[str, Any],
        stop: StopRequest,
        *,
        advice: str,
    ) -> float | None:
        """Show how it goes until it is time to stop; returns when the campaign was done, by time.monotonic."""
        done_at = None
        time_limit = options["time_limit"] if options["until_done"] else math.inf
        deadline = time.monotonic() + time_limit
        with open_display(sys.stdout, lines=options["lines"], advice=advice) as display:
            while not stop.is_made:
                time.sleep(LOOK_EVERY_SECONDS)
                children.check()
                progress = read_progress(campaign)
                display.show(progress)
                if progress.is_done:
                    done_at = done_at or time.monotonic()
                if options["until_done"] and done_at:
                    break
                if time.monotonic() > deadline:
                    self.stderr.write(f"Not done after {time_limit:g} s.")
                    break
        return done_at

    def _show_report(self, report: Report) -> None:
        if broken := report["broken_promises"]:
            self.stderr.write(f"Broken promises: {', '.join(broken)}.")
        self.stdout.write(json.dumps(report))


def check_options(options: dict[str, Any]) -> None:
    """Raises CommandError for what cannot work."""
    for name in ("contacts", "lines", "speed", "calls_per_second", "time_limit"):
        if options[name] is not None and options[name] <= 0:
            raise CommandError(f"--{name.replace('_', '-')} must be more than 0.")
    if not 0 <= options["port"] <= 65535:
        raise CommandError("--port must be from 0 to 65535.")


def listen(port: int) -> socket.socket:
    """A listening socket for the web server, had before anything is started. Raises CommandError."""
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError as exc:
        raise CommandError(
            f"Port {port} cannot be used ({exc.strerror}): choose another with --port, or --port 0 for a free one."
        ) from exc


def start_services(
    children: ChildProcesses, web_socket: socket.socket, ledger: Path, *, url: str, seed: int, speed: float
) -> None:
    """The phone network first, because the others need its address. Raises ChildError."""
    manage = str(settings.BASE_DIR / "manage.py")
    network = children.start(
        "network",
        [manage, "run_simulator", "--port=0", f"--seed={seed}", f"--speed={speed}", f"--ledger={ledger}"],
        LOGGING,
    )
    environment = LOGGING | {
        "PUBLIC_BASE_URL": url,
        "TWILIO_API_BASE_URL": children.wait_for_line(network, "listening on "),
    }
    with web_socket:
        gunicorn = ["-m", "gunicorn", "surveycalls.wsgi", f"--chdir={settings.BASE_DIR}", "--no-control-socket"]
        bind = f"--bind=fd://{web_socket.fileno()}"
        children.start(
            "web", [*gunicorn, bind, "--workers=1", "--threads=8"], environment, pass_fds=[web_socket.fileno()]
        )
    children.start("cluster", [manage, "qcluster"], environment)
