"""The chart of docs/performance.md: how far each figure is from its goal. Runs where matplotlib is, without Django."""

import sys
from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.figures import Figure
from bench.results import Result, read_results

MET, MISSED = "#2a6f97", "#d1495b"
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def rate(figure: Figure) -> float:
    """How many times better than its goal: 1 has just met it, 0.5 is half as good."""
    comparison, goal = figure.goal.split()
    ratio = figure.value / float(goal)
    return ratio if comparison == ">=" else 1 / ratio


def draw_chart(results: Mapping[str, Result], path: Path) -> None:
    figures = [result.figure for result in results.values() if result.figure.goal and result.figure.value > 0]
    if not figures:
        return
    rates = [rate(figure) for figure in figures]
    chart, axes = pyplot.subplots(figsize=(9, 1.4 + 0.42 * len(figures)), layout="constrained")
    colours = [MET if figure.is_met else MISSED for figure in figures]
    axes.barh(range(len(figures)), [value - 1 for value in rates], left=1, color=colours, height=0.6)
    for row, (figure, value) in enumerate(zip(figures, rates, strict=True)):
        text = f"{figure.value:.3g}  (goal {figure.goal})"
        axes.annotate(
            text,
            (max(value, 1), row),
            textcoords="offset points",
            xytext=(6, 0),
            va="center",
            fontsize=9,
        )
    axes.scatter(rates, range(len(figures)), color=colours, zorder=3, s=24)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(min([0.5, *rates]) * 0.8, max([2, *rates]) * 3)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.set_yticks(range(len(figures)), [figure.name for figure in figures])
    axes.invert_yaxis()
    axes.set_xlabel("how many times better than the goal (left of the line: missed)")
    axes.spines[["top", "right"]].set_visible(False)
    chart.savefig(path, dpi=120)
    pyplot.close(chart)


if __name__ == "__main__":
    draw_chart(read_results(Path(sys.argv[1])), Path(sys.argv[2]))
