"""A date and a time in the operator's own time zone, in forms."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from campaigns.models import FIRST_YEAR, LAST_YEAR, validate_time_zone
from campaigns.windows import load_zone


def show_time(instant: datetime | None) -> str:
    """Short enough for a list, in the time zone of the operators' pages."""
    return date_format(timezone.localtime(instant), "j M Y, H:i") if instant else "-"


class LocalTimeWidget(UnfoldAdminSplitDateTimeWidget):
    """Says its zone, and sends it back with the instant that the field had.

    So a form that was opened in one zone and sent in another means what it showed, and an instant that nobody touched
    stays the same, also in the hour that comes twice when the clock is set back.
    """

    template_name = "campaigns/local_time.html"
    supports_microseconds = True  # in the instant that is sent back; the inputs have none

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.widgets.append(forms.HiddenInput())
        self.widgets_names.append("_2")

    def decompress(self, value: datetime | None) -> list[Any]:
        origin = [timezone.get_current_timezone_name(), *([value.isoformat()] if value else [])]
        return [*super().decompress(value), " ".join(origin)]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        origin = context["widget"]["subwidgets"][2]["value"] or timezone.get_current_timezone_name()
        context["widget"]["zone"] = origin.partition(" ")[0]
        return context


class LocalTimeField(forms.MultiValueField):
    widget = LocalTimeWidget

    def __init__(self, **kwargs: Any) -> None:
        fields = (forms.DateField(), forms.TimeField(), forms.CharField())
        super().__init__(fields, required=False, **kwargs)

    def compress(self, values: Sequence[Any]) -> datetime | None:
        day, hour, origin = values or (None, None, "")
        if day is None and hour is None:
            return None
        if day is None or hour is None:
            raise ValidationError(_("Enter both a date and a time, or neither."))
        zone, before = _read_origin(origin)
        return _find_instant(day, hour, zone, before)

    def has_changed(self, initial: datetime | None, data: Any) -> bool:
        try:
            return self.clean(data) != initial
        except ValidationError:
            return True


def _read_origin(origin: str) -> tuple[ZoneInfo, datetime | None]:
    """The zone that the widget said, and the instant that it had."""
    name, _space, instant = origin.partition(" ")
    name = name or timezone.get_current_timezone_name()
    validate_time_zone(name)
    try:
        return load_zone(name), datetime.fromisoformat(instant).astimezone(UTC) if instant else None
    except (ValueError, OverflowError) as exc:
        raise ValidationError(_("The form was not sent as it was shown. Open it again.")) from exc


def _find_instant(day: date, hour: time, zone: ZoneInfo, before: datetime | None) -> datetime:
    """The instant of that wall clock, which is the one from before when that shows the same."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        problem = _("Choose a year from %(first)s to %(last)s, or leave both empty.")
        raise ValidationError(problem % {"first": FIRST_YEAR, "last": LAST_YEAR})
    wall = datetime.combine(day, hour)
    if before and before.astimezone(zone).replace(tzinfo=None, microsecond=0) == wall:
        return before
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) != wall:
        problem = _("There is no such time that day in %(zone)s: the clock is set forward. Choose another.")
        raise ValidationError(problem % {"zone": zone})
    if first != second:
        problem = _("That time comes twice that day in %(zone)s: the clock is set back. Choose another.")
        raise ValidationError(problem % {"zone": zone})
    return first
