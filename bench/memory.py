"""How much memory a scheduler at work holds: with many contacts against few, and after a long time against before."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.figures import Figure, compare
from bench.world import SHORT_CALLS, World
from calls.demo.processes import Child

FEW, MANY = 10_000, 10_000_000
WORK_SECONDS = 120.0
SOAK_SECONDS = 1800.0
EVERY_SECONDS = 1.0
LINES, CALLS_PER_SECOND, SPEED = 50, 10, 20

Reading = tuple[float, float]  # seconds since the start, megabytes


def measure(scale: float) -> Iterator[Figure]:
    """The contacts wait in 40 lanes, of ten campaigns in four zones; all the time there are calls to place and end."""
    many = max(5 * FEW, round(MANY * scale))
    work, soak = max(30.0, WORK_SECONDS * scale), max(60.0, SOAK_SECONDS * scale)
    with World(Path(tempfile.mkdtemp()), environment=SHORT_CALLS) as world:
        world.set_limits(lines=LINES, calls_per_second=CALLS_PER_SECOND)
        world.start_network(speed=SPEED)
        world.start_web()
        make_contacts(FEW)
        with_few = work_for(world, work)
        make_contacts(many)
        with_many = work_for(world, soak)
    yield compare(
        "memory",
        [size for seconds, size in with_many if work / 3 < seconds < work],
        [size for seconds, size in with_few if seconds > work / 3],
        goal="<= 1.05",
        detail=f"Resident megabytes at work for {work:.0f} seconds, {many:,} contacts against {FEW:,}.",
    )
    middle, last = (
        [size for seconds, size in with_many if begin <= seconds / soak < end]
        for begin, end in [(1 / 3, 2 / 3), (2 / 3, 1)]
    )
    slope = find_slope([reading for reading in with_many if reading[0] >= soak / 3]) * 3600
    yield compare(
        "memory_soak",
        last,
        middle,
        goal="<= 1.02",
        detail=f"Last third against middle third of {soak:.0f} seconds; {slope:+.2f} MB an hour after the first.",
    )


def work_for(world: World, seconds: float) -> list[Reading]:
    """What a new scheduler held each second. Raises TooQuiet when it had nothing to do."""
    placed = len(world.calls())
    child = world.start_scheduler()
    begin = time.monotonic()
    readings = []
    while (passed := time.monotonic() - begin) < seconds:
        world.children.check()
        readings.append((passed, read_resident(child)))
        time.sleep(EVERY_SECONDS)
    world.children.stop(child)
    if len(world.calls()) - placed < seconds:
        raise TooQuiet(f"{len(world.calls()) - placed} calls in {seconds:.0f} seconds")
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


def make_contacts(contacts: int) -> None:
    """Nobody is left of those before; all are due, in the order of their numbers."""
    from django.db import connection

    from campaigns.tests.factories import CampaignFactory

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE calls_callattempt, contacts_contact, campaigns_campaign CASCADE")
        campaigns = [campaign.pk for campaign in CampaignFactory.create_batch(10, max_attempts=1)]
        cursor.execute(
            """
            INSERT INTO contacts_contact (id, campaign_id, phone_number, calling_zone, state, attempts_count,
                external_contact_id, email, preferred_language, has_prior_consent, do_not_call, number_rejected,
                last_outcome, next_attempt_at, created_at, updated_at)
            SELECT gen_random_uuid(), (%s::uuid[])[1 + n %% 10], '+44' || lpad(n::text, 10, '0'),
                (ARRAY['UTC', 'Europe/Rome', 'Europe/London', 'America/New_York'])[1 + n / 10 %% 4], 'pending', 0,
                '', '', 'auto', false, false, false, '', now() - interval '1 day' + n * interval '1 millisecond',
                now(), now()
            FROM generate_series(0, %s) AS n
            """,
            [campaigns, contacts - 1],
        )
        cursor.execute("VACUUM ANALYZE contacts_contact")
