"""Figures as a table on the terminal, as a line for machines, and as the page docs/performance.md."""

import json
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table

from bench.figures import Figure
from bench.results import Result

HEADER = """# Performance

Each figure is a ratio: two things, a and b, were measured in turn in one run on one machine, several times, and the
medians are compared, so that it says something on another machine too. Measured by `make bench ARGS="--write"`;
`make bench ARGS="--only claim_scale"` measures one family, `--scale 0.01` with less data. What is kept is in
`performance.json`. [architecture.md](architecture.md) explains what the figures rest on.

![Values against their goals](performance.png)

"""


def print_table(figures: Iterable[Figure], console: Console) -> None:
    table = Table("figure", "value", "unit", "goal", "", "a", "b", "detail")
    for figure in figures:
        style = "" if figure.is_met else "bold red"
        cells = (figure.name, _round(figure.value), figure.unit, figure.goal, say_met(figure))
        table.add_row(*cells, _round(figure.a), _round(figure.b), figure.detail, style=style)
    console.print(table)


def as_json(figures: Iterable[Figure]) -> str:
    return json.dumps(
        {
            figure.name: {name: getattr(figure, name) for name in ("value", "unit", "goal", "a", "b")}
            for figure in figures
        }
    )


def write_page(results: Mapping[str, Result]) -> str:
    """The page, in Markdown."""
    lines = ["| figure | value | goal | | a | b | how |", "|---|---|---|---|---|---|---|"]
    for name, result in results.items():
        figure = result.figure
        unit = "" if figure.unit == "ratio" else f" {figure.unit}"
        how = figure.detail + ("" if result.scale == 1 else f" **At {result.scale:g} of the real size.**")
        cells = (name, f"{_round(figure.value)}{unit}", figure.goal, say_met(figure))
        lines.append(f"| {' | '.join((*cells, _round(figure.a), _round(figure.b), how))} |")
    lines += ["", "## When, and on what", ""]
    runs: dict[tuple[str, str], list[str]] = {}
    for name, result in results.items():
        runs.setdefault((result.measured_on.isoformat(), result.machine), []).append(name)
    lines += [f"- {day}, {machine}: {', '.join(names)}" for (day, machine), names in sorted(runs.items())]
    return HEADER + "\n".join(lines) + "\n"


def say_met(figure: Figure) -> str:
    if not figure.goal:
        return "stated"
    return "met" if figure.is_met else "missed"


def _round(number: float) -> str:
    """Three digits that count: 0.00123, 1.23, 123, 12,345."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
