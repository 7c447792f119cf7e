"""For gunicorn: the site with all its middleware, and one view that does nothing."""

from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from surveycalls.wsgi import application

__all__ = ["application"]


@csrf_exempt
def answer_nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<Response/>", content_type="text/xml")


def put_in_front() -> None:
    # Only now, because the application above has set Django up.
    from surveycalls import urls

    urls.urlpatterns.insert(0, re_path("^webhooks/", answer_nothing))


put_in_front()
