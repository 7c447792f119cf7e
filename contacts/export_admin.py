"""Downloads of what a campaign has, in the admin."""

from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.functional import Promise

from campaigns.history import EXPORT, write_line
from campaigns.models import Campaign
from contacts.spreadsheets import Cell, stream_csv


class CampaignExport:
    """For an admin: the page export/CAMPAIGN/, for whoever may view its list, and a line in the campaign's history.

    The page's name is of the admin's app, such as contacts_export.
    """

    export_name = ""  # of what is exported, in the plural, for the name of the file
    export_message: str | Promise = ""  # for the history
    export_columns: Collection[str] = ()

    def list_export(self, campaign: Campaign) -> Iterator[Sequence[Cell]]:
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export)
        return [
            path("export/<uuid:campaign>/", export, name=f"{self.opts.app_label}_export"),
            *super().get_urls(),
        ]

    def export(self, request: HttpRequest, campaign: UUID) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = get_object_or_404(Campaign, pk=campaign)
        write_line(request.user, [chosen], EXPORT, self.export_message)
        return stream_csv(f"{self.export_name}-{chosen.pk}", [*self.export_columns], self.list_export(chosen))
