"""What stands in the way of every call of a campaign and is none of the campaign's own settings."""

from typing import Any

from calls.models import ProviderConfig
from campaigns.models import Campaign


def find_obstacles(campaign: Campaign, **_kwargs: Any) -> list[str]:
    """The reasons, each a sentence that says what to do."""
    provider = ProviderConfig.objects.get()
    obstacles = []
    if not (campaign.caller_id or provider.outbound_number):
        obstacles.append("There is no number to show to those who are rung: enter one for the provider.")
    if not provider.dialing_enabled:
        obstacles.append("Dialling is switched off, and nobody is rung: see the provider's page.")
    return obstacles
