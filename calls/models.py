"""The provider's lines, and every try to ring somebody over them."""

import secrets
from typing import Any
from uuid import UUID

from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Q, Value
from django.db.models.lookups import Exact
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from calls.caps import Caps
from calls.erased_words import AnswerMeans, AnswerQuerySet, are_words_erased
from calls.events.models import (  # noqa: F401  (Django finds an app's models here)
    EventEmail,
    SurveyEvent,
    WebhookDelivery,
    WebhookSubscription,
)
from calls.kept_metadata import list_rest
from calls.repository import CallAttemptRepository
from calls.states import AttemptStatus
from campaigns.models import Campaign, Question, QuestionVersion, validate_e164
from contacts.models import CallOutcome, Contact


class Adapter(models.TextChoices):
    TWILIO = "twilio", _("Twilio or compatible")


class ProviderConfig(models.Model):
    """The one provider account. Its row is the lock under which lines are counted and calls claimed."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    adapter = models.CharField(_("adapter"), max_length=20, choices=Adapter, default=Adapter.TWILIO)
    outbound_number = models.CharField(
        _("outbound number"),
        max_length=16,
        blank=True,
        validators=[validate_e164],
        help_text=_("Shown to those who are rung."),
    )
    max_concurrent_calls = models.PositiveIntegerField(
        _("max concurrent calls"),
        default=10,
        validators=[MinValueValidator(1)],
        help_text=_("Lines: calls at once, over all campaigns."),
    )
    calls_per_second = models.FloatField(
        _("calls per second"),
        default=1,
        validators=[MinValueValidator(0.01)],
        help_text=_("How many calls may start in a second."),
    )
    calls_per_number_per_day = models.PositiveIntegerField(
        _("calls per number per day"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("At most, in any 24 hours. Empty: no limit."),
    )
    calls_per_number_per_week = models.PositiveIntegerField(
        _("calls per number per week"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("At most, in any 7 days. Empty: no limit."),
    )
    dialing_enabled = models.BooleanField(
        _("dialing enabled"),
        default=True,
        help_text=_("Off: nobody is rung. Goes off by itself when the provider refuses our settings."),
    )

    halted_reason = models.TextField(_("halted reason"), blank=True, editable=False)
    next_call_at = models.DateTimeField(_("next call at"), null=True, editable=False)
    # Of those that wrote attempts: a scheduler that finds it unchanged knows that nobody else has claimed.
    claims = models.PositiveBigIntegerField(_("claims"), default=0, editable=False)
    shift_requested_at = models.DateTimeField(_("shift requested at"), null=True, editable=False)
    scheduler_seen_at = models.DateTimeField(_("scheduler seen at"), null=True, editable=False)
    scheduler_expected_by = models.DateTimeField(
        _("scheduler expected by"),
        null=True,
        editable=False,
        help_text=_("Without a sign of life by then, no scheduler is alive."),
    )
    consecutive_failures = models.PositiveIntegerField(_("consecutive failures"), default=0, editable=False)
    paused_until = models.DateTimeField(_("paused until"), null=True, editable=False)
    last_error = models.TextField(_("last error"), blank=True, editable=False)
    last_error_at = models.DateTimeField(_("last error at"), null=True, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        constraints = [
            models.UniqueConstraint(Value(1), name="provider_config_is_the_only_one"),
            models.CheckConstraint(
                name="provider_limits_are_positive",
                condition=Q(max_concurrent_calls__gte=1, calls_per_second__gt=0),
            ),
            models.CheckConstraint(
                name="provider_caps_are_positive",
                condition=(Q(calls_per_number_per_day=None) | Q(calls_per_number_per_day__gte=1))
                & (Q(calls_per_number_per_week=None) | Q(calls_per_number_per_week__gte=1)),
            ),
        ]

    def __str__(self) -> str:
        number = self.outbound_number or gettext("no number yet")
        return f"{self.get_adapter_display()} ({number})"

    @property
    def caps(self) -> Caps:
        return Caps(self.calls_per_number_per_day, self.calls_per_number_per_week)

    def enable_dialling(self) -> None:
        """Ring again after a halt, as if nothing had failed before."""
        with transaction.atomic():
            self._write(dialing_enabled=True, halted_reason="", consecutive_failures=0, paused_until=None)

    def disable_dialling(self) -> None:
        """Ring nobody until dialling is switched on again. A reason why it was off already stays."""
        with transaction.atomic():
            self._write(dialing_enabled=False)

    def _write(self, **values: Any) -> None:
        """Set these alone, and under the row's lock: schedulers count failures in it."""
        self.refresh_from_db(from_queryset=type(self).objects.select_for_update(no_key=True))
        for name, value in values.items():
            setattr(self, name, value)
        self.save(update_fields=[*values, "updated_at"])


def make_call_id() -> str:
    return secrets.token_urlsafe(16)


