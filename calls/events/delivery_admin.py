"""What was delivered to webhooks, in the admin."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.utils import display_for_label

from calls.events.cells import link_to_contact, say_error
from calls.events.models import DeliveryState, WebhookDelivery
from calls.events.outbox import announce_events
from calls.events.payloads import write_body
from campaigns.confirmation import leave_dialog
from campaigns.counting import say_count
from campaigns.history import write_line
from campaigns.long_lists import LongList
from campaigns.read_only import ReadOnly

DELIVERY_COLOURS = {
    DeliveryState.PENDING: "info",
    DeliveryState.DELIVERED: "success",
    DeliveryState.DEAD: "danger",
}


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(LongList, ReadOnly, ModelAdmin):
    list_display = [
        "show_event",
        "subscription",
        "show_contact",
        "show_campaign",
        "show_state",
        "attempts",
        "show_when",
        "show_last_error",
    ]
    list_filter = ["state", "subscription"]
    list_filter_submit = True
    list_select_related = ["event__contact__campaign", "subscription"]
    search_fields = ["event"]
    search_help_text = _("The whole id of an event (webhook-id) or of a contact")
    actions = ["send_again_selected"]
    actions_detail = ["send_again"]
    fieldsets = [
        (None, {"fields": [("show_event", "subscription"), ("show_contact", "show_campaign"), "show_event_id"]}),
        (
            _("How it went"),
            {
                "fields": [
                    ("show_state", "attempts"),
                    ("show_next_try", "delivered_at"),
                    ("response_status", "show_last_error"),
                ]
            },
        ),
        (_("What would be sent now"), {"classes": ["collapse"], "fields": ["show_body"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        return (
            super().get_queryset(request).select_related("event__contact__campaign", "event__attempt", "subscription")
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery], search_term: str
    ) -> tuple[QuerySet[WebhookDelivery], bool]:
        if not (term := search_term.strip()):
            return queryset, False
        try:
            wanted = UUID(term)
        except ValueError:
            return queryset.none(), False
        return queryset.filter(Q(event=wanted) | Q(event__contact=wanted)), False

    def has_resend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("calls.resend_webhookdelivery")

    @admin.action(description=_("Send again"), permissions=["resend"])
    def send_again_selected(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        self._send_again(request, queryset)

    # It opens a dialog, because a plain link would send by a GET, which any other site's page can make.
    @action(
        description=_("Send again"),
        icon="replay",
        permissions=["resend"],
        dialog={
            "title": _("Send this again?"),
            "description": _("Under the same webhook-id, by which the subscriber knows what it has had already."),
            "form_submit_text": _("Send again"),
        },
    )
    def send_again(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        self._send_again(request, WebhookDelivery.objects.filter(pk=object_id))
        return leave_dialog(reverse("admin:calls_webhookdelivery_change", args=[object_id]))

    def _send_again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        chosen = list(queryset.filter(subscription__is_active=True).order_by("pk").select_related("event"))
        sent = WebhookDelivery.objects.filter(pk__in=[one.pk for one in chosen]).send_again(timezone.now())
        if chosen:
            write_line(request.user, chosen, CHANGE, _("Sent again."))
            announce_events()
        text = ngettext("%(count)s delivery is sent again.", "%(count)s deliveries are sent again.", sent)
        self.message_user(request, text % {"count": say_count(sent)}, messages.SUCCESS if sent else messages.WARNING)
        if not sent:
            self.message_user(request, _("Webhooks that are switched off are sent nothing."), messages.WARNING)

    @display(description=_("Event"), ordering="id")
    def show_event(self, delivery: WebhookDelivery) -> str:
        return delivery.event.get_type_display()

    @display(description=_("Id of the event"))
    def show_event_id(self, delivery: WebhookDelivery) -> SafeString:
        return format_html("<code>{}</code>", delivery.event_id)

    @display(description=_("Contact"))
    def show_contact(self, delivery: WebhookDelivery) -> SafeString:
        return link_to_contact(delivery.event.contact)

    @display(description=_("Campaign"))
    def show_campaign(self, delivery: WebhookDelivery) -> str:
        return str(delivery.event.contact.campaign)

    @display(description=_("State"))
    def show_state(self, delivery: WebhookDelivery) -> str:
        return display_for_label((delivery.state, delivery.get_state_display()), "-", DELIVERY_COLOURS)

    @display(description=_("Delivered, or next try"))
    def show_when(self, delivery: WebhookDelivery) -> datetime | None:
        is_delivered = delivery.state == DeliveryState.DELIVERED
        return delivery.delivered_at if is_delivered else self.show_next_try(delivery)

    @display(description=_("next try at"))
    def show_next_try(self, delivery: WebhookDelivery) -> datetime | None:
        return delivery.next_try_at if delivery.state == DeliveryState.PENDING else None

    @display(description=_("last error"))
    def show_last_error(self, delivery: WebhookDelivery) -> str:
        return say_error(delivery.last_error)

    @display(description=_("JSON"))
    def show_body(self, delivery: WebhookDelivery) -> SafeString:
        return format_html('<pre class="payload">{}</pre>', write_body(delivery.event, delivery.subscription, indent=2))
