"""Imports in the admin: a file is uploaded, looked at, started, watched, and its refused rows are taken home."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.utils import display_for_label
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelect2Widget, UnfoldAdminSelectWidget

from campaigns.forms import name_countries
from campaigns.lifecycle import CampaignIsCancelled, admit_contacts
from contacts.importing import cancel_import
from contacts.models import ContactImport, DoNotCallImport, ImportRefusal, ImportStatus
from contacts.rows import NUMBER_COLUMN, REASON_COLUMN, ContactRow, RefusedRow
from contacts.sheets import UnusableFile
from contacts.spreadsheets import Cell, stream_csv
from contacts.uploads import columns_of, inspect_upload, preview, start_import, store_upload

STATUS_COLOURS = {
    ImportStatus.PREPARED: "info",
    ImportStatus.RUNNING: "success",
    ImportStatus.COMPLETED: "primary",
    ImportStatus.CANCELLED: "warning",
    ImportStatus.FAILED: "danger",
}

COLUMN_TITLES = {
    "phone_number": "Phone number",
    "external_contact_id": "Name in your own system",
    "email": "E-mail",
    "preferred_language": "Language (en, it, auto)",
    "has_prior_consent": "Prior consent (yes, no)",
    "do_not_call": "Do not call (yes, no)",
    "time_zone": "Time zone, such as Europe/Rome",
    REASON_COLUMN: "Reason",
}

SHOWN_REFUSALS = 20


class FileForm(forms.ModelForm):
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,.tsv,.xlsx"}),
        help_text=(
            "CSV or Excel workbook (xlsx), with the names of the columns in its first line. You see what would become "
            "of it before anything is imported."
        ),
    )

    def clean_file(self) -> Any:
        try:
            self.facts = inspect_upload(self.cleaned_data["file"])
        except UnusableFile as error:
            raise forms.ValidationError(str(error), code="file") from error
        return self.cleaned_data["file"]


class ContactsForm(FileForm):
    class Meta:
        model = ContactImport
        fields = ["campaign"]

    def clean_campaign(self) -> Any:
        try:
            return admit_contacts(self.cleaned_data["campaign"])
        except CampaignIsCancelled as error:
            raise forms.ValidationError(str(error), code="cancelled") from error


class NumbersForm(FileForm):
    default_country = forms.ChoiceField(
        choices=name_countries,
        required=False,
        widget=UnfoldAdminSelect2Widget,
        help_text="The country of numbers that are written without one.",
    )

    class Meta:
        model = DoNotCallImport
        fields = ["default_country"]


class ColumnsForm(forms.Form):
    """Which column of the file is which of ours; empty: none."""

    def __init__(self, record: ContactImport, data: Mapping[str, Any] | None = None) -> None:
        initial = {column: str(index) for column, index in record.columns.items()}
        super().__init__(data, initial=initial)
        choices = [("", "—"), *((str(i), name or f"(column {i + 1})") for i, name in enumerate(record.header))]
        for column in columns_of(record):
            self.fields[column] = forms.ChoiceField(
                label=COLUMN_TITLES[column],
                choices=choices,
                required=column == NUMBER_COLUMN,
                widget=UnfoldAdminSelectWidget(),
                error_messages={"required": "Choose the column that has the phone numbers."},
            )

    def clean(self) -> dict[str, Any]:
        chosen = [index for index in self.cleaned_data.values() if index]
        for column, index in [*self.cleaned_data.items()]:
            if index and chosen.count(index) > 1:
                self.add_error(column, "This column is chosen twice.")
        return self.cleaned_data

    @property
    def columns(self) -> dict[str, int]:
        return {column: int(index) for column, index in self.cleaned_data.items() if index}


class ImportAdmin(ModelAdmin):
    """What imports of contacts and of the do-not-call list have in common."""

    list_filter = ["status"]
    show_full_result_count = False
    add_title = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactImport]:
        return super().get_queryset(request).select_related("campaign", "created_by")

    def get_urls(self) -> list[URLPattern]:
        return [
            self._path("<uuid:pk>/progress/", self.show_progress_alone, "progress"),
            self._path("<uuid:pk>/refused/", self.download_refused, "refused"),
            *super().get_urls(),
        ]

    def _path(self, route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        return path(route, self.admin_site.admin_view(view), name=f"contacts_{self.opts.model_name}_{name}")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It is a record. Who may add one may start and cancel it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        buttons = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **buttons, "title": self.add_title})

    def save_model(self, request: HttpRequest, obj: ContactImport, form: FileForm, change: bool) -> None:
        obj.created_by = request.user
        store_upload(obj, form.cleaned_data["file"], form.facts)

    def response_add(self, request: HttpRequest, obj: ContactImport, post_url_continue: Any = None) -> HttpResponse:
        return HttpResponseRedirect(page_of(obj))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        record = self._find(request, object_id)
        may_work = self.has_add_permission(request)
        if request.method == "POST" and not may_work:
            raise PermissionDenied
        if request.method == "POST" and request.POST.get("step") == "cancel":
            cancel_import(record.pk)
            self.log_change(request, record, "Cancelled.")
            return HttpResponseRedirect(page_of(record))
        form = ColumnsForm(record, request.POST if request.method == "POST" else None)
        is_valid = form.is_valid() if form.is_bound else True
        if is_valid and request.POST.get("step") == "start":
            return self._start(request, record, form.columns)
        context = {
            **self.admin_site.each_context(request),
            "title": str(record),
            "opts": self.opts,
            "original": record,
            "may_work": may_work,
            **describe_import(record),
        }
        if record.status == ImportStatus.PREPARED:
            columns = form.columns if form.is_bound and is_valid else record.columns
            context |= {"columns_form": form, "preview": describe_preview(record, columns)}
        return TemplateResponse(request, "contacts/import.html", context)

    def show_progress_alone(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The part of the page that changes while it runs."""
        record = self._find(request, pk)
        context = {"original": record, "may_work": self.has_add_permission(request), **describe_import(record)}
        return TemplateResponse(request, "contacts/import_progress.html", context)

    def download_refused(self, request: HttpRequest, pk: Any) -> StreamingHttpResponse:
        """Each with its reason and as it stood in the file, so that it can be mended and loaded again."""
        record = self._find(request, pk)
        # None of our own columns is called so, when the file is imported again.
        header = ["refused line", "refused column", "refused value", "refused because", *record.header]
        return stream_csv(f"refused-{record.pk}", header, list_refused(record))

    @display(description="Status", ordering="status")
    def show_status(self, record: ContactImport) -> str:
        return show_status(record)

    @display(description="Rows")
    def show_progress(self, record: ContactImport) -> str:
        return f"{record.rows:,}" if record.rows_in_file is None else f"{record.rows:,} of {record.rows_in_file:,}"

    def _find(self, request: HttpRequest, pk: Any) -> ContactImport:
        record = self.get_object(request, str(pk))
        if record is None:
            raise Http404
        if not self.has_view_permission(request, record):
            raise PermissionDenied
        return record

    def _start(self, request: HttpRequest, record: ContactImport, columns: dict[str, int]) -> HttpResponse:
        try:
            if start_import(record, columns):
                self.log_change(request, record, "Started.")
        except CampaignIsCancelled as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(page_of(record))


