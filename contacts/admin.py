"""Contacts and the do-not-call list in the admin."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.utils import display_for_label

from campaigns.confirmation import ask_first, is_confirmed
from campaigns.counting import say_count
from campaigns.history import EXPORT, in_language_of_the_record, write_line
from campaigns.lifecycle import CampaignIsCancelled, admit_contacts
from campaigns.local_times import show_time
from campaigns.long_lists import ChoicesByCampaignFilter, LongList
from campaigns.models import Campaign, CampaignStatus
from contacts.arming import add_contact, change_number
from contacts.chosen_campaign import ChosenCampaign
from contacts.exclusion import (
    add_numbers_to_do_not_call,
    entries_of,
    find_entry,
    numbers_on_do_not_call,
    remove_from_do_not_call,
)
from contacts.export_admin import CampaignExport
from contacts.exporting import CONTACT_COLUMNS, ENTRY_COLUMNS, list_contacts, list_entries
from contacts.forms import CallingZonesField, PhoneNumberField
from contacts.hashing import hash_numbers
from contacts.import_admin import ContactImportAdmin, DoNotCallImportAdmin
from contacts.models import (
    CallOutcome,
    Contact,
    ContactImport,
    ContactState,
    DoNotCallEntry,
    DoNotCallImport,
    DoNotCallSource,
)
from contacts.phones import InvalidPhoneNumber, normalise_number
from contacts.spreadsheets import Cell, stream_csv

STATE_COLOURS = {
    ContactState.PENDING: None,
    ContactState.IN_PROGRESS: "info",
    ContactState.COMPLETED: "success",
    ContactState.REFUSED: "danger",
    ContactState.NOT_REACHED: "warning",
    ContactState.EXCLUDED: "danger",
}
OUTCOME_COLOURS = {
    CallOutcome.COMPLETED: "success",
    CallOutcome.REFUSED: "danger",
    CallOutcome.NO_ANSWER: "warning",
    CallOutcome.BUSY: "warning",
    CallOutcome.FAILED: "danger",
}


def read_numbers(text: str) -> set[str]:
    """The numbers that were perhaps meant: as it stands, or as in the country of one of the campaigns."""
    countries = Campaign.objects.order_by().values_list("default_country", flat=True).distinct()
    numbers = set()
    for country in {"", *countries}:
        with contextlib.suppress(InvalidPhoneNumber):
            numbers.add(normalise_number(text, country))
    return numbers


def list_keys(campaigns: QuerySet[Campaign]) -> list[UUID]:
    """Asked for themselves, so that the question about contacts goes through the indexes that begin with them."""
    return list(campaigns.values_list("pk", flat=True))


def of_cancelled() -> Q:
    return Q(campaign__in=list_keys(Campaign.objects.filter(status=CampaignStatus.CANCELLED)))


class NextCallFilter(admin.SimpleListFilter):
    title = _("next call")
    parameter_name = "next"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [("due", _("Due now")), ("waiting", _("Due now or later")), ("never", _("Never again"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Contact]) -> QuerySet[Contact]:
        now = timezone.now()
        match self.value():
            case "due":
                return queryset.due(now).filter(campaign__in=list_keys(Campaign.objects.dialling(now)))
            case "waiting":
                return queryset.waiting().exclude(of_cancelled())
            case "never":
                over = Q(next_attempt_at=None) | of_cancelled()
                return queryset.filter(over).exclude(state=ContactState.IN_PROGRESS)
        return queryset


class ContactForm(forms.ModelForm):
    phone_number = PhoneNumberField(
        label=_("Phone number"), help_text=_("With + and the country code, such as +1 202-555-0123.")
    )
    calling_zone = CallingZonesField(
        label=_("Time zone"),
        help_text=_(
            "A number that may lie in several zones has them all, and is rung only when every one is open. "
            "Empty: found from a new number, otherwise the campaign's zone."
        ),
    )

    class Meta:
        model = Contact
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding and "phone_number" in self.fields:
            self.fields["phone_number"].default_country = self.instance.campaign.default_country

    def clean_campaign(self) -> Any:
        """Runs before the number is read, because the campaign's field comes first."""
        try:
            campaign = admit_contacts(self.cleaned_data["campaign"])
        except CampaignIsCancelled as exc:
            raise forms.ValidationError(str(exc), code="cancelled") from exc
        self.fields["phone_number"].default_country = campaign.default_country
        return campaign

    def _get_validation_exclusions(self) -> set[str]:
        # A number must be unique in its campaign also when the campaign cannot be edited.
        return super()._get_validation_exclusions() - {"campaign"}