class CallAttempt(models.Model):
    """One try to ring a contact; committed before the provider hears of it."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    contact = models.ForeignKey(Contact, verbose_name=_("contact"), on_delete=models.PROTECT, related_name="attempts")
    campaign = models.ForeignKey(
        Campaign, verbose_name=_("campaign"), on_delete=models.PROTECT, related_name="attempts", db_index=False
    )
    phone_number = models.CharField(
        _("phone number"), max_length=16, null=True, help_text=_("Empty once the person is erased.")
    )
    attempt_number = models.PositiveSmallIntegerField(_("attempt number"))
    call_id = models.CharField(_("call id"), max_length=32, default=make_call_id)
    status = models.CharField(_("status"), max_length=20, choices=AttemptStatus, default=AttemptStatus.CLAIMED)
    outcome = models.CharField(_("outcome"), max_length=20, choices=CallOutcome, blank=True)
    given_back = models.BooleanField(
        _("given back"),
        default=False,
        help_text=_("Certainly never rang; does not count as one of the contact's attempts."),
    )

    claimed_at = models.DateTimeField(_("claimed at"))
    start_at = models.DateTimeField(_("start at"), help_text=_("The instant that pacing gave this call."))
    send_before = models.DateTimeField(
        _("send before"), help_text=_("After this the call is given back instead of being placed.")
    )
    started_at = models.DateTimeField(_("started at"), null=True, help_text=_("When the provider was asked to ring."))
    answered_at = models.DateTimeField(_("answered at"), null=True)
    consented_at = models.DateTimeField(
        _("consented at"), null=True, help_text=_("When the person agreed to take part.")
    )
    # Before the call has ended, so that nothing which happens to it later can take the survey back.
    decided_at = models.DateTimeField(
        _("decided at"), null=True, help_text=_("When the person had answered everything, or refused.")
    )
    ended_at = models.DateTimeField(_("ended at"), null=True)
    check_at = models.DateTimeField(_("check at"), help_text=_("Nothing heard by then: ask the provider."))

    provider_call_id = models.CharField(_("provider call id"), max_length=64, blank=True)
    provider_raw_status = models.CharField(_("provider raw status"), max_length=40, blank=True)
    error_code = models.CharField(_("error code"), max_length=40, blank=True)
    error_message = models.TextField(_("error message"), blank=True)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    # Of each status that it was moved to on its way: when, and the provider's own word for it. What has a column of its
    # own is not here.
    heard = models.JSONField(_("heard"), default=dict, db_default={}, blank=True, editable=False)

    objects = CallAttemptRepository()

    class Meta:
        verbose_name = _("call attempt")
        verbose_name_plural = _("call attempts")
        ordering = ["-id"]
        # No index is about what a report on the way changes, its status and when to check least of all: then none has
        # to be written. So the open attempts are those without an end, here and in what is asked.
        constraints = [
            # Not by unique=True, which makes a second index for LIKE.
            models.UniqueConstraint(name="attempt_call_id_is_unique", fields=["call_id"]),
            # Also for counting lines, and for reconciliation's look for the silent ones: it has no more than the open
            # calls.
            models.UniqueConstraint(
                name="attempt_one_open_per_contact", fields=["contact"], condition=Q(ended_at=None)
            ),
            models.UniqueConstraint(
                name="attempt_one_open_per_phone_number", fields=["phone_number"], condition=Q(ended_at=None)
            ),
            models.UniqueConstraint(
                name="attempt_number_is_unique_for_contact",
                fields=["contact", "attempt_number"],
                condition=Q(given_back=False),
            ),
            models.UniqueConstraint(
                name="attempt_provider_call_id_is_unique",
                fields=["provider_call_id"],
                condition=~Q(provider_call_id=""),
            ),
            models.CheckConstraint(
                name="attempt_has_an_outcome_when_it_ends",
                condition=(Q(status="ended", ended_at__isnull=False) & ~Q(outcome=""))
                | (~Q(status="ended") & Q(ended_at=None)),
            ),
            # So an open one has no other outcome than these.
            models.CheckConstraint(
                name="attempt_is_decided_by_the_person",
                condition=Q(outcome__in=["completed", "refused"], decided_at__isnull=False)
                | (~Q(outcome__in=["completed", "refused"]) & Q(decided_at=None) & (~Q(ended_at=None) | Q(outcome=""))),
            ),
            models.CheckConstraint(
                name="attempt_has_a_number_or_is_erased",
                condition=Q(phone_number__isnull=False)
                | Q(
                    Exact(list_rest(), Value({}, output_field=models.JSONField())),
                    status="ended",
                    provider_call_id="",
                    error_message="",
                ),
            ),
        ]
        indexes = [
            # A campaign's newest attempt, for fair shares, and its list in the admin.
            models.Index(fields=["campaign", "-id"], name="attempt_of_campaign"),
            # How often a number was rung lately, over all campaigns, and its calls in the admin.
            models.Index(fields=["phone_number", "-id"], name="attempt_of_number"),
            # The filters of the list. None is written before the end of a call, but for the last, which is hardly ever.
            models.Index(fields=["campaign", "outcome", "-id"], name="attempt_outcome", condition=~Q(outcome="")),
            # Who broke off a survey, and is in the middle of one. Written when somebody agrees to take part.
            models.Index(
                fields=["campaign", "contact"],
                name="attempt_broken_off",
                condition=Q(consented_at__isnull=False, decided_at=None),
            ),
            models.Index(fields=["-id"], name="attempt_given_back", condition=Q(given_back=True)),
            models.Index(fields=["error_code"], name="attempt_error_code", condition=~Q(error_code="")),
            BrinIndex(fields=["claimed_at"], name="attempt_claimed_at"),
        ]

    @property
    def is_undecided(self) -> bool:
        """Whether the person may still take part to the end, or refuse: what they said may come after the end."""
        return self.outcome in ("", CallOutcome.NO_ANSWER)

    def __str__(self) -> str:
        whom = self.phone_number or gettext("Erased person")
        return f"{whom} #{self.attempt_number}"


class Answer(models.Model):
    """What a person answered to a question as it was asked then; of several to one question the last is current."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    contact = models.ForeignKey(
        Contact, verbose_name=_("contact"), on_delete=models.PROTECT, related_name="answers", db_index=False
    )
    attempt = models.ForeignKey(
        CallAttempt, verbose_name=_("call attempt"), on_delete=models.PROTECT, related_name="answers"
    )
    # That of the version, which the database sees to (answer_is_of_versions_question); here because of the constraint.
    question = models.ForeignKey(
        Question, verbose_name=_("question"), on_delete=models.PROTECT, related_name="answers", db_index=False
    )
    version = models.ForeignKey(
        QuestionVersion,
        verbose_name=_("version of the question"),
        on_delete=models.PROTECT,
        related_name="answers",
        db_index=False,
    )
    means = models.CharField(_("means"), max_length=10, choices=AnswerMeans)
    raw = models.TextField(_("raw"), blank=True, help_text=_("The keys or the words as the provider reported them."))
    value = models.TextField(
        _("value"),
        blank=True,
        help_text=_("yes or no, a number, a choice from 1 on, or the words. Empty: passed over."),
    )
    confidence = models.FloatField(
        _("confidence"), null=True, help_text=_("Of recognised speech, from 0 to 1, as the provider says.")
    )
    answered_at = models.DateTimeField(_("answered at"))
    is_current = models.BooleanField(_("current"), default=True)

    objects = AnswerQuerySet.as_manager()

    class Meta:
        verbose_name = _("answer")
        verbose_name_plural = _("answers")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                name="answer_one_current_per_question",
                fields=["contact", "question"],
                condition=Q(is_current=True),
            ),
        ]
        indexes = [
            # The history of a contact.
            models.Index(fields=["contact", "id"], name="answer_of_contact"),
            # The results of a question, the newest first.
            models.Index(fields=["question", "-id"], name="answer_of_question", condition=Q(is_current=True)),
        ]

    @property
    def percent_sure(self) -> float | None:
        return None if self.confidence is None else 100 * self.confidence

    @property
    def are_words_erased(self) -> bool:
        """An answer in own words of somebody who was erased since."""
        return are_words_erased(value=self.value, raw=self.raw, means=self.means)

    def __str__(self) -> str:
        return self.value or (gettext("Erased words") if self.are_words_erased else gettext("Passed over"))


