"""Two hosts over one database: one after the other is cut off from the database, from the provider, and from both.

    make hosts ARGS="--seconds 120 --seed 1"

Each host is a network namespace with a run_scheduler, the second one with a qcluster beside it; the database, the
provider and the web server are here. Nothing is refused: packets vanish. The suite of faults' judge judges the calls.
The last line is one JSON object; the exit code is 1 when a promise was broken, and 3 when this machine has no network
namespaces for us.
"""

import argparse
import contextlib
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bench.faults.evidence import OperatorLog, Terms, read_evidence
from bench.faults.judge import Verdict, judge
from bench.faults.plan import CampaignPlan, ContactPlan, Plan
from bench.interruption import end_at_signals
from bench.netns import HostNetwork, NotPermitted
from bench.world import DATABASE, PATIENT, ROOT, SHORT_CALLS, World
from calls.demo.processes import Child
from calls.simulator.ledger import LedgerCall

if TYPE_CHECKING:
    from bench.faults.operators import Operators

LINES = 12
CALLS_PER_SECOND = 10
MAX_ATTEMPTS = 2
SPEED = 60.0
HOSTS = (1, 2)
DIRECTORY = "surveycalls-hosts-"  # below the temporary one, with the process's id behind

# Somebody has to be left to ring for a host that comes back from a scene, and before the first one.
WAY_BACK_SECONDS = 10
START_SECONDS = 5
# Whoever is left after the last scene is rung faster.
RATE_AT_THE_END, LINES_AT_THE_END = 40, 40

# One after the other. A blip is over before anybody has noticed it: what was sent arrives late.
SCENES = ("blip", "database", "provider", "both")
BLIP_SECONDS = 4
PATIENCE_SECONDS = 60

# libpq's and the server's own, for comparison.
DEFAULT_TIME_OUTS = {
    "connect_timeout": "0",
    "tcp_user_timeout": "0",
    "keepalives_idle": "7200",
    "keepalives_interval": "75",
    "keepalives_count": "9",
    "options": "-c idle_in_transaction_session_timeout=10000",
}

# As a host does that is cut off in the middle of a claim: it has the lock, and never speaks again.
HOLD_THE_LOCK = """
import time, django
django.setup()
from django.db import transaction
from calls.models import ProviderConfig
with transaction.atomic():
    ProviderConfig.objects.select_for_update(no_key=True).get()
    print("locked", flush=True)
    time.sleep(600)
"""


class Campaign:
    """Hundreds of short calls, rung by both hosts; knows from their logs who claimed which call."""

    def __init__(self, world: World, network: HostNetwork, time_outs: Mapping[str, str]) -> None:
        self.world = world
        self.network = network
        self._log_path = world.directory / "operators.jsonl"
        self._operators: Operators | None = None
        self._schedulers: dict[int, list[Child]] = {host: [] for host in HOSTS}
        query = "&".join(f"{name}={quote(value)}" for name, value in time_outs.items())
        self._environment = {
            "DATABASE_URL": f"{world.postgres.url(DATABASE, network.database)}?{query}",
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "json",
        }

    def start(self, plan: Plan) -> None:
        from bench.faults.operators import Operators  # needs the models, and they the world's database

        self._operators = Operators(plan, OperatorLog(self._log_path))
        self._operators.clear()
        self._operators.prepare()
        for host in HOSTS:
            self._schedulers[host].append(self.start_on(host, f"scheduler{host}", "run_scheduler"))
        self._schedulers[2].append(self.start_on(2, "cluster2", "qcluster"))

    def hurry(self) -> None:
        """Nothing is cut off any more, and nobody need wait for the rest."""
        self._operators.limits(lines=LINES_AT_THE_END, calls_per_second=RATE_AT_THE_END)

    def judge(self) -> Verdict:
        evidence = read_evidence(
            ledger=self.world.ledger_path,
            operator_log=self._log_path,
            dsn=self.world.postgres.url(DATABASE),
            terms=Terms.from_environment(SHORT_CALLS),
        )
        return judge(evidence)

    def start_on(self, host: int, name: str, *command: str) -> Child:
        arguments = list(command) if command[0] == "-c" else [str(ROOT / "manage.py"), *command]
        return self.world.start(name, arguments, self._environment, prefix=self.network.prefix(host))

    def calls_of(self, host: int) -> list[LedgerCall]:
        claimed = {call_id for child in self._schedulers[host] for call_id in _read_claims(child.log)}
        return [call for call in self.world.calls() if call.call_id in claimed]

    def count_sessions(self, host: int) -> int:
        """How many connections of the host the server believes in."""
        connection = self.world.postgres.connect()
        try:
            with connection.cursor() as cursor:
                address = self.network.address(host)
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s::inet", [address])
                return cursor.fetchone()[0]
        finally:
            connection.close()

    @contextmanager
    def cut(self, host: int, *others: str) -> Iterator[datetime]:
        for other in others:
            self.network.cut(host, other)
        yield datetime.now(UTC)
        for other in others:
            self.network.mend(host, other)


