"""The admin's sidebar. Named in settings.UNFOLD."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

# Titles, icons and models.
CALLING = [
    (_("Campaigns"), "campaign", "campaigns.campaign"),
    (_("Contacts"), "contacts", "contacts.contact"),
    (_("Imports"), "upload_file", "contacts.contactimport"),
    (_("Do-not-call list"), "phone_disabled", "contacts.donotcallentry"),
    (_("Imports of the do-not-call list"), "upload_file", "contacts.donotcallimport"),
    (_("Call attempts"), "call_log", "calls.callattempt"),
]
TELLING = [
    (_("E-mail texts"), "edit_note", "campaigns.emailtext"),
    (_("E-mails to contacts"), "mail", "calls.eventemail"),
    (_("Webhooks"), "webhook", "calls.webhooksubscription"),
    (_("Deliveries"), "outbox", "calls.webhookdelivery"),
]
OPERATION = [
    (_("Provider"), "cell_tower", "calls.providerconfig"),
    (_("Background jobs"), "schedule", "django_q.schedule"),
    (_("Failed jobs"), "error", "django_q.failure"),
    (_("Users"), "person", "auth.user"),
    (_("Audit"), "policy", "surveycalls.auditentry"),
]


def list_pages(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of the sidebar, each with the pages that this user may see."""
    home = {"title": _("Home"), "icon": "dashboard", "link": reverse("admin:index")}
    return [
        {"items": [home]},
        {"title": _("Calling"), "items": _list_links(request, CALLING)},
        {"title": _("Telling others"), "separator": True, "items": _list_links(request, TELLING)},
        {"title": _("Operation"), "separator": True, "items": _list_links(request, OPERATION)},
    ]


def _list_links(request: HttpRequest, pages: list[tuple[Any, str, str]]) -> list[dict[str, Any]]:
    links = []
    for title, icon, model in pages:
        app, name = model.split(".")
        if request.user.has_perm(f"{app}.view_{name}"):
            links.append({"title": title, "icon": icon, "link": reverse(f"admin:{app}_{name}_changelist")})
    return links
