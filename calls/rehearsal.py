"""How a campaign would go: how many calls, and how long. Pure.

People are moved in groups and by averages: those of the same zones that have been tried equally often and come up in
the same step.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from campaigns.retries import find_next_try
from campaigns.spellings import Delay
from campaigns.windows import CallingHours, is_open, next_opening

STEP = timedelta(minutes=15)

# Groups are made of averages: what is left of one below this is nobody, and all is over when of all together less
# than half a person is left.
NOBODY = 0.01
NOBODY_AT_ALL = 0.5

Zones = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``people`` are counted by the zones that must be open for them; ``settled`` is the share of calls after which
    nobody is tried again. Of others each is tried ``max_attempts`` times, with the ``delays`` in between. It is played
    from ``begin`` until before ``end``.
    """

    people: Mapping[Zones, int]
    hours: CallingHours
    delays: Sequence[Delay]
    max_attempts: int
    calls_per_second: float
    settled: float
    begin: datetime
    end: datetime


class Course(NamedTuple):
    """``ends_at`` is when the last call starts; None when not all are done before the end of the plan."""

    calls: int
    ends_at: datetime | None


class _Group(NamedTuple):
    zones: Zones
    tries: int


def rehearse(plan: Plan) -> Course:
    return _Rehearsal(plan).play()


class _Rehearsal:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._now = plan.begin
        self._ready: dict[_Group, float] = defaultdict(float)
        self._due: dict[datetime, dict[_Group, float]] = defaultdict(lambda: defaultdict(float))
        for zones, count in plan.people.items():
            if next_opening(plan.hours, zones, plan.begin):
                self._ready[_Group(zones, 0)] += count

    def play(self) -> Course:
        calls, last_call_at = 0.0, None
        while self._now < self._plan.end:
            self._take_due()
            if self._count_left() < NOBODY_AT_ALL:
                return Course(round(calls), last_call_at)
            open_groups = self._find_open()
            wanted = sum(self._ready[group] for group in open_groups)
            if not wanted:
                self._now = self._find_next_step()
                continue
            placed = min(wanted, self._plan.calls_per_second * STEP.total_seconds())
            calls += placed
            last_call_at = self._now + timedelta(seconds=placed / self._plan.calls_per_second)
            self._now += STEP
            for group in open_groups:
                self._ring(group, placed / wanted)
        return Course(round(calls), None)

    def _count_left(self) -> float:
        later = (people for groups in self._due.values() for people in groups.values())
        return sum(self._ready.values()) + sum(later)

    def _take_due(self) -> None:
        for instant in [instant for instant in self._due if instant <= self._now]:
            for group, people in self._due.pop(instant).items():
                self._ready[group] += people

    def _find_open(self) -> list[_Group]:
        zones = {group.zones for group in self._ready}
        are_open = {one for one in zones if is_open(self._plan.hours, one, self._now)}
        return [group for group in self._ready if group.zones in are_open]

    def _ring(self, group: _Group, share: float) -> None:
        """This share of the group in the step before now; those of it who have to be tried again come up later."""
        rung = self._ready[group] * share
        self._ready[group] -= rung
        if self._ready[group] < NOBODY:
            del self._ready[group]
        tries, again = group.tries + 1, rung * (1 - self._plan.settled)
        if tries < self._plan.max_attempts and again >= NOBODY:
            instant = find_next_try(self._plan.delays, tries=tries, ended_at=self._now, zones=group.zones)
            self._due[_round_up(instant)][_Group(group.zones, tries)] += again

    def _find_next_step(self) -> datetime:
        """Nobody who is ready can be rung now: where a zone of theirs opens, or others come up."""
        zones = {group.zones for group in self._ready}
        openings = (next_opening(self._plan.hours, one, self._now) for one in zones)
        return min([*self._due, *filter(None, openings)], default=self._plan.end)


def _round_up(instant: datetime) -> datetime:
    """To a whole step, so that groups meet again."""
    over = timedelta(seconds=instant.timestamp() % STEP.total_seconds())
    return instant + (STEP - over if over else timedelta(0))
