"""Calls and the provider's lines in the admin. What happened is only ever read here."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.utils import display_for_label

from calls.erasure_admin import ErasurePages
from calls.events import admin as events_admin  # noqa: F401  (registers its pages)
from calls.events import delivery_admin, email_admin  # noqa: F401  (the same)
from calls.events.cells import link_to_contact
from calls.exporting import ATTEMPT_COLUMNS, list_attempts
from calls.forecast_admin import CampaignForecast
from calls.heartbeat import is_alive
from calls.live_pages import LiveCampaign
from calls.models import CallAttempt, ProviderConfig
from calls.providers.messages import translate_message
from calls.rates_admin import CampaignRates, DispositionFilter, SymbolFilter
from calls.results_admin import CampaignResults
from calls.shifts import wake_everybody
from calls.states import AttemptStatus
from calls.survey_data_admin import CampaignSurveyData
from calls.timeline import tell_attempt, tell_contact, tell_next
from campaigns.admin import CampaignAdmin
from campaigns.confirmation import leave_dialog
from campaigns.history import write_line
from campaigns.long_lists import ChoicesByCampaignFilter, LongList
from campaigns.models import Campaign
from campaigns.read_only import ReadOnly
from contacts.admin import OUTCOME_COLOURS, ContactAdmin, read_numbers
from contacts.export_admin import CampaignExport
from contacts.forms import PhoneNumberField
from contacts.models import Contact
from contacts.spreadsheets import Cell

STATUS_COLOURS = {
    AttemptStatus.CLAIMED: None,
    AttemptStatus.PLACING: None,
    AttemptStatus.UNKNOWN: "warning",
    AttemptStatus.QUEUED: "info",
    AttemptStatus.RINGING: "info",
    AttemptStatus.ANSWERED: "success",
    AttemptStatus.ENDED: None,
}


class StatusFilter(admin.ChoicesFieldListFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[CallAttempt]) -> QuerySet[CallAttempt]:
        chosen = super().queryset(request, queryset)
        # No index is about the status; but one has the few that are open.
        is_open = self.lookup_val and AttemptStatus.ENDED not in self.lookup_val
        return chosen.open() if is_open else chosen


@admin.register(CallAttempt)
class CallAttemptAdmin(LongList, ReadOnly, CampaignExport, ModelAdmin):
    export_name = "calls"
    export_message = _("Calls exported.")
    export_columns = ATTEMPT_COLUMNS
    list_display = [
        "phone_number",
        "show_contact",
        "campaign",
        "attempt_number",
        "show_status",
        "show_outcome",
        "show_start",
        "show_duration",
        "error_code",
    ]
    list_filter = [
        ("campaign", AutocompleteSelectFilter),
        ("outcome", ChoicesByCampaignFilter),
        ("status", StatusFilter),
        "given_back",
        "claimed_at",
    ]
    list_filter_submit = True
    list_select_related = ["campaign", "contact"]
    change_form_outer_before_template = "calls/timeline.html"
    search_fields = ["phone_number", "call_id", "provider_call_id", "error_code"]
    search_help_text = _("The whole number in any spelling, call id, the provider's call id, or error code")
    fieldsets = [
        (
            None,
            {"fields": [("contact", "campaign"), ("phone_number", "attempt_number"), ("show_status", "show_outcome")]},
        ),
        (
            _("In time"),
            {
                "fields": [
                    ("claimed_at", "start_at"),
                    ("started_at", "answered_at"),
                    ("consented_at", "decided_at"),
                    "ended_at",
                    ("show_duration", "send_before"),
                    "check_at",
                ]
            },
        ),
        (
            _("At the provider"),
            {
                "fields": [
                    "call_id",
                    "provider_call_id",
                    ("provider_raw_status", "error_code"),
                    "show_error_message",
                    "metadata",
                ]
            },
        ),
    ]

    def list_export(self, campaign: Campaign) -> Iterator[Sequence[Cell]]:
        return list_attempts(campaign)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CallAttempt]:
        return super().get_queryset(request).select_related("contact", "campaign")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CallAttempt], search_term: str
    ) -> tuple[QuerySet[CallAttempt], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        called = Q(provider_call_id=term) & ~Q(provider_call_id="")
        failed = Q(error_code=term) & ~Q(error_code="")
        return queryset.filter(Q(phone_number__in=read_numbers(term)) | Q(call_id=term) | called | failed), False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: CallAttempt | None = None, **kwargs: Any
    ) -> HttpResponse:
        zones = " ".join(obj.campaign.zones_of(obj.contact.calling_zone))
        context |= {"zones": zones, "moments": tell_attempt(obj)}
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    @display(description=_("Status"), ordering="status")
    def show_status(self, attempt: CallAttempt) -> str:
        return display_for_label((attempt.status, attempt.get_status_display()), "-", STATUS_COLOURS)

    @display(description=_("Outcome"), ordering="outcome")
    def show_outcome(self, attempt: CallAttempt) -> str:
        if attempt.given_back:
            return display_for_label(("given back", gettext("Never rang")), "-", {"given back": None})
        return display_for_label(
            attempt.outcome and (attempt.outcome, attempt.get_outcome_display()), "-", OUTCOME_COLOURS
        )

    @display(description=pgettext_lazy("call", "Started"), ordering="id")
    def show_start(self, attempt: CallAttempt) -> str:
        return date_format(timezone.localtime(attempt.started_at or attempt.claimed_at), "DATETIME_FORMAT")

    @display(description=_("Talked"))
    def show_duration(self, attempt: CallAttempt) -> str:
        if attempt.answered_at is None or attempt.ended_at is None:
            return "-"
        minutes, seconds = divmod(round((attempt.ended_at - attempt.answered_at).total_seconds()), 60)
        return f"{minutes}:{seconds:02}"

    @display(description=_("Contact"))
    def show_contact(self, attempt: CallAttempt) -> SafeString:
        return link_to_contact(attempt.contact)

    @display(description=_("error message"))
    def show_error_message(self, attempt: CallAttempt) -> str:
        return translate_message(attempt.error_message) or "-"


admin.site.unregister(Contact)


@admin.register(Contact)
class ContactWithAttemptsAdmin(ErasurePages, ContactAdmin):
    """The contact and the story of its calls, which the contacts' own admin knows nothing of."""

    list_filter = [*ContactAdmin.list_filter, DispositionFilter, SymbolFilter]
    change_form_outer_before_template = "calls/timeline.html"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Contact | None = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None:
            zones = " ".join(obj.campaign.zones_of(obj.calling_zone))
            context |= {"next_step": tell_next(obj, now=timezone.now()), "zones": zones, "moments": tell_contact(obj)}
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)


