"""'Are you sure?', asked before an action of a list is carried out."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from campaigns.counting import say_count

SHOWN = 20


def is_confirmed(request: HttpRequest) -> bool:
    return bool(request.POST.get("confirmed"))


def leave_dialog(url: str) -> HttpResponse:
    """What the dialog of a button answers when its work is done: the page is left for that one."""
    return HttpResponse(headers={"HX-Redirect": url})


def leave_page(request: HttpRequest, url: str) -> HttpResponse:
    """The same for a form that is answered in its own page, if the browser did so."""
    return leave_dialog(url) if "HX-Request" in request.headers else HttpResponseRedirect(url)


def ask_first(
    model_admin: ModelAdmin,
    request: HttpRequest,
    chosen: QuerySet[Any],
    *,
    action: str,
    title: str,
    question: str,
    reason: str = "",
) -> TemplateResponse:
    """A page that sends the action, by its name, for the same rows once more, confirmed.

    With a ``reason``, which says what for, it has to be given one, and sends it along under that name. Who has
    confirmed without any, or with blanks only, is told so.

    When every row of a list was chosen it says so, instead of naming each: Django takes no form of more than
    DATA_UPLOAD_MAX_NUMBER_FIELDS fields. Of the ids it sends one even then, because without any Django's
    list takes nothing to be chosen.
    """
    select_across = request.POST.get("select_across", "0")
    ids = request.POST.getlist(ACTION_CHECKBOX_NAME)
    count = chosen.count()
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "question": question,
        "reason": reason,
        "reason_is_missing": bool(reason) and is_confirmed(request),
        "opts": model_admin.opts,
        "shown": chosen[:SHOWN],
        "not_shown": say_not_shown(count),
        "ids": ids[:1] if select_across == "1" else ids,
        "select_across": select_across,
        "action": action,
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "campaigns/confirmation.html", context)


def say_not_shown(count: int) -> str:
    """What is told after the first SHOWN of so many."""
    if count <= SHOWN:
        return ""
    return _("and %(more)s more, %(all)s together") % {"more": say_count(count - SHOWN), "all": say_count(count)}
