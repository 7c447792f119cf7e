"""Webhooks, and what was delivered to them, in the admin."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.utils import display_for_label
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from calls.events.models import (
    DeliveryState,
    WebhookDelivery,
    WebhookSubscription,
    every_event,
    make_secret,
)
from calls.events.outbox import announce_events
from calls.events.payloads import write_body
from campaigns.careful_forms import CarefulForm
from campaigns.confirmation import leave_dialog
from campaigns.counting import say_count
from campaigns.history import in_language_of_the_record, write_line
from campaigns.long_lists import LongList
from campaigns.models import EventType
from campaigns.read_only import ReadOnly
from contacts.models import Contact

DELIVERY_COLOURS = {
    DeliveryState.PENDING: "info",
    DeliveryState.DELIVERED: "success",
    DeliveryState.DEAD: "danger",
}
LONGEST_URL = 60


def link_to_contact(contact: Contact) -> SafeString:
    url = reverse("admin:contacts_contact_change", args=[contact.pk])
    return format_html('<a href="{}" class="text-link">{}</a>', url, contact)


def say_error(error: str) -> str:
    """In the reader's language; what was written down of it, such as the kind of a fault, stays as it is."""
    message, colon, detail = error.partition(": ")
    return f"{gettext(message)}{colon}{detail}" if message else "-"


class WebhookForm(CarefulForm):
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=EventType.choices,
        initial=every_event,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = WebhookSubscription
        fields = ["name", "url", "events", "campaign", "is_active", "sends_answers", "sends_phone_number"]


@admin.register(WebhookSubscription)
class WebhookSubscriptionAdmin(ModelAdmin):
    form = WebhookForm
    change_form_before_template = "campaigns/seen.html"
    list_display = ["name", "show_url", "show_events", "show_campaign", "show_active", "show_dead_letters"]
    list_select_related = ["campaign"]
    search_fields = ["name"]
    autocomplete_fields = ["campaign"]
    actions: list[str] = []
    actions_detail = ["make_new_secret"]

    def get_fieldsets(self, request: HttpRequest, obj: WebhookSubscription | None = None) -> Any:
        fieldsets: list[Any] = [
            (None, {"fields": ["name", "url", "events", "campaign", "is_active"]}),
            (_("What is sent along"), {"fields": ["sends_answers", "sends_phone_number"]}),
        ]
        if obj is not None and self.has_change_permission(request, obj):
            explanation = _("With it the subscriber checks that a message comes from here. Do not pass it on.")
            fieldsets.append((_("Signature"), {"description": explanation, "fields": ["show_secret"]}))
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: WebhookSubscription | None = None) -> list[str]:
        return ["show_secret"]

    def has_delete_permission(self, request: HttpRequest, obj: WebhookSubscription | None = None) -> bool:
        """What was sent is known as long as it is kept: a webhook that was used is switched off."""
        is_used = obj is not None and obj.deliveries.exists()
        return super().has_delete_permission(request, obj) and not is_used

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def construct_change_message(
        self, request: HttpRequest, form: WebhookForm, formsets: Any, add: bool = False
    ) -> Any:
        if add or not form.changed_data:
            return super().construct_change_message(request, form, formsets, add)
        with in_language_of_the_record():
            return gettext("Changed: %(fields)s.") % {"fields": ", ".join(form.describe_changes())}

    def save_model(self, request: HttpRequest, obj: WebhookSubscription, form: WebhookForm, change: bool) -> None:
        changed = list(form.changed_data)
        if "url" in changed:
            obj.not_before = None  # it was the former one that did not answer
            changed.append("not_before")
        obj.save(update_fields=changed) if change else obj.save()
        announce_events()

    @action(
        description=_("New secret"),
        icon="key",
        variant=ActionVariant.DANGER,
        permissions=["change"],
        dialog={
            "title": _("Make a new secret?"),
            "description": _(
                "Everything is signed with it from now on. Until the subscriber has it, what is sent is probably "
                "refused, and sent again later."
            ),
            "form_submit_text": _("Make a new secret"),
        },
    )
    def make_new_secret(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        subscription = self.get_object(request, object_id)
        if subscription is None:
            raise Http404
        subscription.secret = make_secret()
        subscription.save(update_fields=["secret"])
        write_line(request.user, [subscription], CHANGE, _("New secret."))
        self.message_user(request, _("The webhook has a new secret."), messages.SUCCESS)
        return leave_dialog(reverse("admin:calls_webhooksubscription_change", args=[object_id]))

    @display(description=_("Address"))
    def show_url(self, subscription: WebhookSubscription) -> str:
        return truncatechars(subscription.url, LONGEST_URL)

    @display(description=_("Events"))
    def show_events(self, subscription: WebhookSubscription) -> str:
        return ", ".join(str(EventType(event).label) for event in subscription.events)

    @display(description=_("Campaign"))
    def show_campaign(self, subscription: WebhookSubscription) -> str:
        return str(subscription.campaign or gettext("All"))

    @display(description=_("Active"), boolean=True, ordering="is_active")
    def show_active(self, subscription: WebhookSubscription) -> bool:
        return subscription.is_active

    @display(description=_("Dead letters"))
    def show_dead_letters(self, subscription: WebhookSubscription) -> SafeString | str:
        if not subscription.has_dead_letters:
            return "-"
        query = f"subscription__id__exact={subscription.pk}&state__exact={DeliveryState.DEAD}"
        url = f"{reverse('admin:calls_webhookdelivery_changelist')}?{query}"
        return format_html('<a href="{}" class="text-link">{}</a>', url, gettext("Look at them"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookSubscription]:
        return super().get_queryset(request).with_dead_letters()

    @display(description=_("Secret"))
    def show_secret(self, subscription: WebhookSubscription) -> SafeString:
        return format_html("<code>{}</code>", subscription.secret)


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
        return delivery.delivered_at or self.show_next_try(delivery)

    @display(description=_("next try at"))
    def show_next_try(self, delivery: WebhookDelivery) -> datetime | None:
        return delivery.next_try_at if delivery.state == DeliveryState.PENDING else None

    @display(description=_("last error"))
    def show_last_error(self, delivery: WebhookDelivery) -> str:
        return say_error(delivery.last_error)

    @display(description=_("JSON"))
    def show_body(self, delivery: WebhookDelivery) -> SafeString:
        return format_html('<pre class="payload">{}</pre>', write_body(delivery.event, delivery.subscription, indent=2))
