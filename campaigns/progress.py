"""How far campaigns have come: their contacts by state, and how often anybody was rung."""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from django.db.models import Count

from campaigns.models import Campaign

ATTEMPTS = "attempts"


def count_states(campaign_ids: Iterable[UUID]) -> dict[UUID, Counter[str]]:
    """For each campaign, its contacts by state; from an index alone."""
    states: dict[UUID, Counter[str]] = {campaign_id: Counter() for campaign_id in campaign_ids}
    campaigns = Campaign.objects.filter(pk__in=states.keys()).order_by()
    by_state = campaigns.values_list("pk", "contacts__state").annotate(contacts=Count("contacts__state"))
    for campaign_id, state, contacts in by_state:
        if contacts:
            states[campaign_id][state] = contacts
    return states


def count_progress(campaign_ids: Iterable[UUID]) -> dict[UUID, Counter[str]]:
    """For each campaign, its contacts by state, and its attempts under ATTEMPTS.

    Two queries however many campaigns there are; both can be answered from an index alone.
    """
    progress = count_states(campaign_ids)
    campaigns = Campaign.objects.filter(pk__in=progress.keys()).order_by()
    attempts = campaigns.values_list("pk").annotate(attempts=Count("attempts__campaign"))
    for campaign_id, count in attempts:
        progress[campaign_id][ATTEMPTS] = count
    return progress
