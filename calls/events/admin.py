"""Webhooks in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from calls.events.models import DeliveryState, WebhookSubscription, every_event, make_secret
from calls.events.outbox import announce_events
from campaigns.careful_admin import CarefulPages
from campaigns.careful_forms import CarefulForm
from campaigns.confirmation import leave_dialog
from campaigns.history import write_line
from campaigns.models import EventType

LONGEST_URL = 60


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
class WebhookSubscriptionAdmin(CarefulPages, ModelAdmin):
    form = WebhookForm
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