def run(*, seconds: float, seed: int, time_outs: Mapping[str, str], scenes: Sequence[str] = SCENES) -> dict[str, Any]:
    """One campaign with its cuts; returns the figures. Raises NotPermitted."""
    _remove_leftovers()
    with (
        HostNetwork(len(HOSTS)) as network,
        tempfile.TemporaryDirectory(prefix=f"{DIRECTORY}{os.getpid()}-") as directory,
    ):
        world = World(
            Path(directory),
            environment=SHORT_CALLS,
            postgres_options={"listen_addresses": f"127.0.0.1,{network.database}"},
            networks=[str(network.network)],
        )
        with world:
            world.start_network(speed=SPEED, seed=seed, host=network.provider, **PATIENT)
            world.start_web()
            campaign = Campaign(world, network, time_outs)
            campaign.start(_make_plan(seed, contacts=_count_contacts(seconds, scenes)))
            return _play(campaign, seconds, scenes)


def _count_contacts(seconds: float, scenes: Sequence[str]) -> int:
    """So many that they last until the last host is back, even if one call is enough for everybody."""
    return round((START_SECONDS + seconds + WAY_BACK_SECONDS * len(scenes)) * CALLS_PER_SECOND)


def _make_plan(seed: int, contacts: int) -> Plan:
    # Of the numbers that Ireland keeps for fiction (020 91x xxxx).
    people = [ContactPlan(phone_number=f"+3532091{number:05d}", zone="UTC") for number in range(contacts)]
    return Plan(
        seed=seed,
        starts_at=datetime.now(UTC),
        lines=LINES,
        calls_per_second=CALLS_PER_SECOND,
        campaigns=[CampaignPlan(name="hosts", contacts=people, max_attempts=MAX_ATTEMPTS)],
        events=[],
    )


def _remove_leftovers() -> None:
    """The servers and data of runs that were killed with no chance to clear up."""
    for directory in Path(tempfile.gettempdir()).glob(f"{DIRECTORY}*"):
        owner = directory.name.removeprefix(DIRECTORY).split("-")[0]
        if not owner.isdigit() or Path(f"/proc/{owner}").exists():
            continue
        pid_file = directory / "postgres" / "postmaster.pid"
        if pid_file.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid_file.read_text().split()[0]), signal.SIGQUIT)
        shutil.rmtree(directory, ignore_errors=True)


def _play(campaign: Campaign, seconds: float, scenes: Sequence[str]) -> dict[str, Any]:
    for host in HOSTS:
        _wait_until(lambda host=host: len(campaign.calls_of(host)) > 2, f"host {host} to ring")
    say("both hosts ring")
    figures: dict[str, Any] = {}
    for scene in scenes:
        # Half of its share cut off, half to come back.
        figures |= {
            f"{scene}_{key}": value for key, value in _cut_off(campaign, scene, seconds / len(scenes) / 2).items()
        }
    say("all is mended; waiting until everybody has been rung")
    campaign.hurry()
    is_quiet = _wait_for_quiet(campaign)
    verdict = campaign.judge()
    for violation in verdict.violations:
        say(f"VIOLATION: {violation.kind}: {violation.text}")
    calls = campaign.world.calls()
    by_host = {f"calls_of_host_{host}": len(campaign.calls_of(host)) for host in HOSTS}
    return {
        "calls": len(calls),
        "answers": verdict.figures["answers"],
        "violations": verdict.by_kind,
        "arrivals_too_soon": verdict.figures["arrivals_too_soon"],
        **by_host,
        **_count_attempts(),
        "quiet": is_quiet,
        **figures,
    }


