"""What the rate costs: starts per second, as the network sees them arrive, over the calls_per_second allowed.

Lines are never short, and the network queues all calls but the first, so that nothing else decides. Violations are
counted among the arrivals as they are, although a request may have been slow on its way and the next one quick: what
the provider sees is what it holds against us.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from statistics import median

from bench.faults.reckoning import find_too_soon
from bench.figures import Figure, compare
from bench.world import NO_LIMIT, QUEUE_ALL_CALLS, QUIET_CALLS, World, open_world
from calls.simulator.ledger import LedgerCall

RATES = (1, 1.5, 5, 20, 50)
SHARED_RATE, SHARERS = 20, 3
ROUNDS = 3
SECONDS = 10.0
SETTLE_SECONDS = 2.0
FEWEST_CALLS = 12  # of a round, so that a low rate is measured too

Rounds = Sequence[list[LedgerCall]]


def set_up() -> AbstractContextManager[World]:
    return open_world(environment=QUIET_CALLS)


def measure(world: World, scale: float) -> Iterator[Figure]:
    seconds = max(2.0, SECONDS * scale)
    world.start_network(calls_per_second=QUEUE_ALL_CALLS)
    alone: dict[float, list[list[LedgerCall]]] = {rate: [] for rate in RATES}
    shared: list[list[LedgerCall]] = []
    for _ in range(ROUNDS):
        for rate, rounds in alone.items():
            rounds.append(_run(world, rate, seconds, schedulers=1))
        shared.append(_run(world, SHARED_RATE, seconds, schedulers=SHARERS))
    for rate, rounds in alone.items():
        yield compare_rates(f"cps_{rate:g}", rate, rounds, "one scheduler")
    yield compare_rates("cps_three_schedulers", SHARED_RATE, shared, "three schedulers")
    yield count_violations("cps_violations", alone, "one scheduler")
    yield count_violations("cps_three_schedulers_violations", {SHARED_RATE: shared}, "three schedulers")


def compare_rates(name: str, rate: float, rounds: Rounds, who: str) -> Figure:
    rates = [measure_rate(calls) for calls in rounds]
    return compare(
        name,
        rates,
        [rate],
        goal=">= 0.97",
        how=f"starts per second of {who} / calls_per_second",
        detail=f"Calls per second in the rounds: {', '.join(f'{one:.3f}' for one in rates)}; "
        f"{median(map(len, rounds)):.0f} calls a round, the first {SETTLE_SECONDS:g} seconds left out.",
    )


def count_violations(name: str, runs: Mapping[float, Rounds], who: str) -> Figure:
    """Over all rounds of all rates."""
    calls = sum(len(one) for rounds in runs.values() for one in rounds)
    excesses = [excess for rate, rounds in runs.items() for one in rounds for excess in find_excesses(rate, one)]
    worst = f" {max(excesses) * 1000:.1f} ms too soon was the worst." if excesses else ""
    rates = ", ".join(f"{rate:g}" for rate in runs)
    return Figure(
        name=name,
        value=len(excesses),
        unit="calls",
        goal="<= 0",
        a=len(excesses),
        b=calls,
        how=f"calls of {who} that arrived too soon, of all",
        detail=f"All rounds, from the first call on, at {rates} calls a second.{worst} Too soon is a call less than "
        "a second behind the one as many places before it as calls are allowed in a second; of a rate r with a "
        "fraction, less than ceil(r) / r seconds. These are arrivals as the network noted them, with no allowance for "
        "their way.",
    )


def find_excesses(rate: float, calls: list[LedgerCall]) -> list[float]:
    """By how many seconds each call came too soon that did."""
    window = math.ceil(rate) / rate
    instants = [call.started_at for call in calls]
    found = find_too_soon(instants, [rate], lambda *_: rate)
    return [window - (instants[last] - instants[first]).total_seconds() for first, last, _ in found]


def measure_rate(calls: list[LedgerCall]) -> float:
    settled = calls[0].started_at + timedelta(seconds=SETTLE_SECONDS)
    starts = [call.started_at for call in calls if call.started_at >= settled]
    return (len(starts) - 1) / (starts[-1] - starts[0]).total_seconds()


def _run(world: World, rate: float, seconds: float, *, schedulers: int) -> list[LedgerCall]:
    """The calls of a campaign of so many seconds, from its first one on."""
    from bench.people import replace_everybody

    seen = world.count_calls()
    seconds = SETTLE_SECONDS + max(seconds, FEWEST_CALLS / rate)
    replace_everybody(round(rate * (seconds + 10)) + 10)
    world.set_limits(lines=NO_LIMIT, calls_per_second=rate)
    children = [world.start_scheduler(f"scheduler-{number}") for number in range(schedulers)]
    while world.count_calls() == seen:
        world.children.check()
        time.sleep(0.05)
    time.sleep(seconds)
    for child in children:
        world.children.stop(child)
    return world.calls()[seen:]
