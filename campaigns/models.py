"""A campaign: what to say, to whom it may be said when, and how often it is tried."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Self

import phonenumbers
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from campaigns.emails import PLACEHOLDERS, find_unknown
from campaigns.holidays import name_calendars
from campaigns.spellings import LONGEST_DELAY, MOST_BLOCKED, Delay, parse_delays, parse_spans
from campaigns.windows import CallingHours, known_zones, load_zone, next_opening

validate_e164 = RegexValidator(
    r"^\+[1-9][0-9]{6,14}\Z", _("Write the number in international form (E.164), such as +12025550123.")
)


def validate_time_zone(value: str) -> None:
    if value not in known_zones():
        problem = gettext("%(value)r is not an IANA time zone such as Europe/Rome.") % {"value": value}
        raise ValidationError(problem, code="time_zone")


def validate_country(value: str) -> None:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        problem = gettext("%(value)r is not a two-letter country code such as IT.") % {"value": value}
        raise ValidationError(problem, code="country")


def validate_calendar(value: str) -> None:
    if value not in name_calendars():
        problem = gettext("Holidays of %(value)r are not known; write a code such as IT or DE-BY.") % {"value": value}
        raise ValidationError(problem, code="calendar")


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


def validate_placeholders(value: str) -> None:
    if unknown := find_unknown(value):
        text = gettext("%(unknown)s stands for nothing. These may be used: %(known)s.")
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValidationError(text % {"unknown": ", ".join(unknown), "known": known}, code="placeholder")


def validate_one_line(value: str) -> None:
    if value.splitlines()[1:]:
        raise ValidationError(gettext("Write it in one line."), code="lines")


# An instant near the first or the last year of all has no date in some time zones.
FIRST_YEAR, LAST_YEAR = 2000, 2199
# With a day more at either end: a year begins and ends in each zone at another instant.
ALL_YEARS = datetime(FIRST_YEAR - 1, 12, 31, tzinfo=UTC), datetime(LAST_YEAR + 1, 1, 2, tzinfo=UTC)


class CampaignStatus(models.TextChoices):
    DRAFT = "draft", pgettext_lazy("campaign", "Draft")  # being prepared; rings nobody
    SCHEDULED = "scheduled", pgettext_lazy("campaign", "Scheduled")  # activated, and its starts_at is still to come
    RUNNING = "running", pgettext_lazy("campaign", "Running")  # rings whoever is due
    PAUSED = "paused", pgettext_lazy("campaign", "Paused")  # rings nobody until it is resumed; calls in progress go on
    COMPLETED = "completed", pgettext_lazy("campaign", "Completed")  # nobody is left to call
    CANCELLED = "cancelled", pgettext_lazy("campaign", "Cancelled")  # never to be resumed


class EventType(models.TextChoices):
    """What may become of a contact for good, by the name that others are told of it."""

    COMPLETED = "survey.completed", pgettext_lazy("event", "Survey completed")  # everything was answered
    REFUSED = "survey.refused", pgettext_lazy("event", "Survey refused")  # the person does not want to take part
    NOT_REACHED = "survey.not_reached", pgettext_lazy("event", "Not reached")  # and not tried any more


class Language(models.TextChoices):
    ENGLISH = "en", _("English")
    ITALIAN = "it", _("Italian")


class MachineDetection(models.TextChoices):
    """What becomes of a call that an answering machine takes. On a fax nothing is ever said."""

    OFF = "off", pgettext_lazy("answering machines", "Off: asked like people")
    HANG_UP = "hang_up", pgettext_lazy("answering machines", "Hang up")
    LEAVE_MESSAGE = "leave_message", pgettext_lazy("answering machines", "Leave a message")


class Weekday(models.IntegerChoices):
    """ISO numbers."""

    MONDAY = 1, pgettext_lazy("weekday", "Monday")
    TUESDAY = 2, pgettext_lazy("weekday", "Tuesday")
    WEDNESDAY = 3, pgettext_lazy("weekday", "Wednesday")
    THURSDAY = 4, pgettext_lazy("weekday", "Thursday")
    FRIDAY = 5, pgettext_lazy("weekday", "Friday")
    SATURDAY = 6, pgettext_lazy("weekday", "Saturday")
    SUNDAY = 7, pgettext_lazy("weekday", "Sunday")


def every_weekday() -> list[int]:
    return list(Weekday.values)


class QuestionType(models.TextChoices):
    SCALE = "scale", pgettext_lazy("question", "Scale")
    NUMERIC = "numeric", pgettext_lazy("question", "Number")
    YES_NO = "yes_no", pgettext_lazy("question", "Yes or no")
    SINGLE_CHOICE = "single_choice", pgettext_lazy("question", "One of several")
    FREE_TEXT = "free_text", pgettext_lazy("question", "In own words")


# Like those of the lists by outcome.
LONGEST_INTERVAL_MINUTES = LONGEST_DELAY // timedelta(minutes=1)

# The highest of a scale, as on the one from 0 to 10.
SCALE_END = 10
# One key each; 9 is for who does not want to be called.
MOST_CHOICES = 8
LONGEST_CHOICE = 100
# Characters that are read out: about a minute, and two. Twilio takes 4,096 at most.
LONGEST_TEXT, LONGEST_SCRIPT = 1000, 2000
LARGEST_NUMBER = 999_999_999


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


# Of constraints, the field beside which it is told that they do not hold.
TOLD_BESIDE = {"campaign_hours_are_a_window": "allowed_call_end", "campaign_ends_after_it_starts": "ends_at"}


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
    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=200)
    description = models.TextField(_("description"), blank=True)
    status = models.CharField(
        _("status"), max_length=20, choices=CampaignStatus, default=CampaignStatus.DRAFT, editable=False
    )
    status_changed_at = models.DateTimeField(_("status changed at"), null=True, editable=False)
    status_changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("status changed by"),
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("Empty: by itself, or from the command line."),
    )
    language = models.CharField(_("language"), max_length=2, choices=Language, default=Language.ENGLISH)
    intro_script = models.TextField(
        _("intro script"),
        blank=True,
        validators=[MaxLengthValidator(LONGEST_SCRIPT)],
        help_text=_("What is said first: who calls, for whom, why, and how long it will take."),
    )
    intro_script_other = models.TextField(
        _("intro script in the other language"),
        blank=True,
        validators=[MaxLengthValidator(LONGEST_SCRIPT)],
        help_text=_(
            "The same for people who prefer the other language; the questions need it too then. Empty: everybody is "
            "spoken to in the campaign's language."
        ),
    )
    machine_detection = models.CharField(
        _("answering machines"),
        max_length=20,
        choices=MachineDetection,
        default=MachineDetection.OFF,
        help_text=_(
            "What is done when one answers. Unless it is off, people hear nothing for some seconds, until it is clear "
            "that they are none; the provider may charge for it."
        ),
    )
    machine_message = models.TextField(
        _("message for answering machines"),
        blank=True,
        validators=[MaxLengthValidator(LONGEST_SCRIPT)],
        help_text=_("What is said after the tone: who has called, for whom, and whether they try again."),
    )
    machine_message_other = models.TextField(
        _("message for answering machines in the other language"),
        blank=True,
        validators=[MaxLengthValidator(LONGEST_SCRIPT)],
        help_text=_("The same for people who prefer the other language, if there is an intro script in it."),
    )

    max_attempts = models.PositiveSmallIntegerField(
        _("max attempts"),
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text=_("How often one person is rung at most, from 1 to 5."),
    )
    retry_interval_minutes = models.PositiveIntegerField(
        _("retry interval minutes"),
        default=60,
        validators=[MaxValueValidator(LONGEST_INTERVAL_MINUTES)],
        help_text=_("Minutes from the end of one call to the next try; 0 tries again at once."),
    )
    retry_busy = RetryField(
        _("retry busy"), help_text=_("Such as 5 min, 20 min, 2 h: after the first try, the second and so on.")
    )
    retry_no_answer = RetryField(_("retry no answer"), help_text=_("Such as 2 h, next day. Empty: the minutes above."))
    retry_failed = RetryField(_("retry failed"), help_text=_("When the network could not connect the call."))

    allowed_call_start = models.TimeField(
        _("allowed call start"),
        null=True,
        blank=True,
        help_text=_("In the contact's own time zone. Leave both hours empty for all day."),
    )
    allowed_call_end = models.TimeField(
        _("allowed call end"), null=True, blank=True, help_text=_("No call starts at or after this hour.")
    )
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(choices=Weekday),
        verbose_name=_("weekdays"),
        default=every_weekday,
        help_text=_("On which days calls may start, in the contact's own time zone."),
    )
    weekday_hours = ArrayField(
        models.CharField(max_length=100, blank=True, validators=[validate_spans]),
        verbose_name=_("weekday hours"),
        default=list,
        blank=True,
        help_text=_("Other hours of a weekday than those above, such as 09:00-12:00, 15:00-19:00."),
    )
    blocked_dates = ArrayField(
        models.DateField(),
        verbose_name=_("blocked dates"),
        default=list,
        blank=True,
        size=MOST_BLOCKED,
        help_text=_("Days without calls, in the contact's own time zone."),
    )
    holidays_of = models.CharField(
        _("holidays of"),
        max_length=32,
        blank=True,
        validators=[validate_calendar],
        help_text=_("No calls on the public holidays of this country or region."),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        validators=[validate_time_zone],
        help_text=_("For contacts whose own zone is unknown. Without it those are never rung."),
    )
    default_country = models.CharField(
        _("default country"),
        max_length=2,
        blank=True,
        validators=[validate_country],
        help_text=_("The country of imported numbers that are written without one, such as IT."),
    )
    starts_at = models.DateTimeField(_("starts at"), null=True, blank=True)
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True)

    max_concurrent_calls = models.PositiveIntegerField(
        _("max concurrent calls"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Lines for this campaign at most."),
    )
    caller_id = models.CharField(
        _("caller id"),
        max_length=16,
        blank=True,
        validators=[validate_e164],
        help_text=_("Empty: the provider's number."),
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = models.Manager.from_queryset(CampaignQuerySet)()

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                name="campaign_max_attempts_is_1_to_5",
                condition=Q(max_attempts__range=(1, 5)),
                violation_error_message=_("Attempts must be between 1 and 5."),
            ),
            models.CheckConstraint(
                name="campaign_hours_are_a_window",
                condition=Q(allowed_call_start=None, allowed_call_end=None)
                | Q(
                    allowed_call_start__isnull=False,
                    allowed_call_end__isnull=False,
                    allowed_call_start__lt=F("allowed_call_end"),
                ),
                violation_error_message=_(
                    "Calling hours need a start before their end on the same day, or both left empty."
                ),
            ),
            models.CheckConstraint(
                name="campaign_weekday_hours_are_none_or_seven",
                condition=Q(weekday_hours=[]) | Q(weekday_hours__len=len(Weekday)),
                violation_error_message=_("Hours of weekdays are given for all seven, or for none."),
            ),
            models.CheckConstraint(
                name="campaign_ends_after_it_starts",
                condition=Q(starts_at=None) | Q(ends_at=None) | Q(starts_at__lt=F("ends_at")),
                violation_error_message=_("The end must come after the start."),
            ),
            models.CheckConstraint(
                name="campaign_dates_are_in_years_of_calls",
                condition=(Q(starts_at=None) | Q(starts_at__range=ALL_YEARS))
                & (Q(ends_at=None) | Q(ends_at__range=ALL_YEARS)),
            ),
            models.CheckConstraint(
                name="campaign_lines_are_positive",
                condition=Q(max_concurrent_calls=None) | Q(max_concurrent_calls__gte=1),
            ),
            # Every call that starts is ordered by it.
            models.CheckConstraint(
                name="campaign_machine_detection_is_known",
                condition=Q(machine_detection__in=MachineDetection.values),
            ),
        ]
        indexes = [
            # Every claim asks for the few running ones among all that there ever were.
            models.Index("status", name="campaign_active", condition=Q(status__in=["running", "scheduled"]))
        ]

    def __str__(self) -> str:
        return self.name

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """What is wrong with two fields together is told beside the second."""
        problems: dict[str, list[ValidationError]] = {}
        for constraint in self._meta.constraints:
            try:
                constraint.validate(Campaign, self, exclude=exclude)
            except ValidationError as error:
                problems.setdefault(TOLD_BESIDE.get(constraint.name, NON_FIELD_ERRORS), []).append(error)
        if problems:
            raise ValidationError(problems)

    @property
    def spoken_languages(self) -> list[Language]:
        """The campaign's own first, and the other one when there is an introduction in it."""
        own = Language(self.language)
        return [own, *(other for other in Language if other != own and self.intro_script_other.strip())]

    def language_for(self, preferred: str) -> Language:
        """What somebody prefers if it is spoken, else its own."""
        return Language(preferred) if preferred in self.spoken_languages else Language(self.language)

    def intro_in(self, language: str) -> str:
        return self.intro_script if language == self.language else self.intro_script_other

    def machine_message_in(self, language: str) -> str:
        return self.machine_message if language == self.language else self.machine_message_other

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

    def day_for(self, calling_zone: str, instant: datetime) -> date:
        """The day that it is then for a contact: in its first zone, else the campaign's, else the site's."""
        zone, *_others = [*self.zones_of(calling_zone), settings.TIME_ZONE]
        return instant.astimezone(load_zone(zone)).date()

    def next_opening_for(self, calling_zone: str, now: datetime) -> datetime | None:
        """By the hours alone, whenever it starts and ends."""
        return next_opening(self.hours, self.zones_of(calling_zone), now)

    def next_turn_for(self, calling_zone: str, now: datetime) -> datetime | None:
        """The first instant from now on, between its start and its end, at which its hours are open."""
        return self.unless_ended(self.next_opening_for(calling_zone, max(now, self.starts_at or now)))

    def unless_ended(self, instant: datetime | None) -> datetime | None:
        return None if instant and self.ends_at and instant >= self.ends_at else instant


