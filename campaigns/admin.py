"""Campaigns in the admin: prepared, started, watched and stopped by operators."""

from collections.abc import Iterable
from functools import cache
from typing import Any, Protocol
from zoneinfo import available_timezones

import phonenumbers
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.utils import display_for_label
from unfold.views import ChangeList
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSingleTimeWidget,
    UnfoldAdminTextareaWidget,
)

from campaigns import lifecycle
from campaigns.models import Campaign, CampaignStatus, Weekday, every_weekday
from campaigns.progress import ATTEMPTS, count_progress

STATUS_COLOURS = {
    CampaignStatus.DRAFT: None,
    CampaignStatus.SCHEDULED: "info",
    CampaignStatus.RUNNING: "success",
    CampaignStatus.PAUSED: "warning",
    CampaignStatus.COMPLETED: "primary",
    CampaignStatus.CANCELLED: "danger",
}

# The states of contacts, and the colour of each in the bar of the campaign's page. Spelled out, because
# campaigns know nothing of contacts but their counts.
CONTACT_STATES = {
    "pending": ("Pending", "bg-base-300"),
    "in_progress": ("In progress", "bg-blue-500"),
    "completed": ("Completed", "bg-green-500"),
    "refused": ("Refused", "bg-red-500"),
    "not_reached": ("Not reached", "bg-orange-500"),
    "excluded": ("Excluded", "bg-base-500"),
}


class Step(Protocol):
    def __call__(self, campaign: Campaign, *, now: Any) -> Campaign: ...


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


class CampaignForm(forms.ModelForm):
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
    default_country = forms.ChoiceField(
        choices=name_countries,
        required=False,
        widget=UnfoldAdminSelect2Widget,
        help_text="The country of imported numbers that are written without one.",
    )

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


class CampaignChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        progress = count_progress(campaign.pk for campaign in self.result_list)
        for campaign in self.result_list:
            campaign.progress = progress[campaign.pk]


def link_to_contacts(campaign: Campaign, **filters: str) -> str:
    query = urlencode({"campaign__id__exact": campaign.pk, **filters})
    return f"{reverse('admin:contacts_contact_changelist')}?{query}"


def link_to_attempts(campaign: Campaign) -> str:
    query = urlencode({"campaign__id__exact": campaign.pk})
    return f"{reverse('admin:calls_callattempt_changelist')}?{query}"


def show_count(count: int, url: str) -> SafeString | str:
    return format_html('<a href="{}" class="text-link">{}</a>', url, f"{count:,}") if count else "-"


