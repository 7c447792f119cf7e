"""How figures are written."""

from collections.abc import Mapping
from datetime import timedelta

from django import template

from calls.wording import say_span

register = template.Library()


@register.filter
def grouped(number: int) -> str:
    """1,234,567"""
    return f"{number:,}"


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
    return f"{number:.1f}".removesuffix(".0")


@register.filter
def span(length: timedelta) -> str:
    """4 s, 12 min, 2 h 14 min or 3 d 1 h."""
    seconds = round(length.total_seconds())
    return f"{max(0, seconds)} s" if seconds < 60 else say_span(length)


@register.filter
def of(counts: Mapping[str, int], kind: str) -> int:
    return counts.get(kind, 0)
