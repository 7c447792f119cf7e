"""Campaigns in the admin: prepared, started, watched and stopped by operators."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.utils import display_for_label
from unfold.views import ChangeList

from campaigns import lifecycle
from campaigns.confirmation import SHOWN, ask_first, is_confirmed, leave_dialog, say_not_shown
from campaigns.counting import MOST_COUNTED, is_exact, say_count
from campaigns.email_admin import EmailTextAdmin  # noqa: F401  (registers it)
from campaigns.forms import CampaignForm, DuplicateForm
from campaigns.history import STEP, in_language_of_the_record, write_line
from campaigns.local_times import show_time
from campaigns.models import Campaign, CampaignStatus
from campaigns.progress import ATTEMPTS, count_progress
from campaigns.question_admin import QuestionFormSet, QuestionInline, list_edited, save_questions
from campaigns.readings import ReadableRules

STATUS_COLOURS = {
    CampaignStatus.DRAFT: None,
    CampaignStatus.SCHEDULED: "info",
    CampaignStatus.RUNNING: "success",
    CampaignStatus.PAUSED: "warning",
    CampaignStatus.COMPLETED: "primary",
    CampaignStatus.CANCELLED: "danger",
}

# The states of contacts and their titles, read from the model because campaigns import nothing of contacts.
CONTACT_STATES: dict[str, Promise] = dict(
    Campaign._meta.get_field("contacts").related_model._meta.get_field("state").choices
)

# The colour of each in the bar of the campaign's page.
CONTACT_COLOURS = {
    "pending": "bg-base-300",
    "in_progress": "bg-blue-500",
    "completed": "bg-green-500",
    "refused": "bg-red-500",
    "not_reached": "bg-orange-500",
    "excluded": "bg-base-500",
}
OTHER_COLOUR = "bg-base-400"

# What is told of a campaign that has come to a status by a step, and what its history says.
NEWS = {
    CampaignStatus.SCHEDULED: (_("%(campaign)s is scheduled."), _("Status: scheduled.")),
    CampaignStatus.RUNNING: (_("%(campaign)s is running."), _("Status: running.")),
    CampaignStatus.PAUSED: (_("%(campaign)s is paused."), _("Status: paused.")),
    CampaignStatus.COMPLETED: (_("%(campaign)s is completed."), _("Status: completed.")),
    CampaignStatus.CANCELLED: (_("%(campaign)s is cancelled."), _("Status: cancelled.")),
}


@dataclass(frozen=True, kw_only=True)
class StepButton:
    """How a step of a campaign's life is offered: the button, and the dialog that it opens."""

    take: Callable[..., Campaign]
    title: Promise
    icon: str
    variant: ActionVariant = ActionVariant.DEFAULT
    question: Promise
    explanation: Promise
    confirmation: Promise | None = None  # the title, unless given


# In the order of the page.
BUTTONS = {
    "activate": StepButton(
        take=lifecycle.activate,
        title=pgettext_lazy("campaign", "Activate"),
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        question=_("Start to call?"),
        explanation=_("People who are waiting are rung as soon as their calling hours allow it."),
    ),
    "resume": StepButton(
        take=lifecycle.resume,
        title=pgettext_lazy("campaign", "Resume"),
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        question=_("Go on calling?"),
        explanation=_("People who are waiting are rung as soon as their calling hours allow it."),
    ),
    "pause": StepButton(
        take=lifecycle.pause,
        title=pgettext_lazy("campaign", "Pause"),
        icon="pause",
        variant=ActionVariant.WARNING,
        question=_("Pause this campaign?"),
        explanation=_("No new call starts until it is resumed. Calls in progress go on to their end."),
    ),
    "complete": StepButton(
        take=lifecycle.complete,
        title=pgettext_lazy("campaign", "Complete"),
        icon="done_all",
        question=_("Complete this campaign?"),
        explanation=_(
            "No new call starts, though people may be waiting. Calls in progress go on to their end. It can be "
            "activated again."
        ),
    ),
    "cancel": StepButton(
        take=lifecycle.cancel,
        title=pgettext_lazy("campaign", "Cancel"),
        icon="block",
        variant=ActionVariant.DANGER,
        question=_("Cancel this campaign for ever?"),
        explanation=_(
            "No new call starts, and it cannot be started again. Calls in progress go on to their end. To stop for a "
            "while, pause it."
        ),
        confirmation=_("Cancel the campaign"),
    ),
}


