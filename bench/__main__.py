"""make bench: measures, prints a table, and as the last line one JSON object.

Ends with 0 when everything was measured, goals missed or not (the table marks those), and with 1 when a family
broke off. Interrupted, it prints what it has measured, and ends with 130.
"""

import argparse
import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from rich.console import Console

from bench.families import UnknownFamily, choose_families, measure_families, module_of
from bench.figures import Figure
from bench.interruption import Interrupted, end_at_signals
from bench.peers import PEERS_PYTHON
from bench.report import as_json, print_figures, write_page
from bench.results import Result, describe_machine, keep_results

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _read_arguments(arguments)
    try:
        families = choose_families(options.only, options.without)
    except UnknownFamily as error:
        print(error, file=sys.stderr)
        return 2
    if not families:
        print("--without leaves out everything that --only names: nothing is left to measure.", file=sys.stderr)
        return 2
    end_at_signals()
    console = Console()
    figures: list[Figure] = []
    unmeasured = list(families)
    interrupted: Interrupted | None = None
    try:
        for family, measured in _measure(families, options.scale, console):
            unmeasured.remove(family)
            figures += measured
            if options.write:
                write_docs(measured, scale=options.scale, docs=DOCS)
    except Interrupted as exc:
        interrupted = exc
    print_figures(figures, console)
    if unmeasured:
        console.print(f"{'Interrupted' if interrupted else 'Broke off'}: {', '.join(unmeasured)}", style="bold red")
    print(as_json(figures))
    return interrupted.code if interrupted else int(bool(unmeasured))


def _measure(families: Sequence[str], scale: float, console: Console) -> Iterator[tuple[str, list[Figure]]]:
    """Each that did not break off, with its figures."""
    for _, of_module in groupby(families, key=module_of):
        names = list(of_module)
        console.rule(", ".join(names))
        began = time.monotonic()
        for family, measured in _measure_apart(names, scale):
            console.print(f"{family}: {time.monotonic() - began:.0f} s since the beginning of its module", style="dim")
            yield family, measured


def write_docs(figures: Sequence[Figure], *, scale: float, docs: Path) -> None:
    """Keep the figures, and draw page and chart anew from all that are kept."""
    today, machine = datetime.now(UTC).date(), describe_machine()
    measured = [Result(figure=figure, measured_on=today, machine=machine, scale=scale) for figure in figures]
    results = keep_results(docs / "performance.json", measured)
    (docs / "performance.md").write_text(write_page(results))
    # matplotlib is with the peers: see the Makefile.
    chart = [PEERS_PYTHON, "-m", "bench.chart", docs / "performance.json", docs / "performance.png"]
    subprocess.run(chart, check=True, cwd=ROOT)


def _measure_apart(families: Sequence[str], scale: float) -> Iterator[tuple[str, list[Figure]]]:
    """In a process of their own, because Django is set up for one database in the life of a process.

    One that breaks off ends it, and is not among the results, and neither are those behind it.
    """
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=measure_families, args=(families, scale, sender))
    # A Ctrl-C is for the whole group of processes. This one hears of it from us; twice would disturb its clearing up.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.start()
    signal.signal(signal.SIGINT, handler)
    sender.close()  # so that the end of the process is the end of what can be received
    try:
        while True:
            yield receiver.recv()
    except EOFError:
        pass
    finally:
        process.terminate()
        process.join()


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure how fast surveycalls is, as ratios.")
    parser.add_argument(
        "--only",
        metavar="NAME",
        nargs="+",
        default=[],
        help="families (claim_scale), modules (claims), figures (cps_20)",
    )
    parser.add_argument(
        "--without", metavar="NAME", nargs="+", default=[], help="the same, to be left out (memory_soak)"
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1,
        help="part of the real sizes and durations, such as 0.01 (default: 1); none gets too small to be measured",
    )
    parser.add_argument("--write", action="store_true", help="keep the figures, and write docs/performance.md")
    options = parser.parse_args(arguments)
    if not 0 < options.scale <= 1:
        parser.error("--scale must be above 0 and at most 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
