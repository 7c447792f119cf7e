"""Who was refused what, for the log and the audit: an operator who tries doors, or a role that lacks one."""

from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from surveycalls.addresses import find_address
from surveycalls.audit import record
from surveycalls.models import AuditAction

log = structlog.get_logger(__name__)

FORBIDDEN = 403


class RefusalsMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if response.status_code == FORBIDDEN and request.user.is_authenticated:
            log.warning(
                "access.refused",
                user=request.user.get_username(),
                method=request.method,
                path=request.path,
                address=find_address(request),
            )
            record(AuditAction.REFUSED, request=request, message=f"{request.method} {request.path}")
        return response
