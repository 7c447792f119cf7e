"""A campaign: what to say, to whom it may be said when, and how often it is tried."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Self

import phonenumbers
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from uuid_utils.compat import uuid7

from campaigns.holidays import name_calendars
from campaigns.spellings import MOST_BLOCKED, Delay, parse_delays, parse_spans
from campaigns.windows import CallingHours, known_zones, next_opening

validate_e164 = RegexValidator(
    r"^\+[1-9][0-9]{6,14}\Z", "Write the number in international form (E.164), such as +12025550123."
)


def validate_time_zone(value: str) -> None:
    if value not in known_zones():
        raise ValidationError(f"{value!r} is not an IANA time zone such as Europe/Rome.", code="time_zone")


def validate_country(value: str) -> None:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValidationError(f"{value!r} is not a two-letter country code such as IT.", code="country")


def validate_calendar(value: str) -> None:
    if value not in name_calendars():
        raise ValidationError(
            f"Holidays of {value!r} are not known; write a code such as IT or DE-BY.", code="calendar"
        )


def validate_spans(value: str) -> None:
    try:
        parse_spans(value)
    except ValueError as exc:
        raise ValidationError(str(exc), code="hours") from exc


def validate_delays(value: str) -> None:
    try:
        parse_delays(value)
    except ValueError as exc:
        raise ValidationError(str(exc), code="delays") from exc


class CampaignStatus(models.TextChoices):
    DRAFT = "draft"  # being prepared; rings nobody
    SCHEDULED = "scheduled"  # activated, and its starts_at is still to come
    RUNNING = "running"  # rings whoever is due
    PAUSED = "paused"  # rings nobody until it is resumed; calls in progress go on
    COMPLETED = "completed"  # nobody is left to call
    CANCELLED = "cancelled"  # never to be resumed


class Language(models.TextChoices):
    ENGLISH = "en"
    ITALIAN = "it"


class Weekday(models.IntegerChoices):
    """ISO numbers."""

    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6
    SUNDAY = 7


def every_weekday() -> list[int]:
    return list(Weekday.values)


class RetryField(models.CharField):
    """The intervals after the first try, the second and so on, as `campaigns.spellings` reads them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_length": 100, "blank": True, "validators": [validate_delays]} | kwargs)


@lru_cache(maxsize=10_000)  # every claim asks it of each campaign
def make_hours(
    start: time | None,
    end: time | None,
    weekdays: tuple[int, ...],
    weekday_hours: tuple[str, ...],
    blocked_dates: tuple[date, ...],
    holidays_of: str,
) -> CallingHours:
    usual = CallingHours.weekly(start=start, end=end, weekdays=weekdays)
    own = map(parse_spans, weekday_hours or [""] * len(usual.days))
    days = tuple(spans and (others or spans) for spans, others in zip(usual.days, own, strict=True))
    return CallingHours(days=days, blocked=frozenset(blocked_dates), holidays_of=holidays_of)


def version_of(table: str) -> str:
    """SQL for the version of a row: the transaction that wrote it, and where it wrote it."""
    return f"{table}.xmin || {table}.ctid::text"


class CampaignQuerySet(models.QuerySet["Campaign"]):
    def dialling(self, now: datetime) -> Self:
        """Running, and between their dates."""
        return self.filter(
            Q(starts_at=None) | Q(starts_at__lte=now),
            Q(ends_at=None) | Q(ends_at__gt=now),
            status=CampaignStatus.RUNNING,
        )

    def with_version(self) -> Self:
        """``version`` is the same as long as nothing in the row has changed (`version_of`)."""
        return self.annotate(version=RawSQL(version_of(self.model._meta.db_table), []))