class Wording(models.Model):
    """What is asked, in each language, and what may be answered. A text in a language nobody is spoken to is empty."""

    type = models.CharField(_("type"), max_length=20, choices=QuestionType, default=QuestionType.SCALE)
    is_required = models.BooleanField(
        _("required"),
        default=True,
        help_text=_("Without an answer to it the call ends politely; else it is passed over."),
    )
    text_en = models.TextField(_("text in English"), blank=True, validators=[MaxLengthValidator(LONGEST_TEXT)])
    text_it = models.TextField(_("text in Italian"), blank=True, validators=[MaxLengthValidator(LONGEST_TEXT)])
    lowest = models.PositiveIntegerField(
        _("lowest"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(LARGEST_NUMBER)],
        help_text=_("One end of a scale, or the least number that is taken."),
    )
    highest = models.PositiveIntegerField(
        _("highest"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(LARGEST_NUMBER)],
        help_text=_("The other end, 10 at most, or the largest number."),
    )
    choices_en = ArrayField(
        models.CharField(max_length=LONGEST_CHOICE),
        verbose_name=_("choices in English"),
        default=list,
        blank=True,
        size=MOST_CHOICES,
        help_text=_("One a line; people press 1 for the first one, or say it."),
    )
    choices_it = ArrayField(
        models.CharField(max_length=LONGEST_CHOICE),
        verbose_name=_("choices in Italian"),
        default=list,
        blank=True,
        size=MOST_CHOICES,
        help_text=_("In the same order."),
    )

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                name="%(class)s_limits_are_in_order",
                condition=Q(lowest=None) | Q(highest=None) | Q(lowest__lt=F("highest")),
            ),
            models.CheckConstraint(
                name="%(class)s_scale_has_two_ends",
                condition=~Q(type="scale") | Q(lowest__isnull=False, highest__isnull=False, highest__lte=SCALE_END),
            ),
        ]

    def text_in(self, language: str) -> str:
        return self.text_it if language == Language.ITALIAN else self.text_en

    def choices_in(self, language: str) -> list[str]:
        return self.choices_it if language == Language.ITALIAN else self.choices_en


