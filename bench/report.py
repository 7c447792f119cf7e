"""Figures as a table on the terminal, as a line for machines, and as the page docs/performance.md."""

import json
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from bench.figures import Figure
from bench.reasons import REASONS
from bench.results import Result

HEADER = """# Performance

Each figure is a ratio: two things, a and b, were measured in one run on one machine, in turn and several times where
its section does not say otherwise, so that it says something on another machine too. Measured by
`make bench ARGS="--write"`; `make bench ARGS="--only claim_scale"` measures one, and `--scale 0.01` with less data.
What is kept is in `performance.json`. [architecture.md](architecture.md) explains what the figures rest on.

![Values against their goals](performance.png)

"""


def print_figures(figures: Sequence[Figure], console: Console) -> None:
    """A table that fits 80 columns, and below it what does not."""
    table = Table("figure", box=None, padding=(0, 2, 0, 0))
    for name in ("value", "goal", "", "a", "b"):
        table.add_column(name, justify="right")
    for figure in figures:
        style = "" if figure.is_met else "bold red"
        cells = (say_value(figure), figure.goal, say_met(figure), _round(figure.a), _round(figure.b))
        table.add_row(figure.name, *cells, style=style)
    console.print(table)
    for figure in figures:
        console.print(f"\n[bold]{figure.name}[/bold]: {figure.how}", highlight=False)
        console.print(Padding(figure.detail, (0, 0, 0, 4)), highlight=False)


def as_json(figures: Iterable[Figure]) -> str:
    return json.dumps(
        {
            figure.name: {name: getattr(figure, name) for name in ("value", "unit", "goal", "a", "b")}
            for figure in figures
        }
    )


def write_page(results: Mapping[str, Result]) -> str:
    """The page, in Markdown."""
    lines = ["| figure | value | goal | | a | b | a / b |", "|---|--:|--:|---|--:|--:|---|"]
    for name, result in results.items():
        figure = result.figure
        link = f"[{name}](#{_anchor_of(name)})" + ("" if result.scale == 1 else "*")
        met = say_met(figure) if figure.is_met else f"**{say_met(figure)}**"
        cells = (link, say_value(figure), figure.goal, met, _round(figure.a), _round(figure.b), figure.how)
        lines.append(f"| {' | '.join(cells)} |")
    if any(result.scale != 1 for result in results.values()):
        lines += ["", "\\* measured with less than the real sizes; its section says with how much."]
    for name, result in results.items():
        lines += ["", f"## {name}", "", _describe(result)]
    lines += ["", "## When, and on what", ""]
    runs: dict[tuple[str, str], list[str]] = {}
    for name, result in results.items():
        runs.setdefault((result.measured_on.isoformat(), result.machine), []).append(name)
    lines += [f"- {day}, {machine}: {', '.join(names)}" for (day, machine), names in sorted(runs.items())]
    return HEADER + "\n".join(lines) + "\n"


def _describe(result: Result) -> str:
    figure = result.figure
    sentences = [f"{figure.how[0].upper()}{figure.how[1:]}.", figure.detail]
    if not figure.is_met and figure.name in REASONS:
        sentences.append(f"**Why it is missed:** {REASONS[figure.name]}")
    if result.scale != 1:
        sentences.append(f"**At {result.scale:g} of the real size.**")
    return " ".join(filter(None, sentences))


def _anchor_of(heading: str) -> str:
    """As GitHub makes it: dots are dropped."""
    return heading.replace(".", "")


def say_value(figure: Figure) -> str:
    return _round(figure.value) + ("" if figure.unit == "ratio" else f" {figure.unit}")


def say_met(figure: Figure) -> str:
    if not figure.goal:
        return "stated"
    return "met" if figure.is_met else "missed"


def _round(number: float) -> str:
    """Four digits that count: 0.001234, 0.9982, 1.234, 123, 12,345."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.4g}"
