"""HTTP in: verify, parse, apply. What a stranger sends is refused before anything is read or written."""

import re
from collections.abc import Callable
from functools import wraps
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from twilio.twiml.voice_response import VoiceResponse

from calls import outcomes
from calls.models import CallAttempt
from calls.providers import get_provider
from calls.providers.base import CallEvent, InvalidSignature, MalformedEvent
from contacts.models import PreferredLanguage

log = structlog.get_logger(__name__)

_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

SPEECH_LANGUAGES = {"en": "en-GB", "it": "it-IT"}


def events_url(call_id: str) -> str:
    """Where the provider reports on a call."""
    return _public_url("telephony-events", call_id)


def answer_url(call_id: str) -> str:
    """Where the provider asks what to say when the call is answered."""
    return _public_url("telephony-voice", call_id)


def _public_url(view: str, call_id: str) -> str:
    return f"{settings.PUBLIC_BASE_URL}{reverse(view)}?{urlencode({'call_id': call_id})}"


Handler = Callable[[CallEvent], HttpResponse]


def _from_provider(handler: Handler) -> Callable[[HttpRequest], HttpResponse]:
    """A view for the provider alone: 403 for a request that it did not sign, 400 for one without sense."""

    @csrf_exempt
    @require_POST
    @wraps(handler)
    def view(request: HttpRequest) -> HttpResponse:
        try:
            event = get_provider().parse_webhook_event(
                # As the provider knows it: behind a proxy the request's own host and scheme are others.
                f"{settings.PUBLIC_BASE_URL}{request.get_full_path()}",
                _read_form(request),
                request.headers.get("X-Twilio-Signature", ""),
            )
        except InvalidSignature:
            log.warning("webhook.forged", path=request.path)
            return HttpResponse("The signature is not the provider's.", status=403, content_type="text/plain")
        except MalformedEvent as error:
            log.warning("webhook.malformed", path=request.path, error=str(error))
            return HttpResponse(str(error), status=400, content_type="text/plain")
        with structlog.contextvars.bound_contextvars(call_id=event.call_id):
            return handler(event)

    return view


def _read_form(request: HttpRequest) -> QueryDict:
    """The provider sends plain forms; a stranger may send what cannot even be taken apart."""
    return request.POST if request.content_type == "application/x-www-form-urlencoded" else QueryDict()


@_from_provider
def receive_event(event: CallEvent) -> HttpResponse:
    """Calls that we do not know are no error to the provider, who would only send them again."""
    outcomes.apply_event(event, now=timezone.now())
    return HttpResponse(status=200)


@_from_provider
def answer_call(event: CallEvent) -> HttpResponse:
    """The script; when it has been played to its end the provider asks `finish_call` what comes next."""
    outcomes.apply_event(event, now=timezone.now())
    attempts = CallAttempt.objects.open().select_related("contact", "campaign")
    attempt = attempts.filter(call_id=event.call_id).first()
    speech = VoiceResponse()
    if attempt:
        # Scripts are pasted from word processors; what XML cannot hold would end the call with an error.
        speech.say(_NOT_IN_XML.sub(" ", attempt.campaign.intro_script), language=_choose_language(attempt))
        speech.redirect(_public_url("telephony-voice-end", event.call_id), method="POST")
    return _speak(speech)


@_from_provider
def finish_call(event: CallEvent) -> HttpResponse:
    outcomes.mark_played(event.call_id, now=timezone.now())
    return _speak(VoiceResponse())


def _speak(speech: VoiceResponse) -> HttpResponse:
    speech.hangup()
    return HttpResponse(str(speech), content_type="text/xml")


def _choose_language(attempt: CallAttempt) -> str:
    preferred = attempt.contact.preferred_language
    if preferred == PreferredLanguage.AUTO:
        preferred = attempt.campaign.language
    return SPEECH_LANGUAGES[preferred]
