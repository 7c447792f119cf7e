"""The share of the lines that is kept busy, against a refiller that knows of a free line at the instant it is free.

Measured from the start of the call that fills the last line to the last start that is looked at, when there are
still more contacts than lines: neither the ramp-up, which is the rate's, nor the tail is in it. The ideal refiller has
calls of the same lengths in the same order, as many lines and the same calls_per_second, and is measured between the
same two calls. Each round is a campaign of its own, of run_scheduler and of a qcluster in turn.
"""

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.figures import Figure
from bench.world import World, open_world
from calls.demo.processes import Child
from calls.simulator.ledger import LedgerCall

CALLS_PER_SECOND = 20
ROUNDS = 3
NATURAL_SECONDS = 17.0  # what the simulated people's calls last on average at speed 1

Span = tuple[float, float]  # the start and the end of a call, in seconds


@dataclass(frozen=True, kw_only=True)
class Course:
    mean_seconds: float
    lines: int
    fills: float  # so many times as many calls as lines
    goal: str


COURSES = {
    "30s": Course(mean_seconds=30, lines=60, fills=2, goal=">= 0.995"),
    "5s": Course(mean_seconds=5, lines=30, fills=5, goal=">= 0.98"),
}
CLUSTER_GOAL = ">= 0.98"


def set_up() -> AbstractContextManager[World]:
    return open_world()


def measure(world: World, scale: float) -> Iterator[Figure]:
    world.start_web()
    for name, course in COURSES.items():
        calls = round(course.lines * max(1.3, course.fills * scale))
        network = world.start_network(speed=NATURAL_SECONDS / course.mean_seconds)
        by_scheduler, by_cluster = [], []
        for _ in range(ROUNDS):
            by_scheduler.append(_run(world, course.lines, calls, world.start_scheduler))
            by_cluster.append(_run(world, course.lines, calls, lambda: world.start_cluster(QCLUSTER_WORKERS="2")))
        world.children.stop(network)
        yield compare_rounds(f"utilisation_{name}", by_scheduler, course.lines, course.goal, "run_scheduler")
        yield compare_rounds(f"utilisation_qcluster_{name}", by_cluster, course.lines, CLUSTER_GOAL, "a qcluster alone")


def _run(world: World, lines: int, calls: int, start: Callable[[], Child]) -> list[LedgerCall]:
    """The first so many calls of a campaign; the last ones have not ended."""
    from bench.people import replace_everybody
    from calls.shifts import request_shift

    seen = world.count_calls()
    replace_everybody(calls + 3 * lines, max_attempts=1)
    world.set_limits(lines=lines, calls_per_second=CALLS_PER_SECOND)
    request_shift()
    child = start()
    while world.count_calls() - seen < calls:
        world.children.check()
        time.sleep(0.5)
    made = world.calls()[seen : seen + calls]
    world.children.stop(child)
    return made


@dataclass(frozen=True, kw_only=True)
class Round:
    ours: float
    best: float
    gap_seconds: float  # how long a line is idle between two calls, beyond what the ideal refiller leaves it

    @property
    def ratio(self) -> float:
        return self.ours / self.best


def compare_rounds(name: str, rounds: Sequence[Sequence[LedgerCall]], lines: int, goal: str, who: str) -> Figure:
    """The middle round: its own lengths of calls are what its ideal refiller has."""
    judged = sorted((judge_round(calls, lines) for calls in rounds), key=lambda one: one.ratio)
    middle = judged[len(judged) // 2]
    return Figure(
        name=name,
        value=middle.ratio,
        unit="ratio",
        goal=goal,
        a=middle.ours,
        b=middle.best,
        how=f"share of the lines that {who} keeps busy / an ideal refiller",
        detail=f"{len(rounds[0])} calls a round over {lines} lines, from the start that fills the last line to the "
        f"last start; the middle of the rounds: {', '.join(f'{one.ratio:.4f}' for one in judged)}. A line is idle "
        f"for about {middle.gap_seconds * 1000:.0f} ms between two calls.",
    )


def judge_round(calls: Sequence[LedgerCall], lines: int) -> Round:
    begin = calls[0].started_at
    real = [
        (
            (call.started_at - begin).total_seconds(),
            (call.ended_at - begin).total_seconds() if call.ended_at else float("inf"),
        )
        for call in calls
    ]
    ideal = refill_ideally([end - start for start, end in real], lines, CALLS_PER_SECOND)
    ours, best = share_busy(real, lines), share_busy(ideal, lines)
    idle_seconds = (best - ours) * lines * (real[-1][0] - real[lines - 1][0])
    return Round(ours=ours, best=best, gap_seconds=idle_seconds / (len(calls) - lines))


def refill_ideally(lengths: Sequence[float], lines: int, calls_per_second: float) -> list[Span]:
    """Calls of these lengths in this order, each as soon as a line is free and the rate allows it."""
    free, spans, earliest = [0.0] * lines, [], 0.0
    for length in lengths:
        start = max(heapq.heappop(free), earliest)
        heapq.heappush(free, start + length)
        spans.append((start, start + length))
        earliest = start + 1 / calls_per_second
    return spans


def share_busy(spans: Sequence[Span], lines: int) -> float:
    """The part of the lines that is busy, from the start that fills the last one to the last start."""
    begin, end = spans[lines - 1][0], spans[-1][0]
    busy = sum(max(0.0, min(ended, end) - max(started, begin)) for started, ended in spans)
    return busy / (lines * (end - begin))
