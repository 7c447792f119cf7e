"""Forms whose campaign stands in their address, such as a link of the campaign's page gives it."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.http import HttpRequest


class ChosenCampaign:
    """For an admin. What is no id of a campaign is none."""

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial = super().get_changeform_initial_data(request)
        campaign = initial.pop("campaign", "")
        with suppress(ValueError):
            initial["campaign"] = UUID(campaign)
        return initial
