"""What browsers are told about every page: what it may load and do, and how long who rests stays signed in."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Of scripts only files of this site, so that no text that somebody has put into a name can be one. Alpine, which the
# admin's pages are made with, evaluates their attributes, and those pages have styles in theirs.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in ("camera", "microphone", "geolocation", "payment", "usb", "serial", "display-capture")
)

NOTED_SECONDS = 60


class HeadersMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Permissions-Policy"] = PERMISSIONS_POLICY
        return response


class IdleLimitMiddleware:
    """Every page that is opened begins the session's time anew; what a page asks by itself does not.

    It is written down when the last time is NOTED_SECONDS ago: each page would wait for it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        session, now = request.session, int(time.time())
        if "HX-Request" in request.headers or session.is_empty():
            return response
        if now - session.get("seen_at", 0) >= NOTED_SECONDS:
            session["seen_at"] = now
        return response
