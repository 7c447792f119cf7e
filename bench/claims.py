"""Claiming: whether a claim costs the same whatever waits behind it, or lies dead before it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from bench import claim_limit
from bench.claim_data import OFFICE_HOURS, ClaimDatabases, Filling, count_taken_out, end_calls, vacuum
from bench.figures import Figure, compare

if TYPE_CHECKING:
    from calls.roster import Roster

BATCH = 50
CONTACTS = 10_000_000
ROUNDS = 5
CLAIMS_PER_ROUND = 60
CLAIMS_PER_TURN = 10
LIMIT_ROUNDS, LIMIT_SECONDS = 3, 8
SLIPPED_SHARE = 0.002


class Timing(NamedTuple):
    milliseconds: float
    missing: int  # of the batch, because they were on the do-not-call list


@contextmanager
def set_up() -> Iterator[ClaimDatabases]:
    with tempfile.TemporaryDirectory(prefix="surveycalls-bench-") as directory:
        Path(directory).chmod(0o755)  # PostgreSQL runs as another user
        with ClaimDatabases(Path(directory) / "postgres") as databases:
            yield databases


def measure_scale(databases: ClaimDatabases, scale: float) -> Iterator[Figure]:
    largest = int(CONTACTS * scale)
    sizes = sorted({largest, *(size for size in (10_000, 100_000, 1_000_000) if size < largest)})
    names = [provide_clean(databases, size) for size in sizes]
    times = _time_in_turn(databases, names)
    medians = ", ".join(
        f"{size:,} contacts {_p50(times[name]):.1f} (p99 {_p99(times[name]):.1f})"
        for size, name in zip(sizes, names, strict=True)
    )
    small, large = times[names[0]], times[names[-1]]
    yield compare(
        "claim_scale",
        _milliseconds(large),
        _milliseconds(small),
        goal="<= 1.10",
        how=f"p50 of a claim of {BATCH}, ms: {largest:,} contacts / {sizes[0]:,}",
        detail=f"{_describe(large)} In ms: {medians}.",
    )
    yield Figure(
        name="claim_scale_p99",
        value=_p99(large) / _p99(small),
        unit="ratio",
        goal="<= 1.5",
        a=_p99(large),
        b=_p99(small),
        how=f"p99 of the same, ms: {largest:,} contacts / {sizes[0]:,}",
        detail="Of the claims of claim_scale.",
    )


def measure_adversarial(databases: ClaimDatabases, scale: float) -> Iterator[Figure]:
    contacts = int(CONTACTS * scale)
    hard = Filling(
        contacts=contacts,
        campaigns=1000,
        hours=OFFICE_HOURS,
        closed_share=0.9,
        listed_share=0.5 - SLIPPED_SHARE,
        slipped_share=SLIPPED_SHARE,
    )
    databases.provide("hard", hard)
    clean = provide_clean(databases, contacts)
    times = _time_in_turn(databases, ["hard", clean])
    hard_times, clean_times = times["hard"], times[clean]
    yield compare(
        "claim_adversarial",
        _milliseconds(hard_times),
        _milliseconds(clean_times),
        goal="<= 1.25",
        how=f"p50 of a claim of {BATCH}, ms: the hardest data / clean data",
        detail=f"{_describe(hard_times)} {contacts:,} contacts on either side. Hard: 1,000 running campaigns, 90 % of "
        "the contacts in zones that are closed, 50 % on the do-not-call list; clean: one campaign that may ring all of "
        "them. Adding an entry excludes its contacts, so no claim meets them any more; but of "
        f"{SLIPPED_SHARE:.1%} of the contacts there is an entry and they wait all the same, until a claim meets them. "
        f"{_describe_met(hard_times)} p99 {_p99(hard_times):.0f} and {_p99(clean_times):.0f} ms: the roster of 1,000 "
        "campaigns is read anew every 2 seconds.",
    )


def measure_bloat(databases: ClaimDatabases, scale: float) -> Iterator[Figure]:
    contacts = int(120_000 * scale)
    for name in ("held", "vacuumed"):
        databases.provide(name, Filling(contacts=max(20_000, int(CONTACTS * scale / 10))))
    holder = databases.server.connect("held")
    holder.autocommit = False
    try:
        with holder.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = 0")
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM contacts_contact WHERE false")
            for name in ("held", "vacuumed"):
                databases.use(name)
                _claim_many(contacts)
            times = _time_in_turn(databases, ["held", "vacuumed"])
    finally:
        holder.close()
    held, vacuumed = times["held"], times["vacuumed"]
    yield compare(
        "claim_bloat",
        _milliseconds(held),
        _milliseconds(vacuumed),
        goal="<= 1.5",
        how=f"p50 of a claim of {BATCH}, ms: beside an old transaction / without",
        detail=f"{_describe(held)} Before that, {contacts:,} contacts were claimed, {BATCH} at a time, on either side: "
        "on one beside a transaction whose snapshot keeps vacuum from removing what they left behind. "
        f"p99 {_p99(held):.0f} and {_p99(vacuumed):.0f} ms.",
    )


def measure_limit(databases: ClaimDatabases, scale: float) -> Iterator[Figure]:
    name = provide_clean(databases, max(200_000, int(CONTACTS * scale)))
    yield from claim_limit.measure(databases, name, seconds=max(2.0, LIMIT_SECONDS * scale), rounds=LIMIT_ROUNDS)


def provide_clean(databases: ClaimDatabases, contacts: int) -> str:
    """One campaign that may ring everybody at once; returns the database's name."""
    name = f"clean_{contacts}"
    databases.provide(name, Filling(contacts=contacts))
    return name


