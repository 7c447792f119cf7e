"""Twilio, and whatever speaks its REST API.

https://www.twilio.com/docs/voice/api/call-resource, https://www.twilio.com/docs/api/errors
"""

import math
import re
import socket
import ssl
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import requests
from django.utils.translation import gettext_noop
from requests.adapters import HTTPAdapter
from twilio.request_validator import RequestValidator
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from calls.providers.base import (
    Answerer,
    CallEvent,
    CallProgress,
    CallRejected,
    CallRequest,
    Detection,
    InvalidSignature,
    MalformedEvent,
    PlacedCall,
    PlacementUnknown,
    ProviderMisconfigured,
    ProviderUnavailable,
    Said,
)
from calls.providers.messages import ANSWERED, NO_CALLER, NO_MESSAGE, REFUSED

# Only these say something about the number that was to be rung. Any other refusal may be true of every
# call, so it stops dialling instead of using up the contacts.
CODES_OF_BAD_NUMBERS = {"13223", "13224", "13225", "13226", "21201", "21211", "21214", "21217"}

PROGRESS_BY_STATUS = {
    "queued": CallProgress.QUEUED,
    "initiated": CallProgress.QUEUED,
    "ringing": CallProgress.RINGING,
    "in-progress": CallProgress.ANSWERED,
    "completed": CallProgress.HUNG_UP,
    "busy": CallProgress.BUSY,
    "no-answer": CallProgress.NO_ANSWER,
    "failed": CallProgress.FAILED,
    "canceled": CallProgress.CANCELED,
}

# https://www.twilio.com/docs/voice/answering-machine-detection; without AsyncAmd the first document is asked for only
# when it is known who has answered, and that is told with it.
MACHINE_DETECTION = {Detection.MACHINE: "Enable", Detection.END_OF_GREETING: "DetectMessageEnd"}
ANSWERER_BY_WORD = {
    "human": Answerer.PERSON,
    "machine_start": Answerer.MACHINE,
    "machine_end_beep": Answerer.MACHINE,
    "machine_end_silence": Answerer.MACHINE,
    "machine_end_other": Answerer.MACHINE,
    "fax": Answerer.FAX,
    "unknown": Answerer.UNKNOWN,
}

CODE_OF_ENDED_CALL = "21220"  # what is to be ended is over

_CALLER_ADVICE = gettext_noop("Check the number shown: the provider's in the admin, or the campaign's own.")
_CREDENTIALS_ADVICE = gettext_noop(
    "Check TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and the API key if there is one, and restart all processes."
)
# What operators can do about a refusal that stops dialling.
ADVICE_BY_CODE = {
    "20003": _CREDENTIALS_ADVICE,
    "401": _CREDENTIALS_ADVICE,
    "21210": _CALLER_ADVICE,
    "21212": _CALLER_ADVICE,
    "21213": _CALLER_ADVICE,
    "21205": gettext_noop("Check PUBLIC_BASE_URL."),
    "21215": gettext_noop("Allow calls to that country in the provider's console."),
    "21219": gettext_noop("A trial account rings verified numbers only: verify it, or upgrade the account."),
}
_OTHER_ADVICE = gettext_noop("The provider's documentation says what the code means.")
LONGEST_MESSAGE = 300
LONGEST_KEYS, LONGEST_SPEECH = 40, 4000

# What else is kept, by our name: as callbacks call it, and as the call resource does.
_DETAILS = {
    "call_duration": ("CallDuration", "duration"),
    "sip_response_code": ("SipResponseCode",),
    "answered_by": ("AnsweredBy", "answered_by"),
}

# date_created has whole seconds, and their clock is not ours.
CLOCK_DIFFERENCE = timedelta(seconds=5)

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
# Twilio's are CA and 32 digits; compatible servers have UUIDs and names of their own.
_SID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL's text has no place for these


class _PromptAdapter(HTTPAdapter):
    """Leaves no request behind that may still reach the provider when we have given it up.

    The kernel goes on sending what a silent network swallows, for a quarter of an hour and also after the connection
    was closed: the person would be rung long after the send deadline. Here it has as long as a connection has to
    open, and closing takes back what has not arrived.
    """

    def __init__(self, way_seconds: float, **options: Any) -> None:
        self._socket_options = [
            *HTTPConnection.default_socket_options,
            (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
        ]
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            milliseconds = round(way_seconds * 1000)
            self._socket_options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds))
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, socket_options=self._socket_options, **options)


