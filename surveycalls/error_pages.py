"""What is shown when a page cannot be: what happened, and the way back. Named in urls.py and settings.py.

They ask no database, because that may be what has failed.
"""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme


def _show(request: HttpRequest, name: str, status: int, **context: Any) -> HttpResponse:
    context |= {**_describe_looks(request), "back": _find_way_back(request)}
    return HttpResponse(render_to_string(f"surveycalls/{name}.html", context, request), status=status)


def show_bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _show(request, "bad_request", 400)


def show_forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _show(request, "forbidden", 403)


def show_forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Without its cookie, or the token of its form, a request may be one that another site has sent."""
    return _show(request, "forged", 403)


def show_missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _show(request, "missing", 404)


def show_failure(request: HttpRequest) -> HttpResponse:
    return _show(request, "failure", 500)


def show_locked_out(request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any]) -> HttpResponse:
    name = credentials.get("username") or ""
    return _show(request, "locked_out", 429, username=name, failure_limit=settings.AXES_FAILURE_LIMIT)


def _describe_looks(request: HttpRequest) -> dict[str, Any]:
    """Of what the admin gives to each of its pages, what is the same for everybody."""
    site = admin.site
    return {
        "site_title": site._get_config("SITE_TITLE", request),
        "site_favicons": site._get_favicons("SITE_FAVICONS", request),
        "theme": site._get_config("THEME", request),
        "border_radius": site._get_config("BORDER_RADIUS", request),
        "colors": site._get_colors("COLORS", request),
        "styles": site._get_list("STYLES", request),
        "scripts": site._get_list("SCRIPTS", request),
    }


def _find_way_back(request: HttpRequest) -> str:
    """The page of this site from which somebody came, if it was another one."""
    try:
        host = request.get_host()
    except DisallowedHost:
        return ""
    page = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(page, allowed_hosts={host}):
        return ""
    return page if request.method == "POST" or urlsplit(page).path != request.path else ""
