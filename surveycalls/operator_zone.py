"""Pages in the operator's own time zone: the browser says which it is, in a cookie that static/surveycalls/ sets."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from campaigns.windows import known_zones

COOKIE = "time_zone"


class OperatorZoneMiddleware:
    """Without the cookie, or with one that names no zone, it is settings.TIME_ZONE."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = request.COOKIES.get(COOKIE, "")
        with timezone.override(ZoneInfo(name) if name in known_zones() else None):
            return self._get_response(request)
