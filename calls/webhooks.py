"""HTTP in: verify, parse, apply. What a stranger sends is refused before anything is read or written."""

import re
from collections.abc import Callable
from functools import wraps

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, QueryDict
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from twilio.twiml.voice_response import VoiceResponse

from calls import outcomes
from calls.callback_urls import played_url
from calls.clock import shared_clock
from calls.metrics.counting import count_callback
from calls.models import CallAttempt
from calls.outcomes import Applied
from calls.providers import get_provider
from calls.providers.base import CallEvent, InvalidSignature, MalformedEvent
from contacts.models import PreferredLanguage

log = structlog.get_logger(__name__)

_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

SPEECH_LANGUAGES = {"en": "en-GB", "it": "it-IT"}


Handler = Callable[[CallEvent], HttpResponse]


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
            return _handle(handler, event)

    return view


def _handle(handler: Handler, event: CallEvent) -> HttpResponse:
    """A report may be applied twice, so a connection is not tried out before each: one that was lost is replaced."""
    connection.health_check_done = True
    try:
        return handler(event)
    except (OperationalError, InterfaceError) as error:
        if connection.in_atomic_block:
            raise
        log.warning("database.failed", error=str(error).strip())
        connection.close()
        return handler(event)


def _shorten_address(request: HttpRequest) -> str:
    """With its call_id, which nobody vouches for, and no longer than ours are."""
    return request.get_full_path()[:100]


def _read_form(request: HttpRequest) -> QueryDict:
    """The provider sends plain forms; a stranger may send what cannot even be taken apart."""
    return request.POST if request.content_type == "application/x-www-form-urlencoded" else QueryDict()


@_from_provider
def receive_event(event: CallEvent) -> HttpResponse:
    """Calls that we do not know are no error to the provider, who would only send them again."""
    count_callback(outcomes.apply_event(event, now=shared_clock()))
    return HttpResponse(status=200)


@_from_provider
def answer_call(event: CallEvent) -> HttpResponse:
    """The script; when it has been played to its end the provider asks `finish_call` what comes next."""
    applied = outcomes.apply_event(event, now=shared_clock())
    count_callback(applied)
    attempts = CallAttempt.objects.open().select_related("contact", "campaign")
    attempt = attempts.find_by_call_id(event.call_id)
    speech = VoiceResponse()
    if attempt and applied != Applied.FOREIGN:
        # Scripts are pasted from word processors; what XML cannot hold would end the call with an error.
        speech.say(_NOT_IN_XML.sub(" ", attempt.campaign.intro_script), language=_choose_language(attempt))
        speech.redirect(played_url(event.call_id), method="POST")
    return _speak(speech)


@_from_provider
def finish_call(event: CallEvent) -> HttpResponse:
    count_callback(outcomes.apply_played(event, now=shared_clock()))
    return _speak(VoiceResponse())


def _speak(speech: VoiceResponse) -> HttpResponse:
    speech.hangup()
    return HttpResponse(str(speech), content_type="text/xml")


def _choose_language(attempt: CallAttempt) -> str:
    preferred = attempt.contact.preferred_language
    if preferred == PreferredLanguage.AUTO:
        preferred = attempt.campaign.language
    return SPEECH_LANGUAGES[preferred]