class ContactImportAdmin(ImportAdmin):
    form = ContactsForm
    list_display = [
        "__str__",
        "campaign",
        "show_status",
        "show_progress",
        "imported",
        "updated",
        "refused",
        "created_at",
    ]
    search_fields = ["file_name", "campaign__name"]
    search_help_text = "File or campaign"
    autocomplete_fields = ["campaign"]
    fieldsets = [(None, {"fields": ["campaign", "file"]})]
    add_title = "Import contacts"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactImport]:
        return super().get_queryset(request).filter(campaign__isnull=False)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        for step in ("add", "change", "view"):
            setattr(form.base_fields["campaign"].widget, f"can_{step}_related", False)
        return form


class DoNotCallImportAdmin(ImportAdmin):
    form = NumbersForm
    list_display = ["__str__", "show_status", "show_progress", "imported", "unchanged", "refused", "created_at"]
    search_fields = ["file_name"]
    search_help_text = "File"
    fieldsets = [(None, {"fields": ["default_country", "file"]})]
    add_title = "Import numbers that are not to be called"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactImport]:
        return super().get_queryset(request).filter(campaign=None)


def page_of(record: ContactImport) -> str:
    return url_of(record, "change")


def url_of(record: ContactImport, page: str) -> str:
    """``record`` as its own admin has read it: imports of the do-not-call list are of another model."""
    return reverse(f"admin:contacts_{record._meta.model_name}_{page}", args=[record.pk])


