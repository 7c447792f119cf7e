"""The outbox, who subscribes to it, and what was told to whom. None of it has anything of a person but ids."""

import secrets
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from calls.events.addresses import AddressRefused, check_url
from campaigns.models import Campaign, EventType
from contacts.models import Contact

SECRET_BYTES = 32
# What is being sent is due again after so long if nobody has written down what came of it: well above the longest wait
# for an answer.
LEASE = timedelta(seconds=120)


class SurveyEvent(models.Model):
    """Something final that became of a contact, written in the transaction in which it did.

    What is told of it is looked up when it is told (`calls.events.payloads`).
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    type = models.CharField(_("event"), max_length=30, choices=EventType)
    contact = models.ForeignKey(
        Contact, verbose_name=_("contact"), on_delete=models.CASCADE, related_name="events", db_index=False
    )
    # By which it came to that. One attempt may be the last one in vain and, by an answer that comes late, completed.
    attempt = models.ForeignKey(
        "calls.CallAttempt",
        verbose_name=_("call attempt"),
        on_delete=models.CASCADE,
        related_name="events",
        db_index=False,
    )
    occurred_at = models.DateTimeField(_("occurred at"))
    handed_out_at = models.DateTimeField(
        _("handed out at"), null=True, help_text=_("When it was decided to whom it is told.")
    )

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        constraints = [
            # The contact first: so its events are found, too.
            models.UniqueConstraint(name="event_is_written_once", fields=["contact", "type", "attempt"]),
            models.UniqueConstraint(
                name="event_settles_a_contact_once",
                fields=["contact"],
                condition=Q(type__in=["survey.completed", "survey.refused"]),
            ),
            # The one above says nothing of a word that it does not know.
            models.CheckConstraint(name="event_type_is_known", condition=Q(type__in=EventType.values)),
        ]
        indexes = [models.Index(fields=["id"], name="event_to_hand_out", condition=Q(handed_out_at=None))]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"


def make_secret() -> str:
    """A key as Standard Webhooks writes it."""
    return f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def every_event() -> list[str]:
    return list(EventType.values)


def validate_webhook_url(value: str) -> None:
    try:
        check_url(value)
    except AddressRefused as error:
        raise ValidationError(str(error), code="url") from error


class WebhookSubscriptionQuerySet(models.QuerySet["WebhookSubscription"]):
    def with_dead_letters(self) -> Self:
        """Knowing whether there are any, ``has_dead_letters``; how many is for the list of them to say."""
        dead = WebhookDelivery.objects.filter(subscription=models.OuterRef("pk"), state=DeliveryState.DEAD)
        return self.annotate(has_dead_letters=models.Exists(dead))

    def with_something_due(self, now: datetime) -> Self:
        """To whom something is to be sent, and may be."""
        due = WebhookDelivery.objects.due(now).filter(subscription=models.OuterRef("pk"))
        return self.filter(Q(not_before=None) | Q(not_before__lte=now), models.Exists(due), is_active=True)

    def without_job(self, now: datetime) -> Self:
        """For whom no job waits or is at work; one that was asked for so long ago may have died with its worker."""
        return self.filter(Q(job_asked_at=None) | Q(job_asked_at__lte=now - LEASE))


class WebhookSubscription(models.Model):
    """Somebody else's system that is told of events, from when it is added on."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=100)
    url = models.CharField(
        _("address"), max_length=500, validators=[validate_webhook_url], help_text=_("Beginning with https://.")
    )
    secret = models.CharField(_("secret"), max_length=100, default=make_secret, editable=False)
    events = ArrayField(
        models.CharField(max_length=30, choices=EventType), verbose_name=_("events"), default=every_event
    )
    campaign = models.ForeignKey(
        Campaign,
        verbose_name=_("campaign"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="webhook_subscriptions",
        help_text=_("Empty: all campaigns."),
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Off: nothing is sent, and what waits goes to the dead letters.")
    )
    sends_answers = models.BooleanField(
        _("with answers"), default=True, help_text=_("What the person has answered is sent along.")
    )
    sends_phone_number = models.BooleanField(
        _("with the phone number"), default=False, help_text=_("The person's number is sent along.")
    )
    not_before = models.DateTimeField(
        _("not before"), null=True, editable=False, help_text=_("It did not answer; until then nothing is sent.")
    )
    job_asked_at = models.DateTimeField(
        _("job asked for at"),
        null=True,
        editable=False,
        help_text=_("Of the job that is not over yet."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects = WebhookSubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(name="webhook_has_events", condition=Q(events__len__gte=1)),
        ]

    def __str__(self) -> str:
        return self.name

    def wants(self, event: SurveyEvent) -> bool:
        return event.type in self.events and self.campaign_id in (None, event.contact.campaign_id)


class DeliveryState(models.TextChoices):
    PENDING = "pending", pgettext_lazy("state of a delivery", "Pending")  # to be sent, at once or again
    DELIVERED = "delivered", pgettext_lazy("state of a delivery", "Delivered")  # the subscriber said so
    DEAD = "dead", pgettext_lazy("state of a delivery", "Dead letter")  # given up; somebody may send it again


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    def due(self, now: datetime) -> Self:
        return self.filter(state=DeliveryState.PENDING, next_try_at__lte=now)

    def send_again(self, now: datetime) -> int:
        """Also what was delivered, which keeps when that was; with all tries, as if it were new."""
        return self.update(
            state=DeliveryState.PENDING,
            attempts=0,
            next_try_at=now,
            response_status=None,
            last_error="",
        )


class WebhookDelivery(models.Model):
    """One event for one subscriber. While it is tried it is due again later, lest it is lost with who tries it."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    event = models.ForeignKey(
        SurveyEvent, verbose_name=_("event"), on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    subscription = models.ForeignKey(
        WebhookSubscription,
        verbose_name=_("webhook"),
        on_delete=models.CASCADE,
        related_name="deliveries",
        db_index=False,
    )
    state = models.CharField(_("state"), max_length=10, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try at"))
    delivered_at = models.DateTimeField(_("delivered at"), null=True)
    response_status = models.PositiveSmallIntegerField(_("response status"), null=True)
    # Our own words: what a subscriber answers may repeat what it was told of a person.
    last_error = models.CharField(_("last error"), max_length=200, blank=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]
        permissions = [("resend_webhookdelivery", "Can have a delivery sent again")]
        constraints = [
            models.UniqueConstraint(name="delivery_is_one_per_subscriber", fields=["event", "subscription"]),
            # In the index of what is due there is nothing of another word, so it would be sent to nobody.
            models.CheckConstraint(name="delivery_state_is_known", condition=Q(state__in=DeliveryState.values)),
        ]
        indexes = [
            # What is to be sent to a subscriber, the longest due first.
            models.Index(fields=["subscription", "next_try_at"], name="delivery_due", condition=Q(state="pending")),
            # The filters of the list.
            models.Index(fields=["subscription", "state", "-id"], name="delivery_of_webhook"),
            models.Index(fields=["state", "-id"], name="delivery_state"),
        ]

    def __str__(self) -> str:
        return f"{self.event.get_type_display()} → {self.subscription}"


class EmailState(models.TextChoices):
    WAITING = "waiting", pgettext_lazy("state of an e-mail", "Waiting")
    # about to be given to the mail server; whoever stays here may have got it or not, and is not sent another
    SENDING = "sending", pgettext_lazy("state of an e-mail", "Unknown")
    SENT = "sent", pgettext_lazy("state of an e-mail", "Sent")
    FAILED = "failed", pgettext_lazy("state of an e-mail", "Failed")


class EventEmailQuerySet(models.QuerySet["EventEmail"]):
    def due(self, now: datetime) -> Self:
        return self.filter(state=EmailState.WAITING, next_try_at__lte=now)


class EventEmail(models.Model):
    """That a contact is told of an event by e-mail, which happens once in a campaign, or never.

    Kept as long as the contact, so that it stays at once; neither the address nor the text is here.
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    contact = models.ForeignKey(
        Contact, verbose_name=_("contact"), on_delete=models.CASCADE, related_name="event_emails", db_index=False
    )
    type = models.CharField(_("event"), max_length=30, choices=EventType)
    state = models.CharField(_("state"), max_length=10, choices=EmailState, default=EmailState.WAITING)
    attempts = models.PositiveSmallIntegerField(
        _("tries"), default=0, help_text=_("That the mail server has answered with: later.")
    )
    next_try_at = models.DateTimeField(_("next try at"))
    occurred_at = models.DateTimeField(_("occurred at"))
    sent_at = models.DateTimeField(_("sent at"), null=True, help_text=_("When it was given to the mail server."))
    error = models.CharField(_("error"), max_length=200, blank=True)

    objects = EventEmailQuerySet.as_manager()

    class Meta:
        verbose_name = _("e-mail to a contact")
        verbose_name_plural = _("e-mails to contacts")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(name="event_email_is_sent_once", fields=["contact", "type"]),
            models.CheckConstraint(name="event_email_state_is_known", condition=Q(state__in=EmailState.values)),
        ]
        indexes = [
            # What is to be sent, the longest due first.
            models.Index(fields=["next_try_at"], name="event_email_due", condition=Q(state="waiting")),
            # The filter of the list.
            models.Index(fields=["state", "-id"], name="event_email_state"),
        ]

    def __str__(self) -> str:
        whom = self.contact or gettext("Erased person")
        return f"{self.get_type_display()}: {whom}"
