"""What the rate costs: starts per second, as the network sees them arrive, over the calls_per_second allowed.

Lines are never short, and the network queues all calls but the first, so that nothing else decides.
"""

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure
from bench.world import World
from calls.simulator.ledger import LedgerCall, peak_starts_per_second

RATES = (1, 1.5, 5, 20, 50)
SECONDS = 30.0
SETTLE_SECONDS = 2.0
NO_LIMIT = 100_000
QUIET_CALLS = {"CALL_SILENCE_SECONDS": "3600", "CALL_QUEUE_SECONDS": "3600"}


def measure(scale: float) -> Iterator[Figure]:
    seconds = max(8.0, SECONDS * scale)
    with World(Path(tempfile.mkdtemp()), environment=QUIET_CALLS) as world:
        world.start_network(calls_per_second=0.001)
        runs = {rate: _run(world, rate, seconds, schedulers=1) for rate in RATES}
        over = {rate: max(0, peak_starts_per_second(calls) - math.ceil(rate)) for rate, calls in runs.items()}
        for rate, calls in runs.items():
            achieved = _measure_rate(calls)
            detail = f"One scheduler, {len(calls)} calls, at most {peak_starts_per_second(calls)} in any second."
            yield Figure(
                name=f"cps_{rate:g}",
                value=achieved / rate,
                unit="ratio",
                goal=">= 0.97",
                a=achieved,
                b=rate,
                detail=detail,
            )
        yield Figure(
            name="cps_violations",
            value=sum(over.values()),
            unit="calls above the rate in any sliding second",
            goal="<= 0",
            a=sum(over.values()),
            b=sum(map(len, runs.values())),
            detail="One scheduler, all rates; of a rate with a fraction, the next whole number is allowed in a second.",
        )
        rate = 20
        calls = _run(world, rate, seconds, schedulers=3)
        peak, achieved = peak_starts_per_second(calls), _measure_rate(calls)
        detail = f"Three schedulers share {rate} a second; at most {peak} of {len(calls)} arrived in any second."
        yield _compare("cps_three_schedulers", achieved, rate, detail)


def _compare(name: str, achieved: float, rate: float, detail: str) -> Figure:
    ratio = achieved / rate
    return Figure(name=name, value=ratio, unit="ratio", goal=">= 0.97", a=achieved, b=rate, detail=detail)


def _run(world: World, rate: float, seconds: float, *, schedulers: int) -> list[LedgerCall]:
    from bench.people import replace_everybody

    seen = len(world.calls())
    replace_everybody(round(rate * (seconds + 10 * SETTLE_SECONDS)) + 10)
    world.set_limits(lines=NO_LIMIT, calls_per_second=rate)
    children = [world.start_scheduler(f"scheduler-{number}") for number in range(schedulers)]
    while len(world.calls()) == seen:
        world.children.check()
        time.sleep(0.05)
    time.sleep(SETTLE_SECONDS + max(seconds, 15 / rate))
    for child in children:
        world.children.stop(child)
    calls = world.calls()[seen:]
    return [call for call in calls if (call.started_at - calls[0].started_at).total_seconds() > SETTLE_SECONDS - 1]


def _measure_rate(calls: list[LedgerCall]) -> float:
    return (len(calls) - 1) / (calls[-1].started_at - calls[0].started_at).total_seconds()