class Tally(models.Model):
    """So many attempts, claimed in the same quarter of an hour, that ended in the same way; kept by calls/tallies.py.

    Quarters, because every zone's hours and days begin with one.
    """

    began = models.DateTimeField(_("began"), help_text=_("The beginning of the quarter of an hour."))
    outcome = models.CharField(_("outcome"), max_length=20, help_text=_("given_back: certainly never rang."))
    attempts = models.PositiveIntegerField(_("attempts"))
    answered = models.PositiveIntegerField(_("answered"))

    class Meta:
        abstract = True


class SiteTally(Tally):
    """Of all campaigns together: to add up those of a thousand campaigns would take too long."""

    class Meta:
        verbose_name = _("site tally")
        verbose_name_plural = _("site tallys")
        constraints = [models.UniqueConstraint(name="site_tally_is_unique", fields=["began", "outcome"])]


class CampaignTally(Tally):
    campaign = models.ForeignKey(
        Campaign, verbose_name=_("campaign"), on_delete=models.CASCADE, related_name="tallies", db_index=False
    )
    local_hour = models.PositiveSmallIntegerField(_("local hour"), help_text=_("Of the contact's own clock."))
    attempt_number = models.PositiveSmallIntegerField(_("attempt number"))

    class Meta:
        verbose_name = _("campaign tally")
        verbose_name_plural = _("campaign tallys")
        constraints = [
            models.UniqueConstraint(
                name="campaign_tally_is_unique",
                fields=["campaign", "began", "outcome", "attempt_number", "local_hour"],
            )
        ]


class TallyMark(models.Model):
    """The one row that says which attempts the tallies have: all up to this id. Whoever counts holds its lock."""

    counted_to = models.UUIDField(_("counted to"), default=UUID(int=0))

    class Meta:
        verbose_name = _("tally mark")
        verbose_name_plural = _("tally marks")
        constraints = [models.UniqueConstraint(Value(1), name="tally_mark_is_the_only_one")]
