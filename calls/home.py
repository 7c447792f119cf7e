"""What the first page shows: the lines, today's calls, the campaigns that run, and whether all is well."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count as CountRows
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import pgettext_lazy

from calls.charts import Chart, stack
from calls.clock import Clock
from calls.headway import find_headway
from calls.heartbeat import is_alive
from calls.metrics.counting import GIVEN_BACK
from calls.models import CallAttempt, ProviderConfig
from calls.scheduler import CallSchedulerConfig
from calls.tallies import MARGIN, Count, find_quarter, read_site, smallest_id
from calls.why import explain_each
from campaigns.models import Campaign, CampaignStatus
from contacts.models import CallOutcome

# So many campaigns of a kind are shown, the newest first.
RUNNING_SHOWN = 10
OTHERS_SHOWN = 5

HOURS_SHOWN = 24
EVERY_THIRD = 3

OUTCOME_TITLES: dict[str, str] = {
    CallOutcome.COMPLETED: pgettext_lazy("outcome of calls", "Completed"),
    CallOutcome.REFUSED: pgettext_lazy("outcome of calls", "Refused"),
    CallOutcome.NO_ANSWER: pgettext_lazy("outcome of calls", "No answer"),
    CallOutcome.BUSY: pgettext_lazy("outcome of calls", "Busy"),
    CallOutcome.FAILED: pgettext_lazy("outcome of calls", "Failed"),
}


def describe_home(*, clock: Clock) -> dict[str, Any]:
    """The figures of this moment; days and hours are those of the current time zone."""
    now = clock.synchronise()
    provider = ProviderConfig.objects.get()
    local = timezone.localtime(now)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    first_hour = find_first_hour(local)
    counts, are_all = read_site(find_quarter(min(midnight, first_hour)), now=now)
    open_calls = count_open()
    return {
        "now": now,
        "lines": describe_lines(provider, sum(open_calls.values())),
        "pace": describe_pace(provider, now),
        "today": summarise(count for count in counts if count.began >= midnight),
        "chart": chart_hours(counts, first_hour),
        "are_all_counted": are_all,
        "health": describe_health(provider, now),
        **describe_campaigns(open_calls, clock=clock, now=now),
    }


def find_first_hour(local: datetime) -> datetime:
    """When the first of the hours shown began: hours of time, of which the clock may show one twice or none."""
    hour = local.replace(minute=0, second=0, microsecond=0)
    return hour.astimezone(UTC) - timedelta(hours=HOURS_SHOWN - 1)


def count_open() -> Counter[UUID]:
    """The calls that hold a line, by campaign: no more than there are lines."""
    rows = CallAttempt.objects.open().order_by().values_list("campaign").annotate(calls=CountRows("pk"))
    return Counter(dict(rows))


def describe_lines(provider: ProviderConfig, used: int) -> dict[str, Any]:
    allowed = CallSchedulerConfig.from_settings().find_lines(provider)
    return {"used": used, "allowed": allowed, "share": min(100, 100 * used / allowed)}


def describe_pace(provider: ProviderConfig, now: datetime) -> dict[str, Any]:
    """Calls a second, of the last ten seconds and of the last minute."""
    long_ago, just_now = now - timedelta(minutes=1), now - timedelta(seconds=10)
    last = CallAttempt.objects.filter(id__gt=smallest_id(long_ago - MARGIN), started_at__gt=long_ago)
    started = last.aggregate(minute=CountRows("pk"), moment=CountRows("pk", filter=Q(started_at__gt=just_now)))
    moment, allowed = started["moment"] / 10, provider.calls_per_second
    return {
        "moment": moment,
        "minute": started["minute"] / 60,
        "allowed": allowed,
        "share": min(100, 100 * moment / allowed),
    }


def summarise(counts: Iterable[Count]) -> dict[str, Any]:
    """Rates in percent, None of nothing: answered of all that rang and have ended, completed of the answered."""
    by_outcome: Counter[str] = Counter()
    answered = 0
    for count in counts:
        by_outcome[count.outcome] += count.attempts
        answered += count.answered if count.rang else 0
    given_back, going_on = by_outcome.pop(GIVEN_BACK, 0), by_outcome.pop("", 0)
    ended, completed = sum(by_outcome.values()), by_outcome[CallOutcome.COMPLETED]
    return {
        "all": ended + going_on + given_back,
        "calls": ended + going_on,
        "ended": ended,
        "going_on": going_on,
        "given_back": given_back,
        "answered": answered,
        "completed": completed,
        "answer_rate": 100 * answered / ended if ended else None,
        "completion_rate": 100 * completed / answered if answered else None,
        "outcomes": [
            {
                "kind": kind,
                "title": title,
                "count": by_outcome[kind],
                "share": 100 * by_outcome[kind] / ended if ended else 0,
            }
            for kind, title in OUTCOME_TITLES.items()
        ],
    }


def chart_hours(counts: Iterable[Count], first: datetime) -> Chart:
    """The calls that have ended, by the hour in which they were claimed, from the first hour on."""
    hours = [Counter[str]() for _ in range(HOURS_SHOWN)]
    for count in counts:
        position = (count.began - first) // timedelta(hours=1)
        if count.rang and 0 <= position < HOURS_SHOWN:
            hours[position][count.outcome] += count.attempts
    begins = [timezone.localtime(first + timedelta(hours=hour)) for hour in range(HOURS_SHOWN)]
    labels = [
        (date_format(one, "H:i") if one.hour % EVERY_THIRD == 0 else "", date_format(one, "D j M, H:i"))
        for one in begins
    ]
    return stack(hours, OUTCOME_TITLES, labels)


def describe_health(provider: ProviderConfig, now: datetime) -> dict[str, Any]:
    """Of the provider and of the schedulers; each with a state: success, warning or danger."""
    is_waiting = bool(provider.paused_until and provider.paused_until > now)
    return {
        "provider": provider,
        "dialling": "danger" if not provider.dialing_enabled else "warning" if is_waiting else "success",
        "is_waiting": is_waiting,
        "scheduler": "success" if is_alive(provider, now) else "danger",
        "silence": now - provider.scheduler_seen_at if provider.scheduler_seen_at else None,
    }


def describe_campaigns(open_calls: Counter[UUID], *, clock: Clock, now: datetime) -> dict[str, Any]:
    """Those that run, with all that is known of them, and shortly those that wait."""
    running, more_running = _list_campaigns(CampaignStatus.RUNNING, RUNNING_SHOWN)
    scheduled, more_scheduled = _list_campaigns(CampaignStatus.SCHEDULED, OTHERS_SHOWN)
    paused, more_paused = _list_campaigns(CampaignStatus.PAUSED, OTHERS_SHOWN)
    headway = find_headway([*running, *paused], now=now)
    sentences = explain_each([*running, *paused, *scheduled], clock=clock)

    def describe(campaign: Campaign) -> dict[str, Any]:
        return {
            "campaign": campaign,
            "headway": headway.get(campaign.pk),
            "sentence": sentences.get(campaign.pk),
            "calls": open_calls[campaign.pk],
        }

    return {
        "running": [describe(campaign) for campaign in running],
        "more_running": more_running,
        "needs_scheduler": bool(running or scheduled),
        "waiting": [describe(campaign) for campaign in (*paused, *scheduled)],
        "more_waiting": more_scheduled or more_paused,
    }


def _list_campaigns(status: str, shown: int) -> tuple[Sequence[Campaign], bool]:
    """The newest ones, and whether there are more."""
    found = list(Campaign.objects.filter(status=status).select_related("status_changed_by")[: shown + 1])
    return found[:shown], len(found) > shown
