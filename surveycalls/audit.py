"""The audit: who did what, when, and from which address.

What operators do in the admin goes into Django's own history, of which every line is taken over; the rest comes from
signals. The history has no address and can be deleted with its user or objects; the audit stays.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry, LogEntryManager
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.contrib.contenttypes.models import ContentType
from django.db.models.signals import post_save
from django.http import HttpRequest, HttpResponse

from calls.erasure import people_erased
from campaigns.history import EXPORT, STEP, in_language_of_the_record
from surveycalls.addresses import find_address
from surveycalls.logs import mask_text
from surveycalls.models import AuditAction, AuditEntry

Respond = Callable[[HttpRequest], HttpResponse]

# The request that is being answered, so that those who write a line need not know of it.
_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)

_ACTIONS = {
    ADDITION: AuditAction.ADDED,
    CHANGE: AuditAction.CHANGED,
    DELETION: AuditAction.DELETED,
    STEP: AuditAction.STATUS,
    EXPORT: AuditAction.EXPORTED,
}
# What is done to these is the import of a file.
_IMPORTS = {"contactimport", "donotcallimport"}
_IMPORTED = dict.fromkeys((ADDITION, CHANGE), AuditAction.IMPORTED)
# Names of these are those of people. Whom an id belongs to is known as long as the person is not erased.
_NAMELESS = {"contact", "donotcallentry", "callattempt"}


class AuditMiddleware:
    """Behind the one that knows the user."""

    def __init__(self, get_response: Respond) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return self._get_response(request)
        finally:
            _request.reset(token)


def record(action: AuditAction, *, request: HttpRequest | None = None, **values: str) -> None:
    """``values`` are of AuditEntry; the user and the address are the request's, unless they are given."""
    AuditEntry.objects.create(action=action, **_describe_origin(request or _request.get()) | values)


def _describe_origin(request: HttpRequest | None) -> dict[str, str]:
    if request is None:
        return {}
    user = getattr(request, "user", None)
    return {"user_name": user.get_username() if user else "", "address": find_address(request) or ""}


def _take_over(entries: Sequence[LogEntry]) -> None:
    with in_language_of_the_record():
        AuditEntry.objects.bulk_create(map(_make_entry, entries))


def _make_entry(line: LogEntry) -> AuditEntry:
    request = _request.get()
    user = request.user if request and request.user.pk == line.user_id else line.user
    kind = ContentType.objects.get_for_id(line.content_type_id)
    actions = _ACTIONS | _IMPORTED if kind.model in _IMPORTS else _ACTIONS
    return AuditEntry(
        **_describe_origin(request) | {"user_name": user.get_username()},
        at=line.action_time,
        action=actions[line.action_flag],
        object_type=kind.name,
        object_id=line.object_id or "",
        object_name="" if kind.model in _NAMELESS else mask_text(line.object_repr),
        message=mask_text(line.get_change_message()),
    )


def _take_over_line(instance: LogEntry, created: bool, **_kwargs: Any) -> None:
    if created:
        _take_over([instance])


_create_lines = LogEntryManager.bulk_create


def _create_lines_and_take_over(manager: LogEntryManager, lines: Any, *args: Any, **kwargs: Any) -> list[LogEntry]:
    created = _create_lines(manager, lines, *args, **kwargs)
    _take_over(created)
    return created


def _record_sign_in(request: HttpRequest, user: Any, **_kwargs: Any) -> None:
    record(AuditAction.SIGNED_IN, request=request, user_name=user.get_username())


def _record_sign_out(request: HttpRequest, user: Any, **_kwargs: Any) -> None:
    if user is not None:
        record(AuditAction.SIGNED_OUT, request=request, user_name=user.get_username())


def _record_failed_sign_in(credentials: dict[str, Any], request: HttpRequest | None = None, **_kwargs: Any) -> None:
    record(AuditAction.SIGN_IN_FAILED, request=request, user_name=str(credentials.get("username") or "")[:150])


def _record_erasure(message: str, **_kwargs: Any) -> None:
    record(AuditAction.ERASED, object_type="person", message=mask_text(message))


def begin_audit() -> None:
    """Once in each process, when the apps are there."""
    post_save.connect(_take_over_line, sender=LogEntry)
    # Several lines at once send no signal.
    LogEntryManager.bulk_create = _create_lines_and_take_over
    user_logged_in.connect(_record_sign_in)
    user_logged_out.connect(_record_sign_out)
    user_login_failed.connect(_record_failed_sign_in)
    people_erased.connect(_record_erasure)
