"""The form in which operators write a campaign."""

import re
from collections.abc import Collection, Mapping, Sequence, Set
from datetime import date
from functools import cache
from typing import Any

import phonenumbers
from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSingleTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)
from uuid_utils.compat import uuid7

from campaigns import lifecycle
from campaigns.careful_forms import CarefulForm, take_fingerprint
from campaigns.holidays import name_calendars
from campaigns.local_times import LocalTimeField
from campaigns.models import Campaign, Weekday, every_weekday
from campaigns.spellings import (
    format_dates,
    format_delays,
    format_spans,
    parse_dates,
    parse_delays,
    parse_spans,
    say_delays,
)
from campaigns.windows import known_zones

# A problem, before the usual help of a field.
PROBLEM = '<strong class="block text-orange-700 dark:text-orange-400">{}</strong>{}'

# Under which name the page sends back, beside what it showed of each field, the start of which it has asked.
START_AT_ONCE = "start-at-once"


@cache
def name_zones() -> list[tuple[str, str]]:
    return [(zone, zone) for zone in sorted(known_zones())]


def name_zones_or_none() -> list[tuple[str, str]]:
    return [("", _("None")), *name_zones()]


@cache
def name_countries() -> list[tuple[str, str]]:
    regions = sorted(phonenumbers.SUPPORTED_REGIONS)
    prefixes = ((region, f"{region} (+{phonenumbers.country_code_for_region(region)})") for region in regions)
    return [("", _("None")), *prefixes]


def name_holidays() -> list[tuple[str, str]]:
    calendars = sorted((name, code) for code, name in name_calendars(get_language() or "en").items())
    return [("", _("None")), *((code, f"{name} ({code})") for name, code in calendars)]


class CountryField(forms.ChoiceField):
    """Of numbers that are written without one; empty: none."""

    widget = UnfoldAdminSelect2Widget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=name_countries, required=False, **kwargs)


class WeekdayHoursWidget(forms.MultiWidget):
    """A line for each weekday; those in ``wrong`` are marked."""

    template_name = "campaigns/weekday_hours.html"

    def __init__(self) -> None:
        self.wrong: Set[Weekday] = frozenset()
        super().__init__({str(day.value): UnfoldAdminTextInputWidget() for day in Weekday})

    def decompress(self, value: Sequence[str] | None) -> list[str]:
        return list(value or [""] * len(Weekday))

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        for day, widget in zip(Weekday, context["widget"]["subwidgets"], strict=True):
            widget["label"] = day.label
            widget["is_wrong"] = day in self.wrong
            if day not in self.wrong:
                widget["attrs"].pop("aria-invalid", None)
        return context


class WeekdayHoursField(forms.MultiValueField):
    """The hours of each weekday in our spelling, empty for the usual ones; an empty list when all are.

    The code of an error is the name of its weekday.
    """

    def __init__(self, **kwargs: Any) -> None:
        fields = [forms.CharField(required=False) for _day in Weekday]
        super().__init__(fields, required=False, require_all_fields=False, widget=WeekdayHoursWidget, **kwargs)

    def compress(self, values: Sequence[str]) -> list[str]:
        hours, problems = [], []
        for day, text in zip(Weekday, values, strict=False):
            try:
                hours.append(format_spans(parse_spans(text)))
            except ValueError as exc:
                problems.append(ValidationError(f"{day.label}: {exc}", code=day.name))
        if problems:
            raise ValidationError(problems)
        return hours if any(hours) else []

    def has_changed(self, initial: Sequence[str] | None, data: Sequence[str] | None) -> bool:
        return super().has_changed(self.widget.decompress(initial), data)


class BlockedDatesField(forms.CharField):
    """Days and ranges of days, one a line."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Collection[date] | str | None) -> str:
        return value if isinstance(value, str) else format_dates(value or [])

    def to_python(self, value: str | None) -> list[date]:
        try:
            return parse_dates(value or "")
        except ValueError as exc:
            raise ValidationError([*exc.args]) from exc


class CallerNumberField(forms.CharField):
    """Takes +1 (202) 555-0123 and gives +12025550123; whether it is a number says the model."""

    widget = UnfoldAdminTextInputWidget

    def to_python(self, value: Any) -> str:
        return re.sub(r"[\s().-]+", "", super().to_python(value))


class RetryField(forms.CharField):
    """Intervals one after the other, kept in our spelling and shown in the reader's language."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: str | None) -> str | None:
        try:
            return say_delays(parse_delays(value or ""))
        except ValueError:
            return value

    def to_python(self, value: str | None) -> str:
        try:
            return format_delays(parse_delays(value or ""))
        except ValueError as exc:
            raise ValidationError(str(exc)) from exc


class DuplicateForm(BaseDialogForm):
    """Has the id of the copy from the dialog on, so that it is made once however often the dialog is sent."""

    copy_id = forms.UUIDField(initial=uuid7, widget=forms.HiddenInput)


