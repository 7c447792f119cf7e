"""Columns of stacked numbers, as a template can draw them; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Segment:
    """``height`` in percent of the chart."""

    kind: str
    title: str
    count: int
    height: float


@dataclass(frozen=True, kw_only=True)
class Column:
    """``label`` stands below it, and may be empty; a minor one only where there is room. ``title`` is in full."""

    label: str
    is_minor: bool
    title: str
    counts: Mapping[str, int]
    segments: Sequence[Segment]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True)
class Chart:
    """``ticks`` are the numbers at the left, from the top to 0; ``kinds`` those that occur, with title and sum."""

    columns: Sequence[Column]
    ticks: Sequence[int]
    kinds: Sequence[tuple[str, str, int]]

    @property
    def total(self) -> int:
        return sum(column.total for column in self.columns)


def stack(counts: Sequence[Mapping[str, int]], titles: Mapping[str, str], labels: Sequence[tuple[str, str]]) -> Chart:
    """A column for each of the counts by kind, its label and title beside it; the kinds in the order of ``titles``."""
    top = find_top(max((sum(one.values()) for one in counts), default=0))
    labelled = [position for position, (label, _) in enumerate(labels) if label]
    columns = [
        Column(
            label=label,
            is_minor=position in labelled[1::2],
            title=title,
            counts=one,
            segments=[
                Segment(kind=kind, title=name, count=one[kind], height=100 * one[kind] / top)
                for kind, name in titles.items()
                if one.get(kind)
            ],
        )
        for position, (one, (label, title)) in enumerate(zip(counts, labels, strict=True))
    ]
    sums = {kind: sum(one.get(kind, 0) for one in counts) for kind in titles}
    return Chart(
        columns=columns,
        ticks=[top, top // 2, 0],
        kinds=[(kind, name, sums[kind]) for kind, name in titles.items() if sums[kind]],
    )


def find_top(highest: int) -> int:
    """The smallest round number, with a round half, that no column is higher than."""
    power = 1
    while True:
        for digit in (2, 4, 6, 10):
            if highest <= digit * power:
                return digit * power
        power *= 10
