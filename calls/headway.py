"""How far campaigns have come, and when they will be done."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from calls.forecast import find_ends
from calls.heartbeat import is_alive
from calls.models import ProviderConfig
from calls.recollection import recollection
from calls.turns import Turn, count_turns
from campaigns.models import Campaign, CampaignStatus
from campaigns.progress import count_states
from contacts.exclusion import is_list_readable


@dataclass(frozen=True, kw_only=True)
class Headway:
    """``left`` are those who are in a call or will be; ``ends_at`` is None when nobody can tell.

    ``is_dialling``: it runs, and so does what rings.
    """

    states: Mapping[str, int]
    left: int
    is_dialling: bool
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
    provider = ProviderConfig.objects.get()
    ids = tuple(campaign.pk for campaign in campaigns)
    states, turns = recollection.recall(("contacts", ids), lambda: _count_contacts(ids, provider, now))
    is_at_work = provider.dialing_enabled and is_alive(provider, now) and is_list_readable()
    dialling = [one for one in campaigns if is_at_work and one.status == CampaignStatus.RUNNING]
    # With the version of each, so that whoever has changed one sees what follows from it.
    known_by = ("ends", tuple((one.pk, one.updated_at) for one in dialling))
    ends = recollection.recall(known_by, lambda: find_ends(dialling, turns, provider, now=now)) if dialling else {}
    return {
        campaign.pk: Headway(
            states=states[campaign.pk],
            left=sum(turn.people for turn in turns.get(campaign.pk, [])),
            is_dialling=campaign in dialling,
            ends_at=ends.get(campaign.pk),
        )
        for campaign in campaigns
    }


def _count_contacts(
    campaign_ids: Collection[UUID], provider: ProviderConfig, now: datetime
) -> tuple[dict[UUID, Counter[str]], dict[UUID, list[Turn]]]:
    return count_states(campaign_ids), count_turns(campaign_ids, provider.caps, now=now)
