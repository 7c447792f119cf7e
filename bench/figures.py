"""What a benchmark measures: ratios of two things that were done in turn, in one run, on one machine."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

WIDEST = 10.0  # times better or worse than the goal: what is beyond counts as so much

_COMPARISONS = {"<=": operator.le, ">=": operator.ge}
_GOAL = re.compile(r"(<=|>=) (\d+(?:\.\d+)?)\Z")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    ``value`` is a over b where both are measured; ``goal`` is text such as ">= 0.8", or "" for a figure that is
    only stated. ``how`` says in a few words what a and b are; ``detail``, in sentences, under what conditions they
    were measured, and how far the rounds lay apart.
    """

    name: str
    value: float
    unit: str
    goal: str
    a: float
    b: float
    how: str
    detail: str = ""

    @property
    def is_met(self) -> bool:
        if not self.goal:
            return True
        comparison, goal = self._read_goal()
        return _COMPARISONS[comparison](self.value, goal)

    @property
    def rate(self) -> float:
        """How many times better than its goal, WIDEST at most: 1 has just met it, 0.5 is half as good.

        Nothing can be better than a goal of 0, and whatever misses it is WIDEST times worse.
        """
        comparison, goal = self._read_goal()
        better, worse = (goal, self.value) if comparison == "<=" else (self.value, goal)
        if not worse:
            return WIDEST if better else 1.0
        return min(max(better / worse, 1 / WIDEST), WIDEST)

    def _read_goal(self) -> tuple[str, float]:
        match = _GOAL.match(self.goal)
        if match is None:
            raise ValueError(f"the goal of {self.name} is {self.goal!r}, not like '>= 0.8'")
        return match[1], float(match[2])


def measure_in_turn(a: Callable[[], float], b: Callable[[], float], *, rounds: int) -> tuple[list[float], list[float]]:
    """Both measurements of every round: a, b, then b, a, and so on, so that neither is always the first."""
    results: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        order = ((0, a), (1, b)) if number % 2 == 0 else ((1, b), (0, a))
        for index, measure in order:
            results[index].append(measure())
    return results


def compare(name: str, a: list[float], b: list[float], *, goal: str, how: str, detail: str = "") -> Figure:
    """The median of a over the median of b."""
    middle_a, middle_b = median(a), median(b)
    return Figure(
        name=name, value=middle_a / middle_b, unit="ratio", goal=goal, a=middle_a, b=middle_b, how=how, detail=detail
    )
