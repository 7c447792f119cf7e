"""What a run does, drawn from its seed: the campaigns, what goes wrong, and when.

Pure: the same seed gives the same plan on every machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from bench.faults.points import ACKS, POINTS
from bench.faults.zones import LAWS, to_local

ZONES = tuple(LAWS)
SCHEDULERS = ("scheduler-1", "scheduler-2")
PROCESSES = (*SCHEDULERS, "cluster", "web")

# Faults begin within so many seconds from the start.
ACTIVE_SECONDS = 3.5

# As many connections as the database allows.
MOST_BACKENDS = 60

YEARS = (2026, 2036)
RETRY_MINUTES = 1
CONTACTS = (24, 44)


@dataclass(frozen=True, kw_only=True)
class ContactPlan:
    phone_number: str
    zone: str


@dataclass(frozen=True, kw_only=True)
class CampaignPlan:
    """``start`` and ``end`` are local calling hours; both None means all day."""

    name: str
    contacts: Sequence[ContactPlan]
    start: time | None = None
    end: time | None = None
    weekdays: Sequence[int] = (1, 2, 3, 4, 5, 6, 7)
    max_attempts: int = 2
    retry_minutes: int = 0
    max_concurrent_calls: int | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happens ``at`` seconds after the start; what it does is the arena's business."""

    at: float
    action: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``starts_at`` is what the database's clock is set to when the run begins."""

    seed: int
    starts_at: datetime
    lines: int
    calls_per_second: float
    campaigns: Sequence[CampaignPlan]
    events: Sequence[Event]


def make_plan(seed: int) -> Plan:
    draw = Random(seed)
    starts_at = _draw_start(draw)
    lines, rate = draw.randint(4, 10), draw.choice([5, 7.5, 12, 20, 40])
    campaigns = _draw_campaigns(draw, starts_at)
    events = _draw_events(draw, campaigns, lines, rate)
    # Drawn apart, so that the plans in which the mutants' guards are put to the test stay what they are beside it.
    events += _draw_further_events(Random(f"further {seed}"), campaigns)
    return Plan(
        seed=seed,
        starts_at=starts_at,
        lines=lines,
        calls_per_second=rate,
        campaigns=campaigns,
        events=sorted(events, key=lambda event: event.at),
    )


def _draw_start(draw: Random) -> datetime:
    """Many a run has a change of the clocks in its middle."""
    if draw.random() < 0.7:
        law, year = LAWS[draw.choice(ZONES)], draw.randint(*YEARS)
        if change := draw.choice([law.summer_begins, law.summer_ends]):
            instant = (change.in_year(year) - law.standard).replace(tzinfo=UTC)
            return instant - timedelta(seconds=draw.uniform(0.5, 5))
    day = date(draw.randint(*YEARS), 1, 1) + timedelta(days=draw.randrange(365))
    return datetime.combine(day, time(draw.randrange(24), draw.randrange(60)), UTC)


def _draw_campaigns(draw: Random, starts_at: datetime) -> list[CampaignPlan]:
    numbers = _draw_numbers(draw, draw.randint(*CONTACTS))
    half = len(numbers) // 2
    retry_minutes = draw.choice([0, 0, RETRY_MINUTES])
    open_one = CampaignPlan(
        name="open",
        contacts=_spread(draw, numbers[:half]),
        max_attempts=draw.randint(1, 2 if retry_minutes else 3),
        retry_minutes=retry_minutes,
        max_concurrent_calls=draw.choice([None, None, None, 3]),
    )
    start, end = _draw_hours(draw, starts_at)
    windowed = CampaignPlan(
        name="windowed",
        # Some people are in both campaigns, and may be in one call at a time all the same.
        contacts=_spread(draw, numbers[half:] + draw.sample(numbers[:half], 4)),
        start=start,
        end=end,
        weekdays=sorted(draw.sample(range(1, 8), 6)) if draw.random() < 0.3 else tuple(range(1, 8)),
        max_attempts=draw.randint(1, 2),
        retry_minutes=draw.choice([0, RETRY_MINUTES]),
    )
    return [open_one, windowed]


def _draw_numbers(draw: Random, count: int) -> list[str]:
    """Of those that North America keeps for fiction: 555-0100 to 555-0199 in each area."""
    every = [f"+1{area}55501{last:02d}" for area in (202, 212, 305, 312, 415, 512, 602, 713) for last in range(100)]
    return draw.sample(every, count)


