"""What the database says at the moment of a scrape: the same on every machine.

The questions are as cheap as a claim's: none of them reads more of the contacts or attempts than there are lines
and lanes, and the due contacts of a lane are counted only up to a limit.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Count, Q
from prometheus_client.core import GaugeMetricFamily, Metric
from psycopg2.errors import QueryCanceled

from calls.clock import DatabaseClock
from calls.heartbeat import is_alive
from calls.lanes import Lane, Openings, find_lanes
from calls.models import CallAttempt, ProviderConfig
from calls.states import AttemptStatus
from campaigns.models import Campaign, CampaignStatus

# Of all lanes together; the more of them there are, the fewer contacts are counted in each.
COUNTED_CONTACTS = 50_000

# A scrape that is slow is given up: it must not add to the troubles of a database that has some.
STATEMENT_TIMEOUT = "5s"

# A campaign that is over is shown for so long, so that its last calls are seen.
SHOWN_AFTER_THE_END = timedelta(hours=1)

_OVER = [CampaignStatus.COMPLETED, CampaignStatus.CANCELLED]


def collect_facts() -> tuple[list[Metric], set[str]]:
    """The metrics, and the ids of the campaigns that are to be shown; without the database hardly anything.

    A database that is too slow, or whose migrations are not applied, is not one that is away: what it has answered
    until then is shown.
    """
    facts: list[Metric] = []
    shown: set[str] = set()
    is_complete = True
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
            now = DatabaseClock().synchronise()
            # What is cheapest, and most wanted, comes first.
            facts += _describe_provider(ProviderConfig.objects.get(), now)
            shown |= _find_shown(now)
            facts.append(_describe_open_calls())
            facts += _describe_due(now)
    except (DatabaseError, InterfaceError, ProviderConfig.DoesNotExist) as error:
        if isinstance(error, (OperationalError, InterfaceError)) and not isinstance(error.__cause__, QueryCanceled):
            return describe_silence()
        is_complete = False
    complete = _gauge(
        "facts_complete",
        "0 when facts are left out, because the database was too slow or migrations are not applied.",
        is_complete,
    )
    return [_describe_database(is_up=True), complete, *facts], shown


def describe_silence() -> tuple[list[Metric], set[str]]:
    """As above, of a database that does not answer."""
    return [_describe_database(is_up=False)], set()


def _describe_database(*, is_up: bool) -> Metric:
    return _gauge("database_up", "1 when the database could be asked.", is_up)


def _find_shown(now: datetime) -> set[str]:
    """Campaigns by their id, never by their name: nobody knows what personal data an operator writes into one."""
    live = ~Q(status__in=[CampaignStatus.DRAFT, *_OVER])
    just_over = Q(status__in=_OVER, updated_at__gt=now - SHOWN_AFTER_THE_END)
    return {str(pk) for pk in Campaign.objects.filter(live | just_over).values_list("pk", flat=True)}


def _describe_provider(provider: ProviderConfig, now: datetime) -> Iterable[Metric]:
    own_limit = settings.SCHEDULER_MAX_CONCURRENT_CALLS
    limits = [provider.max_concurrent_calls, *([] if own_limit is None else [own_limit])]
    yield _gauge("calls_allowed", "Lines: how many calls may be open at once.", min(limits))
    yield _gauge("calls_per_second_allowed", "How many calls may start in a second.", provider.calls_per_second)
    yield _gauge("dialling_enabled", "1 when anybody may be rung at all.", provider.dialing_enabled)
    yield _gauge(
        "dialling_halted",
        "1 when dialling went off by itself, because the provider refused our settings.",
        bool(provider.halted_reason),
    )
    yield _gauge("breaker_failures", "Failures of the provider in a row.", provider.consecutive_failures)
    yield _gauge(
        "breaker_open",
        "1 while the provider is left alone because it failed again and again.",
        bool(provider.paused_until and provider.paused_until > now),
    )
    alive = is_alive(provider, now)
    yield _gauge("scheduler_alive", "1 when a scheduler, or a shift in a cluster, has shown itself in time.", alive)
    if provider.scheduler_seen_at:
        age = max(0.0, (now - provider.scheduler_seen_at).total_seconds())
        yield _gauge("scheduler_heartbeat_age_seconds", "Since the last sign of life of any scheduler.", age)


def _describe_open_calls() -> Metric:
    rows = CallAttempt.objects.open().order_by().values_list("status").annotate(calls=Count("pk"))
    open_calls = dict.fromkeys((status for status in AttemptStatus if status != AttemptStatus.ENDED), 0) | dict(rows)
    metric = _family("calls_open", "Attempts that have a line, by their status.", ["status"])
    for status, calls in open_calls.items():
        metric.add_metric([str(status)], calls)
    return metric


def _describe_due(now: datetime) -> Iterable[Metric]:
    campaigns = list(Campaign.objects.dialling(now))
    lanes = find_lanes(campaigns, Openings(now))
    due = {(campaign.pk, is_open): 0 for campaign in campaigns for is_open in (True, False)}
    oldest: dict[UUID, datetime] = defaultdict(lambda: now)
    for lane, contacts, due_at in _read_due(lanes, now):
        due[lane.campaign.pk, lane.is_open] += contacts
        if lane.is_open:
            oldest[lane.campaign.pk] = min(oldest[lane.campaign.pk], due_at)
    contacts_due = _family(
        "contacts_due",
        "Contacts whose time has come, by whether the hours are open for them; large numbers are at least so large.",
        ["campaign", "hours"],
    )
    for (campaign, is_open), contacts in due.items():
        contacts_due.add_metric([str(campaign), "open" if is_open else "closed"], contacts)
    age = _family(
        "oldest_due_contact_age_seconds", "Since when the first who may be rung now has been due.", ["campaign"]
    )
    for campaign in campaigns:
        age.add_metric([str(campaign.pk)], (now - oldest[campaign.pk]).total_seconds())
    return contacts_due, age


def _read_due(lanes: Sequence[Lane], now: datetime) -> list[tuple[Lane, int, datetime]]:
    """For each lane how many are due, up to the limit, and since when the first of them."""
    if not lanes:
        return []
    sql = """
        SELECT lane.position, due.contacts, due.oldest
        FROM unnest(%s::uuid[], %s::text[]) WITH ORDINALITY AS lane(campaign_id, zone, position)
        CROSS JOIN LATERAL (
            SELECT count(*) AS contacts, min(head.next_attempt_at) AS oldest
            FROM (
                SELECT contact.next_attempt_at FROM contacts_contact contact
                WHERE contact.campaign_id = lane.campaign_id AND contact.calling_zone = lane.zone
                  AND contact.next_attempt_at <= %s
                ORDER BY contact.next_attempt_at, contact.id
                LIMIT %s
            ) head
        ) due
        WHERE due.contacts > 0
    """
    limit = max(1, COUNTED_CONTACTS // len(lanes))
    keys = [lane.campaign.pk for lane in lanes], [lane.calling_zone for lane in lanes]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*keys, now, limit])
        return [(lanes[position - 1], contacts, oldest) for position, contacts, oldest in cursor.fetchall()]


def _family(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"surveycalls_{name}", text, labels=labels)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"surveycalls_{name}", text, value=float(value))
