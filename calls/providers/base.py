"""What a telephone provider must be able to do, and how it may fail. Imports no model."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class ProviderError(Exception):
    """Something at or on the way to the provider; ``code`` is the provider's own where it gave one."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class CallRejected(ProviderError):
    """This number will never work."""


class ProviderMisconfigured(ProviderError):
    """Credentials, caller number or permissions are wrong; every call would fail."""


class ProviderUnavailable(ProviderError):
    """The request was certainly not carried out."""


class PlacementUnknown(ProviderError):
    """The request went out and nobody knows what came of it."""


class NotSent(Exception):
    """It was too late to ask the provider for a call, so it was not asked."""


class InvalidSignature(Exception):
    """The callback is not the provider's."""


class MalformedEvent(Exception):
    """The callback is the provider's, and makes no sense."""


class CallProgress(StrEnum):
    QUEUED = "queued"
    RINGING = "ringing"
    ANSWERED = "answered"
    HUNG_UP = "hung_up"  # was connected, and is over
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELED = "canceled"  # before anybody answered
    OTHER = "other"  # a word of the provider's that we do not know


class Detection(StrEnum):
    """What is found out about whoever answers, before anything is said."""

    NONE = "none"
    MACHINE = "machine"  # whether it is one
    END_OF_GREETING = "end_of_greeting"  # that, and of one when it takes a message


class Answerer(StrEnum):
    PERSON = "person"
    MACHINE = "machine"
    FAX = "fax"
    UNKNOWN = "unknown"  # not asked for, not found out, or a word of the provider's that we do not know


@dataclass(frozen=True, kw_only=True)
class CallRequest:
    """Numbers are E.164, durations seconds; the URLs carry the call_id."""

    call_id: str
    to: str
    from_: str
    answer_url: str
    events_url: str
    ring_timeout: int
    time_limit: int
    detection: Detection = Detection.NONE


@dataclass(frozen=True, kw_only=True)
class PlacedCall:
    provider_call_id: str
    raw_status: str


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a person pressed (digits and *) or said when asked, and how sure the recogniser is, from 0 to 1."""

    keys: str = ""
    speech: str = ""
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class CallEvent:
    """What the provider tells us of a call, in a callback or when it is asked; call_id is ours, "" if unknown.

    ``to`` is whom it rang, as the provider writes it, said only when it is asked by the call's id. ``details`` is what
    else it said, for the record: a few short texts by name, none of which anything depends on. ``said`` is empty when
    nothing was asked.
    """

    call_id: str
    provider_call_id: str
    progress: CallProgress
    raw_status: str
    error_code: str = ""
    to: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    said: Said = Said()
    answerer: Answerer = Answerer.UNKNOWN


class TelephonyProvider(Protocol):
    def initiate_call(self, request: CallRequest, leave: Callable[[], None]) -> PlacedCall:
        """Ring once; never retried. Raises any of the four errors above.

        ``leave`` is called when a connection is open, in the last moment in which nobody will be rung if it raises;
        what it raises is passed on.
        """

    def parse_webhook_event(self, url: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> CallEvent:
        """Raises InvalidSignature or MalformedEvent.

        ``url`` is the public one, with its query; ``headers`` finds a name in any case.
        """

    def fetch_call(self, provider_call_id: str) -> CallEvent | None:
        """None when the provider has no such call. Raises ProviderError when it cannot be asked."""

    def find_call(self, to: str, *, since: datetime, known: Collection[str], from_: str = "") -> CallEvent | None:
        """The first call to that number since then whose id is not one of the known; None when none is listed.

        ``from_`` is the number that it showed: others may ring the same person over the same account. Listings
        lag behind, so None does not prove that there is no call. Raises ProviderError.
        """

    def hang_up(self, provider_call_id: str) -> None:
        """End the call, whether it is live or still queued. Raises ProviderError."""
