"""The page of a campaign's dry run, in the admin."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from unfold.decorators import action

from calls.forecast import LONGEST, Forecast, Pace, ZoneForecast, forecast
from campaigns import lifecycle
from campaigns.admin import CampaignAdmin
from campaigns.counting import say_count
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

    @action(description=gettext_lazy("Dry run"), icon="timer", permissions=["rehearse"])
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
            "title": _("Dry run: %(campaign)s") % {"campaign": chosen},
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
        return _("Nobody can be rung as it stands.")
    people = _say_people(found)
    if found.ends_at:
        text = _("%(people)s; all are done %(end)s, %(length)s later.")
        length = _say_length(found.ends_at - found.starts_at)
        return text % {"people": people, "end": _say_time(found.ends_at), "length": length}
    if campaign.ends_at:
        return _("%(people)s; not all of them before it ends.") % {"people": people}
    return _("%(people)s; not all of them before %(days)s days are over.") % {"people": people, "days": LONGEST.days}


def _say_people(found: Forecast) -> str:
    values = {"count": say_count(found.callable), "first": _say_time(found.starts_at)}
    if found.starts_at <= found.now:
        text = ngettext(
            "%(count)s contact can be rung, the first at once",
            "%(count)s contacts can be rung, the first at once",
            found.callable,
        )
    else:
        text = ngettext(
            "%(count)s contact can be rung, the first %(first)s",
            "%(count)s contacts can be rung, the first %(first)s",
            found.callable,
        )
    return text % values


def _list_figures(found: Forecast) -> Iterator[tuple[str, str]]:
    yield _("Can be rung"), say_count(found.callable)
    yield _("Never in these hours"), say_count(found.never)
    yield _("On the do-not-call list"), say_count(found.excluded)
    yield _("Calls"), _("about %(count)s") % {"count": say_count(found.calls)}
    yield _("First call"), _say_time(found.starts_at) if found.starts_at else "-"
    yield _("Last call"), _say_time(found.ends_at) if found.ends_at else "-"


def _describe_zone(zone: ZoneForecast, now: datetime) -> dict[str, Any]:
    name = ", ".join(zone.zones) or pgettext("time zone", "unknown")
    opens, there = _say_opening(zone, now)
    return {"name": name, "contacts": say_count(zone.contacts), "opens": opens, "there": there}


def _say_opening(zone: ZoneForecast, now: datetime) -> tuple[str, str]:
    """By the clock of the page and, if it is still to come, by that of the zone."""
    if zone.opens_at is None:
        return _("never") if zone.zones else _("never: no time zone is known"), ""
    if zone.opens_at <= now:
        return _("is open"), ""
    there = date_format(zone.opens_at.astimezone(ZoneInfo(zone.zones[0])), "l H:i")
    return _say_time(zone.opens_at), _("%(time)s there") % {"time": there}


def _list_assumptions(found: Forecast, campaign: Campaign) -> Iterator[str]:
    yield _explain_pace(found.pace)
    if campaign.max_attempts == 1:
        yield _("The others are tried once.")
    else:
        text = _("The others are tried up to %(count)s times, after no answer each time.")
        yield text % {"count": campaign.max_attempts}
    if found.caps.limits:
        yield _(
            "No number is rung more often than the provider's page allows; what other campaigns will ring is not "
            "foreseen."
        )
    yield _explain_share(found)


def _explain_pace(pace: Pace) -> str:
    if pace.seen_in == "this campaign":
        text = _(
            "A call takes a line for %(seconds)s seconds, and after %(share)s of the calls somebody has taken part or "
            "refused: seen in the last %(calls)s calls of this campaign."
        )
    elif pace.seen_in:
        text = _(
            "A call takes a line for %(seconds)s seconds, and after %(share)s of the calls somebody has taken part or "
            "refused: seen in the last %(calls)s calls of other campaigns."
        )
    else:
        text = _(
            "A call takes a line for %(seconds)s seconds, and after %(share)s of the calls somebody has taken part or "
            "refused: assumed, because there were too few calls so far to know better."
        )
    return text % {
        "seconds": f"{pace.seconds:.0f}",
        "share": f"{pace.settled:.0%}",
        "calls": say_count(pace.calls),
    }


def _explain_share(found: Forecast) -> str:
    lines = ngettext("%(count)s line", "%(count)s lines", _find_form(found.lines))
    rate = ngettext("%(count)s calls a second", "%(count)s calls a second", _find_form(found.calls_per_second))
    values = {
        "lines": lines % {"count": _say_number(found.lines)},
        "rate": rate % {"count": _say_number(found.calls_per_second)},
        "count": say_count(found.others),
    }
    if not found.others:
        return _("It gets %(lines)s and %(rate)s, because no other campaign is running.") % values
    text = ngettext(
        "It gets %(lines)s and %(rate)s: it shares them evenly with another campaign that is running.",
        "It gets %(lines)s and %(rate)s: it shares them evenly with %(count)s other campaigns that are running.",
        found.others,
    )
    return text % values


def _find_form(number: float) -> int:
    """What ngettext is to count instead: of less than one there are several, as of more."""
    return 1 if number == 1 else 2


def _say_number(number: float) -> str:
    return number_format(Decimal(f"{number:.3g}"))


def _say_time(instant: datetime) -> str:
    return date_format(timezone.localtime(instant), "D j M, H:i")


def _say_length(length: timedelta) -> str:
    """In one unit: what is told is no more than an estimate."""
    minutes = max(1, round(length.total_seconds() / 60))
    if minutes < 60:
        return _("%(count)s min") % {"count": minutes}
    if minutes < 48 * 60:
        return _("%(count)s h") % {"count": round(minutes / 60)}
    return _("%(count)s days") % {"count": round(minutes / (24 * 60))}
