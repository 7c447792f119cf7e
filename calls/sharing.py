"""Which campaign gets the next free line. Pure."""

import heapq
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one campaign has on the lines and would like to add, the most urgent first.

    ``may_have_more``: not all who wait are known.
    """

    campaign: Hashable
    open_calls: int
    limit: int | None
    waiting: Sequence[tuple[Hashable, str]] = ()  # (contact, phone number)
    may_have_more: bool = True


def allot_lines(demands: Sequence[Demand], lines: int) -> dict[int, int]:
    """How many lines each would get, by its position, if those who may have more waiting had plenty of them.

    ``demands`` are in the order of their open calls; of them no more are looked at than it takes.
    """
    allotted: dict[int, int] = {}
    queue: list[tuple[int, int]] = []  # (open calls, position)
    looked_at = 0
    for _ in range(lines):
        while True:
            while looked_at < len(demands) and (not queue or (demands[looked_at].open_calls, looked_at) < queue[0]):
                heapq.heappush(queue, (demands[looked_at].open_calls, looked_at))
                looked_at += 1
            if not queue:
                return allotted
            open_calls, position = queue[0]
            demand = demands[position]
            has_room = demand.limit is None or open_calls < demand.limit
            if has_room and (demand.may_have_more or allotted.get(position, 0) < len(demand.waiting)):
                allotted[position] = allotted.get(position, 0) + 1
                heapq.heapreplace(queue, (open_calls + 1, position))
                break
            heapq.heappop(queue)
    return allotted


def share_lines(demands: Sequence[Demand], lines: int) -> list[Hashable]:
    """The contacts that get a line, in the order in which they get it; no phone number twice.

    Each line goes to the campaign with the fewest calls open; among equals to the one that stands first in
    ``demands``, so give them in the order in which they were last served.
    """
    chosen: list[Hashable] = []
    numbers: set[str] = set()
    queue = [(demand.open_calls, order, 0) for order, demand in enumerate(demands)]
    heapq.heapify(queue)
    while queue and len(chosen) < lines:
        open_calls, order, position = heapq.heappop(queue)
        demand = demands[order]
        if position == len(demand.waiting) or (demand.limit is not None and open_calls >= demand.limit):
            continue
        contact, number = demand.waiting[position]
        if number not in numbers:
            numbers.add(number)
            chosen.append(contact)
            open_calls += 1
        heapq.heappush(queue, (open_calls, order, position + 1))
    return chosen
