"""What a page asks for to show it in itself, such as the dialog of a button, when nobody is signed in any more."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from campaigns.confirmation import leave_dialog


class FragmentsMiddleware:
    """The page itself is left for the login, and is come back to; in the page there would be nothing to see."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        login = reverse("admin:login")
        if "HX-Request" not in request.headers or urlsplit(response.headers.get("Location", "")).path != login:
            return response
        page = urlsplit(request.headers.get("HX-Current-URL", ""))._replace(scheme="", netloc="").geturl()
        return leave_dialog(f"{login}?{urlencode({'next': page or reverse('admin:index')})}")
