"""Lists of millions of rows in the admin, whose pages take no longer than those of short ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import messages
from django.contrib.admin import ChoicesFieldListFilter
from django.core.paginator import Paginator
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from psycopg2.errors import QueryCanceled
from unfold.views import ChangeList

from campaigns.counting import MOST_COUNTED, say_count
from campaigns.models import Campaign

MOST_SECONDS = 5


class TooLong(Exception):
    """No index finds what was asked, and among so many rows it takes too long without."""


@contextmanager
def give_up_in_time() -> Iterator[None]:
    """Raises TooLong when a query within takes longer than MOST_SECONDS."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [round(MOST_SECONDS * 1000)])
            yield
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        raise TooLong from error


class BoundedPaginator(Paginator):
    """Counts and lists no more than MOST_COUNTED: nobody leafs further, and a full count takes seconds."""

    template_name = "campaigns/bounded_pager.html"

    @cached_property
    def _found(self) -> int:
        # In the list's own order, so that it is read through the same index as the page.
        return self.object_list[: MOST_COUNTED + 1].count()

    @cached_property
    def count(self) -> int:
        return min(self._found, MOST_COUNTED)

    @cached_property
    def has_more(self) -> bool:
        return self._found > MOST_COUNTED


class LongChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count  # the pager says it all

    @property
    def too_many(self) -> str:
        text = _("More than %(count)s %(things)s: filter or search for those further down.")
        return text % {"count": say_count(MOST_COUNTED), "things": self.opts.verbose_name_plural}


class LongList:
    """For an admin. Its list has one order, that of its index, and is given up when no index finds what is asked."""

    paginator = BoundedPaginator
    show_full_result_count = False
    sortable_by: tuple[str, ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LongChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method != "GET" or not request.GET:
            return super().changelist_view(request, extra_context)
        try:
            with give_up_in_time():
                response = super().changelist_view(request, extra_context)
                return response.render() if hasattr(response, "render") else response
        except TooLong:
            text = _("To find these takes too long among so many. Choose a campaign as well, or fewer filters.")
            self.message_user(request, text, messages.ERROR)
            return HttpResponseRedirect(request.path)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        if request.POST.get("select_across") == "1" and self._has_too_many(queryset):
            text = _("More than %(count)s at once are too many for this. Narrow the list down, or choose some of it.")
            self.message_user(request, text % {"count": say_count(MOST_COUNTED)}, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset)

    def _has_too_many(self, queryset: QuerySet[Any]) -> bool:
        return self.get_paginator(None, queryset, self.list_per_page).has_more


class ChoicesByCampaignFilter(ChoicesFieldListFilter):
    """For a column whose index begins with the campaign: it is asked of every campaign, so that the index serves."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.lookup_val:
            return queryset
        campaigns = list(Campaign.objects.values_list("pk", flat=True))
        return super().queryset(request, queryset).filter(campaign__in=campaigns)