class Campaign(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=20, choices=CampaignStatus, default=CampaignStatus.DRAFT, editable=False)
    status_changed_at = models.DateTimeField(null=True, editable=False)
    status_changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Empty: by itself, or from the command line.",
    )
    language = models.CharField(max_length=2, choices=Language, default=Language.ENGLISH)
    intro_script = models.TextField(
        blank=True, help_text="What is said first: who calls, for whom, why, and how long it will take."
    )

    max_attempts = models.PositiveSmallIntegerField(
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text="How often one person is rung at most, from 1 to 5.",
    )
    retry_interval_minutes = models.PositiveIntegerField(
        default=60, help_text="Minutes from the end of one call to the next try; 0 tries again at once."
    )
    retry_busy = RetryField(help_text="Such as 5 min, 20 min, 2 h: after the first try, the second and so on.")
    retry_no_answer = RetryField(help_text="Such as 2 h, next day. Empty: the minutes above.")
    retry_failed = RetryField(help_text="When the network could not connect the call.")

    allowed_call_start = models.TimeField(
        null=True, blank=True, help_text="In the contact's own time zone. Leave both hours empty for all day."
    )
    allowed_call_end = models.TimeField(null=True, blank=True, help_text="No call starts at or after this hour.")
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(choices=Weekday),
        default=every_weekday,
        help_text="On which days calls may start, in the contact's own time zone.",
    )
    weekday_hours = ArrayField(
        models.CharField(max_length=100, blank=True, validators=[validate_spans]),
        default=list,
        blank=True,
        help_text="Other hours of a weekday than those above, such as 09:00-12:00, 15:00-19:00.",
    )
    blocked_dates = ArrayField(
        models.DateField(),
        default=list,
        blank=True,
        size=MOST_BLOCKED,
        help_text="Days without calls, in the contact's own time zone.",
    )
    holidays_of = models.CharField(
        max_length=32,
        blank=True,
        validators=[validate_calendar],
        help_text="No calls on the public holidays of this country or region.",
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        validators=[validate_time_zone],
        help_text="For contacts whose own zone is unknown. Without it those are never rung.",
    )
    default_country = models.CharField(
        max_length=2,
        blank=True,
        validators=[validate_country],
        help_text="The country of imported numbers that are written without one, such as IT.",
    )
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)

    max_concurrent_calls = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Lines for this campaign at most."
    )
    caller_id = models.CharField(
        max_length=16, blank=True, validators=[validate_e164], help_text="Empty: the provider's number."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = models.Manager.from_queryset(CampaignQuerySet)()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="campaign_max_attempts_is_1_to_5",
                condition=Q(max_attempts__range=(1, 5)),
                violation_error_message="Attempts must be between 1 and 5.",
            ),
            models.CheckConstraint(
                name="campaign_hours_are_a_window",
                condition=Q(allowed_call_start=None, allowed_call_end=None)
                | Q(
                    allowed_call_start__isnull=False,
                    allowed_call_end__isnull=False,
                    allowed_call_start__lt=F("allowed_call_end"),
                ),
                violation_error_message=(
                    "Calling hours need a start before their end on the same day, or both left empty."
                ),
            ),
            models.CheckConstraint(
                name="campaign_weekday_hours_are_none_or_seven",
                condition=Q(weekday_hours=[]) | Q(weekday_hours__len=len(Weekday)),
                violation_error_message="Hours of weekdays are given for all seven, or for none.",
            ),
            models.CheckConstraint(
                name="campaign_ends_after_it_starts",
                condition=Q(starts_at=None) | Q(ends_at=None) | Q(starts_at__lt=F("ends_at")),
                violation_error_message="The end must come after the start.",
            ),
            models.CheckConstraint(
                name="campaign_lines_are_positive",
                condition=Q(max_concurrent_calls=None) | Q(max_concurrent_calls__gte=1),
            ),
        ]
        indexes = [
            # Every claim asks for the few running ones among all that there ever were.
            models.Index("status", name="campaign_active", condition=Q(status__in=["running", "scheduled"]))
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def hours(self) -> CallingHours:
        usual = self.allowed_call_start, self.allowed_call_end, tuple(self.weekdays)
        return make_hours(*usual, tuple(self.weekday_hours), tuple(self.blocked_dates), self.holidays_of)

    def delays_after(self, outcome: str) -> Sequence[Delay]:
        """The intervals after the first try, the second and so on, of whoever was not reached in this way."""
        own = {"busy": self.retry_busy, "no_answer": self.retry_no_answer, "failed": self.retry_failed}
        return parse_delays(own.get(outcome, "")) or (timedelta(minutes=self.retry_interval_minutes),)

    def zones_of(self, calling_zone: str) -> Sequence[str]:
        """The zones that must be open for a contact: its own, else the campaign's, else none."""
        return (calling_zone or self.time_zone).split()

    def next_opening_for(self, calling_zone: str, now: datetime) -> datetime | None:
        return next_opening(self.hours, self.zones_of(calling_zone), now)
