"""How much memory a scheduler at work holds: with many contacts against few, and after a long time against before."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from bench.claim_data import LARGE_SERVER, Filling, fill_database
from bench.figures import Figure, compare
from bench.world import SHORT_CALLS, World, open_world
from calls.demo.processes import Child

FEW, MANY = 10_000, 10_000_000
CAMPAIGNS = 10
WORK_SECONDS = 120.0
SOAK_SECONDS = 1800.0
EVERY_SECONDS = 1.0
LINES, CALLS_PER_SECOND, SPEED = 50, 10, 20

Reading = tuple[float, float]  # seconds since the start, megabytes


def set_up() -> AbstractContextManager[World]:
    return open_world(environment=SHORT_CALLS, postgres_options=LARGE_SERVER)


def measure(world: World, scale: float) -> Iterator[Figure]:
    many, work = scale_contacts(scale), max(20.0, WORK_SECONDS * scale)
    with_few, with_many = (work_for(world, contacts, work) for contacts in (FEW, many))
    yield compare(
        "memory",
        [size for seconds, size in with_many if seconds > work / 3],
        [size for seconds, size in with_few if seconds > work / 3],
        goal="<= 1.05",
        how=f"resident MB of run_scheduler: {many:,} contacts / {FEW:,}",
        detail=f"{_describe()} One round: read each second of {work:.0f}, without the first third.",
    )


def measure_soak(world: World, scale: float) -> Iterator[Figure]:
    many, soak = scale_contacts(scale), max(30.0, SOAK_SECONDS * scale)
    readings = work_for(world, many, soak)
    middle, last = (
        [size for seconds, size in readings if begin <= seconds / soak < end]
        for begin, end in [(1 / 3, 2 / 3), (2 / 3, 1)]
    )
    slope = find_slope([reading for reading in readings if reading[0] >= soak / 3]) * 3600
    yield compare(
        "memory_soak",
        last,
        middle,
        goal="<= 1.02",
        how=f"resident MB of run_scheduler: last third of {soak / 60:g} minutes / middle third",
        detail=f"{_describe()} One round, with {many:,} contacts, read each second: {slope:+.2f} MB an hour after the "
        "first third.",
    )


def scale_contacts(scale: float) -> int:
    return max(5 * FEW, round(MANY * scale))


def _describe() -> str:
    return (
        f"A new scheduler, at work all the time with calls that start and end, {CALLS_PER_SECOND} a second over "
        f"{LINES} lines; all contacts are due, in {CAMPAIGNS} campaigns."
    )


def work_for(world: World, contacts: int, seconds: float) -> list[Reading]:
    """What a new scheduler held each second. Raises TooQuiet when it had nothing to do."""
    start_services(world)
    provide_contacts(contacts)
    world.set_limits(lines=LINES, calls_per_second=CALLS_PER_SECOND)
    placed = world.count_calls()
    child = world.start_scheduler()
    begin = time.monotonic()
    readings = []
    while (passed := time.monotonic() - begin) < seconds:
        world.children.check()
        readings.append((passed, read_resident(child)))
        time.sleep(EVERY_SECONDS)
    world.children.stop(child)
    if world.count_calls() - placed < seconds:
        raise TooQuiet(f"{world.count_calls() - placed} calls in {seconds:.0f} seconds")
    return readings


class TooQuiet(Exception):
    """The scheduler was not at work while it was measured."""


def read_resident(child: Child) -> float:
    """Megabytes."""
    lines = Path(f"/proc/{child.process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def find_slope(readings: Sequence[Reading]) -> float:
    """Megabytes a second, by Theil and Sen: the median over pairs, which no single jump can bend."""
    half = len(readings) // 2
    pairs = zip(readings[:half], readings[half:], strict=False)
    return median((size - before) / (later - earlier) for (earlier, before), (later, size) in pairs)


def start_services(world: World) -> None:
    """What both families need, and the first of them starts."""
    if not world.network_url:
        world.start_network(speed=SPEED)
        world.start_web()


def provide_contacts(contacts: int) -> None:
    """So many, all of them due but those who were rung before; loaded unless they are there already."""
    from django.db import connection

    from contacts.models import Contact

    if Contact.objects.count() == contacts:
        return
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE calls_callattempt, contacts_contact, campaigns_campaign CASCADE")
    fill_database(Filling(contacts=contacts, campaigns=CAMPAIGNS))