def _help(name: str) -> str:
    return Campaign._meta.get_field(name).help_text


class CampaignForm(CarefulForm):
    """Refuses what would make a campaign that is active ring nobody. Asks before an edit that starts to call."""

    starts_at_once = False

    weekdays = forms.TypedMultipleChoiceField(
        label=_("Weekdays"),
        choices=Weekday.choices,
        coerce=int,
        initial=every_weekday,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_help("weekdays"),
    )
    weekday_hours = WeekdayHoursField(label=_("Other hours on"), help_text=_help("weekday_hours"))
    blocked_dates = BlockedDatesField(
        label=_("Days without calls"),
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text=_("One a line, such as 2026-12-24 or 2026-12-24 to 2027-01-06; in the contact's own time zone."),
    )
    holidays_of = forms.ChoiceField(
        label=_("No calls on holidays of"),
        choices=name_holidays,
        required=False,
        widget=UnfoldAdminSelect2Widget,
        help_text=_("Public holidays of a country, or with those of one of its regions."),
    )
    retry_busy = RetryField(label=_("After busy"), required=False, max_length=100, help_text=_help("retry_busy"))
    retry_no_answer = RetryField(
        label=_("After no answer"), required=False, max_length=100, help_text=_help("retry_no_answer")
    )
    retry_failed = RetryField(
        label=_("After a failure"), required=False, max_length=100, help_text=_help("retry_failed")
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=name_zones_or_none,
        required=False,
        widget=UnfoldAdminSelect2Widget,
        help_text=_help("time_zone"),
    )
    default_country = CountryField(
        label=_("Default country"), help_text=_("The country of imported numbers that are written without one.")
    )

    starts_at = LocalTimeField(label=_("First call at"))
    ends_at = LocalTimeField(label=_("No calls from"), help_text=_("Calls that go on then go on to their end."))

    caller_id = CallerNumberField(label=_("Number shown"), required=False, help_text=_help("caller_id"))

    class Meta:
        model = Campaign
        fields = "__all__"
        widgets = {
            "description": UnfoldAdminTextareaWidget({"rows": 2}),
            "intro_script": UnfoldAdminTextareaWidget({"rows": 4}),
            "intro_script_other": UnfoldAdminTextareaWidget({"rows": 2}),
            "machine_message": UnfoldAdminTextareaWidget({"rows": 2}),
            "machine_message_other": UnfoldAdminTextareaWidget({"rows": 2}),
            "allowed_call_start": UnfoldAdminSingleTimeWidget(format="%H:%M"),
            "allowed_call_end": UnfoldAdminSingleTimeWidget(format="%H:%M"),
        }
        labels = {
            "allowed_call_start": _("Calls from"),
            "allowed_call_end": _("Calls until"),
            "max_attempts": _("Tries at most"),
            "retry_interval_minutes": _("Minutes between tries"),
            "max_concurrent_calls": _("Lines at most"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_to_start = self.instance.status in lifecycle.NOT_STARTED and not self.instance._state.adding
        if is_to_start and not self.is_bound:
            self._show_problems(lifecycle.find_setting_problems(self.instance, timezone.now()))

    def _show_problems(self, problems: Mapping[str, str]) -> None:
        """What keeps it from starting, beside the field where that is put right; it can be saved all the same."""
        for name in self.fields.keys() & problems.keys():
            field = self.fields[name]
            field.help_text = format_html(PROBLEM, problems[name], field.help_text)

    def full_clean(self) -> None:
        super().full_clean()
        codes = {error.code for error in self._errors.as_data().get("weekday_hours", [])}
        self.fields["weekday_hours"].widget.wrong = {day for day in Weekday if day.name in codes}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        hours, ticked = cleaned.get("weekday_hours") or [], cleaned.get("weekdays") or []
        problem = gettext("%(days)s: tick the day above, or leave its hours empty.")
        for day, own in zip(Weekday, hours, strict=False):
            if own and day not in ticked:
                self.add_error("weekday_hours", ValidationError(problem % {"days": day.label}, code=day.name))
        return cleaned

    def check_edit(self, seen: dict[str, str]) -> None:
        now = timezone.now()
        for field, reason in lifecycle.find_edit_problems(self.instance, now).items():
            self.add_error(field, reason)
        if not self.errors:
            self.starts_at_once = lifecycle.starts_at_once(self.instance, self.stored, now)
            self._ask_before_it_starts(seen)

    def _ask_before_it_starts(self, seen: dict[str, str]) -> None:
        """Once for each start that is written; the same that is sent again is meant."""
        start = take_fingerprint(self.instance.starts_at)
        if self.starts_at_once and seen.get(START_AT_ONCE) != start:
            problem = gettext("With this it starts to call at once, and not on %(when)s. To have it so, save again.")
            self.add_error("starts_at", problem % {"when": self.write_value(self.stored.starts_at)})
            seen[START_AT_ONCE] = start