def _spread(draw: Random, numbers: Sequence[str]) -> list[ContactPlan]:
    zones = draw.sample(ZONES, 3)
    return [ContactPlan(phone_number=number, zone=draw.choice(zones)) for number in numbers]


def _draw_hours(draw: Random, starts_at: datetime) -> tuple[time, time]:
    """Hours with an edge that is near in some zone, or half a day around its local time."""
    local = to_local(draw.choice(ZONES), starts_at)
    near = timedelta(seconds=draw.uniform(0, 8))
    far = timedelta(hours=draw.uniform(0.5, 3))
    hour = local.replace(minute=0, second=0, microsecond=0)
    start, end = draw.choice(
        [
            (local + near, local + far),  # opens during the run
            (local - far, local + near),  # closes during the run
            (hour, hour + timedelta(hours=1)),  # the hour that a change of the clocks may skip or repeat
            (hour + timedelta(hours=1), hour + timedelta(hours=2)),
            (local - far, local + far),
        ]
    )
    first, last = start.time().replace(microsecond=0), end.time().replace(microsecond=0)
    return (first, last) if first < last else (time(0, 0), time(23, 59))


def _draw_events(draw: Random, campaigns: Sequence[CampaignPlan], lines: int, rate: float) -> list[Event]:
    """Some of every kind; the more seldom ones cost a run the more time."""
    drawn = [
        (_draw_process_fault, draw.randint(1, 2)),
        (_draw_trap, draw.randint(1, 3)),
        (_draw_provider_fault, draw.randint(0, 3)),
        (_draw_callback_fault, draw.randint(0, 3)),
        (_draw_stranger, draw.randint(0, 2)),
        (_draw_database_fault, draw.choice([0, 0, 1])),
    ]
    events = [draw_one(draw) for draw_one, times in drawn for _ in range(times)]
    for _ in range(draw.randint(1, 3)):
        events += _draw_operation(draw, campaigns, lines, rate)
    return events


def _draw_further_events(draw: Random, campaigns: Sequence[CampaignPlan]) -> list[Event]:
    events = []
    if draw.random() < 0.3:  # a scheduler is told to end in the middle of a batch
        point = draw.choice(["after_claim_commit", "before_post", "after_answer"])
        events.append(_set_trap(draw, role="scheduler", point=point, order="terminate", seconds=0))
    if draw.random() < 0.15:  # gunicorn's master alone
        values = {"process": "web", "seconds": round(draw.uniform(0, 1), 3)}
        events.append(Event(at=_at(draw), action="kill_parent", values=values))
    if draw.random() < 0.4:
        values = {
            "campaign": draw.choice(campaigns).name,
            "max_concurrent_calls": draw.choice([None, 1, 2, 3]),
            "retry_minutes": draw.choice([0, 0, RETRY_MINUTES]),
        }
        events.append(Event(at=_at(draw), action="pace", values=values))
    if draw.random() < 0.4:
        process, at = draw.choice(["cluster", "cluster", "web"]), _at(draw)
        events.append(Event(at=at, action="kill_member", values={"process": process, "which": draw.randrange(60)}))
        if draw.random() < 0.5:  # while it stops
            before = round(max(0.0, at - draw.uniform(0, 1)), 3)
            events.append(Event(at=before, action="terminate", values={"process": process, "seconds": 0}))
    return events


def _at(draw: Random) -> float:
    return round(draw.uniform(0, ACTIVE_SECONDS), 3)


def _draw_process_fault(draw: Random) -> Event:
    action = draw.choice(["kill", "kill", "kill_parent", "freeze", "terminate"])
    process = "cluster" if action == "kill_parent" else draw.choice(PROCESSES)
    # Sometimes past the send deadline (2 s) and the way to the network: what was claimed before is too late then.
    seconds = round(draw.uniform(0.2, 5) if action == "freeze" else draw.uniform(0, 1), 3)
    return Event(at=_at(draw), action=action, values={"process": process, "seconds": seconds})


def _draw_trap(draw: Random) -> Event:
    role = draw.choice(["scheduler", "scheduler", "cluster", "web"])
    point = draw.choice(POINTS[role])
    orders = ["lose"] if point in ACKS else ["kill", "kill", "freeze", "linger"]
    if role == "cluster" and point not in ACKS:
        orders.append("kill_group")
    order = draw.choice(orders)
    if point == "post_out":
        seconds = draw.uniform(0, 0.02)
    elif order == "linger":
        seconds = draw.uniform(0.02, 0.4)
    else:
        seconds = draw.uniform(0.3, 5)
    return _set_trap(draw, role=role, point=point, order=order, seconds=round(seconds, 3))