@admin.register(Campaign)
class CampaignAdmin(ModelAdmin):
    form = CampaignForm
    list_display = [
        "name",
        "show_status",
        "show_contacts",
        "show_pending",
        "show_in_progress",
        "show_completed",
        "show_refused",
        "show_not_reached",
        "show_attempts",
        "show_dates",
    ]
    list_filter = ["status", "language", "starts_at", "ends_at"]
    search_fields = ["name", "description"]
    search_help_text = "Name or description"
    list_per_page = 50
    show_full_result_count = False
    actions = [
        "activate_selected",
        "pause_selected",
        "resume_selected",
        "complete_selected",
        "cancel_selected",
    ]
    actions_detail = ["activate", "resume", "pause", "complete", "cancel"]
    change_form_outer_before_template = "campaigns/progress.html"
    warn_unsaved_form = True
    readonly_fields = ["show_status", "created_by", "created_at", "updated_at"]
    fieldsets = [
        (
            "What is said",
            {"fields": ["name", "description", "language", "intro_script"]},
        ),
        (
            "When it may ring",
            {
                "description": (
                    "Hours and days hold in the time zone of each person who is called. Changes take effect at "
                    "once, also for people who are waiting for another try."
                ),
                "fields": [
                    ("allowed_call_start", "allowed_call_end"),
                    "weekdays",
                    ("time_zone", "default_country"),
                ],
            },
        ),
        (
            "How often one person is tried",
            {"fields": [("max_attempts", "retry_interval_minutes")]},
        ),
        (
            "First and last day, lines and number",
            {
                "description": "All may be left empty: then it rings from its activation until nobody is left.",
                "fields": ["starts_at", "ends_at", ("max_concurrent_calls", "caller_id")],
            },
        ),
        (
            "Record",
            {"fields": [("show_status", "created_by"), ("created_at", "updated_at")]},
        ),
    ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CampaignChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        return super().get_queryset(request).select_related("created_by")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without deletion: it would load every contact of the campaigns to find out that it is forbidden."""
        return {name: one for name, one in super().get_actions(request).items() if name != "delete_selected"}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A campaign that has contacts is cancelled instead, and so kept."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (isinstance(obj, Campaign) and obj.contacts.exists())

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Only what the campaign's status allows."""
        campaign = self.get_object(request, str(object_id))
        possible = lifecycle.possible_steps(campaign.status) if campaign else []
        actions = super().get_actions_detail(request, object_id)
        return [button for button in actions if button.path in possible]

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        *args: Any,
        obj: Campaign | None = None,
        **kwargs: Any,
    ) -> HttpResponse:
        if obj is not None:
            context |= describe_progress(obj)
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def save_model(self, request: HttpRequest, obj: Campaign, form: CampaignForm, change: bool) -> None:
        if not change:
            obj.created_by = request.user
            return obj.save()
        # Only what was edited: a scheduler may have set another status since the row was read.
        obj.save(update_fields=[*form.changed_data, "updated_at"])
        lifecycle.campaign_edited(obj, changed_fields=form.changed_data, now=timezone.now())

    @display(description="Status", ordering="status")
    def show_status(self, campaign: Campaign) -> str:
        return display_for_label((campaign.status, campaign.get_status_display()), "-", STATUS_COLOURS)

    @display(description="Contacts")
    def show_contacts(self, campaign: Campaign) -> str:
        total = sum(campaign.progress[state] for state in CONTACT_STATES)
        return show_count(total, link_to_contacts(campaign))

    @display(description=CONTACT_STATES["pending"][0])
    def show_pending(self, campaign: Campaign) -> str:
        return self._show_state(campaign, "pending")

    @display(description=CONTACT_STATES["in_progress"][0])
    def show_in_progress(self, campaign: Campaign) -> str:
        return self._show_state(campaign, "in_progress")

    @display(description=CONTACT_STATES["completed"][0])
    def show_completed(self, campaign: Campaign) -> str:
        return self._show_state(campaign, "completed")

    @display(description=CONTACT_STATES["refused"][0])
    def show_refused(self, campaign: Campaign) -> str:
        return self._show_state(campaign, "refused")

    @display(description=CONTACT_STATES["not_reached"][0])
    def show_not_reached(self, campaign: Campaign) -> str:
        return self._show_state(campaign, "not_reached")

    @display(description="Calls")
    def show_attempts(self, campaign: Campaign) -> str:
        return show_count(campaign.progress[ATTEMPTS], link_to_attempts(campaign))

    @display(description="Dates", ordering="starts_at")
    def show_dates(self, campaign: Campaign) -> str:
        starts = campaign.starts_at and f"from {date_format(timezone.localtime(campaign.starts_at))}"
        ends = campaign.ends_at and f"until {date_format(timezone.localtime(campaign.ends_at))}"
        return " ".join(filter(None, [starts, ends])) or "-"

    def _show_state(self, campaign: Campaign, state: str) -> str:
        return show_count(campaign.progress[state], link_to_contacts(campaign, state__exact=state))

    @admin.action(description="Activate", permissions=["change"])
    def activate_selected(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._take_step(request, queryset, lifecycle.activate)

    @admin.action(description="Pause", permissions=["change"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._take_step(request, queryset, lifecycle.pause)

    @admin.action(description="Resume", permissions=["change"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._take_step(request, queryset, lifecycle.resume)

    @admin.action(description="Complete", permissions=["change"])
    def complete_selected(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self._take_step(request, queryset, lifecycle.complete)

    @admin.action(description="Cancel for ever", permissions=["change"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> HttpResponse | None:
        if request.POST.get("confirmed"):
            return self._take_step(request, queryset, lifecycle.cancel)
        context = {
            **self.admin_site.each_context(request),
            "title": "Cancel campaigns",
            "question": "Cancel these campaigns for ever? To stop for a while, pause them instead.",
            "opts": self.opts,
            "chosen": queryset,
            "action": "cancel_selected",
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "campaigns/confirmation.html", context)

    # The buttons of a campaign's page. Each opens a dialog, because a plain link would change the campaign by
    # a GET, which any other site's page can send in an operator's name.

    @action(
        description="Activate",
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
        dialog={
            "title": "Start to call?",
            "description": "People who are waiting are rung as soon as their calling hours allow it.",
            "form_submit_text": "Activate",
        },
    )
    def activate(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._take_step_on_page(request, object_id, lifecycle.activate)

    @action(
        description="Resume",
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
        dialog={
            "title": "Go on calling?",
            "description": "People who are waiting are rung as soon as their calling hours allow it.",
            "form_submit_text": "Resume",
        },
    )
    def resume(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._take_step_on_page(request, object_id, lifecycle.resume)

    @action(
        description="Pause",
        icon="pause",
        variant=ActionVariant.WARNING,
        permissions=["change"],
        dialog={
            "title": "Pause this campaign?",
            "description": "No new call starts until it is resumed. Calls in progress go on to their end.",
            "form_submit_text": "Pause",
        },
    )
    def pause(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._take_step_on_page(request, object_id, lifecycle.pause)

    @action(
        description="Complete",
        icon="done_all",
        permissions=["change"],
        dialog={
            "title": "Complete this campaign?",
            "description": "Nobody is called any more, though people may be waiting. It can be activated again.",
            "form_submit_text": "Complete",
        },
    )
    def complete(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._take_step_on_page(request, object_id, lifecycle.complete)

    @action(
        description="Cancel",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["change"],
        dialog={
            "title": "Cancel this campaign for ever?",
            "description": "Nobody is called any more, and it can not be started again. To stop for a while, pause it.",
            "form_submit_text": "Cancel the campaign",
        },
    )
    def cancel(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._take_step_on_page(request, object_id, lifecycle.cancel)

    def _take_step_on_page(self, request: HttpRequest, object_id: str, step: Step) -> HttpResponse:
        campaign = self.get_object(request, object_id)
        if campaign is None:
            raise Http404
        self._take_step(request, [campaign], step)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:campaigns_campaign_change", args=[object_id])})

    def _take_step(self, request: HttpRequest, campaigns: Iterable[Campaign], step: Step) -> None:
        for campaign in campaigns:
            try:
                changed = step(campaign, now=timezone.now())
            except lifecycle.LifecycleError as error:
                reasons = format_html_join("", "<li>{}</li>", ((problem,) for problem in error.problems))
                text = format_html("<strong>{} stays as it is.</strong><ul>{}</ul>", campaign, reasons)
                self.message_user(request, text, messages.ERROR)
            else:
                status = changed.get_status_display().lower()
                self.log_change(request, changed, f"Status: {status}.")
                self.message_user(request, f"{changed} is {status}.", messages.SUCCESS)


def describe_progress(campaign: Campaign) -> dict[str, Any]:
    """What the campaign's page shows above its form."""
    counts = count_progress([campaign.pk])[campaign.pk]
    contacts = sum(counts[state] for state in CONTACT_STATES)
    unready = campaign.status in (CampaignStatus.DRAFT, CampaignStatus.PAUSED)
    return {
        "problems": lifecycle.find_problems(campaign, timezone.now()) if unready else [],
        "totals": [
            {"title": "Contacts", "count": f"{contacts:,}", "url": link_to_contacts(campaign)},
            {"title": "Calls", "count": f"{counts[ATTEMPTS]:,}", "url": link_to_attempts(campaign)},
        ],
        "states": [
            {
                "title": title,
                "count": f"{counts[state]:,}",
                "colour": colour,
                "share": f"{100 * counts[state] / (contacts or 1):.2f}",
                "url": link_to_contacts(campaign, state__exact=state),
            }
            for state, (title, colour) in CONTACT_STATES.items()
        ],
    }
