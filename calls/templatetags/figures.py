"""How figures are written."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django import template
from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from calls.providers.messages import translate_message
from calls.wording import say_span
from campaigns.counting import say_count

register = template.Library()


@register.filter
def grouped(number: int) -> str:
    """1,234,567, or as the current language groups it."""
    return say_count(number)


@register.filter
def percent(rate: float | None) -> str:
    """46%, or a dash where there is nothing to tell. What is not quite all is never rounded to it, nor to nothing."""
    if rate is None:
        return "-"
    if 0 < rate < 1:
        return "<1%"
    return f"{int(rate) if 99 < rate < 100 else round(rate)}%"


@register.filter
def decimal(number: float) -> str:
    """For a style: never with the comma of a language."""
    return f"{number:.2f}"


@register.filter
def rate(number: float) -> str:
    """Of calls a second: 0.8, or 12."""
    return number_format(f"{number:.1f}".removesuffix(".0"))


@register.filter
def span(length: timedelta) -> str:
    """4 s, 12 min, 2 h 14 min or 3 d 1 h."""
    seconds = round(length.total_seconds())
    return _("%(count)s s") % {"count": max(0, seconds)} if seconds < 60 else say_span(length)


@register.filter
def of(counts: Mapping[str, int], kind: str) -> int:
    return counts.get(kind, 0)


@register.filter
def soon(instant: datetime, now: datetime) -> str:
    """14:02, or with the day when it is not today's."""
    local = localtime(instant)
    return date_format(local, "H:i" if local.date() == localtime(now).date() else "D j M, H:i")


register.filter("stored", translate_message)
