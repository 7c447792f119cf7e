"""What many whole numbers have in common: their mean and quartiles, and bins for a histogram; pure.

Numbers come as how often there is each, so that a million of them are no more work than those that differ.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, count

MOST_BINS = 20

# What is further from the quartiles than so many times their distance does not stretch the histogram.
FAR_OUT = 3


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Quartiles and the median lie between two numbers where they fall between them."""

    count: int
    lowest: int
    first_quartile: float
    median: float
    third_quartile: float
    highest: int
    mean: float


@dataclass(frozen=True, kw_only=True)
class Bin:
    """From the first number to the last, both included; None where it is open."""

    first: int | None
    last: int | None
    count: int


def summarise_numbers(counts: Mapping[int, int]) -> Summary | None:
    """None of no numbers."""
    numbers = sorted(number for number, many in counts.items() if many > 0)
    if not numbers:
        return None
    ends = list(accumulate(counts[number] for number in numbers))
    return Summary(
        count=ends[-1],
        lowest=numbers[0],
        first_quartile=_find_quantile(numbers, ends, 0.25),
        median=_find_quantile(numbers, ends, 0.5),
        third_quartile=_find_quantile(numbers, ends, 0.75),
        highest=numbers[-1],
        mean=sum(number * counts[number] for number in numbers) / ends[-1],
    )


def _find_quantile(numbers: Sequence[int], ends: Sequence[int], share: float) -> float:
    """In between by the distance, as percentile_cont of SQL has it. ``ends``: how many there are up to each number."""
    place = share * (ends[-1] - 1)
    below, above = (numbers[bisect_right(ends, whole)] for whole in (int(place), -int(-place // 1)))
    return below + (above - below) * (place % 1)


def list_widths() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50 and so on."""
    for power in count():
        yield from (digit * 10**power for digit in (1, 2, 5))


def make_bins(counts: Mapping[int, int], widths: Iterator[int] | None = None) -> list[Bin]:
    """Of one width, the first of ``widths`` with which they are not too many, without gaps.

    Numbers far out are together in a bin that is open to that side.
    """
    summary = summarise_numbers(counts)
    if summary is None:
        return []
    lowest, highest = _find_ends(counts, summary)
    for width in widths or list_widths():
        start, bins = lowest // width * width, highest // width - lowest // width + 1
        if bins <= MOST_BINS:
            break
    end = start + bins * width
    in_bins, below, above = [0] * bins, 0, 0
    for number, many in counts.items():
        if number < start:
            below += many
        elif number >= end:
            above += many
        else:
            in_bins[(number - start) // width] += many
    inner = [
        Bin(first=start + place * width, last=start + (place + 1) * width - 1, count=many)
        for place, many in enumerate(in_bins)
    ]
    lower = [Bin(first=None, last=start - 1, count=below)] if below else []
    upper = [Bin(first=end, last=None, count=above)] if above else []
    return [*lower, *inner, *upper]


def _find_ends(counts: Mapping[int, int], summary: Summary) -> tuple[int, int]:
    """The lowest and the highest that a bin of limited width is for: all, if each number can have its own."""
    if summary.highest - summary.lowest < MOST_BINS:
        return summary.lowest, summary.highest
    reach = FAR_OUT * max(1, summary.third_quartile - summary.first_quartile)
    least, most = summary.first_quartile - reach, summary.third_quartile + reach
    near = [number for number, many in counts.items() if many > 0 and least <= number <= most]
    return min(near), max(near)
