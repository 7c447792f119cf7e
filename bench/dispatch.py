"""How fast calls start when neither lines nor rate hold them back, against a bare loop, and against two task queues.

The simulated network is told to queue all calls but the first, so none of the sides gets a callback while it is
measured: what they share is the POST and the network's answer.
"""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import peers
from bench.figures import Figure, compare, measure_in_turn
from bench.world import World
from calls.demo.processes import Child
from calls.simulator.ledger import LedgerCall

CALLS = 2000
ROUNDS = 5
RAMP_UP = 0.2  # of the calls: processes start, connections open
BARE_THREADS = 16
NO_LIMIT = 100_000
LONGEST = 180.0  # seconds that a round may take

# Nothing happens to a call while it is measured: the provider queues it, and is not asked about it.
QUIET_CALLS = {"CALL_SILENCE_SECONDS": "3600", "CALL_QUEUE_SECONDS": "3600"}

CONDITIONS = (
    "PostgreSQL with fsync, one process, neither lines nor rate in the way; the network queues all calls, so no "
    "callback falls into the measured seconds of either side"
)
PEERS = {
    "procrastinate": f"its worker with psycopg 3, {peers.CONCURRENCY} jobs at once, the same rows in plain SQL",
    "django_q2": f"its cluster with {peers.WORKERS} processes on its database broker, 10 jobs fetched at a time",
}


def measure(scale: float) -> Iterator[Figure]:
    calls = max(300, round(CALLS * scale))
    rounds = ROUNDS if scale >= 1 else 3
    with World(Path(tempfile.mkdtemp()), environment=QUIET_CALLS) as world:
        world.set_limits(lines=NO_LIMIT, calls_per_second=NO_LIMIT)
        world.start_network(calls_per_second=0.001)
        course = Course(world, calls)
        ours, bare = measure_in_turn(course.run_scheduler, course.run_bare_loop, rounds=rounds)
        side = f"a loop of requests in {BARE_THREADS} threads with the product's session"
        yield compare("dispatch_limit", ours, bare, goal=">= 0.8", detail=_describe(side, calls, ours, bare))
        for peer, how in PEERS.items():
            ours, theirs = measure_in_turn(course.run_scheduler, lambda peer=peer: course.run_peer(peer), rounds=3)
            yield compare(
                f"dispatch_peers_{peer}", ours, theirs, goal=">= 2", detail=_describe(how, calls, ours, theirs)
            )


def _describe(side: str, calls: int, ours: list[float], theirs: list[float]) -> str:
    rounds = ", ".join(f"{a:.0f} to {b:.0f}" for a, b in zip(ours, theirs, strict=True))
    return f"run_scheduler against {side}. {CONDITIONS}. {calls} calls a round; calls per second, by round: {rounds}."


class Course:
    """Each run places the same number of calls and returns how many the network saw arrive in a second."""

    def __init__(self, world: World, calls: int) -> None:
        self._world = world
        self._calls = calls
        self._seen = 0

    def run_scheduler(self) -> float:
        from bench.people import replace_everybody

        replace_everybody(self._calls)
        return self._take_rate(self._world.start_scheduler())

    def run_bare_loop(self) -> float:
        from bench.people import make_number

        world = self._world
        session = peers.make_session(world.credentials)
        url = f"{world.network_url}/2010-04-01/Accounts/{world.credentials[0]}/Calls.json"

        def place(number: int) -> None:
            form = peers.make_form(make_number(number), f"bare-{number:017d}", world.web_url)
            session.post(url, data=form, timeout=(3, 10)).raise_for_status()

        with session, ThreadPoolExecutor(BARE_THREADS) as pool:
            list(pool.map(place, range(self._calls)))
        return self._take_rate(None)

    def run_peer(self, peer: str) -> float:
        from bench.people import replace_everybody

        contacts = replace_everybody(self._calls)
        fill = {"procrastinate": peers.fill_procrastinate, "django_q2": peers.fill_django_q2}[peer]
        fill(
            [
                (str(contact.pk), str(contact.campaign_id), contact.phone_number, f"peer-{number:017d}")
                for number, contact in enumerate(contacts)
            ]
        )
        return self._take_rate(self._world.start_peer(peer))

    def _take_rate(self, child: Child | None) -> float:
        deadline = time.monotonic() + LONGEST
        while len(calls := self._world.calls()[self._seen :]) < self._calls:
            self._world.children.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(calls)} of {self._calls} calls were placed in {LONGEST} seconds")
            time.sleep(0.5)
        if child:
            self._world.children.stop(child)
        self._seen += len(calls)
        return steady_rate(calls)


def steady_rate(calls: list[LedgerCall]) -> float:
    steady = [call.started_at for call in calls[round(len(calls) * RAMP_UP) :]]
    return (len(steady) - 1) / (steady[-1] - steady[0]).total_seconds()