def _cut_off(campaign: Campaign, scene: str, share: float) -> dict[str, Any]:
    """A host is cut off for a while, from the database in the middle of a claim; seconds of what followed."""
    network = campaign.network
    host = 1 if scene in ("blip", "database") else 2
    others = {"provider": (network.provider,), "both": (network.database, network.provider)}
    seconds = min(share, BLIP_SECONDS) if scene == "blip" else share
    holder = None
    if scene == "database":
        holder = campaign.start_on(host, "claim", "-c", HOLD_THE_LOCK)
        campaign.world.children.wait_for_line(holder, "locked")
    say(f"host {host} is cut off for {seconds:.0f} s ({scene})")
    forgotten_after = None
    with campaign.cut(host, *others.get(scene, (network.database,))) as cut_at:
        while (passed := datetime.now(UTC) - cut_at) < timedelta(seconds=seconds):
            if forgotten_after is None and not campaign.count_sessions(host):
                forgotten_after = _seconds(passed)
            time.sleep(0.1)
    mended_at = datetime.now(UTC)
    if holder:
        campaign.world.children.kill(holder)
    time.sleep(share)
    other = campaign.calls_of(3 - host)
    figures = {
        "other_host_held_up": _longest_pause(other, cut_at, datetime.now(UTC)),
        "other_host_calls_per_second": round(sum(cut_at < call.started_at < mended_at for call in other) / seconds, 2),
        "first_call_after": _wait_until(
            lambda: _first_call_after(campaign.calls_of(host), mended_at), f"host {host} to ring again"
        ),
        "sessions_forgotten_after": forgotten_after,
    }
    say(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in figures.items()))
    return figures


def _first_call_after(calls: list[LedgerCall], instant: datetime) -> float | None:
    return next((_seconds(call.started_at - instant) for call in calls if call.started_at > instant), None)


def _longest_pause(calls: list[LedgerCall], start: datetime, end: datetime) -> float:
    """The longest time between two starts of calls, from the instant to the end."""
    instants = [start, *(call.started_at for call in calls if start < call.started_at < end), end]
    return _seconds(max(later - earlier for earlier, later in pairwise(instants)))


def _seconds(duration: timedelta) -> float:
    return round(duration.total_seconds(), 2)


def _read_claims(log: Path) -> Iterator[str]:
    for line in log.read_text(errors="replace").splitlines():
        if '"call.claimed"' in line:
            yield json.loads(line)["call_id"]


def _count_attempts() -> dict[str, int]:
    from calls.models import CallAttempt

    attempts = CallAttempt.objects
    return {
        "attempts": attempts.count(),
        "given_back": attempts.filter(given_back=True).count(),
        "never_heard_of": attempts.filter(error_code="lost").count(),
    }


def _wait_for_quiet(campaign: Campaign) -> bool:
    """Until everybody has been rung and nothing is open; false when nothing moves any more before that."""
    from calls.models import CallAttempt
    from contacts.models import Contact

    rung, moved_at = 0, time.monotonic()
    while Contact.objects.unfinished().exists() or CallAttempt.objects.open().exists():
        time.sleep(0.5)
        if rung != (rung := len(campaign.world.calls())):
            moved_at = time.monotonic()
        if time.monotonic() > moved_at + PATIENCE_SECONDS:
            return False
    return True


def _wait_until(ask: Callable[[], Any], what: str) -> Any:
    """The first answer that is not None or false. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_SECONDS} s for {what}")
        time.sleep(0.1)
    return answer


def _shorten_time_outs(seconds: float | None) -> dict[str, str]:
    from surveycalls.database import SESSION_OPTIONS, SILENCE_MILLISECONDS

    if seconds is None:
        return {}
    milliseconds = str(round(seconds * 1000))
    return {
        "tcp_user_timeout": milliseconds,
        "options": SESSION_OPTIONS.replace(str(SILENCE_MILLISECONDS), milliseconds),
    }


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make hosts", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=120, help="from the first cut to the last return, over all scenes"
    )
    parser.add_argument("--seed", type=int, default=1, help="who answers, who is busy, who hangs up")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES, help="which, in their order")
    parser.add_argument(
        "--default-time-outs", action="store_true", help="libpq's own instead of ours: what they are there for"
    )
    parser.add_argument("--silence", type=float, help="our time-outs, but of so many seconds instead of ten")
    options = parser.parse_args()
    if not 0 < options.seconds < math.inf:
        parser.error("--seconds must be above 0")
    if options.silence is not None and not 0.001 <= options.silence < math.inf:
        parser.error("--silence must be at least 0.001")
    if options.seed < 0:
        parser.error("--seed must not be negative")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "surveycalls.settings")
    end_at_signals()
    try:
        time_outs = DEFAULT_TIME_OUTS if options.default_time_outs else _shorten_time_outs(options.silence)
        figures = run(seconds=options.seconds, seed=options.seed, time_outs=time_outs, scenes=options.scenes)
    except NotPermitted as error:
        print(error, file=sys.stderr)
        sys.exit(3)
    print(json.dumps(figures), flush=True)
    sys.exit(0 if figures["quiet"] and not figures["violations"] else 1)


if __name__ == "__main__":
    main()
