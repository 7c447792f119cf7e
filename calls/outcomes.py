"""What happened to a call: the only writer of it, for the attempt and its contact in one transaction.

Callbacks come twice, late and in any order, and before the answer to the request that placed the call. An
attempt only moves forward, and its first outcome stands, but for one correction (`_decide_late`).
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop

from calls.answerers import list_details
from calls.events import outbox
from calls.hooks import announce_ended
from calls.metrics import counting
from calls.models import CallAttempt
from calls.providers.base import CallEvent, CallProgress, PlacedCall
from calls.repository import HeardCall
from calls.states import AttemptStatus
from calls.wakeups import wake_schedulers
from contacts.exclusion import numbers_kept_as_hashes
from contacts.models import CallOutcome, ContactState
from contacts.rearming import next_attempt_of

log = structlog.get_logger(__name__)

_STATUS_OF_PROGRESS = {
    CallProgress.QUEUED: AttemptStatus.QUEUED,
    CallProgress.RINGING: AttemptStatus.RINGING,
    CallProgress.ANSWERED: AttemptStatus.ANSWERED,
}
# Unless the person has decided it before (`decide`).
_OUTCOME_OF_PROGRESS = {
    # To the provider every call that was connected is "completed"; to us it is when everything was answered.
    CallProgress.HUNG_UP: CallOutcome.NO_ANSWER,
    CallProgress.BUSY: CallOutcome.BUSY,
    CallProgress.NO_ANSWER: CallOutcome.NO_ANSWER,
    CallProgress.FAILED: CallOutcome.FAILED,
    CallProgress.CANCELED: CallOutcome.FAILED,
}
_STATE_OF_OUTCOME = {
    CallOutcome.COMPLETED: ContactState.COMPLETED,
    CallOutcome.REFUSED: ContactState.REFUSED,
}


class Applied(StrEnum):
    YES = "applied"
    STALE = "stale"  # the attempt was already there, or further
    FOREIGN = "foreign"  # of another call than the attempt's
    UNKNOWN_CALL = "unknown_call"


def apply_event(event: CallEvent, *, now: datetime) -> Applied:
    """Move the attempt that the event names by its call_id, and its contact with it.

    Reports come by the hundred, and most of a storm are repetitions. So nothing is locked to find out that there is
    nothing to do: a status, an id and an outcome that were once there never go away again. What moves an attempt
    states in the very statement from where it may be moved.
    """
    status = _STATUS_OF_PROGRESS.get(event.progress)
    applied = _advance(event, status, now) if status else _end(event, now)
    _log_event("call.event", event, applied)
    return applied


def _log_event(name: str, event: CallEvent, applied: Applied) -> None:
    log.info(
        name,
        call_id=event.call_id,
        provider_call_id=event.provider_call_id,
        provider_status=event.raw_status,
        result=applied.value,
    )


def _advance(event: CallEvent, status: AttemptStatus, now: datetime) -> Applied:
    while True:
        advance = CallAttempt.objects.advance(
            event.call_id,
            status,
            now=now,
            provider_call_id=event.provider_call_id,
            raw_status=event.raw_status,
            check_at=find_check(now),
            details=list_details(event),
            answered_at=now if status == AttemptStatus.ANSWERED else None,
        )
        if advance is None:
            return Applied.UNKNOWN_CALL
        if advance.is_moved:
            return Applied.YES
        if not advance.was_of_call:
            return Applied.FOREIGN
        if not advance.was_before:
            return Applied.STALE
        # It should have moved: somebody whom the statement had to wait for was faster.


def decide(attempt: CallAttempt, outcome: CallOutcome, *, now: datetime) -> bool:
    """The person has answered everything, or refused: the outcome is written before the call has ended.

    Attempt and contact change together; the line stays taken until the provider reports the end. False when it was
    decided before, or nothing can be decided any more (`_decide_late`). For the transaction that stores the last
    answer, which has both locked since they were read.
    """
    if attempt.outcome:
        return _decide_late(attempt, outcome, now)
    _write_decision(attempt, outcome, at=now, now=now)
    log.info("call.decided", call_id=attempt.call_id, outcome=outcome.value)
    return True


def _decide_late(attempt: CallAttempt, outcome: CallOutcome, now: datetime) -> bool:
    """The end of the call was told before the last answer, though that came first.

    People hang up as soon as they have answered, and another worker may be faster with that. Who has taken part or
    refused is not rung again; whoever is being rung again already, or has been, is left to that call.
    """
    if attempt.outcome != CallOutcome.NO_ANSWER or attempt.given_back:
        return False
    contact = attempt.contact
    is_idle = contact.state in (ContactState.NOT_REACHED, ContactState.EXCLUDED)
    if not is_idle or contact.last_attempt_at != attempt.ended_at:
        return False
    _write_decision(attempt, outcome, at=attempt.ended_at, now=now)
    counting.count_correction(attempt.campaign_id)
    announce_ended(attempt, outcome, corrected=True)
    log.info("call.decided_late", call_id=attempt.call_id, outcome=outcome.value)
    return True


def _write_decision(attempt: CallAttempt, outcome: CallOutcome, *, at: datetime, now: datetime) -> None:
    contact = attempt.contact
    attempt.outcome, attempt.decided_at = outcome, at
    attempt.save(update_fields=["outcome", "decided_at"])
    contact.state, contact.last_outcome, contact.next_attempt_at = _STATE_OF_OUTCOME[outcome], outcome, None
    contact.updated_at = at
    contact.save(update_fields=["state", "last_outcome", "next_attempt_at", "updated_at"])
    outbox.write_decision(attempt, outcome, now=now)


def _end(event: CallEvent, now: datetime) -> Applied:
    """Whoever is told of the end judges it by what was heard before, so that must still be so."""
    while True:
        call = CallAttempt.objects.read_call(event.call_id)
        applied = _why_not(call, event)
        outcome = _OUTCOME_OF_PROGRESS.get(event.progress)
        if applied != Applied.STALE or outcome is None or not call.is_open:
            return applied
        ended = _end_call(
            call,
            outcome,
            now=now,
            provider_call_id=event.provider_call_id,
            raw_status=event.raw_status,
            check_at=find_check(now),
            error_code=event.error_code,
            details=list_details(event),
        )
        if ended:
            return Applied.YES


def find_check(now: datetime) -> datetime:
    """Until when a call that was heard of now may be silent."""
    return now + timedelta(seconds=settings.CALL_SILENCE_SECONDS)


def _why_not(call: HeardCall | None, event: CallEvent) -> Applied:
    """Why the event moves nothing; STALE unless it is not the attempt's at all."""
    if call is None:
        return Applied.UNKNOWN_CALL
    return Applied.STALE if CallAttempt.objects.is_of_call(call.attempt, event.provider_call_id) else Applied.FOREIGN


