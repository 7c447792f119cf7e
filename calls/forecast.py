"""What is to come of a campaign: who can be rung, when the first of them, and how long it takes with the lines given.

Nobody is rung and nothing is written.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from django.db.models import Avg, Count, F, Q, QuerySet

from calls.caps import Caps
from calls.models import CallAttempt, ProviderConfig
from calls.rehearsal import Course, Group, Plan, rehearse
from calls.scheduler import CallSchedulerConfig
from calls.turns import Turn, count_turns
from campaigns.models import Campaign
from contacts.models import SETTLING_OUTCOMES, CallOutcome, ContactState

# What calls are like is seen from so many of the last ones; from fewer than the second it is no more than a guess.
CALLS_LOOKED_AT = 1000
CALLS_THAT_TELL = 20

LONGEST = timedelta(days=60)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a call is like: the share of calls after which nobody is tried again, and the seconds that it takes a line.

    ``seen_in`` is where that was seen: "this campaign", "other campaigns", or nothing for assumptions.
    """

    settled: float = 0.35
    seconds: float = 45.0
    seen_in: str = ""
    calls: int = 0


@dataclass(frozen=True, kw_only=True)
class ZoneForecast:
    """``opens_at`` is now or later; None is never. ``first_at`` is when the first who waits may be rung in it."""

    calling_zone: str
    zones: tuple[str, ...]
    contacts: int
    opens_at: datetime | None
    first_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """``ends_at`` is None when nobody can be rung, or it takes longer than LONGEST; ``calls`` are those until then.

    ``lines`` are those that the campaign gets, when the ``others`` that are running want theirs as well.
    """

    now: datetime
    zones: list[ZoneForecast]
    excluded: int
    lines: float
    calls_per_second: float
    others: int
    caps: Caps
    pace: Pace
    calls: int
    ends_at: datetime | None

    @property
    def callable(self) -> int:
        return sum(zone.contacts for zone in self.zones if zone.first_at)

    @property
    def never(self) -> int:
        return sum(zone.contacts for zone in self.zones if not zone.first_at)

    @property
    def starts_at(self) -> datetime | None:
        return min((zone.first_at for zone in self.zones if zone.first_at), default=None)


def forecast(campaign: Campaign, *, now: datetime) -> Forecast:
    """What would come of the campaign if it were running from ``now`` on, or from its start if that is later."""
    provider = ProviderConfig.objects.get()
    turns = count_turns([campaign.pk], provider.caps, now=now)[campaign.pk]
    others = Campaign.objects.dialling(now).exclude(pk=campaign.pk).count()
    lines, per_second = _find_share(campaign, provider, others)
    pace = see_pace(campaign)
    course = _rehearse(campaign, turns, provider, others, pace, now)
    return Forecast(
        now=now,
        zones=_list_zones(campaign, turns, now),
        excluded=campaign.contacts.filter(state=ContactState.EXCLUDED).count(),
        lines=lines,
        calls_per_second=per_second,
        others=others,
        caps=provider.caps,
        pace=pace,
        calls=course.calls,
        ends_at=course.ends_at,
    )


def find_ends(
    campaigns: Iterable[Campaign], turns: Mapping[UUID, Sequence[Turn]], provider: ProviderConfig, *, now: datetime
) -> dict[UUID, datetime]:
    """When the last call of each starts, by the same reckoning; of those alone of which that can be told.

    It cannot before it was seen what calls are like, nor when it is further off than LONGEST. Those whose dates end
    first end then.
    """
    dialling = set(Campaign.objects.dialling(now).values_list("pk", flat=True))
    see_others = cache(_see_others)  # once for all of them
    ends = {}
    for campaign in campaigns:
        pace = see_pace(campaign, see_others)
        if pace.seen_in and (campaign.ends_at is None or campaign.ends_at > now):
            others = len(dialling - {campaign.pk})
            course = _rehearse(campaign, turns.get(campaign.pk, []), provider, others, pace, now)
            ends[campaign.pk] = course.ends_at or _find_own_end(campaign, now)
    return {pk: ends_at for pk, ends_at in ends.items() if ends_at}


def _find_begin(campaign: Campaign, now: datetime) -> datetime:
    return max(now, campaign.starts_at or now)


def _find_own_end(campaign: Campaign, now: datetime) -> datetime | None:
    """Where its dates end the rehearsal."""
    last = _find_begin(campaign, now) + LONGEST
    return campaign.ends_at if campaign.ends_at and campaign.ends_at <= last else None


