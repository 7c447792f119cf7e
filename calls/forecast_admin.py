"""The page of a campaign's dry run, in the admin."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from unfold.decorators import action

from calls.forecast import LONGEST, Forecast, ZoneForecast, forecast
from campaigns import lifecycle
from campaigns.admin import CampaignAdmin
from campaigns.models import Campaign, CampaignStatus

ZONES_SHOWN = 50


class CampaignForecast:
    """For the admin of campaigns: the button and the page of the dry run, for whoever may view them."""

    actions_detail = ["rehearse", *CampaignAdmin.actions_detail]

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.show_forecast)
        return [path("<uuid:campaign>/forecast/", page, name="campaigns_campaign_forecast"), *super().get_urls()]

    def has_rehearse_permission(self, request: HttpRequest, object_id: Any) -> bool:
        campaign = self.get_object(request, str(object_id))
        return campaign is not None and campaign.status != CampaignStatus.CANCELLED

    @action(description="Dry run", icon="timer", permissions=["rehearse"])
    def rehearse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:campaigns_campaign_forecast", args=[object_id]))

    def show_forecast(self, request: HttpRequest, campaign: UUID) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = get_object_or_404(Campaign, pk=campaign)
        now = timezone.now()
        found = forecast(chosen, now=now)
        problems = [] if chosen.status in lifecycle.ACTIVE else lifecycle.find_problems(chosen, now)
        warnings = lifecycle.find_warnings(chosen, now)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Dry run: {chosen}",
            "opts": self.opts,
            "original": chosen,
            "back": reverse("admin:campaigns_campaign_change", args=[chosen.pk]),
            "summary": summarise(found, chosen),
            "problems": problems,
            "warnings": [warning for warning in warnings if warning not in problems],
            "figures": list(_list_figures(found)),
            "zones": [_describe_zone(zone, now) for zone in found.zones[:ZONES_SHOWN]],
            "zones_left": max(0, len(found.zones) - ZONES_SHOWN),
            "assumptions": list(_list_assumptions(found, chosen)),
        }
        return TemplateResponse(request, "calls/forecast.html", context)


def summarise(found: Forecast, campaign: Campaign) -> str:
    if not found.callable:
        return "Nobody can be rung as it stands."
    people = "1 contact" if found.callable == 1 else f"{found.callable:,} contacts"
    first = "at once" if found.starts_at <= found.now else _say_time(found.starts_at)
    if found.ends_at:
        length = _say_length(found.ends_at - found.starts_at)
        return f"{people} can be rung, the first {first}; all are done {_say_time(found.ends_at)}, {length} later."
    end = "it ends" if campaign.ends_at else f"{LONGEST.days} days are over"
    return f"{people} can be rung, the first {first}; not all of them before {end}."


def _list_figures(found: Forecast) -> Iterator[tuple[str, str]]:
    yield "Can be rung", f"{found.callable:,}"
    yield "Never in these hours", f"{found.never:,}"
    yield "On the do-not-call list", f"{found.excluded:,}"
    yield "Calls", f"about {found.calls:,}"
    yield "First call", _say_time(found.starts_at) if found.starts_at else "-"
    yield "Last call", _say_time(found.ends_at) if found.ends_at else "-"


def _describe_zone(zone: ZoneForecast, now: datetime) -> dict[str, Any]:
    if zone.opens_at is None:
        opens, there = "never" if zone.zones else "never: no time zone is known", ""
    elif zone.opens_at <= now:
        opens, there = "is open", ""
    else:
        opens = _say_time(zone.opens_at)
        there = f"{date_format(zone.opens_at.astimezone(ZoneInfo(zone.zones[0])), 'l H:i')} there"
    name = ", ".join(zone.zones) or "unknown"
    return {"name": name, "contacts": f"{zone.contacts:,}", "opens": opens, "there": there}


def _list_assumptions(found: Forecast, campaign: Campaign) -> Iterator[str]:
    pace = found.pace
    done = f"after {pace.settled:.0%} of the calls somebody has taken part or refused"
    calls = f"A call takes a line for {pace.seconds:.0f} seconds, and {done}"
    if pace.seen_in:
        yield f"{calls}: seen in the last {pace.calls:,} calls of {pace.seen_in}."
    else:
        yield f"{calls}: assumed, because there were too few calls so far to know better."
    tries = "once" if campaign.max_attempts == 1 else f"up to {campaign.max_attempts} times, after no answer each time"
    yield f"The others are tried {tries}."
    lines = f"{found.lines:.3g} {'line' if found.lines == 1 else 'lines'}"
    share = f"{lines} and {found.calls_per_second:.3g} calls a second"
    if found.others:
        others = "another campaign that is" if found.others == 1 else f"{found.others} other campaigns that are"
        yield f"It gets {share}: it shares them evenly with {others} running."
    else:
        yield f"It gets {share}, because no other campaign is running."


def _say_time(instant: datetime) -> str:
    return date_format(timezone.localtime(instant), "D j M, H:i")


def _say_length(length: timedelta) -> str:
    """In one unit: what is told is no more than an estimate."""
    minutes = max(1, round(length.total_seconds() / 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{round(minutes / 60)} h"
    return f"{round(minutes / (24 * 60))} days"
