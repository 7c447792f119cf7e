"""The admin's sidebar. Named in settings.UNFOLD."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

# Titles, icons and models.
CALLING = [
    ("Campaigns", "campaign", "campaigns.campaign"),
    ("Contacts", "contacts", "contacts.contact"),
    ("Imports", "upload_file", "contacts.contactimport"),
    ("Do-not-call list", "phone_disabled", "contacts.donotcallentry"),
    ("Call attempts", "call_log", "calls.callattempt"),
]
OPERATION = [
    ("Provider", "cell_tower", "calls.providerconfig"),
    ("Background jobs", "schedule", "django_q.schedule"),
    ("Failed jobs", "error", "django_q.failure"),
    ("Users", "person", "auth.user"),
    ("Audit", "policy", "surveycalls.auditentry"),
]


def list_pages(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of the sidebar, each with the pages that this user may see."""
    home = {"title": "Home", "icon": "dashboard", "link": reverse("admin:index")}
    return [
        {"items": [home]},
        {"title": "Calling", "items": _list_links(request, CALLING)},
        {"title": "Operation", "separator": True, "items": _list_links(request, OPERATION)},
    ]


def _list_links(request: HttpRequest, pages: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    links = []
    for title, icon, model in pages:
        app, name = model.split(".")
        if request.user.has_perm(f"{app}.view_{name}"):
            links.append({"title": title, "icon": icon, "link": reverse(f"admin:{app}_{name}_changelist")})
    return links
