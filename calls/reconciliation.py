"""Calls that nobody heard back from: ask the provider, then settle them from its answer.

The provider may be out of reach, or may have forgotten the call. Then the longest call that there could be
settles it: no line is kept for ever.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from calls import breaker, outcomes
from calls.clock import Clock
from calls.metrics import counting
from calls.models import CallAttempt, ProviderConfig
from calls.providers.base import CallEvent, CallProgress, ProviderError, TelephonyProvider
from calls.states import AttemptStatus, statuses_before
from contacts.models import CallOutcome, Contact

log = structlog.get_logger(__name__)

BATCH = 50

# A provider that answers slowly must not keep whoever reconciles for longer; the rest is asked about later.
LONGEST_RUN_SECONDS = 15

# Of one call, at the most: look it up, hang it up in two ways, and look it up again.
LONGEST_REQUESTS = 4


def longest_call() -> timedelta:
    """From asking the provider to the end of the longest call that may come of it."""
    ringing_and_talking = settings.CALL_RING_TIMEOUT_SECONDS + settings.CALL_TIME_LIMIT_SECONDS
    return longest_queue() + timedelta(seconds=ringing_and_talking)


def longest_queue() -> timedelta:
    """How long the provider may keep a call in its own queue; later it could ring after the window has closed."""
    return timedelta(seconds=settings.CALL_QUEUE_SECONDS)


def reconcile_calls(
    provider: TelephonyProvider, *, clock: Clock, is_stopping: Callable[[], bool] = lambda: False
) -> int:
    """Settle what can be settled of the calls that have been silent for too long; returns how many it took.

    Safe beside other reconciliations, schedulers and callbacks: each call is taken by one at a time, and
    settled like by a callback. ``is_stopping`` is asked before each call.
    """
    attempts = _take_silent(clock.synchronise())
    end = time.monotonic() + LONGEST_RUN_SECONDS
    for attempt in attempts:
        if is_stopping() or time.monotonic() > end:
            break
        _settle(attempt, provider, clock)
    return len(attempts)


def _take_silent(now: datetime) -> list[CallAttempt]:
    with transaction.atomic():
        silent = CallAttempt.objects.silent(now).select_for_update(skip_locked=True, of=("self",))
        attempts = list(silent.order_by("check_at")[:BATCH])
        _look_again(attempts, now + timedelta(seconds=settings.CALL_LOOKUP_SECONDS))
    return attempts


def _look_again(attempts: list[CallAttempt], instant: datetime) -> None:
    CallAttempt.objects.open().filter(pk__in=[attempt.pk for attempt in attempts]).update(check_at=instant)


def _settle(attempt: CallAttempt, provider: TelephonyProvider, clock: Clock) -> None:
    if attempt.status == AttemptStatus.CLAIMED:
        # Its deadline has passed, and who would send it must move it on from "claimed" first.
        reason = ("send_deadline", gettext_noop("Its scheduler ended before sending it."))
        _give_back_from([AttemptStatus.CLAIMED], attempt, *reason, now=clock())
        return
    try:
        _settle_by_answer(attempt, provider, clock)
    except ProviderError as error:
        log.warning("call.lookup_failed", call_id=attempt.call_id, error=str(error))
    if clock() > attempt.started_at + longest_call():
        _give_up(attempt, clock())


def _settle_by_answer(attempt: CallAttempt, provider: TelephonyProvider, clock: Clock) -> None:
    event = _ask(attempt, provider)
    if event is None:
        return
    was_queued = event.progress == CallProgress.QUEUED
    if _should_be_over(attempt, event.progress, clock()):
        with counting.asking_provider("hang_up"):
            provider.hang_up(event.provider_call_id)
        event = _ask(attempt, provider) or event
    if was_queued and event.progress == CallProgress.CANCELED:
        reason = (
            "queued_too_long",
            gettext_noop("The provider kept it in its queue, so it was cancelled before it rang."),
        )
        delay = breaker.delay_after(1)
        _give_back_from(statuses_before(AttemptStatus.RINGING), attempt, *reason, now=clock(), delay=delay)
    outcomes.apply_event(replace(event, call_id=attempt.call_id), now=clock())
    if event.progress != CallProgress.QUEUED:
        _look_again([attempt], clock() + timedelta(seconds=settings.CALL_SILENCE_SECONDS))


def _ask(attempt: CallAttempt, provider: TelephonyProvider) -> CallEvent | None:
    if attempt.provider_call_id:
        with counting.asking_provider("look_up"):
            event = provider.fetch_call(attempt.provider_call_id)
        if event is None or not _is_of_somebody_else(event, attempt):
            return event
        log.error("call.id_of_another_call", call_id=attempt.call_id, provider_call_id=attempt.provider_call_id)
        CallAttempt.objects.forget_call(attempt)
    same_number = CallAttempt.objects.filter(phone_number=attempt.phone_number).exclude(provider_call_id="")
    known = set(same_number.values_list("provider_call_id", flat=True))
    caller = attempt.campaign.caller_id or ProviderConfig.objects.values_list("outbound_number", flat=True).get()
    with counting.asking_provider("look_up"):
        return provider.find_call(attempt.phone_number, since=attempt.started_at, known=known, from_=caller)


def _is_of_somebody_else(event: CallEvent, attempt: CallAttempt) -> bool:
    """The provider answered the order with the id of a call to one of the other people that we ring.

    That it writes a number in another way than we do is no proof: providers have their own spellings of some.
    """
    if event.to in ("", attempt.phone_number):
        return False
    return Contact.objects.filter(phone_number=event.to).exists()


def _should_be_over(attempt: CallAttempt, progress: CallProgress, now: datetime) -> bool:
    """Whether the provider still has a call that ought to have begun, or ended, long ago."""
    if progress == CallProgress.QUEUED:
        return now > attempt.started_at + longest_queue()
    may_go_on = progress in (CallProgress.RINGING, CallProgress.ANSWERED, CallProgress.OTHER)
    return may_go_on and now > attempt.started_at + longest_call()


def _give_back_from(
    statuses: list[AttemptStatus],
    attempt: CallAttempt,
    code: str,
    message: str,
    *,
    now: datetime,
    delay: timedelta = timedelta(0),
) -> None:
    """Unless the attempt has moved on to another status meanwhile."""
    with transaction.atomic():
        unchanged = CallAttempt.objects.select_for_update(of=("self",)).filter(pk=attempt.pk, status__in=statuses)
        if unchanged.exists():
            outcomes.give_back(attempt, code=code, message=message, now=now, delay=delay)


def _give_up(attempt: CallAttempt, now: datetime) -> None:
    """The longest call that there could be is over: the line is free, and the person may have been rung.

    Does nothing when the provider's answer, or anything else, has ended the attempt.
    """
    with transaction.atomic():
        outcomes.end_attempt(
            attempt,
            CallOutcome.FAILED,
            now=now,
            error_code=attempt.error_code or "lost",
            error_message=gettext_noop("The provider never said what became of this call."),
        )
