"""From where a request comes: one answer, for the audit, the log and the lock-outs of django-axes."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def find_address(request: HttpRequest) -> str | None:
    """The peer's address or, behind a proxy, the one that the proxy saw; None for a peer without one.

    Of X-Forwarded-For only the last entry counts, which our own proxy has written: whoever asks may write any others.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_PROXY else ""
    return _read_address(forwarded.rpartition(",")[2]) or _read_address(request.META.get("REMOTE_ADDR", ""))


def _read_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None
