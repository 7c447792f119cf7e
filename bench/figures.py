"""What a benchmark measures: ratios of two things that were done in turn, in one run, on one machine."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

_COMPARISONS = {"<=": operator.le, ">=": operator.ge}
_GOAL = re.compile(r"(<=|>=) (\d+(?:\.\d+)?)\Z")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    ``value`` is a over b where both are measured; ``goal`` is text such as ">= 0.8", or "" for a figure that is
    only stated. ``detail`` says under what conditions it was measured, and how far its rounds lay apart.
    """

    name: str
    value: float
    unit: str
    goal: str
    a: float
    b: float
    detail: str = ""

    @property
    def is_met(self) -> bool:
        if not self.goal:
            return True
        match = _GOAL.match(self.goal)
        if match is None:
            raise ValueError(f"the goal of {self.name} is {self.goal!r}, not like '>= 0.8'")
        return _COMPARISONS[match[1]](self.value, float(match[2]))


def measure_in_turn(a: Callable[[], float], b: Callable[[], float], *, rounds: int) -> tuple[list[float], list[float]]:
    """Both measurements of every round: a, b, then b, a, and so on, so that neither is always the first."""
    results: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        order = ((0, a), (1, b)) if number % 2 == 0 else ((1, b), (0, a))
        for index, measure in order:
            results[index].append(measure())
    return results


def compare(name: str, a: list[float], b: list[float], *, unit: str = "ratio", goal: str, detail: str = "") -> Figure:
    """The median of a over the median of b."""
    middle_a, middle_b = median(a), median(b)
    return Figure(name=name, value=middle_a / middle_b, unit=unit, goal=goal, a=middle_a, b=middle_b, detail=detail)
