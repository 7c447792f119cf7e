"""Counts that stay quick however many there are: whoever counts further waits for it, and needs no exact number."""

from typing import Any

from django.db.models import QuerySet
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MOST_COUNTED = 10_000


def count_some(rows: QuerySet[Any]) -> int:
    """How many there are; one more than MOST_COUNTED for all larger numbers."""
    return rows.order_by()[: MOST_COUNTED + 1].count()


def is_exact(count: int) -> bool:
    """Whether what count_some() gave is the number itself."""
    return count <= MOST_COUNTED


def say_count(count: int) -> str:
    """1,234,567, or as the current language groups it."""
    return number_format(count, force_grouping=True)


def say_contacts(count: int) -> str:
    """As count_some() gives it, for the beginning of a sentence."""
    if not is_exact(count):
        return _("More than %(count)s contacts") % {"count": say_count(MOST_COUNTED)}
    return ngettext("%(count)s contact", "%(count)s contacts", count) % {"count": say_count(count)}