def make_page_action(step: str) -> Callable[..., HttpResponse]:
    """The button of a campaign's page for a step.

    It opens a dialog, because a plain link would change the campaign by a GET, which any other site's page
    can send in an operator's name.
    """
    button = BUTTONS[step]

    def press(self: "CampaignAdmin", request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.take_step_on_page(request, object_id, button)

    press.__name__ = step  # unfold finds its permissions by it
    dialog = {
        "title": button.question,
        "description": button.explanation,
        "form_submit_text": button.title if button.confirmation is None else button.confirmation,
        "is_dangerous": button.variant == ActionVariant.DANGER,
    }
    decorate = action(
        description=button.title, icon=button.icon, variant=button.variant, permissions=["change"], dialog=dialog
    )
    return decorate(press)


def make_list_action(step: str) -> Callable[..., None]:
    button = BUTTONS[step]

    def take_step(self: "CampaignAdmin", request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        self.take_step(request, queryset, button)

    return admin.action(description=button.title, permissions=["change"])(take_step)


def make_state_column(state: str) -> Callable[[Campaign], str]:
    def show_state(campaign: Campaign) -> str:
        return show_count(campaign.progress[state], link_to_contacts(campaign, state__exact=state))

    return display(description=CONTACT_STATES[state])(show_state)


class CampaignChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        progress = count_progress(campaign.pk for campaign in self.result_list)
        for campaign in self.result_list:
            campaign.progress = progress[campaign.pk]


def link_to_contacts(campaign: Campaign, **filters: str) -> str:
    query = urlencode({"campaign__id__exact": campaign.pk, **filters})
    return f"{reverse('admin:contacts_contact_changelist')}?{query}"


def link_to_attempts(campaign: Campaign, **filters: Any) -> str:
    query = urlencode({"campaign__id__exact": campaign.pk, **filters})
    return f"{reverse('admin:calls_callattempt_changelist')}?{query}"


def show_count(count: int, url: str) -> SafeString | str:
    return format_html('<a href="{}" class="text-link">{}</a>', url, say_count(count)) if count else "-"


@admin.register(Campaign)
class CampaignAdmin(ReadableRules, ModelAdmin):
    form = CampaignForm
    inlines = [QuestionInline]
    change_form_before_template = "campaigns/seen.html"
    list_display = [
        "name",
        "show_status",
        "show_contacts",
        *map(make_state_column, CONTACT_STATES),
        "show_attempts",
        "show_dates",
    ]
    list_filter = ["status", "language", "starts_at", "ends_at"]
    search_fields = ["name", "description"]
    search_help_text = _("Name or description")
    list_per_page = 50
    show_full_result_count = False
    actions = [
        "activate_selected",
        "pause_selected",
        "resume_selected",
        "complete_selected",
        "cancel_selected",
    ]
    actions_detail = ["import_contacts", "duplicate", *BUTTONS]
    warn_unsaved_form = True
    readonly_fields = ["show_status", "created_by", "created_at", "updated_at"]
    fieldsets = [
        (
            _("What is said"),
            {"fields": ["name", "description", "language", "intro_script", "intro_script_other"]},
        ),
        (
            _("When an answering machine answers"),
            {"fields": ["machine_detection", "machine_message", "machine_message_other"]},
        ),
        (
            _("When it may ring"),
            {
                "description": _(
                    "Hours and days hold in the time zone of each person who is called. Changes take effect at "
                    "once, also for people who are waiting for another try."
                ),
                "fields": [
                    ("allowed_call_start", "allowed_call_end"),
                    "weekdays",
                    "weekday_hours",
                    ("holidays_of", "blocked_dates"),
                    ("time_zone", "default_country"),
                ],
            },
        ),
        (
            _("How often one person is tried"),
            {
                "description": _(
                    "Intervals of their own after each outcome, one after the other: the first one follows the first "
                    "try, the last one all further tries."
                ),
                "fields": [
                    ("max_attempts", "retry_interval_minutes"),
                    "retry_busy",
                    "retry_no_answer",
                    "retry_failed",
                ],
            },
        ),
        (
            _("First and last day, lines and number"),
            {
                "description": _("All may be left empty: then it rings from its activation until nobody is left."),
                "fields": ["starts_at", "ends_at", ("max_concurrent_calls", "caller_id")],
            },
        ),
        (
            pgettext_lazy("campaign", "Record"),
            {"fields": [("show_status", "created_by"), ("created_at", "updated_at")]},
        ),
    ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CampaignChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        return super().get_queryset(request).select_related("created_by", "status_changed_by")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without deletion: it would load every contact of the campaigns to find out that it is forbidden."""
        return {name: one for name, one in super().get_actions(request).items() if name != "delete_selected"}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A campaign that has contacts is cancelled instead, and so kept."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (isinstance(obj, Campaign) and obj.contacts.exists())

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        with transaction.atomic():
            if request.method == "POST" and (campaign := self.get_object(request, object_id)):
                # Whoever adds contacts has the lock until they can be seen, and then it has some.
                Campaign.objects.select_for_update(no_key=True).filter(pk=campaign.pk).exists()
            return super().delete_view(request, object_id, extra_context)

    def get_deleted_objects(self, objs: Iterable[Campaign], request: HttpRequest) -> Any:
        """Campaigns without contacts, for whoever may delete them, and their imports, which nobody may delete alone.

        Not by Django's own, which would load the files of the imports and all of their refused rows.
        """
        campaigns = list(objs)
        imports = [record for campaign in campaigns for record in campaign.imports.all()]
        counts = Counter(record._meta.verbose_name_plural for record in [*campaigns, *imports])
        return [*map(describe_record, campaigns), [*map(describe_record, imports)]], counts, set(), []

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A cancelled campaign stays as it was."""
        is_cancelled = isinstance(obj, Campaign) and obj.status == CampaignStatus.CANCELLED
        return super().has_change_permission(request, obj) and not is_cancelled

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Whoever saves what was cancelled meanwhile is told so: it is no question of what they may do."""
        campaign = self.get_object(request, object_id) if request.method == "POST" and object_id else None
        if campaign and campaign.status == CampaignStatus.CANCELLED and super().has_change_permission(request):
            news = gettext("%(campaign)s was cancelled meanwhile and stays as it was: nothing of yours is saved.")
            self.message_user(request, news % {"campaign": campaign}, messages.ERROR)
            return HttpResponseRedirect(request.path)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def construct_change_message(
        self, request: HttpRequest, form: CampaignForm, formsets: Any, add: bool = False
    ) -> str:
        """With the values before and after, in words: of names alone the page would translate some, and others not."""
        with in_language_of_the_record():
            changes = super().construct_change_message(request, form, formsets, add)
            if not add and form.changed_data:
                changes[0] = {"changed": {"fields": form.describe_changes()}}
            edited = [change["changed"] for change in changes if "object" in change.get("changed", {})]
            for change, form_of_question in zip(edited, list_edited(formsets or []), strict=True):
                change["fields"] = form_of_question.describe_changes()
            return LogEntry(change_message=json.dumps(changes)).get_change_message()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Only what the campaign's status allows."""
        campaign = self.get_object(request, str(object_id))
        if campaign is None:
            return []
        impossible = BUTTONS.keys() - set(lifecycle.possible_steps(campaign.status))
        if campaign.status == CampaignStatus.CANCELLED:
            impossible |= {"import_contacts"}
        actions = super().get_actions_detail(request, object_id)
        return [button for button in actions if button.path not in impossible]

    def has_import_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("contacts.add_contactimport")

    def has_duplicate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_add_permission(request)

    @action(description=_("Import contacts"), icon="upload_file", permissions=["import"])
    def import_contacts(self, request: HttpRequest, object_id: str) -> HttpResponse:
        query = urlencode({"campaign": object_id})
        return HttpResponseRedirect(f"{reverse('admin:contacts_contactimport_add')}?{query}")

    @action(
        description=pgettext_lazy("campaign", "Duplicate"),
        icon="content_copy",
        permissions=["duplicate"],
        dialog={
            "title": _("Make another campaign like this?"),
            "description": _("It gets the same settings, without dates and contacts, and is a draft."),
            "form_submit_text": pgettext_lazy("campaign", "Duplicate"),
            "form_class": DuplicateForm,
        },
    )
    def duplicate(self, request: HttpRequest, form: DuplicateForm, object_id: str) -> HttpResponse:
        campaign = self._find(request, object_id)
        copy_id = form.cleaned_data["copy_id"]
        copy, is_new = lifecycle.duplicate(campaign, copy_id=copy_id, created_by=request.user)
        if is_new:
            with in_language_of_the_record():
                origin = gettext("Duplicated from “%(campaign)s”.") % {"campaign": campaign}
            write_line(request.user, [copy], ADDITION, origin)
            news = gettext("%(campaign)s is a draft: import its contacts.") % {"campaign": copy}
            self.message_user(request, news, messages.SUCCESS)
        return leave_dialog(reverse("admin:campaigns_campaign_change", args=[copy.pk]))

    def save_model(self, request: HttpRequest, obj: Campaign, form: CampaignForm, change: bool) -> None:
        if not change:
            obj.created_by = request.user
            return obj.save()
        # Only what was edited: a scheduler may have set another status since the row was read.
        obj.save(update_fields=[*form.changed_data, "updated_at"])
        moved = lifecycle.campaign_edited(obj, changed_fields=form.changed_data, now=timezone.now(), before=form.stored)
        if form.changed_data:
            self.message_user(request, describe_edit(form, moved), messages.INFO)
        if obj.status == CampaignStatus.COMPLETED and obj.contacts.waiting().exists():
            hint = gettext("It has people who can be called again: activate it to do so.")
            self.message_user(request, hint, messages.INFO)

    def save_formset(self, request: HttpRequest, form: CampaignForm, formset: QuestionFormSet, change: bool) -> None:
        save_questions(form.instance, formset)

    @display(description=_("Status"), ordering="status")
    def show_status(self, campaign: Campaign) -> str:
        return show_status(campaign)

    @display(description=_("Contacts"))
    def show_contacts(self, campaign: Campaign) -> str:
        total = sum(campaign.progress[state] for state in CONTACT_STATES)
        return show_count(total, link_to_contacts(campaign))

    @display(description=_("Calls"))
    def show_attempts(self, campaign: Campaign) -> str:
        return show_count(campaign.progress[ATTEMPTS], link_to_attempts(campaign))

    @display(description=_("Dates"), ordering="starts_at")
    def show_dates(self, campaign: Campaign) -> str:
        starts, ends = (at and show_time(at) for at in (campaign.starts_at, campaign.ends_at))
        if starts and ends:
            return pgettext("dates", "from %(start)s until %(end)s") % {"start": starts, "end": ends}
        if starts:
            return pgettext("dates", "from %(start)s") % {"start": starts}
        return pgettext("dates", "until %(end)s") % {"end": ends} if ends else "-"

    activate_selected = make_list_action("activate")
    pause_selected = make_list_action("pause")
    resume_selected = make_list_action("resume")
    complete_selected = make_list_action("complete")

    @admin.action(description=_("Cancel for ever"), permissions=["change"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> HttpResponse | None:
        if is_confirmed(request):
            return self.take_step(request, queryset, BUTTONS["cancel"])
        return ask_first(
            self,
            request,
            queryset,
            action="cancel_selected",
            title=gettext("Cancel campaigns"),
            question=gettext(
                "Cancel these campaigns for ever? Calls in progress go on to their end. To stop for a while, pause "
                "them instead."
            ),
        )

    activate = make_page_action("activate")
    resume = make_page_action("resume")
    pause = make_page_action("pause")
    complete = make_page_action("complete")
    cancel = make_page_action("cancel")

    def take_step_on_page(self, request: HttpRequest, object_id: str, button: StepButton) -> HttpResponse:
        self.take_step(request, [self._find(request, object_id)], button)
        return leave_dialog(reverse("admin:campaigns_campaign_change", args=[object_id]))

    def _find(self, request: HttpRequest, object_id: str) -> Campaign:
        campaign = self.get_object(request, object_id)
        if campaign is None:
            raise Http404
        return campaign

    def take_step(self, request: HttpRequest, campaigns: Iterable[Campaign], button: StepButton) -> None:
        told: dict[int, list[str]] = {messages.ERROR: [], messages.SUCCESS: [], messages.WARNING: []}
        for campaign in campaigns:
            now = timezone.now()
            try:
                changed = button.take(campaign, now=now, by=request.user)
            except lifecycle.LifecycleError as error:
                title = gettext("%(campaign)s stays as it is.") % {"campaign": campaign}
                text = format_html("<strong>{}</strong>{}", title, list_sentences(error.problems))
                told[messages.ERROR].append(text)
                continue
            news, line = NEWS[changed.status]
            write_line(request.user, [changed], STEP, line)
            told[messages.SUCCESS].append(news % {"campaign": changed})
            if changed.status in lifecycle.ACTIVE and (warnings := lifecycle.find_warnings(changed, now)):
                text = format_html("<strong>{}:</strong>{}", changed, list_sentences(warnings))
                told[messages.WARNING].append(text)
        for level, texts in told.items():
            if texts:
                self.message_user(request, texts[0] if len(texts) == 1 else list_first(texts), level)


def describe_record(record: Model) -> str:
    return f"{capfirst(record._meta.verbose_name)}: {record}"


def describe_edit(form: CampaignForm, moved: lifecycle.Moved) -> str:
    """What was changed, and what that means for those who wait."""
    sentences = [gettext("Changed: %(fields)s.") % {"fields": ", ".join(form.describe_changes())}]
    if form.starts_at_once:
        sentences.append(gettext("It starts now: people are rung as soon as their calling hours allow it."))
    elif lifecycle.CALLING_RULES.intersection(form.changed_data):
        sentences += describe_moved(moved)
    return " ".join(sentences)


def describe_moved(moved: lifecycle.Moved) -> list[str]:
    if not moved.is_all:
        return [gettext("It takes some minutes until all who wait are tried at the times of the new rules.")]
    if not moved.contacts:
        return [gettext("Nobody who waits is tried at another time for it.")]
    if not is_exact(moved.contacts):
        most = gettext("More than %(count)s contacts are tried at another time than before, or no more.")
        return [most % {"count": say_count(MOST_COUNTED)}]
    people = ngettext(
        "%(count)s contact is tried at another time than before, or no more.",
        "%(count)s contacts are tried at another time than before, or no more.",
        moved.contacts,
    )
    return [people % {"count": say_count(moved.contacts)}]


def list_sentences(sentences: Iterable[str]) -> SafeString:
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((sentence,) for sentence in sentences)))


def list_first(texts: Sequence[str]) -> SafeString:
    """As many as are read, and how many there are."""
    return list_sentences(filter(None, [*texts[:SHOWN], say_not_shown(len(texts))]))


def show_status(campaign: Campaign) -> str:
    return display_for_label((campaign.status, campaign.get_status_display()), "-", STATUS_COLOURS)


def describe_progress(campaign: Campaign, counts: Counter[str]) -> dict[str, Any]:
    """What the campaign's page shows above its form, with the counts that `count_progress` would find."""
    contacts = sum(counts[state] for state in CONTACT_STATES)
    now = timezone.now()
    problems = lifecycle.find_problems(campaign, now) if campaign.status in lifecycle.NOT_STARTED else []
    warnings = [] if campaign.status == CampaignStatus.CANCELLED else lifecycle.find_warnings(campaign, now)
    return {
        "status": show_status(campaign),
        "pages": [
            (gettext("Results"), "bar_chart", reverse("admin:campaigns_campaign_results", args=[campaign.pk])),
            (gettext("Outcome rates"), "percent", reverse("admin:campaigns_campaign_rates", args=[campaign.pk])),
        ],
        "exports": [
            (title, kind.upper(), reverse(page, args=[campaign.pk, *name]))
            for title, kind, page, *name in (
                (gettext("Download the results"), "csv", "admin:campaigns_campaign_export", "results.csv"),
                (gettext("Download the results"), "xlsx", "admin:campaigns_campaign_export", "results.xlsx"),
                (gettext("Download the codebook"), "xlsx", "admin:campaigns_campaign_export", "codebook.xlsx"),
                (gettext("Download the contacts"), "csv", "admin:contacts_export"),
                (gettext("Download the calls"), "csv", "admin:calls_export"),
            )
        ],
        "problems": problems,
        "warnings": [warning for warning in warnings if warning not in problems],
        "totals": [
            {"title": gettext("Contacts"), "count": say_count(contacts), "url": link_to_contacts(campaign)},
            {"title": gettext("Calls"), "count": say_count(counts[ATTEMPTS]), "url": link_to_attempts(campaign)},
        ],
        "states": [
            {
                "title": title,
                "count": say_count(counts[state]),
                "colour": CONTACT_COLOURS.get(state, OTHER_COLOUR),
                "share": f"{100 * counts[state] / (contacts or 1):.2f}",
                "url": link_to_contacts(campaign, state__exact=state),
            }
            for state, title in CONTACT_STATES.items()
        ],
    }
