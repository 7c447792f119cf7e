"""The form in which operators write a campaign."""

from functools import cache
from typing import Any
from zoneinfo import available_timezones

import phonenumbers
from django import forms
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSingleTimeWidget,
    UnfoldAdminTextareaWidget,
)

from campaigns import lifecycle
from campaigns.models import Campaign, Weekday, every_weekday


@cache  # zoneinfo walks the disk for its names
def name_zones() -> list[tuple[str, str]]:
    return [
        ("", "None"),
        *((zone, zone) for zone in sorted(available_timezones())),
    ]


@cache
def name_countries() -> list[tuple[str, str]]:
    regions = sorted(phonenumbers.SUPPORTED_REGIONS)
    prefixes = ((region, f"{region} (+{phonenumbers.country_code_for_region(region)})") for region in regions)
    return [("", "None"), *prefixes]


class CountryField(forms.ChoiceField):
    """Of numbers that are written without one; empty: none."""

    widget = UnfoldAdminSelect2Widget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=name_countries, required=False, **kwargs)


class CampaignForm(forms.ModelForm):
    """Refuses what would make a campaign that is active ring nobody; to be used in the transaction that saves it."""

    weekdays = forms.TypedMultipleChoiceField(
        choices=Weekday.choices,
        coerce=int,
        initial=every_weekday,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=Campaign._meta.get_field("weekdays").help_text,
    )
    time_zone = forms.ChoiceField(
        choices=name_zones,
        required=False,
        widget=UnfoldAdminSelect2Widget,
        help_text=Campaign._meta.get_field("time_zone").help_text,
    )
    default_country = CountryField(help_text="The country of imported numbers that are written without one.")

    class Meta:
        model = Campaign
        fields = "__all__"
        widgets = {
            "description": UnfoldAdminTextareaWidget({"rows": 2}),
            "intro_script": UnfoldAdminTextareaWidget({"rows": 4}),
            "allowed_call_start": UnfoldAdminSingleTimeWidget(format="%H:%M"),
            "allowed_call_end": UnfoldAdminSingleTimeWidget(format="%H:%M"),
        }
        labels = {
            "allowed_call_start": "Calls from",
            "allowed_call_end": "Calls until",
            "max_attempts": "Tries at most",
            "retry_interval_minutes": "Minutes between tries",
            "max_concurrent_calls": "Lines at most",
            "caller_id": "Number shown",
        }

    def _post_clean(self) -> None:
        # Not in clean(): only now does the instance have what was written in the form.
        super()._post_clean()
        if self.errors or self.instance._state.adding:
            return
        for field, reason in lifecycle.find_edit_problems(self.instance, timezone.now()).items():
            self.add_error(field, reason)
