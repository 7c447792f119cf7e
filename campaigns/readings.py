"""A campaign's rules for those who may not edit them: as the form would write them, and not as they are stored."""

from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest
from unfold.decorators import display

from campaigns.forms import CampaignForm, name_holidays
from campaigns.models import Campaign, Weekday
from campaigns.spellings import format_dates, parse_delays, say_delays


def _read_hours(campaign: Campaign) -> str:
    days = zip(Weekday, campaign.weekday_hours, strict=False)
    return "; ".join(f"{day.label}: {hours}" for day, hours in days if hours)


def _make_delays_reader(name: str) -> Callable[[Campaign], str]:
    return lambda campaign: say_delays(parse_delays(getattr(campaign, name)))


_READERS: dict[str, Callable[[Campaign], str]] = {
    "weekdays": lambda campaign: ", ".join(str(Weekday(day).label) for day in sorted(campaign.weekdays)),
    "weekday_hours": _read_hours,
    "blocked_dates": lambda campaign: format_dates(campaign.blocked_dates).replace("\n", "; "),
    "holidays_of": lambda campaign: dict(name_holidays()).get(campaign.holidays_of, "") if campaign.holidays_of else "",
    **{name: _make_delays_reader(name) for name in ("retry_busy", "retry_no_answer", "retry_failed")},
}


def _make_column(name: str) -> Callable[[Any, Campaign], str]:
    def read(_admin: Any, campaign: Campaign) -> str:
        return _READERS[name](campaign) or "-"

    return display(description=CampaignForm.base_fields[name].label)(read)


class ReadableRules:
    """For the admin of campaigns."""

    read_weekdays = _make_column("weekdays")
    read_weekday_hours = _make_column("weekday_hours")
    read_blocked_dates = _make_column("blocked_dates")
    read_holidays_of = _make_column("holidays_of")
    read_retry_busy = _make_column("retry_busy")
    read_retry_no_answer = _make_column("retry_no_answer")
    read_retry_failed = _make_column("retry_failed")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [(title, {**options, "fields": _name_readings(options["fields"])}) for title, options in fieldsets]


def _name_readings(fields: Sequence[Any]) -> list[Any]:
    return [
        tuple(_name_readings(field)) if isinstance(field, tuple) else f"read_{field}" if field in _READERS else field
        for field in fields
    ]
