"""What this process counts: every event at most once, where it happens.

Nothing here may hurt a call: it asks the database nothing, and an error in it is logged and forgotten. What can be
read from the database is not counted here but read there, see `facts`.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from prometheus_client import Counter, Histogram, values

from calls.metrics.slots import ProcessSlots
from calls.providers.base import (
    CallRejected,
    NotSent,
    PlacementUnknown,
    ProviderMisconfigured,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from calls.claiming import Claim

Arguments = ParamSpec("Arguments")

log = structlog.get_logger(__name__)

slots = ProcessSlots(settings.METRICS_DIR)


def _keep_values_in_slots() -> None:
    """Before the first metric is made. Without a usable directory each process counts for itself alone."""
    try:
        slots.own()
    except OSError as error:
        log.warning("metrics.not_shared", directory=str(slots.directory), error=str(error))
        return
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(slots.directory)
    values.ValueClass = values.MultiProcessValue(slots.own)


_keep_values_in_slots()

GIVEN_BACK = "given_back"
UNEXPECTED = "unexpected"

# Not registered anywhere: what is exported comes from the files of all processes of this machine.
attempts_claimed = Counter(
    "surveycalls_attempts_claimed", "Attempts that were written, each for a call to be placed.", registry=None
)
calls_started = Counter("surveycalls_calls_started", "Requests to ring somebody.", registry=None)
attempts_ended = Counter(
    "surveycalls_attempts_ended",
    "Attempts that have ended, by campaign (id) and first outcome; given_back certainly never rang.",
    ["campaign", "outcome"],
    registry=None,
)
# A counter cannot go down, so what was counted as no_answer stays so, and is named here.
attempts_corrected = Counter(
    "surveycalls_attempts_corrected",
    "Attempts that ended as no_answer and turned out to be completed or refused: take them from those.",
    ["campaign"],
    registry=None,
)
callbacks = Counter(
    "surveycalls_callbacks",
    "Reports of the provider by what came of them; forged ones had no valid signature.",
    ["result"],
    registry=None,
)
provider_errors = Counter(
    "surveycalls_provider_errors",
    "Requests to the provider that failed, by request and kind of error.",
    ["request", "kind"],
    registry=None,
)
provider_seconds = Histogram(
    "surveycalls_provider_request_duration_seconds",
    "How long the provider took to answer or to fail, by request.",
    ["request"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=None,
)
claim_seconds = Histogram(
    "surveycalls_claim_duration_seconds",
    "How long a claim took, by whether it claimed somebody, nobody, or found the lines locked by another.",
    ["result"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=None,
)
hooks_dropped = Counter(
    "surveycalls_hooks_dropped", "Signals that did not get to all receivers, because some are too slow.", registry=None
)
hooks_failed = Counter("surveycalls_hooks_failed", "Receivers of signals that raised an error.", registry=None)

REQUESTS = ("place", "look_up", "hang_up")
KIND_OF_ERROR = {
    CallRejected: "rejected",
    ProviderMisconfigured: "misconfigured",
    ProviderUnavailable: "unavailable",
    PlacementUnknown: "unknown",
}
CALLBACK_RESULTS = ("applied", "stale", "foreign", "unknown_call", "forged", "malformed")


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception:
        log.exception("metrics.failed")


with _harmless():
    # Shown as 0 from the start: a rate cannot see the first one of a series that begins with it.
    for _request in REQUESTS:
        provider_seconds.labels(_request)
        for _kind in (*KIND_OF_ERROR.values(), UNEXPECTED):
            provider_errors.labels(_request, _kind)
    for _result in CALLBACK_RESULTS:
        callbacks.labels(_result)


def measure_claim(claim_calls: Callable[Arguments, "Claim"]) -> Callable[Arguments, "Claim"]:
    """Around the claim's whole transaction, its commit included."""

    @wraps(claim_calls)
    def measured(*args: Arguments.args, **kwargs: Arguments.kwargs) -> "Claim":
        began = time.perf_counter()
        claim = claim_calls(*args, **kwargs)
        with _harmless():
            result = "locked" if claim.provider is None else "somebody" if claim.attempts else "nobody"
            claim_seconds.labels(result).observe(time.perf_counter() - began)
            attempts_claimed.inc(len(claim.attempts))
        return claim

    return measured


class asking_provider:
    """Around one request to the provider: counts and times it, and its error if it has one, unless it was not sent."""

    def __init__(self, request: str) -> None:
        self._request = request

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, NotSent):
            return
        with _harmless():
            provider_seconds.labels(self._request).observe(time.perf_counter() - self._began)
            if kind is not None:
                provider_errors.labels(self._request, KIND_OF_ERROR.get(kind, UNEXPECTED)).inc()


def count_start() -> None:
    with _harmless():
        calls_started.inc()


def count_callback(result: str) -> None:
    with _harmless():
        callbacks.labels(result).inc()


def count_end(campaign_id: UUID, outcome: str) -> None:
    """Once the current transaction has committed; not when it has and its acknowledgement was lost.

    The repetition then finds an attempt that has ended, and cannot know whether that was counted.
    """
    transaction.on_commit(partial(_count_end, str(campaign_id), outcome), robust=True)


def _count_end(campaign: str, outcome: str) -> None:
    with _harmless():
        attempts_ended.labels(campaign, outcome).inc()


def count_correction(campaign_id: UUID) -> None:
    """Like `count_end`."""
    transaction.on_commit(partial(_count_correction, str(campaign_id)), robust=True)


def _count_correction(campaign: str) -> None:
    with _harmless():
        attempts_corrected.labels(campaign).inc()


def count_dropped_hooks(number: int) -> None:
    with _harmless():
        hooks_dropped.inc(number)


def count_failed_hook() -> None:
    with _harmless():
        hooks_failed.inc()
