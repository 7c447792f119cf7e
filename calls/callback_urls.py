"""The addresses that a call is placed with, at which the provider finds us and names the call."""

from functools import cache
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse


def events_url(call_id: str) -> str:
    """Where the provider reports on a call."""
    return _public_url("telephony-events", call_id)


def answer_url(call_id: str) -> str:
    """Where the provider asks what to say when the call is answered."""
    return _public_url("telephony-voice", call_id)


def played_url(call_id: str) -> str:
    """Where the provider asks what comes after the script."""
    return _public_url("telephony-voice-end", call_id)


def _public_url(view: str, call_id: str) -> str:
    return f"{settings.PUBLIC_BASE_URL}{_find_path(view)}?{urlencode({'call_id': call_id})}"


@cache
def _find_path(view: str) -> str:
    """Looked up once: it takes as long as a fifth of a request to the provider."""
    return reverse(view)
