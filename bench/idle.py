"""How many queries a scheduler and a cluster ask that have nothing to do: PostgreSQL writes down each of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from statistics import median

from bench.figures import Figure
from bench.world import World, open_world
from calls.demo.processes import Child

MINUTES = 3
LEAST_SECONDS = 10.0
SETTLING_SECONDS = 15.0
_STATEMENT = b" LOG:  statement: "


def set_up() -> AbstractContextManager[World]:
    return open_world(postgres_options={"log_statement": "all"})


def measure(world: World, scale: float) -> Iterator[Figure]:
    """Whole minutes, because everything that is done now and then is done once a minute; less than one at a scale
    that asks for less.
    """
    minutes = max(1, round(MINUTES * scale))
    seconds = max(LEAST_SECONDS, min(60.0, 60 * MINUTES * scale))
    world.set_limits(lines=10, calls_per_second=10)
    yield measure_one(world, "idle_scheduler", "run_scheduler", world.start_scheduler, minutes, seconds)
    yield measure_one(world, "idle_cluster", "a qcluster", world.start_cluster, minutes, seconds)


def measure_one(world: World, name: str, who: str, start: Callable[[], Child], minutes: int, seconds: float) -> Figure:
    """``seconds`` is how long a minute is."""
    child = start()
    time.sleep(min(SETTLING_SECONDS, seconds))
    counts = [count_statements(world)]
    for _ in range(minutes):
        time.sleep(seconds)
        counts.append(count_statements(world))
    world.children.check()
    world.children.stop(child)
    by_minute = [after - before for before, after in pairwise(counts)]
    middle = median(by_minute)
    return Figure(
        name=name,
        value=middle / seconds,
        unit="queries/s",
        goal="",
        a=middle,
        b=seconds,
        how=f"statements of {who} with nothing to do / seconds",
        detail="Statements of every kind as PostgreSQL logs them, BEGIN and COMMIT too; one process with its default "
        f"settings, no campaign is running. The middle of its minutes: {', '.join(map(str, by_minute))}."
        + ("" if seconds == 60 else f" A minute had {seconds:g} seconds: what is done once in one may be missing."),
    )


def count_statements(world: World) -> int:
    """Of everybody, since the server was started."""
    return (world.postgres.directory / "server.log").read_bytes().count(_STATEMENT)
