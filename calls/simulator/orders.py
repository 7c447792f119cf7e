"""What a client asks for when it starts a call, and every reason to refuse it, as Twilio words them.

PURE. Source: Twilio's reference of the Call resource and its list of error codes.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from multidict import MultiMapping

MACHINE_DETECTIONS = ("Enable", "DetectMessageEnd")

EVENTS = ("initiated", "ringing", "answered", "completed")

DEFAULT_TIMEOUT = 60
LONGEST_TIMEOUT = 600
DEFAULT_TIME_LIMIT = 4 * 60 * 60

E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)

MESSAGES = {
    20001: "Invalid parameter",
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    21201: "No 'To' number is specified",
    21205: "Url is not a valid URL: one of Url, Twiml or ApplicationSid is required",
    21211: "The 'To' number is not a valid phone number",
    21212: "The 'From' number is not a valid phone number",
    21213: "No 'From' number is specified",
    21220: "Call is not in-progress. Cannot redirect",
}


class RestError(Exception):
    """The provider refuses a request: an HTTP status and a Twilio error code."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(MESSAGES.get(code, "The request was refused"))
        self.status = status
        self.code = code


@dataclass(frozen=True, kw_only=True)
class CallOrder:
    """One call as it was ordered; times in seconds of the simulated world."""

    to: str
    from_: str
    url: str
    method: str = "POST"
    twiml: str = ""
    status_callback: str = ""
    status_callback_method: str = "POST"
    events: frozenset[str] = frozenset({"completed"})
    timeout: int = DEFAULT_TIMEOUT
    time_limit: int = DEFAULT_TIME_LIMIT
    machine_detection: str = ""
    """One of MACHINE_DETECTIONS: until a machine is told from people, or until its greeting is over. Empty: none."""

    @property
    def call_id(self) -> str | None:
        """What the client calls this call, if it says so in the query of one of its URLs."""
        for url in (self.status_callback, self.url):
            names = parse_qs(urlsplit(url).query).get("call_id")
            if names:
                return names[0]
        return None


def read_order(form: MultiMapping[str], refused_callers: Collection[str]) -> CallOrder:
    """Return the order in a POST that starts a call; raises RestError."""
    _check_numbers(form, refused_callers)
    url = form.get("Url", "")
    if not (_is_web_url(url) or (not url and (form.get("Twiml") or form.get("ApplicationSid")))):
        raise RestError(400, 21205)
    return CallOrder(
        to=form["To"],
        from_=form["From"],
        url=url,
        method=form.get("Method", "POST").upper(),
        twiml=form.get("Twiml", ""),
        status_callback=form.get("StatusCallback", ""),
        status_callback_method=form.get("StatusCallbackMethod", "POST").upper(),
        events=_read_events(form),
        timeout=min(_read_seconds(form, "Timeout", DEFAULT_TIMEOUT), LONGEST_TIMEOUT),
        time_limit=_read_seconds(form, "TimeLimit", DEFAULT_TIME_LIMIT),
        machine_detection=_read_detection(form),
    )


def _check_numbers(form: MultiMapping[str], refused_callers: Collection[str]) -> None:
    if not form.get("To"):
        raise RestError(400, 21201)
    if not form.get("From"):
        raise RestError(400, 21213)
    if not E164.fullmatch(form["To"]):
        raise RestError(400, 21211)
    if form["From"] in refused_callers or not E164.fullmatch(form["From"]):
        raise RestError(400, 21212)


def _read_events(form: MultiMapping[str]) -> frozenset[str]:
    """One parameter per event; names joined by a space are no event's name, so nothing is sent for them."""
    if not form.get("StatusCallback"):
        return frozenset()
    return frozenset(form.getall("StatusCallbackEvent", ["completed"])) & frozenset(EVENTS)


def _read_detection(form: MultiMapping[str]) -> str:
    detection = form.get("MachineDetection", "")
    if detection and detection not in MACHINE_DETECTIONS:
        raise RestError(400, 20001)
    return detection


def _read_seconds(form: MultiMapping[str], name: str, default: int) -> int:
    try:
        seconds = int(form.get(name, default))
    except ValueError as exc:
        raise RestError(400, 20001) from exc
    if seconds < 1:
        raise RestError(400, 20001)
    return seconds


def _is_web_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