class TwilioProvider:
    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        api_key: tuple[str, str] | None = None,
        base_url: str = "https://api.twilio.com",
        connect_timeout: float = 3,
        read_timeout: float = 10,
        connections: int = 160,
    ) -> None:
        """Requests are signed in with the API key (sid, secret) if there is one, else with the auth token."""
        self._is_configured = bool(account_sid and auth_token)
        self._calls_url = f"{base_url}/2010-04-01/Accounts/{account_sid}/Calls"
        self._timeout = (connect_timeout, read_timeout)
        # Callbacks are signed with the account's auth token, also when requests use an API key.
        self._validator = RequestValidator(auth_token)
        self._session = requests.Session()
        self._session.auth = api_key or (account_sid, auth_token)
        self._session.trust_env = False  # no credentials from .netrc, no proxies from the environment
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _PromptAdapter(connect_timeout, pool_maxsize=connections, max_retries=0))
        # Put together once: addresses, headers and credentials of every order are the same.
        self._order = self._session.prepare_request(requests.Request("POST", f"{self._calls_url}.json"))
        self._order.headers["Content-Type"] = "application/x-www-form-urlencoded"

    def initiate_call(self, request: CallRequest, leave: Callable[[], None]) -> PlacedCall:
        form = {
            "To": request.to,
            "From": request.from_,
            "Url": request.answer_url,
            "Timeout": request.ring_timeout,
            "TimeLimit": request.time_limit,
            "StatusCallback": request.events_url,
            "StatusCallbackMethod": "POST",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        }
        if request.detection in MACHINE_DETECTION:
            form["MachineDetection"] = MACHINE_DETECTION[request.detection]
        order = self._order.copy()
        body = urlencode(form, doseq=True).encode()
        order.headers["Content-Length"] = str(len(body))
        order.body = _hold_back(body, leave)
        response = self._send(order)
        _raise_for_refusal(response, request)
        try:
            call = response.json()
            return PlacedCall(provider_call_id=_read_sid(call["sid"]), raw_status=_read_word(call.get("status")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PlacementUnknown(gettext_noop("The provider's answer cannot be read.")) from error

    def parse_webhook_event(self, url: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> CallEvent:
        signature = headers.get("X-Twilio-Signature", "")
        if not self._is_configured or not self._validator.validate(url, parameters, signature):
            raise InvalidSignature
        call_id = parse_qs(urlsplit(url).query).get("call_id", [""])[0]
        if not _CALL_ID.match(call_id):
            raise MalformedEvent("The address has no call_id.")
        if not parameters.get("CallStatus"):
            raise MalformedEvent("CallStatus is missing.")
        try:
            event = _read_event(parameters, call_id, sid="CallSid", status="CallStatus", error="ErrorCode")
        except ValueError as error:
            raise MalformedEvent("CallSid is missing or malformed.") from error
        return replace(event, said=_read_said(parameters))

    def fetch_call(self, provider_call_id: str) -> CallEvent | None:
        response = self._request("GET", self._url_of(provider_call_id))
        if response.status_code == 404:
            return None
        call = _read_json(response)
        return replace(_read_call(call), to=_read_word(call.get("to")))

    def find_call(self, to: str, *, since: datetime, known: Collection[str], from_: str = "") -> CallEvent | None:
        since = since - CLOCK_DIFFERENCE
        # Calls that are still queued have no start time, and the filter would hide them; so all calls to the
        # number are listed, newest first, and compared here by when they were created.
        query = {"To": to, "PageSize": 100} | ({"From": from_} if from_ else {})
        response = self._request("GET", f"{self._calls_url}.json", params=query)
        try:
            calls = [call for call in _read_json(response)["calls"] if _may_be_ours(call)]
            unknown = [call for call in calls if call["sid"] not in known]
            candidates = [call for call in unknown if _read_time(call["date_created"]) >= since]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProviderUnavailable(gettext_noop("The provider's list of calls cannot be read.")) from error
        return _read_call(candidates[-1]) if candidates else None

    def hang_up(self, provider_call_id: str) -> None:
        url = self._url_of(provider_call_id)
        # "canceled" ends a call that is queued or ringing, and leaves one that is live alone.
        response = self._request("POST", url, data={"Status": "canceled"})
        if not _is_success(response) or _read_json(response).get("status") == "in-progress":
            response = self._request("POST", url, data={"Status": "completed"})
        if not _is_success(response) and _read_code(response) != CODE_OF_ENDED_CALL:
            raise ProviderUnavailable(_describe(response), _read_code(response))

    def _url_of(self, provider_call_id: str) -> str:
        return f"{self._calls_url}/{quote(provider_call_id, safe='')}.json"

    def _request(self, method: str, url: str, **arguments: Any) -> requests.Response:
        return self._send(self._session.prepare_request(requests.Request(method, url, **arguments)))

    def _send(self, request: requests.PreparedRequest) -> requests.Response:
        if not self._is_configured:
            raise ProviderMisconfigured(
                gettext_noop(
                    "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set. Set both and restart all processes."
                )
            )
        try:
            return self._session.send(request, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            if _was_never_sent(error):
                raise ProviderUnavailable(gettext_noop("The provider cannot be reached.")) from error
            raise PlacementUnknown(gettext_noop("The connection to the provider broke before it answered.")) from error


def _hold_back(body: bytes, leave: Callable[[], None]) -> Iterator[bytes]:
    """The head of a request goes out without it, once there is a connection, and orders nothing by itself."""
    leave()
    yield body


def _was_never_sent(error: requests.RequestException) -> bool:
    """Whether the connection itself failed: refused, no route, no such name, wrong certificate, too slow to open.

    Other troubles with TLS may come after the request was sent.
    """
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.exceptions.SSLError):
        return isinstance(reason, Exception) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _may_be_ours(call: Mapping[str, Any]) -> bool:
    """Whether it may have been started over REST, as far as the provider says how it was; each has its own word."""
    direction = str(call.get("direction") or "")
    return not direction.startswith("inbound") and direction != "outbound-dial"


def _raise_for_refusal(response: requests.Response, request: CallRequest) -> None:
    """Raise what the answer to a request for a call means, unless it is a success."""
    status, code = response.status_code, _read_code(response)
    if status == 429:
        raise ProviderUnavailable(gettext_noop("The provider takes no more requests at the moment."), code or "429")
    if status >= 500:
        raise PlacementUnknown(_describe(response), code or str(status))
    if code in CODES_OF_BAD_NUMBERS:
        raise CallRejected(_describe_refusal(response, request, code), code)
    if status >= 300:
        code = code or str(status)
        advice = ADVICE_BY_CODE.get(code, _OTHER_ADVICE)
        raise ProviderMisconfigured(f"{_describe_refusal(response, request, code)} {advice}", code)


def _is_success(response: requests.Response) -> bool:
    return 200 <= response.status_code < 300  # response.ok is true of redirects as well


def _read_code(response: requests.Response) -> str:
    if _is_success(response):
        return ""
    try:
        return _read_word(response.json().get("code"))
    except (ValueError, AttributeError):
        return ""


def _describe(response: requests.Response) -> str:
    return ANSWERED % {"status": response.status_code, "message": _read_message(response)}


def _describe_refusal(response: requests.Response, request: CallRequest, code: str) -> str:
    caller, message = request.from_ or NO_CALLER, _read_message(response)
    return REFUSED % {"to": request.to, "caller": caller, "message": message, "code": code}


def _read_message(response: requests.Response) -> str:
    """The provider's own words, without a full stop, as the database can hold them."""
    try:
        message = str(response.json()["message"] or "")
    except (ValueError, KeyError, TypeError):
        message = ""
    return _NOT_STORABLE.sub("?", message)[:LONGEST_MESSAGE].rstrip(" .") or NO_MESSAGE


def _read_json(response: requests.Response) -> dict[str, Any]:
    if not _is_success(response):
        raise ProviderUnavailable(_describe(response), _read_code(response) or str(response.status_code))
    try:
        return dict(response.json())
    except (ValueError, TypeError) as error:
        raise ProviderUnavailable(gettext_noop("The provider's answer cannot be read.")) from error


def _read_call(call: Mapping[str, Any]) -> CallEvent:
    try:
        return _read_event(call, call_id="", sid="sid", status="status", error="error_code")
    except ValueError as error:
        raise ProviderUnavailable(gettext_noop("The provider's answer cannot be read.")) from error


def _read_event(source: Mapping[str, Any], call_id: str, *, sid: str, status: str, error: str) -> CallEvent:
    raw_status, details = _read_word(source.get(status)), _read_details(source)
    return CallEvent(
        call_id=call_id,
        provider_call_id=_read_sid(source.get(sid)),
        progress=PROGRESS_BY_STATUS.get(raw_status, CallProgress.OTHER),
        raw_status=raw_status,
        error_code=_read_word(source.get(error)),
        details=details,
        answerer=ANSWERER_BY_WORD.get(details.get("answered_by", ""), Answerer.UNKNOWN),
    )


def _read_details(source: Mapping[str, Any]) -> dict[str, str]:
    return {ours: _read_word(source[name]) for ours, names in _DETAILS.items() for name in names if source.get(name)}


def _read_said(parameters: Mapping[str, str]) -> Said:
    """What a Gather has gathered: https://www.twilio.com/docs/voice/twiml/gather"""
    keys, speech = (_NOT_STORABLE.sub("?", parameters.get(name) or "") for name in ("Digits", "SpeechResult"))
    try:
        confidence = min(max(float(parameters.get("Confidence") or "nan"), 0.0), 1.0)
    except ValueError:
        confidence = math.nan
    return Said(
        keys=keys[:LONGEST_KEYS],
        speech=speech[:LONGEST_SPEECH],
        confidence=None if not speech or math.isnan(confidence) else confidence,
    )


def _read_word(value: Any) -> str:
    """A status or a code, as the database can hold it."""
    return _NOT_STORABLE.sub("?", str(value or ""))[:40]


def _read_sid(value: Any) -> str:
    if not isinstance(value, str) or not _SID.match(value):
        raise ValueError("not a call's sid")
    return value


def _read_time(text: str) -> datetime:
    return parsedate_to_datetime(text).astimezone(UTC)
