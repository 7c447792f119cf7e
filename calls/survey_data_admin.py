"""Downloads of a campaign's results and of their codebook, in the admin."""

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from calls.access import SEE_ANSWERS
from calls.codebook import list_sheets
from calls.survey_data import list_columns, list_rows, name_questions
from campaigns.history import EXPORT, write_line
from campaigns.models import Campaign
from contacts.spreadsheets import stream_csv
from contacts.workbook_stream import Sheet, stream_workbook


def _export_results(campaign: Campaign, name: str, kind: str) -> HttpResponse:
    asked = name_questions(campaign)
    columns, rows = list_columns(asked), list_rows(campaign, asked)
    if kind == "csv":
        return stream_csv(name, columns, rows)
    return stream_workbook(name, [Sheet("Results", columns, rows)])


def _export_codebook(campaign: Campaign, name: str, _kind: str) -> HttpResponse:
    return stream_workbook(name, list_sheets(campaign))


EXPORTS = {
    "results.csv": (_export_results, _("Results exported.")),
    "results.xlsx": (_export_results, _("Results exported.")),
    "codebook.xlsx": (_export_codebook, _("Codebook exported.")),
}


class CampaignSurveyData:
    """For the admin of campaigns: export/FILE of each, for whoever may see contacts and calls."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.export_survey_data)
        own = path("<uuid:campaign>/export/<str:file>", page, name="campaigns_campaign_export")
        return [own, *super().get_urls()]

    def export_survey_data(self, request: HttpRequest, campaign: UUID, file: str) -> HttpResponse:
        if not request.user.has_perms(SEE_ANSWERS):
            raise PermissionDenied
        if file not in EXPORTS:
            raise Http404
        chosen = get_object_or_404(Campaign, pk=campaign)
        export, message = EXPORTS[file]
        write_line(request.user, [chosen], EXPORT, message)
        name, _dot, kind = file.partition(".")
        return export(chosen, f"{name}-{chosen.pk}", kind)