def start_placing(attempts: Collection[CallAttempt], *, now: datetime) -> set[UUID]:
    """The provider is about to be asked for these; returns the ids of those for which it may be.

    It must not be asked after an attempt's send deadline, when another process has given it back, and when
    meanwhile its campaign was stopped or its number put on the do-not-call list.
    """
    hashed = numbers_kept_as_hashes(attempt.phone_number for attempt in attempts)
    allowed = [attempt.pk for attempt in attempts if attempt.phone_number not in hashed]
    return CallAttempt.objects.start_placing(allowed, now=now)


def record_placed(placed: Sequence[tuple[CallAttempt, PlacedCall]], *, now: datetime) -> int:
    """The provider has accepted the calls. Returns how many changed: not those whose callbacks were faster.

    An id that belongs to another attempt leaves its own for reconciliation: something is wrong, and the line
    stays taken until it is known what.
    """
    accepted = [(attempt.pk, call.provider_call_id, call.raw_status) for attempt, call in placed]
    try:
        with transaction.atomic():
            return CallAttempt.objects.record_accepted(accepted, check_at=find_check(now), now=now)
    except IntegrityError:
        if len(placed) > 1:
            return sum(record_placed([one], now=now) for one in placed)
    ((attempt, call),) = placed
    log.error("call.id_used_twice", call_id=attempt.call_id, provider_call_id=call.provider_call_id)
    return record_unknown(attempt, message=gettext_noop("The provider gave an id that another call has."), now=now)