admin.site.unregister(Campaign)


@admin.register(Campaign)
class CampaignWithCallsAdmin(
    LiveCampaign, CampaignResults, CampaignRates, CampaignSurveyData, CampaignForecast, CampaignAdmin
):
    """The campaign and what would come of it, or has, which the campaigns' own admin knows nothing of."""


class ProviderConfigForm(forms.ModelForm):
    outbound_number = PhoneNumberField(
        required=False,
        label=_("Outbound number"),
        help_text=_("Shown to those who are rung. With + and the country code."),
    )

    class Meta:
        model = ProviderConfig
        fields = [
            *("adapter", "outbound_number", "max_concurrent_calls", "calls_per_second"),
            *("calls_per_number_per_day", "calls_per_number_per_week"),
        ]
        labels = {
            "max_concurrent_calls": _("Lines"),
            "calls_per_number_per_day": _("Calls to one number a day"),
            "calls_per_number_per_week": _("Calls to one number a week"),
        }


@admin.register(ProviderConfig)
class ProviderConfigAdmin(ModelAdmin):
    form = ProviderConfigForm
    actions_detail = ["switch_on", "switch_off"]
    fieldsets = [
        (
            _("Lines"),
            {
                "description": _(
                    "More calls than the account allows are queued by the provider, and may ring too late."
                ),
                "fields": [("adapter", "outbound_number"), ("max_concurrent_calls", "calls_per_second")],
            },
        ),
        (
            _("How often one number is rung"),
            {
                "description": _(
                    "Over all campaigns. Whoever has been put off already stays so when these are changed."
                ),
                "fields": [("calls_per_number_per_day", "calls_per_number_per_week")],
            },
        ),
        (
            _("How it goes"),
            {
                "fields": [
                    ("show_dialling", "consecutive_failures"),
                    ("paused_until", "next_call_at"),
                    ("last_error_at", "show_last_error"),
                ]
            },
        ),
    ]
    readonly_fields = [
        "show_dialling",
        "consecutive_failures",
        "paused_until",
        "next_call_at",
        "last_error_at",
        "show_last_error",
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not ProviderConfig.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is only one; go straight to it."""
        provider = ProviderConfig.objects.first()
        if provider is None:
            return super().changelist_view(request, extra_context)
        return HttpResponseRedirect(reverse("admin:calls_providerconfig_change", args=[provider.pk]))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Only the one that would change something."""
        provider = self.get_object(request, str(object_id))
        useful = "switch_off" if provider and provider.dialing_enabled else "switch_on"
        return [button for button in super().get_actions_detail(request, object_id) if button.path == useful]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is not None and obj.halted_reason:
            text = gettext("Dialling has stopped. %(reason)s Put it right, then switch dialling on again.")
            self.message_user(request, text % {"reason": translate_message(obj.halted_reason)}, messages.ERROR)
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def save_model(self, request: HttpRequest, obj: ProviderConfig, form: ProviderConfigForm, change: bool) -> None:
        if not change:
            return obj.save()
        # Only what was edited: schedulers write the rest of the row all the time.
        obj.save(update_fields=[*form.changed_data, "updated_at"])
        wake_everybody()

    @display(description=_("Dialling"))
    def show_dialling(self, provider: ProviderConfig) -> str:
        on, off = ("on", pgettext("dialling", "On")), ("off", pgettext("dialling", "Off"))
        return display_for_label(on if provider.dialing_enabled else off, "-", {"on": "success", "off": "danger"})

    @display(description=_("last error"))
    def show_last_error(self, provider: ProviderConfig) -> str:
        return translate_message(provider.last_error) or "-"

    # Each opens a dialog, because a plain link would switch by a GET, which any other site's page can send.

    @action(
        description=_("Switch dialling on"),
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
        dialog={
            "title": _("Switch dialling on?"),
            "description": _("Running campaigns ring at once. Earlier failures are forgotten, and a pause ends."),
            "form_submit_text": _("Switch on"),
        },
    )
    def switch_on(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._switch(request, object_id, ProviderConfig.enable_dialling, _("Dialling is on."))

    @action(
        description=_("Switch dialling off"),
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["change"],
        dialog={
            "title": _("Switch dialling off?"),
            "description": _(
                "No campaign starts a call until it is switched on. Calls in progress go on to their end."
            ),
            "form_submit_text": _("Switch off"),
        },
    )
    def switch_off(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._switch(request, object_id, ProviderConfig.disable_dialling, _("Dialling is off."))

    def _switch(
        self, request: HttpRequest, object_id: str, switch: Callable[[ProviderConfig], None], message: Promise
    ) -> HttpResponse:
        provider = self.get_object(request, object_id)
        if provider is None:
            raise Http404
        switch(provider)
        wake_everybody()
        write_line(request.user, [provider], CHANGE, message)
        self.message_user(request, message, messages.SUCCESS)
        return leave_dialog(reverse("admin:calls_providerconfig_change", args=[object_id]))


def show_dialling(request: HttpRequest) -> list[str] | None:
    """The label at the top of every page: whether anybody can be rung at all. Named in settings.UNFOLD."""
    provider = ProviderConfig.objects.first() if request.user.is_authenticated else None
    if provider is None:
        return None
    if not provider.dialing_enabled:
        return [gettext("Dialling is off"), "danger"]
    if not is_alive(provider, timezone.now()):
        return [gettext("Nothing rings: no scheduler"), "danger"]
    if provider.paused_until and provider.paused_until > timezone.now():
        until = date_format(timezone.localtime(provider.paused_until), "H:i")
        return [gettext("Provider fails: waiting until %(time)s") % {"time": until}, "warning"]
    return [gettext("Dialling is on"), "success"]
