"""What stands in the way of every call of a campaign and is none of the campaign's own settings."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calls.heartbeat import is_alive
from calls.models import ProviderConfig
from campaigns.models import Campaign
from contacts.exclusion import is_list_readable

LIST_UNREADABLE = gettext_lazy(
    "Nobody is rung, because numbers of erased people on the do-not-call list cannot be recognised: "
    "ask whoever runs this site to set their key to what it was before."
)


def find_obstacles(campaign: Campaign, now: datetime, **_kwargs: Any) -> list[str]:
    """The reasons, each a sentence that says what to do."""
    provider = ProviderConfig.objects.get()
    obstacles = []
    if not (campaign.caller_id or provider.outbound_number):
        obstacles.append(_("There is no number to show to those who are rung: enter one for the provider."))
    if not provider.dialing_enabled:
        obstacles.append(_("Dialling is switched off, and nobody is rung: see the provider's page."))
    if not is_list_readable():
        obstacles.append(str(LIST_UNREADABLE))
    if not (settings.TWILIO_ACCOUNT_SID and settings.TWILIO_AUTH_TOKEN):
        obstacles.append(_("The provider's credentials are missing: ask whoever runs this site to set them."))
    if not is_alive(provider, now):
        obstacles.append(_("No scheduler is at work: ask whoever runs this site to start it."))
    return obstacles
