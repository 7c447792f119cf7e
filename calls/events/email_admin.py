"""What became of the e-mails to contacts, in the admin."""

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.utils import display_for_label

from calls.events.cells import link_to_contact, say_error
from calls.events.models import EmailState, EventEmail
from campaigns.long_lists import LongList
from campaigns.mail_server import SaysWithoutMailServer
from campaigns.read_only import ReadOnly

EMAIL_COLOURS = {
    EmailState.WAITING: "info",
    EmailState.SENDING: "warning",
    EmailState.SENT: "success",
    EmailState.FAILED: "danger",
}


@admin.register(EventEmail)
class EventEmailAdmin(SaysWithoutMailServer, LongList, ReadOnly, ModelAdmin):
    list_display = ["show_contact", "show_campaign", "type", "show_state", "occurred_at", "sent_at", "show_error"]
    list_filter = ["state"]
    list_select_related = ["contact__campaign"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("show_contact", "show_campaign"),
                    ("type", "occurred_at"),
                    ("show_state", "sent_at"),
                    "show_error",
                ]
            },
        )
    ]

    @display(description=_("Contact"))
    def show_contact(self, email: EventEmail) -> SafeString:
        return link_to_contact(email.contact)

    @display(description=_("Campaign"))
    def show_campaign(self, email: EventEmail) -> str:
        return str(email.contact.campaign)

    @display(description=_("State"))
    def show_state(self, email: EventEmail) -> str:
        return display_for_label((email.state, email.get_state_display()), "-", EMAIL_COLOURS)

    @display(description=pgettext_lazy("of an e-mail", "Error"))
    def show_error(self, email: EventEmail) -> str:
        return say_error(email.error)
