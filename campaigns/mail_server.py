"""Whether this site can write e-mails, and pages that say when it cannot."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _


def is_mail_possible() -> bool:
    return bool(settings.EMAIL_HOST)


class SaysWithoutMailServer:
    """For an admin whose list is about e-mails."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not is_mail_possible():
            text = _("Nobody is written to: this site has no mail server. Whoever runs it sets EMAIL_HOST.")
            self.message_user(request, text, messages.WARNING)
        return super().changelist_view(request, extra_context)
