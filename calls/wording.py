"""Instants and spans of time in words; in the current time zone, unless they say whose."""

from datetime import datetime, timedelta

from django.utils.formats import date_format
from django.utils.timezone import localtime


def say_clock(instant: datetime) -> str:
    return date_format(localtime(instant), "H:i")


def say_time(instant: datetime) -> str:
    """At 14:02, or with the day when it is not today's."""
    local = localtime(instant)
    if local.date() == localtime().date():
        return f"at {date_format(local, 'H:i')}"
    return f"on {date_format(local, 'DATETIME_FORMAT')}"


def say_time_there(instant: datetime, now: datetime) -> str:
    """Of somebody else's clock: with the weekday when it is not today's, and with the date when that is far off."""
    days = (instant.date() - now.astimezone(instant.tzinfo).date()).days
    day = "" if days == 0 else f"on {date_format(instant, 'l' if days < 7 else 'DATE_FORMAT')} "
    return f"{day}at {date_format(instant, 'H:i')}"


def say_span(span: timedelta) -> str:
    """2 h 14 min, or 3 days; never less than a minute."""
    minutes = max(1, round(span.total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    said = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(said[:2])
