"""How many contacts a second our claim loop takes, against pgbench with the same statements and nothing around them."""

import multiprocessing
import re
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from bench.claim_data import ClaimDatabases, end_calls, set_up_django, vacuum
from bench.figures import Figure, compare
from bench.postgres import BINARIES

BATCH = 50
PROCESSES = (1, 2, 3, 4)
CLIENTS = (1, 2)

# What a claim from a roster asks (calls/claiming.py), all of it prepared, the ids kept in variables in between, and the
# end of the calls as in bench.claim_data.end_calls. What Python puts together on the way, lanes and new attempts, is
# here made from the tables. A client that does not get the lock tries again at once.
_SCRIPT = f"""
BEGIN;
SELECT count(*) AS locked
  FROM (SELECT * FROM calls_providerconfig ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) provider \\gset
\\if :locked
SELECT clock_timestamp();
SELECT id FROM calls_callattempt WHERE id = ANY(:attempts::uuid[]) AND status = 'ended';
SELECT array_agg(id)::text AS ids FROM (
    SELECT head.id, head.phone_number, head.next_attempt_at,
        row_number() OVER (PARTITION BY lane.campaign_id ORDER BY head.next_attempt_at, head.id) AS place
    FROM bench_lane AS lane
    CROSS JOIN LATERAL (
        SELECT contact.id, contact.phone_number, contact.next_attempt_at FROM contacts_contact contact
        WHERE contact.campaign_id = lane.campaign_id AND contact.calling_zone = lane.zone
          AND contact.next_attempt_at IS NOT NULL
          AND contact.phone_number <> ALL ('{{}}'::text[])
        ORDER BY contact.next_attempt_at, contact.id LIMIT {BATCH}
    ) head
) chosen WHERE place <= {BATCH} \\gset
SELECT contact.id, contact.campaign_id, phone_number, calling_zone, attempts_count, campaign.xmin, campaign.ctid,
    EXISTS (SELECT FROM contacts_donotcallentry AS entry WHERE entry.phone_number = contact.phone_number)
  FROM contacts_contact contact JOIN campaigns_campaign campaign ON campaign.id = contact.campaign_id
  WHERE contact.id = ANY(:ids::uuid[]) AND next_attempt_at <= clock_timestamp()
  FOR NO KEY UPDATE OF contact SKIP LOCKED;
UPDATE contacts_contact SET state = 'in_progress', attempts_count = attempts_count + 1, next_attempt_at = NULL,
  updated_at = clock_timestamp() WHERE id = ANY(:ids::uuid[]);
WITH claimed AS (INSERT INTO calls_callattempt (
    id, contact_id, campaign_id, phone_number, attempt_number, call_id, status, outcome, given_back, claimed_at,
    start_at, send_before, check_at, provider_call_id, provider_raw_status, error_code, error_message, metadata)
  SELECT gen_random_uuid(), id, campaign_id, phone_number, attempts_count,
         replace(gen_random_uuid()::text, '-', ''), 'claimed', '', false, clock_timestamp(), clock_timestamp(),
         clock_timestamp() + interval '5 seconds', clock_timestamp() + interval '5 seconds', '', '', '', '', '{{}}'
  FROM contacts_contact WHERE id = ANY(:ids::uuid[]) RETURNING id)
SELECT array_agg(id)::text AS attempts FROM claimed \\gset
UPDATE calls_providerconfig SET next_call_at = clock_timestamp(), paused_until = NULL, claims = claims + 1;
\\endif
COMMIT;
\\if :locked
BEGIN;
UPDATE calls_callattempt SET status = 'ended', outcome = 'failed', given_back = true, ended_at = clock_timestamp()
  WHERE id = ANY(:attempts::uuid[]) RETURNING contact_id;
UPDATE contacts_contact SET state = 'pending', attempts_count = attempts_count - 1, next_attempt_at = clock_timestamp()
  WHERE id = ANY(:ids::uuid[]);
COMMIT;
\\endif
"""