LAST_POSITION = 32_767
"""Of a question that has not got its place yet; the column holds no larger one."""


class Question(Wording):
    """One question of a campaign as it is edited; what was asked with it so far is in its versions."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    campaign = models.ForeignKey(
        Campaign, verbose_name=_("campaign"), on_delete=models.CASCADE, related_name="questions"
    )
    position = models.PositiveSmallIntegerField(
        _("position"),
        default=LAST_POSITION,
        help_text=_("The order in which they are asked: type it, or drag a saved question. Empty: the last one."),
    )
    is_withdrawn = models.BooleanField(
        _("withdrawn"),
        default=False,
        editable=False,
        help_text=_("No longer asked; kept for the answers that it has."),
    )

    class Meta(Wording.Meta):
        verbose_name = _("question")
        verbose_name_plural = _("questions")
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return next(filter(None, [self.text_en, self.text_it]), str(self.get_type_display()))[:60]


class QuestionVersion(Wording):
    """A question as it is asked, from the moment on at which its campaign runs; never changed."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    question = models.ForeignKey(
        Question, verbose_name=_("question"), on_delete=models.CASCADE, related_name="versions"
    )
    number = models.PositiveIntegerField(_("version"))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta(Wording.Meta):
        verbose_name = _("version of a question")
        verbose_name_plural = _("versions of questions")
        ordering = ["question", "number"]
        constraints = [
            *Wording.Meta.constraints,
            models.UniqueConstraint(name="question_version_number_is_unique", fields=["question", "number"]),
            # For the answers, which name both.
            models.UniqueConstraint(name="question_version_is_of_question", fields=["id", "question"]),
        ]

    def __str__(self) -> str:
        return f"{self.question} ({self.number})"


class EmailText(models.Model):
    """What a contact of a campaign is written after an event, in one language. Without one nobody is written to."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    campaign = models.ForeignKey(
        Campaign, verbose_name=_("campaign"), on_delete=models.CASCADE, related_name="email_texts", db_index=False
    )
    event = models.CharField(_("event"), max_length=30, choices=EventType, default=EventType.COMPLETED)
    language = models.CharField(_("language"), max_length=2, choices=Language, default=Language.ENGLISH)
    subject = models.CharField(_("subject"), max_length=150, validators=[validate_placeholders, validate_one_line])
    body = models.TextField(
        _("text"),
        validators=[validate_placeholders],
        help_text=_(
            "{campaign} stands for the campaign's name, {reference} for the contact's name in your own system, {date} "
            "for the day on which it was."
        ),
    )

    class Meta:
        verbose_name = _("e-mail text")
        verbose_name_plural = _("e-mail texts")
        ordering = ["campaign", "event", "language"]
        constraints = [
            models.UniqueConstraint(
                name="email_text_is_one_per_language",
                fields=["campaign", "event", "language"],
                violation_error_message=_("This campaign already has a text for that event in this language."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign}: {self.get_event_display()} ({self.get_language_display()})"
