"""Instants and spans of time in words; in the current time zone, unless they say whose. And words that are stored."""

from datetime import datetime, timedelta

from django.utils.formats import date_format, get_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

# As datetime.weekday() counts them.
_ON_WEEKDAYS = (
    gettext_lazy("on Monday at %(time)s"),
    gettext_lazy("on Tuesday at %(time)s"),
    gettext_lazy("on Wednesday at %(time)s"),
    gettext_lazy("on Thursday at %(time)s"),
    gettext_lazy("on Friday at %(time)s"),
    gettext_lazy("on Saturday at %(time)s"),
    gettext_lazy("on Sunday at %(time)s"),
)


def say_clock(instant: datetime) -> str:
    return date_format(localtime(instant), "H:i")


def say_minute(local: datetime) -> str:
    """7 Mar 2026, 15:00, on whosever clock it is given."""
    return date_format(local, f"{get_format('DATE_FORMAT')}, H:i")


def say_time(instant: datetime) -> str:
    """At 14:02, or with the day when it is not today's."""
    local = localtime(instant)
    if local.date() == localtime().date():
        return _("at %(time)s") % {"time": date_format(local, "H:i")}
    return _say_day(local, "DATETIME_FORMAT")


def say_time_there(instant: datetime, now: datetime) -> str:
    """Of somebody else's clock: with the weekday when it is not today's, and with the date when that is far off."""
    days = (instant.date() - now.astimezone(instant.tzinfo).date()).days
    clock = {"time": date_format(instant, "H:i")}
    if days == 0:
        return _("at %(time)s") % clock
    if days < 7:
        return _ON_WEEKDAYS[instant.weekday()] % clock
    return _("%(day)s at %(time)s") % {"day": _say_day(instant, "DATE_FORMAT"), **clock}


def _say_day(local: datetime, form: str) -> str:
    date = {"date": date_format(local, form)}
    # Their numbers are the ones that begin with a vowel in Italian, where the article before them is another one.
    if local.day in (8, 11):
        return pgettext("the 8th or the 11th", "on %(date)s") % date
    return _("on %(date)s") % date


def say_span(span: timedelta) -> str:
    """2 h 14 min, or 3 days; never less than a minute."""
    minutes = max(1, round(span.total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, _("%(count)s d")), (hours, _("%(count)s h")), (minutes, _("%(count)s min"))]
    said = [unit % {"count": count} for count, unit in parts if count]
    return " ".join(said[:2])
