"""How calls go on when half of the schedulers are killed, and when the database crashes.

The rate decides how many calls start, and there are lines to spare: with the default settings a call that a killed
scheduler had marked as being placed, and not sent, keeps its line for 690 seconds, until the longest possible call
is over. There may be one such call at a kill; with as many lines as calls it would be in the figure for longer than
the figure is measured.
"""

import signal
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from statistics import median

from bench.figures import Figure, compare
from bench.world import World, open_world
from calls.demo.processes import Child

RATE = 10
LINES = 120
SPEED = 3.0  # calls of about five seconds
SECONDS = 30.0
ROUNDS = 3
SETTLE_SECONDS = 3.0
# The first instant from which so many seconds have 95 % of the starts of before.
WINDOW_SECONDS = 2.0


def set_up() -> AbstractContextManager[World]:
    return open_world()


def measure(world: World, scale: float) -> Iterator[Figure]:
    seconds, rounds = max(8.0, SECONDS * scale), ROUNDS if scale >= 1 else 2
    world.start_web()
    world.start_network(speed=SPEED)
    world.set_limits(lines=LINES, calls_per_second=RATE)
    before, after = [], []
    for _ in range(rounds):
        rates = _kill_half(world, seconds)
        before.append(rates[0])
        after.append(rates[1])
    rounds_text = ", ".join(f"{a:.2f} to {b:.2f}" for a, b in zip(after, before, strict=True))
    yield compare(
        "recovery",
        after,
        before,
        goal=">= 0.95",
        how="calls per second after half of the schedulers were killed / before",
        detail=f"4 run_scheduler, 2 of them killed, {seconds:.0f} s before and after, {RATE} calls a second allowed, "
        f"{LINES} lines of which about half are in use. Rounds: {rounds_text}.",
    )
    times = [_crash_database(world, seconds) for _ in range(rounds)]
    yield Figure(
        name="recovery_database_seconds",
        value=median(times),
        unit="seconds",
        goal="<= 5",
        a=median(times),
        b=0.0,
        how="until 95 % of the calls start again after a crash of the database",
        detail="2 run_scheduler; from when the database, stopped as by a crash, takes connections again to the first "
        f"of {WINDOW_SECONDS:g} seconds with 95 % of the calls. Rounds: {', '.join(f'{one:.2f}' for one in times)}.",
    )


def _kill_half(world: World, seconds: float) -> tuple[float, float]:
    """Calls per second before and after."""
    schedulers = _start(world, 4, seconds)
    time.sleep(seconds)
    now = datetime.now(UTC)
    for child in schedulers[:2]:
        child.process.send_signal(signal.SIGKILL)
    time.sleep(seconds + 0.2)
    starts = _read_starts(world)
    for child in schedulers:
        world.children.stop(child)
    span = timedelta(seconds=seconds)
    return _count(starts, now - span, now) / seconds, _count(starts, now, now + span) / seconds


def _crash_database(world: World, seconds: float) -> float:
    schedulers = _start(world, 2, seconds)
    time.sleep(seconds / 2)
    before = datetime.now(UTC)
    world.postgres.crash()
    world.postgres.start()
    back = datetime.now(UTC)
    time.sleep(seconds / 2 + WINDOW_SECONDS)
    starts = _read_starts(world)
    _forget_connection()
    for child in schedulers:
        world.children.stop(child)
    rate = _count(starts, before - timedelta(seconds=seconds / 2), before) / (seconds / 2)
    return find_return(starts, back, rate)


def find_return(starts: list[datetime], back: datetime, rate: float) -> float:
    """Seconds from ``back`` to the first start of a window with 95 % of the rate; infinite if there is none."""
    window = timedelta(seconds=WINDOW_SECONDS)
    for start in starts:
        if start >= back and _count(starts, start, start + window) >= 0.95 * rate * WINDOW_SECONDS:
            return (start - back).total_seconds()
    return float("inf")


def _start(world: World, schedulers: int, seconds: float) -> list[Child]:
    from bench.people import replace_everybody

    replace_everybody(round(RATE * (3 * seconds + 30)), max_attempts=1)
    children = [world.start_scheduler(f"scheduler-{number}") for number in range(schedulers)]
    seen = world.count_calls()
    while world.count_calls() - seen < RATE * SETTLE_SECONDS:
        world.children.check()
        time.sleep(0.1)
    return children


def _forget_connection() -> None:
    from django.db import connection

    connection.close()


def _read_starts(world: World) -> list[datetime]:
    return sorted(call.started_at for call in world.calls())


def _count(starts: list[datetime], begin: datetime, end: datetime) -> int:
    return bisect_left(starts, end) - bisect_left(starts, begin)
