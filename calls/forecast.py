"""A dry run: who of a campaign can be rung, when the first of them, and how long it takes with the lines given.

Nobody is rung and nothing is written.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Avg, Count, F, Q

from calls.models import CallAttempt, ProviderConfig
from calls.rehearsal import Plan, rehearse
from calls.scheduler import CallSchedulerConfig
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
    """``opens_at`` is now or later; None is never."""

    calling_zone: str
    zones: tuple[str, ...]
    contacts: int
    opens_at: datetime | None


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
    pace: Pace
    calls: int
    ends_at: datetime | None

    @property
    def callable(self) -> int:
        return sum(zone.contacts for zone in self.zones if zone.opens_at)

    @property
    def never(self) -> int:
        return sum(zone.contacts for zone in self.zones if not zone.opens_at)

    @property
    def starts_at(self) -> datetime | None:
        return min((zone.opens_at for zone in self.zones if zone.opens_at), default=None)


def forecast(campaign: Campaign, *, now: datetime) -> Forecast:
    """What would come of the campaign if it were running from ``now`` on, or from its start if that is later."""
    begin = max(now, campaign.starts_at or now)
    waiting = campaign.contacts.waiting().count_by_zone()
    zones = [
        ZoneForecast(
            calling_zone=zone,
            zones=tuple(campaign.zones_of(zone)),
            contacts=contacts,
            opens_at=campaign.next_turn_for(zone, begin),
        )
        for zone, contacts in sorted(waiting.items(), key=lambda item: (-item[1], item[0]))
    ]
    others = Campaign.objects.dialling(now).exclude(pk=campaign.pk).count()
    lines, per_second = _find_share(campaign, others)
    pace = see_pace(campaign)
    people: Counter[tuple[str, ...]] = Counter()
    for zone in zones:
        people[zone.zones] += zone.contacts if zone.opens_at else 0
    last = begin + LONGEST
    course = rehearse(
        Plan(
            people=people,
            hours=campaign.hours,
            delays=campaign.delays_after(CallOutcome.NO_ANSWER),
            max_attempts=campaign.max_attempts,
            calls_per_second=min(lines / pace.seconds, per_second),
            settled=pace.settled,
            begin=begin,
            end=min(last, campaign.ends_at or last),
        )
    )
    return Forecast(
        now=now,
        zones=zones,
        excluded=campaign.contacts.filter(state=ContactState.EXCLUDED).count(),
        lines=lines,
        calls_per_second=per_second,
        others=others,
        pace=pace,
        calls=course.calls,
        ends_at=course.ends_at,
    )


def see_pace(campaign: Campaign) -> Pace:
    """From the campaign's last calls, else those of all others, else assumed."""
    seen = {
        "this campaign": CallAttempt.objects.filter(campaign=campaign),
        "other campaigns": CallAttempt.objects.all(),
    }
    for where, attempts in seen.items():
        last = attempts.order_by("-pk").values("pk")[:CALLS_LOOKED_AT]
        ended = CallAttempt.objects.filter(pk__in=last, ended_at__isnull=False, given_back=False)
        settled = Q(outcome__in=SETTLING_OUTCOMES)
        found = ended.aggregate(
            calls=Count("pk"), settled=Count("pk", filter=settled), length=Avg(F("ended_at") - F("start_at"))
        )
        if found["calls"] >= CALLS_THAT_TELL:
            seconds = max(1.0, found["length"].total_seconds())
            share = found["settled"] / found["calls"]
            return Pace(settled=share, seconds=seconds, seen_in=where, calls=found["calls"])
    return Pace()


def _find_share(campaign: Campaign, others: int) -> tuple[float, float]:
    """The lines and the calls per second that the campaign gets beside the others, who want as many as there are."""
    provider = ProviderConfig.objects.get()
    lines = CallSchedulerConfig.from_settings().find_lines(provider) / (1 + others)
    if campaign.max_concurrent_calls is not None:
        lines = min(lines, campaign.max_concurrent_calls)
    return lines, provider.calls_per_second / (1 + others)