class LockedWhileSaved:
    """For an admin: nobody claims or deletes a row while it is being saved, and it is saved as it is then."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        # Only what is saved is asked for in a transaction; the buttons and the history ask before or without one.
        if found is not None and request.method == "POST" and connection.in_atomic_block:
            return self.model.objects.select_for_update(no_key=True).filter(pk=found.pk).first()
        return found


@admin.register(Contact)
class ContactAdmin(LockedWhileSaved, ChosenCampaign, LongList, CampaignExport, ModelAdmin):
    form = ContactForm
    export_name = "contacts"
    export_message = _("Contacts exported.")
    export_columns = CONTACT_COLUMNS
    list_display = [
        "show_number",
        "external_contact_id",
        "campaign",
        "show_state",
        "attempts_count",
        "show_last_outcome",
        "show_last_attempt",
        "show_next_attempt",
    ]
    list_filter = [
        ("campaign", AutocompleteSelectFilter),
        ("state", ChoicesByCampaignFilter),
        NextCallFilter,
        "last_outcome",
        "preferred_language",
        "has_prior_consent",
    ]
    list_filter_submit = True
    list_select_related = ["campaign"]
    search_fields = ["phone_number", "external_contact_id", "email"]
    search_help_text = _("The whole number in any spelling, name in your own system, or e-mail in a chosen campaign")
    autocomplete_fields = ["campaign"]
    actions = ["exclude_selected"]
    fieldsets = [
        (None, {"fields": ["campaign", ("phone_number", "external_contact_id"), "email"]}),
        (
            _("How to call"),
            {"fields": ["calling_zone", ("preferred_language", "has_prior_consent")]},
        ),
        (
            _("How it stands"),
            {
                "description": _("Written by the scheduler."),
                "fields": [
                    ("show_state", "do_not_call"),
                    ("attempts_count", "show_last_outcome"),
                    ("last_attempt_at", "next_attempt_at"),
                ],
            },
        ),
    ]
    add_fieldsets = fieldsets[:2]
    readonly_fields = [
        "show_state",
        "do_not_call",
        "attempts_count",
        "show_last_outcome",
        "last_attempt_at",
        "next_attempt_at",
    ]

    def list_export(self, campaign: Campaign) -> Iterator[Sequence[Cell]]:
        return list_contacts(campaign)

    def get_readonly_fields(self, request: HttpRequest, obj: Contact | None = None) -> Sequence[str]:
        if obj is None:
            return self.readonly_fields
        fixed = ["campaign", "phone_number"] if obj.attempts.exists() else ["campaign"]
        return [*self.readonly_fields, *fixed]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of whoever was erased there is nothing left to be changed."""
        return super().has_change_permission(request, obj) and not (isinstance(obj, Contact) and obj.erased_at)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A contact that was called is kept with its calls."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (isinstance(obj, Contact) and obj.attempts.exists())

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        chosen = Contact.objects.filter(pk__in=[contact.pk for contact in objs])
        if called := list(chosen.filter(attempts__isnull=False).distinct()[:20]):
            text = gettext("The calls of %(contact)s (%(number)s)")
            kept = [text % {"contact": contact, "number": contact.phone_number} for contact in called]
            return [], {}, set(), kept
        return super().get_deleted_objects(objs, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Contact], search_term: str
    ) -> tuple[QuerySet[Contact], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(phone_number__in=read_numbers(term)) | Q(external_contact_id=term) & ~Q(external_contact_id="")
        if "@" in term and "campaign__id__exact" in request.GET:
            found |= Q(email__iexact=term)
        elif "@" in term:
            text = gettext("To search for an e-mail, choose a campaign as well.")
            self.message_user(request, text, messages.WARNING)
        return queryset.filter(found), False

    def save_model(self, request: HttpRequest, obj: Contact, form: ContactForm, change: bool) -> None:
        if not change:
            add_contact(obj, now=timezone.now())
        elif "phone_number" in form.changed_data:
            change_number(obj, edited=form.changed_data, now=timezone.now())
        else:
            obj.save(update_fields=[*form.changed_data, "updated_at"])

    @display(description=_("Phone number"), ordering="phone_number")
    def show_number(self, contact: Contact) -> str:
        return contact.phone_number or gettext("Erased person")

    @display(description=_("State"), ordering="state")
    def show_state(self, contact: Contact) -> str:
        return display_for_label((contact.state, contact.get_state_display()), "-", STATE_COLOURS)

    @display(description=_("Last outcome"), ordering="last_outcome")
    def show_last_outcome(self, contact: Contact) -> str:
        return display_for_label(
            contact.last_outcome and (contact.last_outcome, contact.get_last_outcome_display()),
            "-",
            OUTCOME_COLOURS,
        )

    @display(description=_("Last call"), ordering="last_attempt_at")
    def show_last_attempt(self, contact: Contact) -> str:
        return show_time(contact.last_attempt_at)

    @display(description=_("Due from"), ordering="next_attempt_at")
    def show_next_attempt(self, contact: Contact) -> str:
        return show_time(contact.due_from)

    def has_exclude_permission(self, request: HttpRequest) -> bool:
        """It is the list that is changed, and the contacts of every campaign."""
        return request.user.has_perm("contacts.add_donotcallentry")

    @admin.action(description=_("Add to do-not-call list"), permissions=["exclude"])
    def exclude_selected(self, request: HttpRequest, queryset: QuerySet[Contact]) -> HttpResponse | None:
        if not is_confirmed(request):
            return ask_first(
                self,
                request,
                queryset,
                action="exclude_selected",
                title=gettext("Add to the do-not-call list"),
                question=gettext("Put these numbers on the do-not-call list? No campaign will ever ring them again."),
            )
        numbers = set(queryset.filter(erased_at=None).order_by().values_list("phone_number", flat=True))
        with transaction.atomic():
            new = numbers - numbers_on_do_not_call(numbers)
            excluded = add_numbers_to_do_not_call(numbers, source=DoNotCallSource.MANUAL)
            write_line(request.user, entries_of(new), ADDITION, '[{"added": {}}]')  # as the entry's own page does
        self.message_user(request, describe_exclusion(len(numbers), excluded), messages.SUCCESS)


def describe_exclusion(numbers: int, contacts: int) -> str:
    added = ngettext(
        "%(count)s number is on the do-not-call list now", "%(count)s numbers are on the do-not-call list now", numbers
    )
    excluded = ngettext("%(count)s contact was excluded", "%(count)s contacts were excluded", contacts)
    return f"{added % {'count': say_count(numbers)}}; {excluded % {'count': say_count(contacts)}}."


class DoNotCallEntryForm(forms.ModelForm):
    phone_number = PhoneNumberField(
        label=_("Phone number"), help_text=_("With + and the country code, such as +1 202-555-0123.")
    )

    class Meta:
        model = DoNotCallEntry
        fields = ["phone_number", "reason"]


@admin.register(DoNotCallEntry)
class DoNotCallEntryAdmin(LockedWhileSaved, LongList, ModelAdmin):
    form = DoNotCallEntryForm
    list_display = ["show_number", "reason", "source", "created_at"]
    list_filter = ["source", "created_at"]
    search_fields = ["phone_number"]
    search_help_text = _("The whole number in any spelling")
    actions = ["remove_selected"]
    actions_list = ["import_numbers", "list_imports", "export"]
    fieldsets = [
        (
            None,
            {
                "description": _("No campaign rings a number on this list; its contacts are excluded at once."),
                "fields": ["phone_number", "reason", ("source", "created_at")],
            },
        )
    ]
    readonly_fields = ["source", "created_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: DoNotCallEntry | None = None) -> Sequence[str]:
        return self.readonly_fields if obj is None else [*self.readonly_fields, "phone_number"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DoNotCallEntry], search_term: str
    ) -> tuple[QuerySet[DoNotCallEntry], bool]:
        """Also the entry of a number that is kept as a hash."""
        term = search_term.strip()
        return queryset & entries_of(read_numbers(term)) if term else queryset, False

    def save_model(self, request: HttpRequest, obj: DoNotCallEntry, form: DoNotCallEntryForm, change: bool) -> None:
        if change:
            return obj.save(update_fields=["reason"])
        excluded = add_numbers_to_do_not_call([obj.phone_number], reason=obj.reason, source=DoNotCallSource.MANUAL)
        entry = find_entry(obj.phone_number)
        # Nor does the history name a number that is kept as a hash.
        obj.pk, obj.created_at, obj.phone_number = entry.pk, entry.created_at, entry.phone_number
        self.message_user(request, describe_exclusion(1, excluded))

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("contacts.add_donotcallimport")

    @action(description=pgettext_lazy("button", "Import"), icon="upload_file", permissions=["import"])
    def import_numbers(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:contacts_donotcallimport_add"))

    def has_list_imports_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("contacts.view_donotcallimport")

    @action(description=_("Imports"), icon="history", permissions=["list_imports"])
    def list_imports(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:contacts_donotcallimport_changelist"))

    @action(description=pgettext_lazy("button", "Export"), icon="download", permissions=["view"])
    def export(self, request: HttpRequest) -> HttpResponse:
        """All that can be read. Who took the list home is in the history, of the list and of no entry."""
        with in_language_of_the_record():
            LogEntry.objects.create(
                user_id=request.user.pk,
                content_type=ContentType.objects.get_for_model(DoNotCallEntry),
                object_repr=gettext("Do-not-call list"),
                action_flag=EXPORT,
                change_message=gettext("Do-not-call list exported."),
            )
        return stream_csv("do-not-call", [*ENTRY_COLUMNS], list_entries())

    @display(description=_("Phone number"), ordering="phone_number")
    def show_number(self, entry: DoNotCallEntry) -> str:
        return str(entry)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {name: one for name, one in super().get_actions(request).items() if name != "delete_selected"}

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_delete_permission(request):
            raise PermissionDenied
        entry = self.get_object(request, object_id)
        if entry is None:
            raise Http404
        question = self.remove_selected(request, DoNotCallEntry.objects.filter(pk=entry.pk))
        return question or HttpResponseRedirect(reverse("admin:contacts_donotcallentry_changelist"))

    @admin.action(description=_("Take off the list"), permissions=["delete"])
    def remove_selected(self, request: HttpRequest, queryset: QuerySet[DoNotCallEntry]) -> HttpResponse | None:
        reason = request.POST.get("reason", "").strip()
        if not is_confirmed(request) or not reason:
            return ask_first(
                self,
                request,
                queryset,
                action="remove_selected",
                title=gettext("Take off the do-not-call list"),
                question=gettext("Take these numbers off the list? People who said no may be rung again."),
                reason=gettext("Why? It is kept in the record."),
            )
        typed = hash_numbers(read_numbers(request.GET.get("q", "")))
        numbers = [entry.phone_number or typed.get(entry.number_hash) for entry in queryset]
        if not all(numbers):
            text = gettext(
                "Whose numbers are kept as hashes can only be taken off by their number: search the list for it, and "
                "take off what is found."
            )
            self.message_user(request, text, messages.ERROR)
            return None
        with transaction.atomic():
            write_line(request.user, queryset, DELETION, format_lazy(_("Taken off: {reason}"), reason=reason))
            allowed = remove_from_do_not_call(numbers, now=timezone.now())
        text = ngettext("%(count)s contact may be rung again.", "%(count)s contacts may be rung again.", allowed)
        self.message_user(request, text % {"count": say_count(allowed)})
        return None


admin.site.register(ContactImport, ContactImportAdmin)
admin.site.register(DoNotCallImport, DoNotCallImportAdmin)