def time_claim(roster: "Roster") -> Timing:
    """One claim, its commit included; afterwards everybody it took waits again."""
    from calls.claiming import claim_calls
    from calls.clock import DatabaseClock

    started = perf_counter()
    claim = claim_calls(max_concurrent_calls=None, batch_size=BATCH, room=BATCH, clock=DatabaseClock(), roster=roster)
    milliseconds = (perf_counter() - started) * 1000
    end_calls([attempt.pk for attempt in claim.attempts])
    return Timing(milliseconds, BATCH - len(claim.attempts))


def _time_in_turn(databases: ClaimDatabases, names: Sequence[str]) -> dict[str, list[Timing]]:
    """A few claims in one database after the other, so that what disturbs the machine disturbs all of them.

    More than one at a time, because a scheduler claims from the same database again and again: what its last claim has
    touched is near.

    Raises RuntimeError when a claim took fewer than it should have.
    """
    from calls.roster import Roster

    rosters = {name: Roster() for name in names}
    times: dict[str, list[Timing]] = {name: [] for name in names}
    missing = dict.fromkeys(names, 0)
    for _ in range(ROUNDS):
        for name in names:
            databases.use(name)
            vacuum("contacts_contact", "calls_callattempt")
            missing[name] += sum(time_claim(rosters[name]).missing for _ in range(3))
        for turn in range(CLAIMS_PER_ROUND // CLAIMS_PER_TURN):
            for name in names if turn % 2 else reversed(names):
                databases.use(name)
                times[name] += [time_claim(rosters[name]) for _ in range(CLAIMS_PER_TURN)]
    for name in names:
        databases.use(name)
        missing[name] += sum(timing.missing for timing in times[name])
        if missing[name] and missing[name] != count_taken_out():
            raise RuntimeError(
                f"{missing[name]} are missing in {name} of the batches, not all for the do-not-call list"
            )
    return times


def _claim_many(contacts: int) -> None:
    from calls.roster import Roster

    roster = Roster()
    for _ in range(contacts // BATCH):
        time_claim(roster)


def _describe(timings: Sequence[Timing]) -> str:
    turns = f"{CLAIMS_PER_TURN} at a time in turn, in {ROUNDS} rounds with a vacuum before each"
    return f"{len(timings)} claims in each database, {turns}."


def _describe_met(timings: Sequence[Timing]) -> str:
    met = [timing for timing in timings if timing.missing]
    if not met:
        return "None of these claims met anybody of them."
    taken_out = sum(timing.missing for timing in met)
    return f"{len(met)} of these claims met {taken_out} of them and took them out, in {_p50(met):.1f} ms (p50)."


def _milliseconds(timings: Sequence[Timing]) -> list[float]:
    return [timing.milliseconds for timing in timings]


def _p50(timings: Sequence[Timing]) -> float:
    return median(_milliseconds(timings))


def _p99(timings: Sequence[Timing]) -> float:
    return quantiles(_milliseconds(timings), n=100)[98]
