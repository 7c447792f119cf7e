"""HTTP in: verify, parse, apply. What a stranger sends is refused before anything is read or written."""

from collections.abc import Callable
from functools import wraps
from uuid import UUID

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from calls import conversation, outcomes
from calls.clock import shared_clock
from calls.conversation import Step
from calls.metrics.counting import count_callback
from calls.providers import get_provider
from calls.providers.base import CallEvent, InvalidSignature, MalformedEvent
from calls.speech import write_twiml

log = structlog.get_logger(__name__)

# Of the event, and of what our own address says about it.
Handler = Callable[[CallEvent, QueryDict], HttpResponse]


def _from_provider(handler: Handler) -> Callable[[HttpRequest], HttpResponse]:
    """A view for the provider alone: 403 for a request that it did not sign, 400 for one without sense."""

    @csrf_exempt
    @require_POST
    @wraps(handler)
    def view(request: HttpRequest) -> HttpResponse:
        try:
            # Not by the row's adapter: reading it would let strangers reach the database. There is one adapter; a
            # second one gets addresses of its own, because after a change calls of both are still under way.
            event = get_provider().parse_webhook_event(
                # As the provider knows it: behind a proxy the request's own host and scheme are others.
                f"{settings.PUBLIC_BASE_URL}{request.get_full_path()}",
                _read_form(request),
                request.headers,
            )
        except InvalidSignature:
            log.warning("webhook.forged", address=_shorten_address(request))
            count_callback("forged")
            return HttpResponse("The signature is not the provider's.", status=403, content_type="text/plain")
        except MalformedEvent as error:
            log.warning("webhook.malformed", address=_shorten_address(request), error=str(error))
            count_callback("malformed")
            return HttpResponse(str(error), status=400, content_type="text/plain")
        with structlog.contextvars.bound_contextvars(call_id=event.call_id):
            return _handle(handler, event, request.GET)

    return view


def _handle(handler: Handler, event: CallEvent, query: QueryDict) -> HttpResponse:
    """A report may be applied twice, so a connection is not tried out before each: one that was lost is replaced."""
    connection.health_check_done = True
    try:
        return handler(event, query)
    except (OperationalError, InterfaceError) as error:
        if connection.in_atomic_block:
            raise
        log.warning("database.failed", error=str(error).strip())
        connection.close()
        return handler(event, query)


def _shorten_address(request: HttpRequest) -> str:
    """With its call_id, which nobody vouches for, and no longer than ours are."""
    return request.get_full_path()[:100]


def _read_form(request: HttpRequest) -> QueryDict:
    """The provider sends plain forms; a stranger may send what cannot even be taken apart."""
    return request.POST if request.content_type == "application/x-www-form-urlencoded" else QueryDict()


@_from_provider
def receive_event(event: CallEvent, query: QueryDict) -> HttpResponse:
    """Calls that we do not know are no error to the provider, who would only send them again."""
    count_callback(outcomes.apply_event(event, now=shared_clock()))
    return HttpResponse(status=200)


@_from_provider
def answer_call(event: CallEvent, query: QueryDict) -> HttpResponse:
    return _speak(conversation.begin(event, now=shared_clock()))


@_from_provider
def hear_consent(event: CallEvent, query: QueryDict) -> HttpResponse:
    return _speak(conversation.hear_consent(event, is_again=_is_again(query), now=shared_clock()))


@_from_provider
def hear_answer(event: CallEvent, query: QueryDict) -> HttpResponse:
    version = _read_uuid(query.get("question", ""))
    return _speak(conversation.hear_answer(event, version, is_again=_is_again(query), now=shared_clock()))


def _speak(step: Step) -> HttpResponse:
    count_callback(step.applied)
    return HttpResponse(write_twiml(step), content_type="text/xml")


def _is_again(query: QueryDict) -> bool:
    return query.get("again") == "1"


def _read_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
