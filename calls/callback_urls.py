"""The addresses that a call is placed with, at which the provider finds us and names the call."""

from functools import cache
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.urls import reverse


def events_url(call_id: str) -> str:
    """Where the provider reports on a call."""
    return _public_url("telephony-events", call_id)


def answer_url(call_id: str) -> str:
    """Where the provider asks what to say when the call is answered."""
    return _public_url("telephony-voice", call_id)


def consent_url(call_id: str, *, is_again: bool) -> str:
    """Where the provider brings what was said to the request for consent; ``is_again``: it was asked twice."""
    return _public_url("telephony-voice-consent", call_id, again=int(is_again))


def question_url(call_id: str, version: UUID, *, is_again: bool) -> str:
    """The same for a question, in the version that was asked."""
    return _public_url("telephony-voice-question", call_id, question=version, again=int(is_again))


def _public_url(view: str, call_id: str, **more: object) -> str:
    return f"{settings.PUBLIC_BASE_URL}{_find_path(view)}?{urlencode({'call_id': call_id, **more})}"


@cache
def _find_path(view: str) -> str:
    """Looked up once: it takes as long as a fifth of a request to the provider."""
    return reverse(view)
