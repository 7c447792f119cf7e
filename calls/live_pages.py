"""Pages that keep themselves up to date: home, and each campaign's page.

Each has an element with data-live, which surveycalls/live.js fills again and again with what these addresses answer.
"""

from collections import Counter
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from calls.access import SEE_FIGURES
from calls.campaign_figures import describe_calls
from calls.clock import DatabaseClock
from calls.home import describe_home
from calls.recollection import recollection
from calls.why import explain
from campaigns.admin import describe_progress
from campaigns.models import Campaign
from campaigns.progress import ATTEMPTS


def add_home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the first page shows to this user. Named in settings.UNFOLD."""
    if request.user.has_perms(SEE_FIGURES):
        context |= {
            "figures": write_home(),
            "live": reverse("live_home"),
            "is_new": not Campaign.objects.exists(),
            "may_add": request.user.has_perm("campaigns.add_campaign"),
        }
    return context


def show_home_figures(request: HttpRequest) -> HttpResponse:
    return _refuse(request) or _answer(write_home())


def show_campaign_figures(request: HttpRequest, campaign: UUID) -> HttpResponse:
    return _refuse(request) or _answer(recall_campaign(get_object_or_404(Campaign, pk=campaign)))


def write_home() -> str:
    """Of this moment or a little old, the same for everybody who reads the same language and clock."""

    def write() -> str:
        return render_to_string("calls/home_figures.html", describe_home(clock=DatabaseClock()))

    return recollection.recall(("home", *_reader()), write)


def recall_campaign(campaign: Campaign) -> str:
    """Of this moment or a little old."""
    return recollection.recall(("campaign", campaign.pk, *_reader()), lambda: write_campaign(campaign))


def _reader() -> tuple[str, str]:
    """Whoever has the same reads the same page."""
    return get_language(), timezone.get_current_timezone_name()


def write_campaign(campaign: Campaign) -> str:
    clock = DatabaseClock()
    figures = describe_calls(campaign, clock=clock)
    counts = Counter({**figures["headway"].states, ATTEMPTS: figures["calls"]["all"]})
    own = {"original": campaign, "explanation": explain(campaign, clock=clock)}
    context = {**own, **figures, **describe_progress(campaign, counts)}
    return render_to_string("calls/campaign_figures.html", context)


def _refuse(request: HttpRequest) -> HttpResponse | None:
    """A script asks: it can do nothing with the page for signing in."""
    if not admin.site.has_permission(request):
        return HttpResponse(_("Sign in first."), status=401)
    if not request.user.has_perms(SEE_FIGURES):
        return HttpResponse(_("You may not see this."), status=403)
    return None


def _answer(figures: str) -> HttpResponse:
    return HttpResponse(figures, headers={"Cache-Control": "no-store"})


class LiveCampaign:
    """For the admin of campaigns: above the form how far the campaign has come, and what became of its calls."""

    change_form_outer_before_template = "calls/live_campaign.html"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Campaign | None = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None:
            if request.method == "POST":  # it was not saved, and has what was written into the form
                context["original"] = obj = Campaign.objects.get(pk=obj.pk)
            context |= {"figures": write_campaign(obj), "live": reverse("live_campaign", args=[obj.pk])}
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)