def record_unknown(attempt: CallAttempt, *, message: str, now: datetime) -> bool:
    """Nobody knows whether the call was placed: its line stays taken until that is settled."""
    advance = CallAttempt.objects.advance(
        attempt.call_id,
        AttemptStatus.UNKNOWN,
        now=now,
        error_message=message,
        check_at=now + timedelta(seconds=settings.CALL_LOOKUP_SECONDS),
    )
    return advance is not None and advance.is_moved


def reject(attempt: CallAttempt, *, code: str, message: str, now: datetime) -> bool:
    """The number will never work: the attempt failed, and there is no further one."""
    return end_attempt(
        attempt, CallOutcome.FAILED, now=now, number_rejected=True, error_code=code, error_message=message
    )


def end_attempt(
    attempt: CallAttempt, outcome: CallOutcome, *, now: datetime, number_rejected: bool = False, **fields: object
) -> bool:
    """Write the outcome, unless the person has decided it, and settle the contact; False if it had ended.

    A contact that was not reached is due again after the retry interval, unless its attempts are used up or
    ``number_rejected`` says that trying again is useless.
    """
    while (call := CallAttempt.objects.read_call(attempt.call_id)).is_open:
        if _end_call(call, outcome, now=now, number_rejected=number_rejected, **fields):
            return True
    return False


def give_back(attempt: CallAttempt, *, code: str, message: str, now: datetime, delay: timedelta = timedelta(0)) -> bool:
    """Nobody was rung: the contact waits again, and the attempt does not count.

    Returns False when the attempt has ended before, or the person has decided its outcome.
    """
    while (call := CallAttempt.objects.read_call(attempt.call_id)).is_open and not call.attempt.outcome:
        contact = call.contact
        contact.attempts_count -= 1
        contact.state = ContactState.EXCLUDED if contact.do_not_call else ContactState.PENDING
        contact.next_attempt_at = None if contact.do_not_call else now + delay
        if _record(call, CallOutcome.FAILED, now=now, given_back=True, error_code=code, error_message=message):
            log.info("call.given_back", call_id=attempt.call_id, reason=code, message=message)
            return True
    return False


def _end_call(
    call: HeardCall, outcome: CallOutcome, *, now: datetime, number_rejected: bool = False, **fields: object
) -> bool:
    """`end_attempt` by what was read; False when that is so no more."""
    contact, outcome = call.contact, CallOutcome(call.attempt.outcome or outcome)
    contact.last_attempt_at, contact.last_outcome = now, outcome
    contact.number_rejected = number_rejected
    contact.state = _STATE_OF_OUTCOME.get(outcome, ContactState.NOT_REACHED)
    contact.next_attempt_at = None
    if contact.state == ContactState.NOT_REACHED:
        if contact.do_not_call:
            contact.state = ContactState.EXCLUDED
        else:
            contact.next_attempt_at = next_attempt_of(call.campaign, contact, now)
    if not _record(call, outcome, now=now, **fields):
        return False
    if contact.is_given_up:
        outbox.announce_events()  # written with the outcome
    log.info("call.ended", call_id=call.attempt.call_id, outcome=outcome.value, contact_state=contact.state.value)
    return True


def _record(call: HeardCall, outcome: CallOutcome, *, now: datetime, given_back: bool = False, **fields: Any) -> bool:
    """Write it down and tell those who wait for it; False when it was judged by what is so no more."""
    if not CallAttempt.objects.record_outcome(call, outcome, ended_at=now, given_back=given_back, **fields):
        return False
    counting.count_end(call.attempt.campaign_id, counting.GIVEN_BACK if given_back else outcome.value)
    announce_ended(call.attempt, outcome, given_back=given_back)
    wake_schedulers()
    return True
