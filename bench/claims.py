"""Claiming: whether a claim costs the same whatever waits behind it, or lies dead before it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING

from bench.claim_data import OFFICE_HOURS, ClaimDatabases, Filling, vacuum
from bench.figures import Figure, compare

if TYPE_CHECKING:
    from calls.roster import Roster

BATCH = 50
CONTACTS = 10_000_000
ROUNDS = 5
CLAIMS_PER_ROUND = 60


def measure_scale(scale: float) -> Iterator[Figure]:
    largest = int(CONTACTS * scale)
    sizes = sorted({largest, *(size for size in (10_000, 100_000, 1_000_000) if size < largest)})
    with _open_databases() as databases:
        for size in sizes:
            databases.create(f"contacts_{size}", Filling(contacts=size))
        times = _time_in_turn(databases, [f"contacts_{size}" for size in sizes])
    medians = ", ".join(
        f"{size:,} contacts {median(taken):.1f} ms (p99 {_p99(taken):.1f})"
        for size, taken in zip(sizes, times.values(), strict=True)
    )
    detail = f"p50 of a claim of {BATCH}, in ms; {medians}"
    small, large = times[f"contacts_{sizes[0]}"], times[f"contacts_{largest}"]
    yield compare("claim_scale", large, small, goal="<= 1.10", detail=detail)
    yield Figure(
        name="claim_scale_p99",
        value=_p99(large) / _p99(small),
        unit="ratio",
        goal="<= 1.5",
        a=_p99(large),
        b=_p99(small),
        detail=f"p99 of the same, {len(large)} claims each",
    )


def measure_adversarial(scale: float) -> Iterator[Figure]:
    contacts = int(CONTACTS * scale)
    hard = Filling(contacts=contacts, campaigns=1000, hours=OFFICE_HOURS, closed_share=0.9, listed_share=0.5)
    with _open_databases() as databases:
        databases.create("hard", hard)
        databases.create("clean", Filling(contacts=contacts))
        times = _time_in_turn(databases, ["hard", "clean"])
    yield compare(
        "claim_adversarial",
        times["hard"],
        times["clean"],
        goal="<= 1.25",
        detail=f"p50 of a claim of {BATCH}, in ms, {contacts:,} contacts; p99 {_p99(times['hard']):.0f} and "
        f"{_p99(times['clean']):.0f}: the roster of 1,000 campaigns is read anew every 2 seconds",
    )


def measure_bloat(scale: float) -> Iterator[Figure]:
    claims = int(120_000 * scale)
    with _open_databases() as databases:
        for name in ("held", "vacuumed"):
            databases.create(name, Filling(contacts=max(20_000, int(CONTACTS * scale / 10))))
        holder = databases.server.connect("held")
        holder.autocommit = False
        try:
            with holder.cursor() as cursor:
                cursor.execute("SET idle_in_transaction_session_timeout = 0")
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT count(*) FROM contacts_contact WHERE false")
                for name in ("held", "vacuumed"):
                    databases.use(name)
                    _claim_many(claims)
                times = _time_in_turn(databases, ["held", "vacuumed"])
        finally:
            holder.close()
    yield compare(
        "claim_bloat",
        times["held"],
        times["vacuumed"],
        goal="<= 1.5",
        detail=f"p50 of a claim of {BATCH}, in ms, after {claims:,} contacts were claimed beside a transaction with an "
        f"old snapshot; p99 {_p99(times['held']):.0f} and {_p99(times['vacuumed']):.0f}",
    )


def measure_limit(scale: float) -> Iterator[Figure]:
    from bench.claim_limit import measure

    with _open_databases() as databases:
        databases.create("claim_limit", Filling(contacts=max(200_000, int(CONTACTS * scale))))
        yield from measure(databases, seconds=max(2.0, 10 * scale), rounds=3)


def time_claim(roster: "Roster") -> float:
    """The milliseconds of one claim, its commit included; afterwards everybody it took waits again."""
    from calls.claiming import claim_calls
    from calls.clock import DatabaseClock

    started = perf_counter()
    claim = claim_calls(max_concurrent_calls=None, batch_size=BATCH, room=BATCH, clock=DatabaseClock(), roster=roster)
    milliseconds = (perf_counter() - started) * 1000
    if len(claim.attempts) != BATCH:
        raise RuntimeError(f"{len(claim.attempts)} were claimed instead of {BATCH}: {claim.blocked or claim.reasons}")
    end_calls([attempt.pk for attempt in claim.attempts])
    return milliseconds


def end_calls(attempts: Sequence[object]) -> None:
    """As if each had been given back: its contact is due again, behind all the others."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE calls_callattempt SET status = 'ended', outcome = 'failed', given_back = true, "
            "ended_at = clock_timestamp() WHERE id = ANY(%s) RETURNING contact_id",
            [attempts],
        )
        contacts = [contact for (contact,) in cursor.fetchall()]
        cursor.execute(
            "UPDATE contacts_contact SET state = 'pending', attempts_count = attempts_count - 1, "
            "next_attempt_at = clock_timestamp() WHERE id = ANY(%s)",
            [contacts],
        )


@contextmanager
def _open_databases() -> Iterator[ClaimDatabases]:
    with tempfile.TemporaryDirectory(prefix="surveycalls-bench-") as directory:
        Path(directory).chmod(0o755)  # PostgreSQL runs as another user
        with ClaimDatabases(Path(directory) / "postgres") as databases:
            yield databases


def _time_in_turn(databases: ClaimDatabases, names: Sequence[str]) -> dict[str, list[float]]:
    """Claim by claim in one database after the other, so that what disturbs the machine disturbs all of them."""
    from calls.roster import Roster

    rosters = {name: Roster() for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            databases.use(name)
            vacuum("contacts_contact", "calls_callattempt")
            for _ in range(3):
                time_claim(rosters[name])
        for number in range(CLAIMS_PER_ROUND):
            for name in names if number % 2 else reversed(names):
                databases.use(name)
                times[name].append(time_claim(rosters[name]))
    return times


def _claim_many(contacts: int) -> None:
    from calls.roster import Roster

    roster = Roster()
    for _ in range(contacts // BATCH):
        time_claim(roster)


def _p99(times: Sequence[float]) -> float:
    return quantiles(times, n=100)[98]
