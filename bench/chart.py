"""The chart of docs/performance.md: how far each figure is from its goal. Runs where matplotlib is, without Django."""

import sys
from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.figures import WIDEST, Figure
from bench.report import say_met, say_value
from bench.results import Result, read_results

MET, MISSED = "#2a6f97", "#c1121f"
BAND = "#f3f4f6"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)
# Columns beside the bars, in widths of the axes.
COLUMNS = {"value": 1.2, "goal": 1.4, "": 1.44}


def draw_chart(results: Mapping[str, Result], path: Path) -> None:
    """Of the figures that have a goal. Met is a filled circle and a bar, missed a cross and a hatched one."""
    figures = [result.figure for result in results.values() if result.figure.goal]
    rows = range(len(figures))
    chart, axes = pyplot.subplots(figsize=(11, 1.5 + 0.32 * len(figures)))
    chart.subplots_adjust(
        left=0.26, right=0.66, top=1 - 0.5 / chart.get_figheight(), bottom=0.6 / chart.get_figheight()
    )
    for row, figure in enumerate(figures):
        _draw_row(axes, row, figure)
    for name, place in COLUMNS.items():
        axes.annotate(
            name, (place, -0.9), xycoords=axes.get_yaxis_transform(), ha="right", va="center", color="#555555"
        )
    axes.axvline(1, color="black", linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlim(1 / WIDEST / 1.15, WIDEST * 1.15)
    axes.set_ylim(len(figures) - 0.4, -0.6)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks(rows, [figure.name for figure in figures])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("missed  ←  times better than the goal  →  met")
    axes.spines[["top", "right", "left"]].set_visible(False)
    chart.savefig(path, dpi=120)
    pyplot.close(chart)


def _draw_row(axes: pyplot.Axes, row: int, figure: Figure) -> None:
    colour, marker, hatch = (MET, "o", "") if figure.is_met else (MISSED, "X", "////")
    how_good = figure.rate
    if row % 2 == 0:
        axes.axhspan(row - 0.5, row + 0.5, color=BAND, zorder=0)
    bar = {"height": 0.5, "edgecolor": colour, "facecolor": colour if figure.is_met else "white", "hatch": hatch}
    axes.barh(row, how_good - 1, left=1, **bar, zorder=2)
    axes.scatter([how_good], [row], color=colour, marker=marker, s=42, zorder=3)
    said = dict(zip(COLUMNS, (say_value(figure), figure.goal, say_met(figure)), strict=True))
    for name, place in COLUMNS.items():
        axes.annotate(
            said[name],
            (place, row),
            xycoords=axes.get_yaxis_transform(),
            ha="right" if name else "left",
            va="center",
            color="black" if name else colour,
            weight="normal" if figure.is_met else "bold",
        )


if __name__ == "__main__":
    draw_chart(read_results(Path(sys.argv[1])), Path(sys.argv[2]))
