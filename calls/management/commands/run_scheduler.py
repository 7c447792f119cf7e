import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calls.scheduler import CallScheduler, CallSchedulerConfig, SchedulerReport
from calls.wakeups import WakeupListener


class Command(BaseCommand):
    help = "Ring everybody who should be rung, until it is stopped. Several may run, on several machines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        defaults = CallSchedulerConfig.from_settings()
        parser.add_argument("--once", action="store_true", help="one pass, then print its report and end")
        parser.add_argument(
            "--interval",
            type=float,
            default=defaults.interval_seconds,
            help="look again after at most so many seconds (default: %(default)s)",
        )
        parser.add_argument(
            "--batch-size",
            type=int,
            default=defaults.batch_size,
            help="claim at most so many calls at a time (default: %(default)s)",
        )

    def handle(self, *, once: bool, interval: float, batch_size: int, **options: Any) -> None:
        if interval <= 0:
            raise CommandError("--interval must be more than 0 seconds.")
        if batch_size < 1:
            raise CommandError("--batch-size must be at least 1.")
        config = CallSchedulerConfig(
            interval_seconds=interval,
            max_concurrent_calls=CallSchedulerConfig.from_settings().max_concurrent_calls,
            batch_size=batch_size,
        )
        scheduler = CallScheduler(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: scheduler.stop())
        if once:
            self.stdout.write(describe_report(scheduler.run_once()))
            scheduler.close()
            return
        self.stdout.write("The scheduler is running. Ctrl-C finishes the calls being placed and stops it.")
        with WakeupListener() as wakeups:
            scheduler.run(wakeups)
        self.stdout.write("The scheduler has stopped.")


def describe_report(report: SchedulerReport) -> str:
    counts = ("claimed", "placed", "rejected", "given_back", "unknown")
    lines = [", ".join(f"{name.replace('_', ' ')} {getattr(report, name)}" for name in counts)]
    if report.blocked:
        lines.append(f"Nobody was claimed: {report.blocked}.")
    else:
        lines += [f"Campaign {campaign}: {reason}." for campaign, reason in report.reasons.items()]
    return "\n".join(lines)