def show_status(record: ContactImport) -> str:
    return display_for_label((record.status, record.get_status_display()), "-", STATUS_COLOURS)


def describe_import(record: ContactImport) -> dict[str, Any]:
    """What its page shows of how far it is and what became of its rows."""
    rows = record.rows_in_file or record.rows
    is_running = record.status == ImportStatus.RUNNING
    shown = record.refusals.all()[:SHOWN_REFUSALS] if record.refused else []
    return {
        "status": show_status(record),
        "urls": {page: url_of(record, page) for page in ("change", "progress", "refused")},
        "result": _link_to_result(record),
        "is_running": is_running,
        "is_over": record.ended_at is not None,
        "share": f"{100 * record.rows / (rows or 1):.1f}",
        "rows_left": _describe_rest(record) if is_running else "",
        "rows_in_file": count_rows(record.rows_in_file or 0),
        "figures": _count_figures(record),
        "refusals": {
            "headers": ["line", "column", "value", "reason"],
            "rows": [[one.line, one.column or "—", one.value or "—", one.reason] for one in shown],
        },
        "refused": count_rows(record.refused),
        "refused_not_shown": count_rows(record.refused - len(shown)) if record.refused > len(shown) else "",
    }


def _count_figures(record: ContactImport) -> list[tuple[str, str, str]]:
    """The title, what it means where that needs to be said, and the number."""
    if record.campaign_id:
        own = [
            ("Not to be called", "Of the imported those who are on the do-not-call list", record.excluded),
            ("Updated", "Contacts that the campaign had, with something new of them", record.updated),
            ("Unchanged", "Contacts that the campaign had as the file says", record.unchanged),
        ]
    else:
        own = [
            ("Contacts excluded", "Contacts of all campaigns that would have been rung", record.excluded),
            ("Unchanged", "Numbers that were on the list", record.unchanged),
        ]
    figures = [
        ("Rows read", "", record.rows),
        ("Imported", "", record.imported),
        *own,
        ("Refused", "", record.refused),
        ("Duplicates", "Of the refused those whose number stands further up", record.duplicates),
    ]
    return [(title, meaning, f"{count:,}") for title, meaning, count in figures]


def _link_to_result(record: ContactImport) -> tuple[str, str]:
    if not record.campaign_id:
        return "The do-not-call list", reverse("admin:contacts_donotcallentry_changelist")
    query = urlencode({"campaign__id__exact": record.campaign_id})
    return "Contacts of the campaign", f"{reverse('admin:contacts_contact_changelist')}?{query}"


def count_rows(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _describe_rest(record: ContactImport) -> str:
    """How long it will take, from how long it has taken."""
    if not record.rows or not record.rows_in_file or record.started_at is None:
        return "It begins as soon as a worker of the cluster is free."
    seconds = (timezone.now() - record.started_at).total_seconds()
    left = seconds / record.rows * (record.rows_in_file - record.rows)
    return "Less than a minute left." if left < 60 else f"About {round(left / 60)} minutes left."


def describe_preview(record: ContactImport, columns: Mapping[str, int]) -> dict[str, Any]:
    """A table of the first rows as they would be imported, with what is wrong with each."""
    if NUMBER_COLUMN not in columns:
        return {}
    rows = preview(record, columns)
    shown = [column for column in columns_of(record) if column in columns]
    return {
        "problems": sum(isinstance(row, RefusedRow) for row in rows),
        "count": len(rows),
        "table": {
            "headers": ["line", *(COLUMN_TITLES[column].split(" (")[0].split(",")[0] for column in shown), "problem"],
            "rows": [[row.line, *_show_cells(row, shown, columns), getattr(row, "reason", "—")] for row in rows],
        },
    }


def _show_cells(row: ContactRow | RefusedRow, shown: list[str], columns: Mapping[str, int]) -> Iterator[str]:
    for column in shown:
        text = row.cells[columns[column]] if columns[column] < len(row.cells) else ""
        if column == NUMBER_COLUMN and isinstance(row, ContactRow):
            text = row.phone_number
        yield text.encode(errors="replace").decode() or "—"


def list_refused(record: ContactImport) -> Iterator[list[Cell]]:
    for refusal in ImportRefusal.objects.filter(contact_import=record).order_by("line").iterator():
        yield [refusal.line, refusal.column, refusal.value, refusal.reason, *refusal.cells]
