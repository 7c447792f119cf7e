"""python -m bench: measures, prints a table, and as the last line one JSON object.

Ends with 0 when everything was measured, goals missed or not (the table marks those), and with 1 when a family
broke off.
"""

import argparse
import multiprocessing
import subprocess
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.families import UnknownFamily, choose_families, is_there, measure_family
from bench.figures import Figure
from bench.report import as_json, print_table, write_page
from bench.results import Result, describe_machine, keep_results

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Where matplotlib is: see the Makefile.
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _read_arguments(arguments)
    try:
        families = choose_families(options.only)
    except UnknownFamily as error:
        print(error, file=sys.stderr)
        return 2
    console = Console()
    figures: list[Figure] = []
    broken = []
    for family in families:
        if not is_there(family):
            console.print(f"{family}: not built yet, left out")
            continue
        console.rule(family)
        try:
            measured = _measure_alone(family, options.scale)
        except Exception:
            traceback.print_exc()
            broken.append(family)
            continue
        figures += measured
        if options.write:
            write_docs(measured, scale=options.scale, docs=DOCS)
    print_table(figures, console)
    if broken:
        console.print(f"Broke off: {', '.join(broken)}", style="bold red")
    print(as_json(figures))
    return 1 if broken else 0


def write_docs(figures: Sequence[Figure], *, scale: float, docs: Path) -> None:
    """Keep the figures, and draw page and chart anew from all that are kept."""
    today, machine = datetime.now(UTC).date(), describe_machine()
    measured = [Result(figure=figure, measured_on=today, machine=machine, scale=scale) for figure in figures]
    results = keep_results(docs / "performance.json", measured)
    (docs / "performance.md").write_text(write_page(results))
    chart = [PEERS_PYTHON, "-m", "bench.chart", docs / "performance.json", docs / "performance.png"]
    subprocess.run(chart, check=True, cwd=ROOT)


def _measure_alone(family: str, scale: float) -> list[Figure]:
    """In a process of its own: each family sets Django up for a database of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.submit(measure_family, family, scale).result())


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure how fast surveycalls is, as ratios.")
    parser.add_argument("--only", metavar="NAME", help="one family (claim_scale), or those of one module (claims)")
    parser.add_argument("--scale", type=float, default=1, help="part of the real sizes, such as 0.01 (default: 1)")
    parser.add_argument("--write", action="store_true", help="keep the figures, and write docs/performance.md")
    options = parser.parse_args(arguments)
    if not 0 < options.scale <= 1:
        parser.error("--scale must be above 0 and at most 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
