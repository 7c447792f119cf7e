"""The provider's lines, and every try to ring somebody over them."""

import secrets
from typing import Any
from uuid import UUID

from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Q, Value
from uuid_utils.compat import uuid7

from calls.caps import Caps
from calls.repository import CallAttemptRepository
from calls.states import AttemptStatus
from campaigns.models import Campaign, validate_e164
from contacts.models import CallOutcome, Contact


class Adapter(models.TextChoices):
    TWILIO = "twilio", "Twilio or compatible"


class ProviderConfig(models.Model):
    """The one provider account. Its row is the lock under which lines are counted and calls claimed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    adapter = models.CharField(max_length=20, choices=Adapter, default=Adapter.TWILIO)
    outbound_number = models.CharField(
        max_length=16, blank=True, validators=[validate_e164], help_text="Shown to those who are rung."
    )
    max_concurrent_calls = models.PositiveIntegerField(
        default=10, validators=[MinValueValidator(1)], help_text="Lines: calls at once, over all campaigns."
    )
    calls_per_second = models.FloatField(
        default=1, validators=[MinValueValidator(0.01)], help_text="How many calls may start in a second."
    )
    calls_per_number_per_day = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="At most, in any 24 hours. Empty: no limit."
    )
    calls_per_number_per_week = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="At most, in any 7 days. Empty: no limit."
    )
    dialing_enabled = models.BooleanField(
        default=True,
        help_text="Off: nobody is rung. Goes off by itself when the provider refuses our settings.",
    )

    halted_reason = models.TextField(blank=True, editable=False)
    next_call_at = models.DateTimeField(null=True, editable=False)
    # Of those that wrote attempts: a scheduler that finds it unchanged knows that nobody else has claimed.
    claims = models.PositiveBigIntegerField(default=0, editable=False)
    shift_requested_at = models.DateTimeField(null=True, editable=False)
    scheduler_seen_at = models.DateTimeField(null=True, editable=False)
    scheduler_expected_by = models.DateTimeField(
        null=True, editable=False, help_text="Without a sign of life by then, no scheduler is alive."
    )
    consecutive_failures = models.PositiveIntegerField(default=0, editable=False)
    paused_until = models.DateTimeField(null=True, editable=False)
    last_error = models.TextField(blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "provider"
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
        return f"{self.get_adapter_display()} ({self.outbound_number or 'no number yet'})"

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

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="attempts")
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="attempts", db_index=False)
    phone_number = models.CharField(max_length=16, null=True, help_text="Empty once the person is erased.")
    attempt_number = models.PositiveSmallIntegerField()
    call_id = models.CharField(max_length=32, default=make_call_id)
    status = models.CharField(max_length=20, choices=AttemptStatus, default=AttemptStatus.CLAIMED)
    outcome = models.CharField(max_length=20, choices=CallOutcome, blank=True)
    given_back = models.BooleanField(
        default=False, help_text="Certainly never rang; does not count as one of the contact's attempts."
    )

    claimed_at = models.DateTimeField()
    start_at = models.DateTimeField(help_text="The instant that pacing gave this call.")
    send_before = models.DateTimeField(help_text="After this the call is given back instead of being placed.")
    started_at = models.DateTimeField(null=True, help_text="When the provider was asked to ring.")
    answered_at = models.DateTimeField(null=True)
    played_at = models.DateTimeField(null=True, help_text="When the script had been played to its end.")
    ended_at = models.DateTimeField(null=True)
    check_at = models.DateTimeField(help_text="Nothing heard by then: ask the provider.")

    provider_call_id = models.CharField(max_length=64, blank=True)
    provider_raw_status = models.CharField(max_length=40, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    # Of each status that it was moved to on its way: when, and the provider's own word for it. What has a column of its
    # own is not here.
    heard = models.JSONField(default=dict, db_default={}, blank=True, editable=False)

    objects = CallAttemptRepository()

    class Meta:
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
                name="attempt_has_an_outcome_exactly_when_ended",
                condition=(Q(status="ended", ended_at__isnull=False) & ~Q(outcome=""))
                | (~Q(status="ended") & Q(ended_at=None, outcome="")),
            ),
            models.CheckConstraint(
                name="attempt_has_a_number_or_is_erased",
                condition=Q(phone_number__isnull=False)
                | Q(status="ended", provider_call_id="", error_message="", metadata={}),
            ),
        ]
        indexes = [
            # A campaign's newest attempt, for fair shares, and its list in the admin.
            models.Index(fields=["campaign", "-id"], name="attempt_of_campaign"),
            # How often a number was rung lately, over all campaigns, and its calls in the admin.
            models.Index(fields=["phone_number", "-id"], name="attempt_of_number"),
            # The filters of the list. None is written before the end of a call, but for the last, which is hardly ever.
            models.Index(fields=["campaign", "outcome", "-id"], name="attempt_outcome", condition=~Q(outcome="")),
            models.Index(fields=["-id"], name="attempt_given_back", condition=Q(given_back=True)),
            models.Index(fields=["error_code"], name="attempt_error_code", condition=~Q(error_code="")),
            BrinIndex(fields=["claimed_at"], name="attempt_claimed_at"),
        ]

    def __str__(self) -> str:
        return f"{self.phone_number or 'Erased person'} #{self.attempt_number}"


class Tally(models.Model):
    """So many attempts, claimed in the same quarter of an hour, that ended in the same way; kept by calls/tallies.py.

    Quarters, because every zone's hours and days begin with one.
    """

    began = models.DateTimeField(help_text="The beginning of the quarter of an hour.")
    outcome = models.CharField(max_length=20, help_text="given_back: certainly never rang.")
    attempts = models.PositiveIntegerField()
    answered = models.PositiveIntegerField()

    class Meta:
        abstract = True


class SiteTally(Tally):
    """Of all campaigns together: to add up those of a thousand campaigns would take too long."""

    class Meta:
        constraints = [models.UniqueConstraint(name="site_tally_is_unique", fields=["began", "outcome"])]


class CampaignTally(Tally):
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="tallies", db_index=False)
    local_hour = models.PositiveSmallIntegerField(help_text="Of the contact's own clock.")
    attempt_number = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="campaign_tally_is_unique",
                fields=["campaign", "began", "outcome", "attempt_number", "local_hour"],
            )
        ]


class TallyMark(models.Model):
    """The one row that says which attempts the tallies have: all up to this id. Whoever counts holds its lock."""

    counted_to = models.UUIDField(default=UUID(int=0))

    class Meta:
        constraints = [models.UniqueConstraint(Value(1), name="tally_mark_is_the_only_one")]
