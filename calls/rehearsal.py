"""How a campaign would go: how many calls, and how long. Pure.

People are moved in groups and by averages: those of the same zones that have been tried equally often and come up in
the same step.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from typing import NamedTuple

from campaigns.retries import find_next_try
from campaigns.spellings import NEXT_DAY, Delay
from campaigns.windows import CallingHours, Interval, find_open_intervals, intersect, next_opening

STEP = timedelta(minutes=15)

# So far ahead it is worked out at once when zones are open: many campaigns are done within hours.
LOOKED_AHEAD = timedelta(days=2)

# Groups are made of averages: what is left of one below this is nobody, and all is over when of all together less
# than half a person is left.
NOBODY = 0.01
NOBODY_AT_ALL = 0.5

Zones = tuple[str, ...]


class Group(NamedTuple):
    """People for whom all of these zones must be open, and who were tried so often."""

    zones: Zones
    tries: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``due`` are those who wait, by when they come up; ``in_call`` are those whose call goes on at the beginning.

    ``settled`` is the share of calls after which nobody is tried again. Of others each is tried ``max_attempts``
    times, with the ``delays`` in between, and no oftener than the ``caps`` allow: so many calls in so long a time.
    It is played from ``begin`` until before ``end``.
    """

    due: Mapping[datetime, Mapping[Group, int]]
    in_call: Mapping[Group, int] = field(default_factory=dict)
    hours: CallingHours
    delays: Sequence[Delay]
    max_attempts: int
    caps: Sequence[tuple[int, timedelta]] = ()
    calls_per_second: float
    settled: float
    begin: datetime
    end: datetime


class Course(NamedTuple):
    """``ends_at`` is when the last call starts; None without any, and when not all are done before the plan's end."""

    calls: int
    ends_at: datetime | None


def rehearse(plan: Plan) -> Course:
    return _Rehearsal(plan).play()


class _Rehearsal:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._now = plan.begin
        self._outlook = _Outlook(plan.hours, plan.begin)
        self._rests = list(_find_rests(plan))
        self._ready: dict[Group, float] = defaultdict(float)
        self._due: dict[datetime, dict[Group, float]] = defaultdict(lambda: defaultdict(float))
        everybody = [*plan.in_call, *(group for groups in plan.due.values() for group in groups)]
        opening = {zones for zones, _tries in everybody if next_opening(plan.hours, zones, plan.begin)}
        for instant, groups in plan.due.items():
            self._due[instant] |= {group: people for group, people in groups.items() if group.zones in opening}
        for group, people in plan.in_call.items():
            if group.zones in opening:
                self._try_again(group, people)

    def play(self) -> Course:
        calls, last_call_at = 0.0, self._now if self._plan.in_call else None
        while self._now < self._plan.end:
            self._take_due()
            if self._count_left() < NOBODY_AT_ALL:
                return Course(round(calls), last_call_at)
            open_groups = self._find_open()
            wanted = sum(self._ready[group] for group in open_groups)
            if not wanted:
                self._now = self._find_next_step()
                continue
            began, self._now = self._now, _round_up(self._now + timedelta.resolution)
            placed = min(wanted, self._plan.calls_per_second * (self._now - began).total_seconds())
            calls += placed
            last_call_at = began + timedelta(seconds=placed / self._plan.calls_per_second)
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

    def _find_open(self) -> list[Group]:
        now, closed_until = self._now, self._outlook.closed_until
        return [group for group in self._ready if closed_until(group.zones, now) <= now]

    def _ring(self, group: Group, share: float) -> None:
        """This share of the group in the step before now."""
        people = self._ready[group]
        rung = people * share
        if people - rung < NOBODY:
            del self._ready[group]
        else:
            self._ready[group] = people - rung
        self._try_again(Group(group.zones, group.tries + 1), rung)

    def _try_again(self, group: Group, rung: float) -> None:
        """Those who were not settled by a call that is over now come up later, unless it was their last one."""
        again = rung * (1 - self._plan.settled)
        if group.tries < self._plan.max_attempts and again >= NOBODY:
            instant = find_next_try(self._plan.delays, tries=group.tries, ended_at=self._now, zones=group.zones)
            instant = max(instant, self._now + self._rests[group.tries - 1])
            self._due[_round_up(instant)][group] += again

    def _find_next_step(self) -> datetime:
        """Nobody who is ready can be rung now: where a zone of theirs may open, or others come up."""
        zones = {group.zones for group in self._ready}
        openings = [self._outlook.closed_until(one, self._now) for one in zones]
        return min([*self._due, *openings], default=self._plan.end)


class _Outlook:
    """Whether zones are open at one instant after another, worked out for some days at once, and for each zone once."""

    def __init__(self, hours: CallingHours, begin: datetime) -> None:
        self._hours = hours
        self._begin = self._end = begin
        self._of_zone: dict[str, list[Interval]] = {}
        self._of_group: dict[Zones, list[Interval]] = {}  # the next one last

    def closed_until(self, zones: Zones, now: datetime) -> datetime:
        """``now`` if they are open; else when they are to be asked again, before which they do not open.

        No ``now`` is earlier than the last one.
        """
        if now >= self._end:
            self._begin, self._end = now, now + LOOKED_AHEAD
            self._of_zone.clear()
            self._of_group.clear()
        intervals = self._of_group.get(zones)
        if intervals is None:
            intervals = self._of_group[zones] = self._find_intervals(zones)[::-1]
        while intervals and intervals[-1][1] <= now:
            intervals.pop()
        return max(now, intervals[-1][0]) if intervals else self._end

    def _find_intervals(self, zones: Zones) -> list[Interval]:
        for zone in zones:
            if zone not in self._of_zone:
                self._of_zone[zone] = find_open_intervals(self._hours, zone, self._begin, self._end)
        return reduce(intersect, (self._of_zone[zone] for zone in zones)) if zones else []


def _find_rests(plan: Plan) -> Iterator[timedelta]:
    """The least time between the first try and the second, that one and the third and so on: of calls that follow each
    other as closely as delays and caps allow, the one so many before the next must be as old as its cap says.
    """
    rests: list[timedelta] = []
    for tries in range(1, plan.max_attempts):
        delay = plan.delays[min(tries, len(plan.delays)) - 1]
        rest = timedelta(0) if delay is NEXT_DAY else delay
        for calls, span in plan.caps:
            if tries >= calls:
                rest = max(rest, span - sum(rests[tries - calls :], timedelta(0)))
        yield rest
        rests.append(rest)


def _round_up(instant: datetime) -> datetime:
    """To a whole step, so that groups meet again."""
    over = timedelta(seconds=instant.timestamp() % STEP.total_seconds())
    return instant + (STEP - over if over else timedelta(0))
