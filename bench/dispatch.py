"""How fast calls start when neither lines nor rate hold them back, against a bare loop, and against two task queues.

The bare loop is `requests.Session.post` with the product's body, from as many threads as are best for it, and nothing
else: no database, no claim, no answer read. The simulated network is told to queue all calls but the first, so none
of the sides gets a callback while it is measured: what they share is the POST and the network's answer.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from bench import peers
from bench.figures import Figure, compare, measure_in_turn
from bench.world import NO_LIMIT, QUEUE_ALL_CALLS, QUIET_CALLS, World, open_world
from calls.demo.processes import Child
from calls.simulator.ledger import LedgerCall

CALLS = 2000
ROUNDS = 5
RAMP_UP = 0.2  # of the calls: processes start, connections open
PEER_ROUNDS = 3
BARE_THREADS = (4, 16, 64)  # one of them the scheduler's own number
LONGEST = 180.0  # seconds that a round may take

CONDITIONS = (
    "One run_scheduler, PostgreSQL with fsync, neither lines nor rate in the way; the network queues all calls, so no "
    "callback falls into the measured seconds of either side."
)
PEERS = {
    "procrastinate": f"Its worker with psycopg 3, {peers.CONCURRENCY} jobs at once, POSTs from as many threads; of a "
    "call the same row of an attempt, inserted and updated in plain SQL",
    "django_q2": f"Its cluster with {peers.WORKERS} processes on its database broker, 10 jobs fetched at a time; of a "
    "call the same row of an attempt, inserted and updated with Django's ORM",
}


@contextmanager
def set_up() -> Iterator["Course"]:
    with open_world(environment=QUIET_CALLS) as world:
        world.set_limits(lines=NO_LIMIT, calls_per_second=NO_LIMIT)
        world.start_network(calls_per_second=QUEUE_ALL_CALLS)
        yield Course(world)


def measure_limit(course: "Course", scale: float) -> Iterator[Figure]:
    calls = scale_calls(scale)
    warm_up = {threads: course.run_bare_loop(max(100, calls // 4), threads) for threads in BARE_THREADS}
    threads = max(warm_up, key=warm_up.__getitem__)
    ours, bare = measure_in_turn(
        partial(course.run_scheduler, calls), partial(course.run_bare_loop, calls, threads), rounds=ROUNDS
    )
    tried = ", ".join(f"{rate:.0f} with {count}" for count, rate in warm_up.items())
    yield compare(
        "dispatch_limit",
        ours,
        bare,
        goal=">= 0.8",
        how=f"calls started per second / a bare loop of requests in {threads} threads",
        detail=f"The loop posts the same body with one requests.Session, with a pool of connections as the product has "
        f"it, and does nothing else. Its threads are what was best for it in a warm-up: {tried} calls a second. "
        f"{_describe(calls, ours, bare)}",
    )


def measure_peers(course: "Course", scale: float) -> Iterator[Figure]:
    calls = scale_calls(scale)
    for peer, what in PEERS.items():
        ours, theirs = measure_in_turn(
            partial(course.run_scheduler, calls), partial(course.run_peer, calls, peer), rounds=PEER_ROUNDS
        )
        yield compare(
            f"dispatch_peers_{peer}",
            ours,
            theirs,
            goal=">= 2",
            how=f"calls started per second / {peer} with one job per call",
            detail=f"{what}; neither claims, paces, or moves contacts. It posts as the bare loop of dispatch_limit "
            f"does. {_describe(calls, ours, theirs)}",
        )


def scale_calls(scale: float) -> int:
    return max(200, round(CALLS * scale))


def _describe(calls: int, ours: list[float], theirs: list[float]) -> str:
    rounds = ", ".join(f"{a:.0f} to {b:.0f}" for a, b in zip(ours, theirs, strict=True))
    return f"{CONDITIONS} {calls:,} calls a round; calls per second, round by round: {rounds}."


class Course:
    """Each run places so many calls and returns how many the network saw arrive in a second."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen = 0

    def run_scheduler(self, calls: int) -> float:
        from bench.people import replace_everybody

        replace_everybody(calls)
        return self._take_rate(calls, self._world.start_scheduler())

    def run_bare_loop(self, calls: int, threads: int) -> float:
        from bench.people import make_number

        world = self._world
        session = peers.make_session(world.credentials)
        url = f"{world.network_url}/2010-04-01/Accounts/{world.credentials[0]}/Calls.json"

        def place(number: int) -> None:
            form = peers.make_form(make_number(number), f"bare-{number:017d}", world.web_url)
            session.post(url, data=form, timeout=(3, 10)).raise_for_status()

        with session, ThreadPoolExecutor(threads) as pool:
            list(pool.map(place, range(calls)))
        return self._take_rate(calls, None)

    def run_peer(self, calls: int, peer: str) -> float:
        from bench.people import replace_everybody

        contacts = replace_everybody(calls)
        fill = {"procrastinate": peers.fill_procrastinate, "django_q2": peers.fill_django_q2}[peer]
        fill(
            [
                (str(contact.pk), str(contact.campaign_id), contact.phone_number, f"peer-{number:017d}")
                for number, contact in enumerate(contacts)
            ]
        )
        return self._take_rate(calls, self._world.start_peer(peer))

    def _take_rate(self, wanted: int, child: Child | None) -> float:
        deadline = time.monotonic() + LONGEST
        while (placed := self._world.count_calls() - self._seen) < wanted:
            self._world.children.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{placed} of {wanted} calls were placed in {LONGEST} seconds")
            time.sleep(0.5)
        if child:
            self._world.children.stop(child)
        calls = self._world.calls()[self._seen :]
        self._seen += len(calls)
        return steady_rate(calls)


def steady_rate(calls: list[LedgerCall]) -> float:
    steady = [call.started_at for call in calls[round(len(calls) * RAMP_UP) :]]
    return (len(steady) - 1) / (steady[-1] - steady[0]).total_seconds()
