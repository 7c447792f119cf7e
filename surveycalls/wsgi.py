"""For gunicorn: `gunicorn surveycalls.wsgi`."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "surveycalls.settings")


class Request(WSGIRequest):
    """Django's, but for a charset that Python knows and that is none of text, such as base64.

    Django 5.2 looks it up, takes it, and answers 500 to whoever sends it, before any view is asked.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)
        except LookupError:
            self._encoding = None


class Application(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Application()