def _list_zones(campaign: Campaign, turns: Sequence[Turn], now: datetime) -> list[ZoneForecast]:
    """The largest first, of those who wait and have a try left."""
    waiting: dict[str, list[Turn]] = defaultdict(list)
    for turn in turns:
        if turn.first_at and turn.tries < campaign.max_attempts:
            waiting[turn.calling_zone].append(turn)
    zones = [
        ZoneForecast(
            calling_zone=zone,
            zones=tuple(campaign.zones_of(zone)),
            contacts=sum(turn.people for turn in own),
            opens_at=campaign.next_turn_for(zone, now),
            first_at=campaign.next_turn_for(zone, min(turn.first_at for turn in own)),
        )
        for zone, own in waiting.items()
    ]
    return sorted(zones, key=lambda zone: (-zone.contacts, zone.calling_zone))


def _rehearse(
    campaign: Campaign, turns: Sequence[Turn], provider: ProviderConfig, others: int, pace: Pace, now: datetime
) -> Course:
    begin = _find_begin(campaign, now)
    lines, per_second = _find_share(campaign, provider, others)
    return rehearse(
        Plan(
            due=_group_waiting(campaign, turns, now),
            in_call=_group_in_call(campaign, turns),
            hours=campaign.hours,
            delays=campaign.delays_after(CallOutcome.NO_ANSWER),
            max_attempts=campaign.max_attempts,
            caps=provider.caps.limits,
            calls_per_second=min(lines / pace.seconds, per_second),
            settled=pace.settled,
            begin=begin,
            end=_find_own_end(campaign, now) or begin + LONGEST,
        )
    )


def _group_waiting(campaign: Campaign, turns: Sequence[Turn], now: datetime) -> dict[datetime, Counter[Group]]:
    """By when they come up. Without those who have no try left, and whose turn the campaign's end does not leave."""
    opens = {zone: campaign.next_turn_for(zone, now) for zone in {turn.calling_zone for turn in turns}}
    due: dict[datetime, Counter[Group]] = defaultdict(Counter)
    for turn in turns:
        is_waiting = turn.all_by is not None and turn.tries < campaign.max_attempts
        if is_waiting and opens[turn.calling_zone] and campaign.unless_ended(turn.first_at):
            due[turn.all_by][Group(tuple(campaign.zones_of(turn.calling_zone)), turn.tries)] += turn.people
    return due


def _group_in_call(campaign: Campaign, turns: Sequence[Turn]) -> Counter[Group]:
    """With the try that goes on."""
    in_call: Counter[Group] = Counter()
    for turn in turns:
        if turn.all_by is None:
            in_call[Group(tuple(campaign.zones_of(turn.calling_zone)), max(1, turn.tries))] += turn.people
    return in_call


def see_pace(campaign: Campaign, see_others: Callable[[], Pace] | None = None) -> Pace:
    """From the campaign's last calls, else those of all others, else assumed."""
    own = _see(CallAttempt.objects.filter(campaign=campaign), "this campaign")
    return own or (see_others or _see_others)()


def _see_others() -> Pace:
    return _see(CallAttempt.objects.all(), "other campaigns") or Pace()


def _see(attempts: QuerySet[CallAttempt], where: str) -> Pace | None:
    """None of too few calls."""
    last = attempts.order_by("-pk").values("pk")[:CALLS_LOOKED_AT]
    ended = CallAttempt.objects.filter(pk__in=last, ended_at__isnull=False, given_back=False)
    settled = Q(outcome__in=SETTLING_OUTCOMES)
    found = ended.aggregate(
        calls=Count("pk"), settled=Count("pk", filter=settled), length=Avg(F("ended_at") - F("start_at"))
    )
    if found["calls"] < CALLS_THAT_TELL:
        return None
    seconds = max(1.0, found["length"].total_seconds())
    return Pace(settled=found["settled"] / found["calls"], seconds=seconds, seen_in=where, calls=found["calls"])


def _find_share(campaign: Campaign, provider: ProviderConfig, others: int) -> tuple[float, float]:
    """The lines and the calls per second that the campaign gets beside the others, who want as many as there are."""
    lines = CallSchedulerConfig.from_settings().find_lines(provider) / (1 + others)
    if campaign.max_concurrent_calls is not None:
        lines = min(lines, campaign.max_concurrent_calls)
    return lines, provider.calls_per_second / (1 + others)