def measure(databases: ClaimDatabases, name: str, *, seconds: float, rounds: int) -> Iterator[Figure]:
    """Our processes and pgbench's clients in turn, round by round, over the database of this name."""
    url = databases.server.url(name)
    databases.server.execute(
        "CREATE TABLE bench_lane AS SELECT DISTINCT campaign_id, calling_zone AS zone FROM contacts_contact", name
    )
    ours: dict[int, list[float]] = {count: [] for count in PROCESSES}
    theirs: dict[int, list[float]] = {count: [] for count in CLIENTS}
    databases.use(name)
    for _ in range(rounds):
        vacuum("contacts_contact", "calls_callattempt", "calls_providerconfig")
        for count in PROCESSES:
            ours[count].append(_run_schedulers(url, count, seconds))
        for count in CLIENTS:
            theirs[count].append(_run_pgbench(url, count, seconds))
    best = max(ours.values(), key=median)
    limit = max(theirs.values(), key=median)
    said = ", ".join(f"{count}: {median(rates):,.0f}" for count, rates in ours.items())
    yield compare(
        "claim_limit",
        best,
        limit,
        goal=">= 0.5",
        how="contacts claimed per second / pgbench with the same statements",
        detail=f"In batches of {BATCH}, calls ended at once, {rounds} rounds of {seconds:g} s each. Ours by processes: "
        f"{said}. Of pgbench the best of {' and '.join(map(str, CLIENTS))} clients.",
    )
    yield compare(
        "claim_limit_4_processes",
        ours[4],
        ours[1],
        goal=">= 1.0",
        how="contacts claimed per second by 4 processes / by one",
        detail="Of the rounds of claim_limit.",
    )


def _run_schedulers(url: str, processes: int, seconds: float) -> float:
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as directory, spawn.Manager() as manager:
        start = manager.Barrier(processes)
        with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
            counts = [pool.submit(_claim_for, url, directory, start, seconds) for _ in range(processes)]
            return sum(count.result() for count in counts)


def _claim_for(url: str, directory: str, start: "multiprocessing.synchronize.Barrier", seconds: float) -> float:
    """One scheduler's claims; returns its contacts a second."""
    set_up_django(url, Path(directory))
    from calls.claiming import Reason, claim_calls
    from calls.clock import DatabaseClock
    from calls.roster import Roster
    from calls.scheduler import LOCKED_RETRY

    clock, roster = DatabaseClock(), Roster()

    def claim() -> int:
        claim = claim_calls(max_concurrent_calls=None, batch_size=BATCH, room=BATCH, clock=clock, roster=roster)
        if claim.blocked == Reason.LOCKED:
            sleep(LOCKED_RETRY.total_seconds())  # as a scheduler's loop does: another one is filling the lines
        if claim.attempts:
            end_calls([attempt.pk for attempt in claim.attempts])
        return len(claim.attempts)

    claim()
    start.wait(60)
    began = perf_counter()
    claimed = 0
    while perf_counter() - began < seconds:
        claimed += claim()
    return claimed / (perf_counter() - began)


def _run_pgbench(url: str, clients: int, seconds: float) -> float:
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "claim.sql"
        script.write_text(_SCRIPT)
        arguments = [
            "--no-vacuum",
            "--protocol=prepared",
            f"--file={script}",
            f"--client={clients}",
            f"--jobs={clients}",
        ]
        counted = "SELECT claims FROM calls_providerconfig"
        before = _ask(url, counted)
        began = perf_counter()
        subprocess.run(
            [BINARIES / "pgbench", *arguments, "--define=attempts={}", f"--time={max(1, round(seconds))}", url],
            check=True,
            capture_output=True,
            text=True,
        )
        return (_ask(url, counted) - before) * BATCH / (perf_counter() - began)


def _ask(url: str, query: str) -> int:
    answer = subprocess.run([BINARIES / "psql", "-At", "-c", query, url], check=True, capture_output=True, text=True)
    return int(re.sub(r"\D", "", answer.stdout))
