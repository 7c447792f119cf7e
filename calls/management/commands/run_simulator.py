"""Run the simulated phone network until SIGTERM or SIGINT."""

import asyncio
import json
import os
import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calls.simulator.control import check_behaviours
from calls.simulator.network import NetworkSettings
from calls.simulator.server import serve_phone_network


class Command(BaseCommand):
    help = "Run a Twilio-compatible phone network on this machine; it rings nobody and keeps a ledger."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8100, help="0 takes a free port")
        parser.add_argument("--seed", type=int, default=1, help="who answers, who is busy, who hangs up, who says what")
        parser.add_argument("--speed", type=float, default=1.0, help="divides ringing and talking times")
        parser.add_argument("--ledger", type=Path, default=Path(".data/ledger.jsonl"))
        parser.add_argument("--account-sid", default=os.environ.get("TWILIO_ACCOUNT_SID", ""))
        parser.add_argument("--auth-token", default=os.environ.get("TWILIO_AUTH_TOKEN", ""))
        parser.add_argument("--api-key-sid", default=os.environ.get("TWILIO_API_KEY_SID", ""))
        parser.add_argument("--api-key-secret", default=os.environ.get("TWILIO_API_KEY_SECRET", ""))
        parser.add_argument("--behaviours", type=Path, help="a JSON file: {phone number: behaviour}")
        parser.add_argument("--refused-caller", action="append", default=[], help="a From that gets 21212")
        parser.add_argument("--calls-per-second", type=float, help="calls above this rate are queued")
        parser.add_argument("--lookup-lag", type=float, default=0.0, help="seconds until calls are listed")
        parser.add_argument(
            "--least-time-limit", type=int, default=0, help="seconds for which talks may go on whatever is ordered"
        )
        parser.add_argument(
            "--least-ring-timeout", type=int, default=0, help="seconds for which phones ring whatever is ordered"
        )
        parser.add_argument("--callback-base-url", help="send callbacks here instead of to their own host")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = read_settings(options)
        try:
            asyncio.run(self._serve(settings, options["host"], options["port"]))
        except OSError as exc:
            raise CommandError(f"cannot run: {exc}") from exc

    async def _serve(self, settings: NetworkSettings, host: str, port: int) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with serve_phone_network(settings, host, port) as base_url:
            self.stdout.write(f"listening on {base_url}")
            self.stdout.flush()
            await stop.wait()


def read_settings(options: dict[str, Any]) -> NetworkSettings:
    """Return the settings in the command's options; raises CommandError for what cannot work."""
    if not options["account_sid"] or not options["auth_token"]:
        raise CommandError("set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or --account-sid and --auth-token")
    if options["speed"] <= 0:
        raise CommandError("--speed must be above 0")
    if options["calls_per_second"] is not None and options["calls_per_second"] <= 0:
        raise CommandError("--calls-per-second must be above 0")
    return NetworkSettings(
        account_sid=options["account_sid"],
        auth_token=options["auth_token"],
        api_key_sid=options["api_key_sid"],
        api_key_secret=options["api_key_secret"],
        ledger_path=options["ledger"],
        seed=options["seed"],
        speed=options["speed"],
        behaviours=read_behaviours(options["behaviours"]),
        refused_callers=frozenset(options["refused_caller"]),
        calls_per_second=options["calls_per_second"],
        lookup_lag=options["lookup_lag"],
        callback_base_url=options["callback_base_url"],
        least_time_limit=options["least_time_limit"],
        least_ring_timeout=options["least_ring_timeout"],
    )


def read_behaviours(path: Path | None) -> dict[str, str]:
    """Return the behaviours in a JSON file, or none; raises CommandError."""
    if path is None:
        return {}
    try:
        return check_behaviours(json.loads(path.read_text()))
    except (OSError, ValueError) as exc:
        raise CommandError(f"--behaviours {path}: {exc}") from exc
