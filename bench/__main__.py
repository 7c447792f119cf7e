"""python -m bench: measures, prints a table, and as the last line one JSON object.

Ends with 0 when everything was measured, goals missed or not (the table marks those), and with 1 when a family
broke off.
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    figures: list[Figure] = []
    unmeasured = list(families)
    for _, of_module in groupby(families, key=module_of):
        names = list(of_module)
        console.rule(", ".join(names))
        began = time.monotonic()
        for family, measured in _measure_apart(names, options.scale):
            console.print(f"{family}: {time.monotonic() - began:.0f} s since the beginning of its module", style="dim")
            unmeasured.remove(family)
            figures += measured
            if options.write:
                write_docs(measured, scale=options.scale, docs=DOCS)
    print_figures(figures, console)
    if unmeasured:
        console.print(f"Broke off: {', '.join(unmeasured)}", style="bold red")
    print(as_json(figures))
    return 1 if unmeasured else 0


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
    process.start()
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
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure how fast surveycalls is, as ratios.")
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
    parser.add_argument("--scale", type=float, default=1, help="part of the real sizes, such as 0.01 (default: 1)")
    parser.add_argument("--write", action="store_true", help="keep the figures, and write docs/performance.md")
    options = parser.parse_args(arguments)
    if not 0 < options.scale <= 1:
        parser.error("--scale must be above 0 and at most 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
