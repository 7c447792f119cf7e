"""A campaign by what people call it on the command line."""

from uuid import UUID

from campaigns.models import Campaign


class UnknownCampaign(LookupError):
    """None is called so, or several are; the message says which and what to do."""


def find_campaign(id_or_name: str) -> Campaign:
    """Raises UnknownCampaign."""
    try:
        campaigns = list(Campaign.objects.filter(pk=UUID(id_or_name)))
    except ValueError:
        campaigns = list(Campaign.objects.filter(name=id_or_name)[:2])
    if not campaigns:
        raise UnknownCampaign(f"There is no campaign with the id or name {id_or_name!r}.")
    if len(campaigns) > 1:
        raise UnknownCampaign(f"Several campaigns are named {id_or_name!r}; give the id of one.")
    return campaigns[0]
