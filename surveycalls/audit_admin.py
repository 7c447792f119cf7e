"""The audit in the admin: to be read, by the newest or by who, what and when."""

from datetime import UTC, date, datetime, time, timedelta

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.decorators import display
from unfold.paginator import InfinitePaginator
from unfold.utils import display_for_label, parse_date_str

from campaigns.read_only import ReadOnly
from surveycalls.models import AuditAction, AuditEntry

ACTION_COLOURS = dict.fromkeys(AuditAction) | {
    AuditAction.SIGN_IN_FAILED: "warning",
    AuditAction.REFUSED: "danger",
    AuditAction.DELETED: "warning",
    AuditAction.STATUS: "info",
    AuditAction.EXPORTED: "info",
    AuditAction.ERASED: "danger",
}


class UserFilter(admin.SimpleListFilter):
    """Of those who are users now: to read all names out of the audit would read all of it."""

    title = _("user")
    parameter_name = "user"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        names = get_user_model().objects.order_by("username").values_list("username", flat=True)
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(user_name=self.value()) if self.value() else queryset


class DaysFilter(RangeDateFilter):
    """Whole days in the operators' time zone, the last one with all of its hours."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        first = parse_date_str(self.used_parameters.get("at_from", ""))
        last = parse_date_str(self.used_parameters.get("at_to", ""))
        if first and (begin := _begin(first)):
            queryset = queryset.filter(at__gte=begin)
        if last and (end := _begin(last, days_later=1)):
            queryset = queryset.filter(at__lt=end)
        return queryset


def _begin(day: date, *, days_later: int = 0) -> datetime | None:
    """None at the very ends of the calendar, before or after all entries."""
    try:
        return timezone.make_aware(datetime.combine(day + timedelta(days=days_later), time.min)).astimezone(UTC)
    except OverflowError:
        return None


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, ModelAdmin):
    list_display = ["show_time", "show_user", "show_action", "show_type", "object_name", "show_start", "address"]
    list_display_links = ["show_time"]
    list_filter = ["action", UserFilter, ("at", DaysFilter)]
    list_filter_submit = True
    # Exactly, so that an index finds it.
    search_fields = ["user_name__exact", "address__exact", "object_id__exact"]
    search_help_text = _("A user, an address or an id, in full")
    # Neither counts: the audit has more entries every day, and none is ever deleted.
    show_full_result_count = False
    paginator = InfinitePaginator
    sortable_by = ()  # by anything else than the time it would be sorted as a whole
    fields = [
        "show_time",
        ("show_user", "address"),
        ("show_action", "show_type"),
        ("object_name", "object_id"),
        "message",
    ]
    readonly_fields = ["show_time", "show_user", "show_action", "show_type"]

    @display(description=_("When"))
    def show_time(self, entry: AuditEntry) -> str:
        return date_format(timezone.localtime(entry.at), "j M Y, H:i:s")

    @display(description=_("User"))
    def show_user(self, entry: AuditEntry) -> str:
        return entry.user_name or gettext("Command or job")

    @display(description=_("What"))
    def show_type(self, entry: AuditEntry) -> str:
        """In the reader's language, if the site's is English: it is written down in that one."""
        return gettext(entry.object_type) if entry.object_type else "-"

    @display(description=_("Message"))
    def show_start(self, entry: AuditEntry) -> str:
        """As much as two lines of a telephone hold; its own page has all."""
        return Truncator(entry.message).chars(60) or "-"

    @display(description=_("Action"))
    def show_action(self, entry: AuditEntry) -> str:
        return display_for_label((entry.action, entry.get_action_display()), "-", ACTION_COLOURS)
