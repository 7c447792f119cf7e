"""The product under seeded faults, judged by what the phone network saw."""

import argparse
import contextlib
import fcntl
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any, TextIO

from bench.faults.arena import Arena
from bench.faults.judge import judge
from bench.faults.plan import make_plan
from bench.faults.violations import Kind
from bench.interruption import Interrupted, end_at_signals
from bench.postgres import BINARIES
from bench.world import DATABASE, ROOT

DIRECTORY = ROOT / ".data" / "faults"
# A trap that was set so often and never sprung stands where nobody comes by, and the suite has a hole.
OFTEN = 30
# Somebody answers a question in so many calls; otherwise the suite has a hole there.
TALKATIVE = 100
TABLES = (
    "campaigns_campaign",
    "contacts_contact",
    "contacts_donotcallentry",
    "calls_callattempt",
    "campaigns_question",
    "campaigns_questionversion",
    "calls_answer",
    "calls_providerconfig",
)


def main() -> int:
    options = _read_options()
    lock = _lock(options.directory)
    end_at_signals()
    results: list[dict[str, Any]] = []
    interrupted: Interrupted | None = None
    arena = Arena(options.directory / "arena")
    try:
        with arena:
            _run_all(arena, options, results)
    except Interrupted as exc:
        interrupted = exc
    summary = sum_up(results)
    traps = count_traps(arena.traps_set, arena.traps_sprung)
    if traps["unreachable"]:
        print(f"  no process ever came by, so nothing was tried there: {', '.join(traps['unreachable'])}")
    if is_mute := summary["calls"] >= TALKATIVE and not summary["answers"]:
        print("  in none of all these calls was anything answered, so nothing was tried there")
    print(json.dumps(summary | {"traps": traps, "interrupted": interrupted is not None}))
    lock.close()
    if interrupted:
        return interrupted.code
    has_hole = traps["unreachable"] or is_mute
    return 0 if all(result["clean"] for result in results) and not has_hole else 1


def _run_all(arena: Arena, options: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    """Adds to the results as it has them, because an interruption leaves those of the runs that were over."""
    for number, seed in enumerate(options.seeds, start=1):
        result = _run(arena, seed, options.directory)
        results.append(result)
        _show(result, number, len(options.seeds))
        if options.stop_at.intersection(violation.kind for violation in result["violations"]):
            return
        if options.stop and not result["clean"]:
            return


def count_traps(set_: Counter[str], sprung: Counter[str]) -> dict[str, Any]:
    """How often traps were set and sprung, and the points at which none ever was: by chance, or because none can be."""
    never = sorted(set_.keys() - sprung.keys())
    return {
        "set": set_.total(),
        "sprung": sprung.total(),
        "never_reached": never,
        "unreachable": [point for point in never if set_[point] >= OFTEN],
    }


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="how many, each with the next seed (%(default)s)")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="of the first run (1); or one for each run")
    parser.add_argument("--stop", action="store_true", help="at the first run that is not clean")
    parser.add_argument(
        "--stop-at",
        action="append",
        default=[],
        choices=[kind.value for kind in Kind],
        help="at the first run with such a violation",
    )
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="for logs and evidence")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    if min(options.seed) < 0:
        parser.error("--seed must not be negative")
    options.stop_at = set(map(Kind, options.stop_at))
    first, *more = options.seed
    options.seeds = options.seed if more else range(first, first + options.runs)
    return options


def _lock(directory: Path) -> TextIO:
    """Two suites in one directory would wipe each other's. It is unlocked when the file is closed."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except BlockingIOError:
        trouble = "another suite is at work there; give this one a directory of its own."
    except OSError as error:
        trouble = f"{error.strerror}."
    print(f"make faults: error: --directory {directory}: {trouble}", file=sys.stderr)
    sys.exit(2)


def _run(arena: Arena, seed: int, directory: Path) -> dict[str, Any]:
    """What became of one run; the evidence of one that is not clean is kept.

    A run that breaks off, whatever by, says nothing about the promises and is an error; the next one begins anew.
    """
    from bench.faults.run import carry_out  # needs the models, and they the arena's database

    began = time.monotonic()
    result: dict[str, Any] = {"seed": seed, "violations": [], "figures": {}, "error": ""}
    try:
        evidence = carry_out(make_plan(seed), arena)
        verdict = judge(evidence)
        result |= {"violations": verdict.violations, "figures": verdict.figures}
        result["recovery"] = arena.measure_recovery(evidence)
    except Exception as error:
        result["error"] = f"{type(error).__name__}: {error}"
        arena.break_off()
    result["seconds"] = time.monotonic() - began
    result["clean"] = not result["violations"] and not result["error"]
    if not result["clean"]:
        _keep_evidence(arena, result, directory / f"seed-{seed}")
    return result


def _keep_evidence(arena: Arena, result: dict[str, Any], directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name in ("ledger.run.jsonl", "operators.jsonl"):
        with contextlib.suppress(FileNotFoundError):  # the run broke off before it was written
            shutil.copy(arena.directory / name, directory)
    shutil.copytree(arena.directory / "logs", directory / "logs")
    tables = [f"--table={table}" for table in TABLES]
    dump = [BINARIES / "pg_dump", "--data-only", "--column-inserts", *tables, arena.world.postgres.url(DATABASE)]
    with (directory / "tables.sql").open("wb") as output:
        subprocess.run(dump, stdout=output, stderr=subprocess.STDOUT, check=False)
    lines = [str(plan_event) for plan_event in make_plan(result["seed"]).events]
    lines += [f"{violation.kind}: {violation.text}" for violation in result["violations"]] + [result["error"]]
    (directory / "report.txt").write_text("\n".join(lines) + "\n")


def _show(result: dict[str, Any], number: int, runs: int) -> None:
    calls = result["figures"].get("calls", 0)
    print(
        f"run {number} of {runs}, seed {result['seed']}: {calls} calls, "
        f"{'clean' if result['clean'] else 'NOT CLEAN'}, {result['seconds']:.1f} s",
        flush=True,
    )
    for violation in result["violations"][:20]:
        print(f"  {violation.kind}: {violation.text}")
    if result["error"]:
        print(f"  {result['error']}")
    if not result["clean"]:
        print(f'  again: make faults ARGS="--seed {result["seed"]} --runs 1"', flush=True)


def sum_up(results: list[dict[str, Any]]) -> dict[str, Any]:
    violations = Counter(violation.kind.value for result in results for violation in result["violations"])
    recoveries = [seconds for result in results for seconds in result.get("recovery", [])]
    return {
        "runs": len(results),
        "clean": sum(result["clean"] for result in results),
        "first_seed": results[0]["seed"] if results else None,
        **{name: sum(result["figures"].get(name, 0) for result in results) for name in ("calls", "answers")},
        "violations": dict(sorted(violations.items())),
        "lost": violations["lost"],
        "stuck": violations["stuck"],
        "errors": sum(bool(result["error"]) for result in results),
        "failing_seeds": [result["seed"] for result in results if not result["clean"]],
        "recovery_seconds": {
            "faults": len(recoveries),
            "median": round(median(recoveries), 2) if recoveries else None,
            "longest": round(max(recoveries), 2) if recoveries else None,
        },
        "seconds": round(sum(result["seconds"] for result in results), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