def _set_trap(draw: Random, **values: Any) -> Event:
    return Event(at=_at(draw), action="set_trap", values=values)


_SECONDS: dict[str, Callable[[Random], float]] = {
    "hang": lambda draw: 3.0,  # more than the read time-out of 2 s
    "hang_after_placing": lambda draw: 3.0,
    "slow": lambda draw: round(draw.uniform(0.1, 4), 2),
    "callback_late": lambda draw: round(draw.uniform(0.2, 5), 2),
    "lookup_lag": lambda draw: round(draw.uniform(0.5, 4), 2),
}


def _draw_provider_fault(draw: Random) -> Event:
    kinds = [
        "reset",
        "reset_after_placing",
        "hang",
        "hang_after_placing",
        "slow",
        "server_error",
        "server_error_after_placing",
        "rate_limited",
        "wrong_json",
        "same_sid",
        "lookup_lag",
        "lookup_error",
        "callback_before_response",
        "refuse",
        "unauthorized",
        "outage",
    ]
    kind = draw.choice(kinds)
    if kind == "outage":
        return Event(at=_at(draw), action="outage", values={"seconds": round(draw.uniform(0.3, 4), 2)})
    return _misbehave(draw, kind, most=1 if kind == "unauthorized" else 4)


def _draw_callback_fault(draw: Random) -> Event:
    kind = draw.choice(["callback_lost", "callback_doubled", "callback_late", "callback_reordered"])
    return _misbehave(draw, kind, most=10)


def _misbehave(draw: Random, kind: str, *, most: int) -> Event:
    values: dict[str, Any] = {"kind": kind, "count": draw.randint(1, most)}
    if kind in _SECONDS:
        values["seconds"] = _SECONDS[kind](draw)
    return Event(at=_at(draw), action="misbehave", values=values)


def _draw_stranger(draw: Random) -> Event:
    """Reports that are not the provider's, or not true; and a program that writes attempts past the scheduler."""
    action = draw.choice(["forge", "forge", "misdirect", "contradict", "ring_again"])
    return Event(at=_at(draw), action=action, values={"count": draw.randint(1, 5)})


def _draw_database_fault(draw: Random) -> Event:
    action = draw.choice(["restart_database", "terminate_backends", "use_up_connections"])
    at = _at(draw)
    if action == "terminate_backends":
        return Event(at=at, action=action, values={"chosen": [draw.random() < 0.6 for _ in range(MOST_BACKENDS)]})
    return Event(at=at, action=action, values={"seconds": round(draw.uniform(0, 1.5), 2)})


def _draw_operation(draw: Random, campaigns: Sequence[CampaignPlan], lines: int, rate: float) -> list[Event]:
    at, later = _at(draw), round(draw.uniform(0.3, 3), 3)
    campaign = draw.choice(campaigns)
    match draw.choice(["pause", "do_not_call", "do_not_call", "limits", "cancel", "rules"]):
        case "pause":
            values = {"campaign": campaign.name}
            return [Event(at=at, action="pause", values=values), Event(at=at + later, action="resume", values=values)]
        case "do_not_call":
            people = draw.sample([contact.phone_number for contact in campaign.contacts], 4)
            # Without the product's own way in, as somebody who fills the table from another system.
            values = {"numbers": people, "bare": draw.random() < 0.4}
            return [Event(at=at, action="do_not_call", values=values)]
        case "limits":
            lowered = {"lines": draw.randint(1, lines), "calls_per_second": draw.choice([rate, 3, 5])}
            raised = {"lines": lines + 2, "calls_per_second": rate}
            return [
                Event(at=at, action="limits", values=lowered),
                Event(at=at + later, action="limits", values=raised),
            ]
        case "cancel":
            return [Event(at=at, action="cancel", values={"campaign": campaign.name})] if draw.random() < 0.3 else []
        case _:
            values = {
                "campaign": campaign.name,
                "hours": draw.choice(["none", "closed", "planned", "blocked"]),
                "max_attempts": draw.randint(1, 3),
            }
            return [Event(at=at, action="rules", values=values)]
