"""What contacts are written after an event, in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from campaigns.careful_admin import CarefulPages
from campaigns.careful_forms import CarefulForm
from campaigns.emails import fill_in, fill_in_line
from campaigns.mail_server import SaysWithoutMailServer
from campaigns.models import EmailText


class EmailTextForm(CarefulForm):
    class Meta:
        model = EmailText
        fields = ["campaign", "event", "language", "subject", "body"]
        widgets = {"body": UnfoldAdminTextareaWidget({"rows": 10})}


@admin.register(EmailText)
class EmailTextAdmin(SaysWithoutMailServer, CarefulPages, ModelAdmin):
    form = EmailTextForm
    list_display = ["campaign", "event", "language", "subject"]
    list_filter = [("campaign", AutocompleteSelectFilter), "event", "language"]
    list_filter_submit = True
    list_select_related = ["campaign"]
    autocomplete_fields = ["campaign"]
    search_fields = ["subject"]

    def get_fieldsets(self, request: HttpRequest, obj: EmailText | None = None) -> Any:
        fields = ["campaign", ("event", "language"), "subject", "body"]
        explanation = _(
            "Sent once to each contact who has an e-mail address, in the language that they prefer if there is a text "
            "in it. Who does not want to be called is not written to either."
        )
        fieldsets: list[Any] = [(None, {"description": explanation, "fields": fields})]
        if obj is not None:
            fieldsets.append((_("As it is read"), {"fields": ["show_preview"]}))
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: EmailText | None = None) -> list[str]:
        return ["show_preview"]

    @display(description=_("E-mail"))
    def show_preview(self, text: EmailText) -> SafeString:
        """To a contact without a zone of its own."""
        day = text.campaign.day_for("", timezone.now())
        values = {"campaign": text.campaign.name, "reference": "P-0001", "date": day.isoformat()}
        subject, body = fill_in_line(text.subject, values), fill_in(text.body, values)
        return format_html('<strong>{}</strong><p class="payload">{}</p>', subject, body)
