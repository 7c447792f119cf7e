"""How far campaigns have come, and when they will be done at the rate of their last hours of dialling."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Count as CountRows

from calls.models import ProviderConfig
from calls.recollection import recollection
from calls.statements import write_array
from calls.tallies import QUARTER, Count, read_campaigns
from campaigns.models import Campaign, CampaignStatus
from campaigns.progress import count_states
from campaigns.windows import is_open
from contacts.models import SETTLING_OUTCOMES, Contact, ContactState

# The rate is that of so many quarters of an hour in which the campaign dialled, of the last day. So many people must
# have been settled in them: fewer tell nothing.
QUARTERS_LOOKED_AT = 8
LOOKED_BACK = timedelta(hours=24)
SETTLED_THAT_TELL = 10

# Nobody believes an end that is further off.
LOOKED_AHEAD = timedelta(days=28)


@dataclass(frozen=True, kw_only=True)
class Headway:
    """``left`` are those who are in a call or will be; ``ends_at`` is None when nobody can tell."""

    states: Mapping[str, int]
    left: int
    ends_at: datetime | None

    @property
    def contacts(self) -> int:
        return sum(self.states.values())

    @property
    def done(self) -> int:
        return self.contacts - self.left

    @property
    def share(self) -> float:
        return 100 * self.done / self.contacts if self.contacts else 0


def find_headway(campaigns: Sequence[Campaign], *, now: datetime) -> dict[UUID, Headway]:
    """Of each; to count its contacts takes the longer the more there are, so for large ones it may be a little old."""
    ids = tuple(campaign.pk for campaign in campaigns)
    states, waiting = recollection.recall(("contacts", ids), lambda: count_contacts(ids))
    is_dialling = ProviderConfig.objects.filter(dialing_enabled=True).exists()
    running = [one for one in campaigns if is_dialling and one.status == CampaignStatus.RUNNING]
    rates = find_rates(running, now=now)
    found = {}
    for campaign in campaigns:
        left = waiting[campaign.pk] + states[campaign.pk][ContactState.IN_PROGRESS]
        rate = rates.get(campaign.pk, 0.0)
        ends_at = find_end(campaign, left, rate, now) if rate else None
        found[campaign.pk] = Headway(states=states[campaign.pk], left=left, ends_at=ends_at)
    return found


def count_contacts(campaign_ids: Collection[UUID]) -> tuple[dict[UUID, Counter[str]], Counter[UUID]]:
    """For each campaign its contacts by state, and how many of them wait; each from an index alone."""
    contacts = Contact.objects.filter(campaign__in=campaign_ids).order_by()
    waiting = contacts.waiting().values_list("campaign").annotate(count=CountRows("campaign"))
    return count_states(campaign_ids), Counter(dict(waiting))


def find_rates(campaigns: Sequence[Campaign], *, now: datetime) -> dict[UUID, float]:
    """How many people of each are settled in a second of dialling; not of those of whom too little is known."""
    by_campaign: dict[UUID, list[Count]] = defaultdict(list)
    for count in read_campaigns(campaigns, since=now - LOOKED_BACK, now=now).counts:
        if count.rang:
            by_campaign[count.campaign].append(count)
    firsts = _find_first_claims(by_campaign)
    rates = {
        campaign.pk: _find_rate(by_campaign[campaign.pk], campaign.max_attempts, firsts[campaign.pk], now)
        for campaign in campaigns
        if campaign.pk in by_campaign
    }
    return {campaign: rate for campaign, rate in rates.items() if rate}


def _find_rate(counts: Iterable[Count], max_attempts: int, first: datetime, now: datetime) -> float:
    settled: Counter[datetime] = Counter()
    for count in counts:
        is_last = count.outcome in SETTLING_OUTCOMES or count.attempt_number >= max_attempts
        settled[count.began] += count.attempts if is_last else 0
    quarters = sorted(settled)[-QUARTERS_LOOKED_AT:]
    # The first and the last one are not whole.
    seconds = sum((min(began + QUARTER, now) - max(began, first)).total_seconds() for began in quarters)
    people = sum(settled[began] for began in quarters)
    return people / seconds if people >= SETTLED_THAT_TELL and seconds > 0 else 0.0


def _find_first_claims(campaign_ids: Iterable[UUID]) -> dict[UUID, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT campaign, (SELECT claimed_at FROM calls_callattempt WHERE campaign_id = campaign ORDER BY id LIMIT 1)
            FROM unnest(%s::uuid[]) AS campaign
            """,
            [write_array(campaign_ids)],
        )
        return dict(cursor.fetchall())


def find_end(campaign: Campaign, left: int, per_second: float, now: datetime) -> datetime | None:
    """When so many people will be settled, ringing only while the hours are open for some of them."""
    zones = [campaign.zones_of(zone) for _pk, zone in Contact.objects.find_waiting_zones([campaign.pk])]
    needed = timedelta(seconds=left / per_second)
    hours, instant = campaign.hours, now
    while needed > timedelta(0):
        if instant > now + LOOKED_AHEAD:
            return None
        is_dialling = not zones or any(is_open(hours, some, instant) for some in zones)
        step = min(QUARTER, needed) if is_dialling else QUARTER
        instant += step
        needed -= step if is_dialling else timedelta(0)
    return instant if campaign.ends_at is None else min(instant, campaign.ends_at)
