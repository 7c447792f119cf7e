"""Imports in the admin: a file is uploaded, looked at, started, watched, and its refused rows are taken home."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from campaigns.counting import say_count
from campaigns.history import EXPORT, write_line
from campaigns.lifecycle import CampaignIsCancelled
from contacts.chosen_campaign import ChosenCampaign
from contacts.import_forms import ColumnsForm, ContactsForm, FileForm, NumbersForm, inspect_file
from contacts.import_pages import describe_import, describe_preview, list_refused, show_status, url_of
from contacts.importing import cancel_import
from contacts.models import ContactImport, ImportStatus
from contacts.rows import NUMBER_COLUMN
from contacts.spreadsheets import stream_csv
from contacts.uploads import start_import, store_upload


class ImportAdmin(ModelAdmin):
    """What imports of contacts and of the do-not-call list have in common."""

    list_filter = ["status"]
    show_full_result_count = False
    add_title: str | Promise = ""

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
        if request.method == "POST" and self.has_add_permission(request):
            inspect_file(request.FILES)
        buttons = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **buttons, "title": self.add_title})

    def save_model(self, request: HttpRequest, obj: ContactImport, form: FileForm, change: bool) -> None:
        obj.created_by = request.user
        file = form.cleaned_data["file"]
        store_upload(obj, file, file.facts)

    def response_add(self, request: HttpRequest, obj: ContactImport, post_url_continue: Any = None) -> HttpResponse:
        return HttpResponseRedirect(url_of(obj, "change"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        record = self._find(request, object_id)
        may_work = self.has_add_permission(request)
        if request.method == "POST" and not may_work:
            raise PermissionDenied
        if request.method == "POST":
            return self._take_step(request, record)
        form = ColumnsForm(record, request.GET if NUMBER_COLUMN in request.GET else None)
        context = {
            **self.admin_site.each_context(request),
            "title": str(record),
            "opts": self.opts,
            "original": record,
            "may_work": may_work,
            **describe_import(record),
        }
        if record.status == ImportStatus.PREPARED:
            columns = form.columns if form.is_bound and form.is_valid() else record.columns
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
        write_line(request.user, [record], EXPORT, _("Refused rows exported."))
        return stream_csv(f"refused-{record.pk}", *list_refused(record))

    @display(description=_("Status"), ordering="status")
    def show_status(self, record: ContactImport) -> str:
        return show_status(record)

    @display(description=_("Rows"))
    def show_progress(self, record: ContactImport) -> str:
        if record.rows_in_file is None:
            return say_count(record.rows)
        return gettext("%(rows)s of %(all)s") % {"rows": say_count(record.rows), "all": say_count(record.rows_in_file)}

    def _find(self, request: HttpRequest, pk: Any) -> ContactImport:
        record = self.get_object(request, str(pk))
        if record is None:
            raise Http404
        if not self.has_view_permission(request, record):
            raise PermissionDenied
        return record

    def _take_step(self, request: HttpRequest, record: ContactImport) -> HttpResponse:
        if request.POST.get("step") == "cancel":
            if cancel_import(record.pk):
                write_line(request.user, [record], CHANGE, pgettext_lazy("history of an import", "Cancelled."))
            return HttpResponseRedirect(url_of(record, "change"))
        form = ColumnsForm(record, request.POST)
        if request.POST.get("step") == "start" and form.is_valid():
            return self._start(request, record, form.columns)
        # The columns stand in the address, so that the browser's Back finds a page that it may load again.
        chosen = urlencode({column: request.POST.get(column, "") for column in form.fields})
        return HttpResponseRedirect(f"{url_of(record, 'change')}?{chosen}")

    def _start(self, request: HttpRequest, record: ContactImport, columns: dict[str, int]) -> HttpResponse:
        try:
            if start_import(record, columns):
                write_line(request.user, [record], CHANGE, pgettext_lazy("history of an import", "Started."))
        except CampaignIsCancelled as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(url_of(record, "change"))


class ContactImportAdmin(ChosenCampaign, ImportAdmin):
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
    search_help_text = _("File or campaign")
    autocomplete_fields = ["campaign"]
    fieldsets = [(None, {"fields": ["campaign", "file"]})]
    add_title = _("Import contacts")
    actions_list = ["list_imports_of_numbers"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactImport]:
        return super().get_queryset(request).filter(campaign__isnull=False)

    def has_list_of_numbers_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("contacts.view_donotcallimport")

    @action(description=_("Imports of the do-not-call list"), icon="phone_disabled", permissions=["list_of_numbers"])
    def list_imports_of_numbers(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:contacts_donotcallimport_changelist"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        for step in ("add", "change", "view"):
            setattr(form.base_fields["campaign"].widget, f"can_{step}_related", False)
        return form


class DoNotCallImportAdmin(ImportAdmin):
    form = NumbersForm
    list_display = ["__str__", "show_status", "show_progress", "imported", "unchanged", "refused", "created_at"]
    search_fields = ["file_name"]
    search_help_text = _("File")
    fieldsets = [(None, {"fields": ["default_country", "file"]})]
    add_title = _("Import numbers that are not to be called")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactImport]:
        return super().get_queryset(request).filter(campaign=None)
