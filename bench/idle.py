"""How many queries a scheduler and a cluster ask that have nothing to do: PostgreSQL writes down each of them."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.figures import Figure
from bench.world import World
from calls.demo.processes import Child

MINUTES = 5
SETTLING_SECONDS = 15.0
_STATEMENT = b" LOG:  statement: "


def measure(scale: float) -> Iterator[Figure]:
    """Whole minutes, because everything that is done now and then is done once a minute."""
    seconds = 60.0 * max(1, round(MINUTES * scale))
    with World(Path(tempfile.mkdtemp()), postgres_options={"log_statement": "all"}) as world:
        world.set_limits(lines=10, calls_per_second=10)
        for name, start in [("idle_scheduler", world.start_scheduler), ("idle_cluster", world.start_cluster)]:
            yield measure_one(world, name, start, seconds)


def measure_one(world: World, name: str, start: Callable[[], Child], seconds: float) -> Figure:
    child = start()
    time.sleep(SETTLING_SECONDS)
    before, begin = count_statements(world), time.monotonic()
    time.sleep(seconds)
    statements, passed = count_statements(world) - before, time.monotonic() - begin
    world.children.check()
    world.children.stop(child)
    return Figure(
        name=name,
        value=statements / passed,
        unit="queries/s",
        goal="",
        a=statements,
        b=passed,
        detail=f"{statements} statements of every kind, BEGIN and COMMIT too, in {passed:.0f} seconds.",
    )


def count_statements(world: World) -> int:
    """Of everybody, since the server was started."""
    return (world.postgres.directory / "server.log").read_bytes().count(_STATEMENT)
