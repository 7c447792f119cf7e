"""What operators did, in the admin's own history: in the language of the deployment, because everybody reads it."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.utils.functional import Promise
from django.utils.translation import override

# The kinds of lines that are more than an edit, beside Django's own.
STEP, EXPORT = 11, 12


def write_line(user: Any, objects: Iterable[Model], kind: int, message: str | Promise) -> None:
    """The same line for each of the objects, by ``user``. Give a message with words as lazy text."""
    with in_language_of_the_record():
        LogEntry.objects.log_actions(user.pk, objects, kind, change_message=str(message))


def in_language_of_the_record() -> override:
    return override(settings.LANGUAGE_CODE)
