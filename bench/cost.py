"""What one call costs the database, and how many of them this machine's disk could commit.

    make cost ARGS="--contacts 1000"

Runs a campaign with the whole product over a PostgreSQL of its own, which logs every statement, and divides by the
calls. The last line is one JSON object.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.interruption import end_at_signals
from bench.postgres import BINARIES
from bench.world import DATABASE, SHORT_CALLS, World

QUESTIONS = 5
LINES = 40
CALLS_PER_SECOND = 60
SPEED = 60.0
PATIENCE_SECONDS = 300

# To answer all questions; the short calls' two seconds, at this speed, hang up on everybody.
LONG_ENOUGH = {"CALL_TIME_LIMIT_SECONDS": "600", "CALL_RING_TIMEOUT_SECONDS": "30", "CALL_SILENCE_SECONDS": "30"}

# Who asked, by PGAPPNAME; this script's own statements are nobody's.
ROLES = ("scheduler", "web")
_STATEMENT = re.compile(rf"^({'|'.join(ROLES)}):LOG:  statement: (\w+)", re.MULTILINE)

# What is counted; the rest is the queue's and the admin's.
TABLES = (
    "calls_callattempt",
    "calls_answer",
    "calls_surveyevent",
    "contacts_contact",
    "calls_providerconfig",
    "campaigns_campaign",
)
SETTLE_SECONDS = 2
COMMIT_SECONDS = 5
_COMMIT_SCRIPT = "\\set id random(1, 1000)\nUPDATE commit_speed SET n = n + 1 WHERE id = :id;\n"


def measure(contacts: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="surveycalls-cost-") as directory:
        options = {"log_statement": "all", "log_line_prefix": "%a:", "checkpoint_timeout": "1h"}
        with World(Path(directory), environment={**SHORT_CALLS, **LONG_ENOUGH}, postgres_options=options) as world:
            return {**_measure_campaign(world, contacts, seed), **_measure_commits(world)}


def _measure_campaign(world: World, contacts: int, seed: int) -> dict[str, Any]:
    from django.db import connections

    from calls.events.models import SurveyEvent
    from calls.models import Answer, CallAttempt
    from campaigns.models import Campaign, CampaignStatus
    from campaigns.questions import freeze_questions
    from campaigns.tests.factories import CampaignFactory, QuestionFactory
    from contacts.models import CallOutcome, Contact
    from contacts.tests.factories import ContactFactory

    campaign = CampaignFactory(retry_interval_minutes=0, max_attempts=2)
    QuestionFactory.create_batch(QUESTIONS, campaign=campaign)
    freeze_questions(campaign)
    Contact.objects.bulk_create(ContactFactory.build_batch(contacts, campaign=campaign))
    contact_bytes = _sizes(world, "contacts_contact")
    world.set_limits(lines=LINES, calls_per_second=CALLS_PER_SECOND)
    world.start_network(speed=SPEED, seed=seed)
    connections.close_all()  # a session that goes on keeps its counters to itself for a while
    _query(world, "VACUUM ANALYZE")
    # From here on a page is logged whole when it is first touched, as after every checkpoint.
    _query(world, "CHECKPOINT")
    time.sleep(SETTLE_SECONDS)
    before = _read_counters(world)

    os.environ["PGAPPNAME"] = "web"
    children = [world.start_web()]
    os.environ["PGAPPNAME"] = ""
    children.append(world.start_scheduler(PGAPPNAME="scheduler"))
    say(f"a campaign of {contacts} contacts is being rung")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while Campaign.objects.get(pk=campaign.pk).status != CampaignStatus.COMPLETED:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the campaign was not finished in {PATIENCE_SECONDS} s")
        time.sleep(1)
    world.children.check()
    for child in children:
        world.children.stop(child)
    time.sleep(SETTLE_SECONDS)
    after = _read_counters(world)

    calls, starts = len(world.calls()), sorted(call.started_at for call in world.calls())
    first, last = starts[calls // 4], starts[3 * calls // 4]  # the middle, in which all lines are in use
    log = (world.postgres.directory / "server.log").read_text(errors="replace")
    statements = Counter(role for role, _ in _STATEMENT.findall(log))
    kinds = Counter(kind.upper() for _, kind in _STATEMENT.findall(log))
    wal = _read_wal(world, before["lsn"], after["lsn"])
    kept = {"attempt": CallAttempt, "answer": Answer, "event": SurveyEvent}

    def per_call(number: float) -> float:
        return round(number / calls, 2)

    return {
        "calls": calls,
        "calls_per_second": round((calls // 2) / max((last - first).total_seconds(), 0.001), 1),
        "answered_per_call": per_call(sum(call.answered_at is not None for call in world.calls())),
        "completed_per_call": per_call(CallAttempt.objects.filter(outcome=CallOutcome.COMPLETED).count()),
        "answers_per_call": per_call(Answer.objects.count()),
        "statements_per_call": per_call(sum(statements.values())),
        "statements_per_call_by_role": {role: per_call(number) for role, number in statements.items()},
        "statements_per_call_by_kind": {kind: per_call(number) for kind, number in kinds.most_common(8)},
        "transactions_per_call": per_call(after["commits"] - before["commits"]),
        "writing_transactions_per_call": per_call(wal["commits"]),
        "rows_per_call": {
            key: per_call(number - before["rows"][key])
            for key, number in after["rows"].items()
            if number > before["rows"][key]
        },
        "wal_bytes_per_call": round(wal["records"] / calls),
        "wal_full_page_bytes_per_call": round(wal["images"] / calls),
        "bytes_per_contact": _divide(contact_bytes, contacts),
        **{
            f"bytes_per_{name}": _divide(_sizes(world, model._meta.db_table), model.objects.count())
            for name, model in kept.items()
        },
    }


def _divide(sizes: Mapping[str, int], number: int) -> dict[str, int] | None:
    """None when there is nothing of the kind."""
    return {part: round(size / number) for part, size in sizes.items()} if number else None


def _read_counters(world: World) -> dict[str, Any]:
    rows = _query(world, "SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables")
    rows = [row for row in rows if row[0] in TABLES]
    return {
        "lsn": _query(world, "SELECT pg_current_wal_flush_lsn()")[0][0],
        "commits": _query(world, f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{DATABASE}'")[0][0],
        "rows": {
            f"{table}_{name}": number
            for table, *numbers in rows
            for name, number in zip(("inserted", "updated", "updated_in_place"), numbers, strict=True)
        },
    }


def _read_wal(world: World, start: str, end: str) -> dict[str, int]:
    """Bytes of records, bytes of whole pages, and transactions that wrote: only those wait for the disk."""
    wal = world.postgres.directory / "pg_wal"
    command = [BINARIES / "pg_waldump", "--stats=record", "-p", wal, "-s", start, "-e", end]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    total = re.search(r"^Total\s+\d+\s+(\d+)\s+\[[\d.]+%\]\s+(\d+)", output, re.MULTILINE)
    commits = re.search(r"^Transaction/COMMIT\s+(\d+)", output, re.MULTILINE)
    return {"records": int(total[1]), "images": int(total[2]), "commits": int(commits[1])}


def _sizes(world: World, table: str) -> dict[str, int]:
    rows = _query(world, f"SELECT pg_table_size('{table}'), pg_indexes_size('{table}')")
    return {"table": rows[0][0], "indexes": rows[0][1]}


def _measure_commits(world: World) -> dict[str, Any]:
    """Transactions of one row that pgbench commits in a second, by the number of its connections."""
    say("how fast does this disk commit?")
    _query(world, "ALTER SYSTEM SET log_statement = 'none'")
    _query(world, "SELECT pg_reload_conf()")
    _query(world, "CREATE TABLE commit_speed AS SELECT id, 0 AS n FROM generate_series(1, 1000) id")
    _query(world, "ALTER TABLE commit_speed ADD PRIMARY KEY (id)")
    script = world.directory / "commit.sql"
    script.write_text(_COMMIT_SCRIPT)
    return {"commits_per_second": {str(clients): _commit(world, script, clients) for clients in (1, 4, 16)}}


def _commit(world: World, script: Path, clients: int) -> int:
    options = ["-n", "-f", script, "-c", str(clients), "-j", "2", "-T", str(COMMIT_SECONDS)]
    command = [BINARIES / "pgbench", *options, world.postgres.url(DATABASE)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return round(float(re.search(r"tps = ([\d.]+)", output)[1]))


def _query(world: World, statement: str) -> list[tuple[Any, ...]]:
    connection = world.postgres.connect(DATABASE)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make cost", description=__doc__.splitlines()[0])
    parser.add_argument("--contacts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.contacts < 1:
        parser.error("--contacts must be at least 1")
    if options.seed < 0:
        parser.error("--seed must not be negative")
    end_at_signals()
    figures = measure(options.contacts, options.seed)
    for name, value in figures.items():
        say(f"{name.replace('_', ' ')}: {value}")
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
