"""The share of the lines that is kept busy, against a refiller that knows of a free line at the instant it is free.

Measured from the start of the call that fills the last line to the last start that is looked at, when there are
still more contacts than lines: neither the ramp-up, which is the rate's, nor the tail is in it. The ideal refiller has
calls of the same lengths in the same order, as many lines and the same calls_per_second, and is measured between the
same two calls.
"""

import heapq
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from bench.figures import Figure
from bench.world import World
from calls.demo.processes import Child
from calls.simulator.ledger import LedgerCall

CALLS_PER_SECOND = 20
FILLS = 7  # so many times as many calls as lines
NATURAL_SECONDS = 17.0  # what the simulated people's calls last on average at speed 1

Span = tuple[float, float]  # the start and the end of a call, in seconds


@dataclass(frozen=True, kw_only=True)
class Course:
    mean_seconds: float
    lines: int
    goal: str


COURSES = {
    "30s": Course(mean_seconds=30, lines=60, goal=">= 0.995"),
    "5s": Course(mean_seconds=5, lines=30, goal=">= 0.98"),
}


def measure(scale: float) -> Iterator[Figure]:
    fills = max(3.0, FILLS * scale)
    with World(Path(tempfile.mkdtemp())) as world:
        world.start_web()
        for name, course in COURSES.items():
            network = world.start_network(speed=NATURAL_SECONDS / course.mean_seconds)
            for prefix, goal, start in (
                ("", course.goal, world.start_scheduler),
                ("qcluster_", ">= 0.98", lambda: world.start_cluster(QCLUSTER_WORKERS="2")),
            ):
                calls = _run(world, course.lines, round(course.lines * fills), start)
                yield _compare(f"utilisation_{prefix}{name}", calls, course.lines, goal)
            world.children.stop(network)


def _run(world: World, lines: int, calls: int, start: Callable[[], Child]) -> list[LedgerCall]:
    """The first so many calls of a campaign; the last ones have not ended."""
    from bench.people import replace_everybody
    from calls.shifts import request_shift

    seen = len(world.calls())
    replace_everybody(calls + 3 * lines, max_attempts=1)
    world.set_limits(lines=lines, calls_per_second=CALLS_PER_SECOND)
    request_shift()
    child = start()
    while len(world.calls()) - seen < calls:
        world.children.check()
        time.sleep(0.5)
    made = world.calls()[seen : seen + calls]
    world.children.stop(child)
    return made


def _compare(name: str, calls: Sequence[LedgerCall], lines: int, goal: str) -> Figure:
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
    ended = [end - start for start, end in real if end < float("inf")]
    gap = (1 - ours / best) * fmean(ended)
    return Figure(
        name=name,
        value=ours / best,
        unit="ratio",
        goal=goal,
        a=ours,
        b=best,
        detail=f"{len(calls)} calls over {lines} lines, {fmean(ended):.1f} s on average; a line is idle for about "
        f"{gap * 1000:.0f} ms between two of them.",
    )


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
