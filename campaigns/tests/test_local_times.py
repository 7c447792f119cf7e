"""Dates and times of forms: in the operator's zone, back and forth, also where the clock is set."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import override

from campaigns.local_times import LocalTimeField
from campaigns.models import ALL_YEARS

ROME = "Europe/Rome"


class Form(forms.Form):
    at = LocalTimeField()


def send(initial, zone, **changes):
    """What a form sends that was opened in that zone and in which these inputs were changed."""
    with timezone.override(ZoneInfo(zone)):
        shown = Form(initial={"at": initial})["at"]
        values = shown.field.widget.get_context("at", shown.value(), {})["widget"]["subwidgets"]
    sent = {widget["name"]: widget["value"] or "" for widget in values} | changes
    return Form(sent, initial={"at": initial})


@pytest.mark.parametrize("zone", [ROME, "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_every_half_hour_of_the_days_on_which_a_clock_is_set_comes_back_as_it_was(zone):
    for day in ("2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"):
        start = datetime.fromisoformat(f"{day}T00:00:00+00:00") - timedelta(hours=14)
        for half_hours in range(100):
            instant = start + timedelta(minutes=30 * half_hours)
            form = send(instant, zone)
            assert form.is_valid(), (zone, instant, form.errors)
            assert (form.cleaned_data["at"], form.changed_data) == (instant, [])


def test_an_instant_comes_back_as_it_was_from_an_italian_form():
    instant = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
    with override("it"):
        form = send(instant, ROME)
        assert form.is_valid(), form.errors
        assert form.data["at_0"] == "04/03/2026"
        assert (form.cleaned_data["at"], form.changed_data) == (instant, [])


def test_fractions_of_a_second_that_the_form_does_not_show_are_kept():
    instant = datetime(2026, 3, 4, 12, 0, 1, 250_000, tzinfo=UTC)
    form = send(instant, ROME)
    assert form.is_valid() and form.cleaned_data["at"] == instant


def test_what_was_typed_is_meant_in_the_zone_in_which_the_form_was_opened():
    form = send(None, ROME, at_0="2026-07-01", at_1="09:00")
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        assert form.is_valid()
    assert form.cleaned_data["at"] == datetime(2026, 7, 1, 7, tzinfo=UTC)
    assert form.changed_data == ["at"]


def test_without_a_word_of_its_zone_a_form_is_meant_in_the_current_one():
    with timezone.override(ZoneInfo(ROME)):
        form = Form({"at_0": "2026-07-01", "at_1": "09:00"})
        assert form.is_valid()
    assert form.cleaned_data["at"] == datetime(2026, 7, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "hour", "problem"),
    [
        ("2026-03-29", "02:30", "There is no such time that day in Europe/Rome"),
        ("2026-10-25", "02:30", "comes twice that day in Europe/Rome"),
        ("2026-10-25", "", "both a date and a time"),
        ("", "02:30", "both a date and a time"),
    ],
)
def test_what_is_no_instant_is_refused(day, hour, problem):
    form = send(None, ROME, at_0=day, at_1=hour)
    assert not form.is_valid()
    assert problem in form.errors["at"][0]
    assert form.changed_data == ["at"]


@pytest.mark.parametrize("zone", [ROME, "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("day", ["9999-12-31", "2200-01-01", "1999-12-31", "0001-01-01"])
def test_a_year_in_which_nobody_is_rung_is_refused(day, zone):
    form = send(None, zone, at_0=day, at_1="23:00")
    assert form.errors == {"at": ["Choose a year from 2000 to 2199, or leave both empty."]}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize(("day", "hour"), [("2000-01-01", "00:00"), ("2199-12-31", "23:59")])
def test_the_first_and_the_last_minute_of_all_can_be_kept(day, hour, zone):
    form = send(None, zone, at_0=day, at_1=hour)
    assert form.is_valid()
    assert ALL_YEARS[0] < form.cleaned_data["at"] < ALL_YEARS[1]


def test_a_time_can_be_taken_away():
    form = send(datetime(2026, 3, 4, tzinfo=UTC), ROME, at_0="", at_1="")
    assert form.is_valid()
    assert (form.cleaned_data["at"], form.changed_data) == (None, ["at"])


@pytest.mark.parametrize(
    "origin", ["Nowhere/Else", "../../etc/passwd", "Europe/Rome yesterday", "UTC 9999-12-31T23:00-05:00"]
)
def test_a_form_that_was_tampered_with_is_refused(origin):
    with pytest.raises(ValidationError):
        LocalTimeField().clean(["2026-03-04", "12:00", origin])


def test_the_zone_is_said_beside_the_inputs():
    with timezone.override(ZoneInfo(ROME)):
        assert "In Europe/Rome." in str(Form()["at"])
