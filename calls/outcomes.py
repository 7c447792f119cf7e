"""What happened to a call: the only writer of it, for the attempt and its contact in one transaction.

Callbacks come twice, late and in any order, and before the answer to the request that placed the call. An
attempt only moves forward, and its first outcome stands.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

from calls.models import CallAttempt
from calls.providers.base import CallEvent, CallProgress
from calls.states import AttemptStatus
from calls.wakeups import wake_schedulers
from contacts.models import CallOutcome, Contact, ContactState
from contacts.rearming import next_attempt_of

log = structlog.get_logger(__name__)

_STATUS_OF_PROGRESS = {
    CallProgress.QUEUED: AttemptStatus.QUEUED,
    CallProgress.RINGING: AttemptStatus.RINGING,
    CallProgress.ANSWERED: AttemptStatus.ANSWERED,
}
_OUTCOME_OF_PROGRESS = {
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
    """Move the attempt that the event names by its call_id, and its contact with it."""
    with transaction.atomic():
        attempt = _lock_attempt(event)
        applied = _apply(attempt, event, now) if attempt else Applied.UNKNOWN_CALL
    _log_event("call.event", event, applied)
    return applied


def apply_played(event: CallEvent, *, now: datetime) -> Applied:
    """The person has listened to the end of the script of the call that the event is of."""
    with transaction.atomic():
        attempt = _lock_attempt(event)
        applied = _apply_played(attempt, event, now) if attempt else Applied.UNKNOWN_CALL
    _log_event("call.played", event, applied)
    return applied


def _lock_attempt(event: CallEvent) -> CallAttempt | None:
    return CallAttempt.objects.select_for_update(of=("self",)).find_by_call_id(event.call_id)


def _log_event(name: str, event: CallEvent, applied: Applied) -> None:
    log.info(
        name,
        call_id=event.call_id,
        provider_call_id=event.provider_call_id,
        provider_status=event.raw_status,
        result=applied.value,
    )


def _apply(attempt: CallAttempt, event: CallEvent, now: datetime) -> Applied:
    if not _is_same_call(attempt, event):
        return Applied.FOREIGN
    fields = {
        "provider_call_id": event.provider_call_id,
        "provider_raw_status": event.raw_status,
        "check_at": now + timedelta(seconds=settings.CALL_SILENCE_SECONDS),
        "metadata": attempt.metadata | dict(event.details),
    }
    if status := _STATUS_OF_PROGRESS.get(event.progress):
        if status == AttemptStatus.ANSWERED:
            fields["answered_at"] = now
        return Applied.YES if CallAttempt.objects.advance(attempt, status, **fields) else Applied.STALE
    if outcome := _read_outcome(attempt, event.progress):
        ended = end_attempt(attempt, outcome, now=now, error_code=event.error_code, **fields)
        return Applied.YES if ended else Applied.STALE
    return Applied.STALE


def _apply_played(attempt: CallAttempt, event: CallEvent, now: datetime) -> Applied:
    if not _is_same_call(attempt, event):
        return Applied.FOREIGN
    unmarked = CallAttempt.objects.open().filter(pk=attempt.pk, played_at=None)
    return Applied.YES if unmarked.update(played_at=now) else Applied.STALE


def _is_same_call(attempt: CallAttempt, event: CallEvent) -> bool:
    if attempt.provider_call_id:
        return attempt.provider_call_id == event.provider_call_id
    return not CallAttempt.objects.filter(provider_call_id=event.provider_call_id).exists()


def _read_outcome(attempt: CallAttempt, progress: CallProgress) -> CallOutcome | None:
    if progress == CallProgress.HUNG_UP:
        # To the provider every call that was connected is "completed". To us it is when all was said.
        return CallOutcome.COMPLETED if attempt.played_at else CallOutcome.NO_ANSWER
    return _OUTCOME_OF_PROGRESS.get(progress)


def start_placing(attempt: CallAttempt, *, now: datetime) -> bool:
    """The provider is about to be asked. False, and then it must not be, when the attempt may ring no more.

    That is so after its send deadline, when another process has given it back, and when meanwhile its
    campaign was stopped or its number put on the do-not-call list.
    """
    may_ring = CallAttempt.objects.claimed().filter(send_before__gt=now).for_running_campaigns().callable()
    return bool(may_ring.filter(pk=attempt.pk).update(status=AttemptStatus.PLACING, started_at=now))


def record_placed(attempt: CallAttempt, *, provider_call_id: str, raw_status: str, now: datetime) -> bool:
    """The provider has accepted the call. False when its callbacks were faster, which is normal.

    An id that belongs to another attempt leaves this one for reconciliation: something is wrong, and the
    line stays taken until it is known what.
    """
    check_at = now + timedelta(seconds=settings.CALL_SILENCE_SECONDS)
    try:
        with transaction.atomic():
            CallAttempt.objects.filter(pk=attempt.pk, provider_call_id="").update(provider_call_id=provider_call_id)
            return CallAttempt.objects.advance(
                attempt, AttemptStatus.QUEUED, provider_raw_status=raw_status, check_at=check_at
            )
    except IntegrityError:
        log.error("call.id_used_twice", call_id=attempt.call_id, provider_call_id=provider_call_id)
        return record_unknown(attempt, message="The provider gave an id that another call has.", now=now)


def record_unknown(attempt: CallAttempt, *, message: str, now: datetime) -> bool:
    """Nobody knows whether the call was placed: its line stays taken until that is settled."""
    return CallAttempt.objects.advance(
        attempt,
        AttemptStatus.UNKNOWN,
        error_message=message,
        check_at=now + timedelta(seconds=settings.CALL_LOOKUP_SECONDS),
    )


def reject(attempt: CallAttempt, *, code: str, message: str, now: datetime) -> bool:
    """The number will never work: the attempt failed, and there is no further one."""
    with transaction.atomic():
        return end_attempt(
            attempt, CallOutcome.FAILED, now=now, number_rejected=True, error_code=code, error_message=message
        )


def end_attempt(
    attempt: CallAttempt, outcome: CallOutcome, *, now: datetime, number_rejected: bool = False, **fields: object
) -> bool:
    """Write the outcome and settle the contact, within the caller's transaction; False if it had ended.

    A contact that was not reached is due again after the retry interval, unless its attempts are used up or
    ``number_rejected`` says that trying again is useless.
    """
    if not CallAttempt.objects.record_outcome(attempt, outcome, ended_at=now, **fields):
        return False
    contact = _lock_contact(attempt)
    contact.last_outcome = outcome
    contact.last_attempt_at = now
    contact.number_rejected = number_rejected
    contact.state = _STATE_OF_OUTCOME.get(outcome, ContactState.NOT_REACHED)
    contact.next_attempt_at = None
    if contact.state == ContactState.NOT_REACHED:
        if contact.do_not_call:
            contact.state = ContactState.EXCLUDED
        else:
            contact.next_attempt_at = next_attempt_of(contact.campaign, contact, now)
    contact.save(
        update_fields=[
            "last_outcome",
            "last_attempt_at",
            "number_rejected",
            "state",
            "next_attempt_at",
            "updated_at",
        ]
    )
    log.info("call.ended", call_id=attempt.call_id, outcome=outcome.value, contact_state=contact.state)
    wake_schedulers()
    return True


def give_back(attempt: CallAttempt, *, code: str, message: str, now: datetime, delay: timedelta = timedelta(0)) -> bool:
    """Nobody was rung: the contact waits again, and the attempt does not count.

    Returns False when the attempt has ended before.
    """
    with transaction.atomic():
        fields = {"given_back": True, "error_code": code, "error_message": message}
        if not CallAttempt.objects.record_outcome(attempt, CallOutcome.FAILED, ended_at=now, **fields):
            return False
        contact = _lock_contact(attempt)
        contact.attempts_count = F("attempts_count") - 1
        contact.state = ContactState.EXCLUDED if contact.do_not_call else ContactState.PENDING
        contact.next_attempt_at = None if contact.do_not_call else now + delay
        contact.save(update_fields=["attempts_count", "state", "next_attempt_at", "updated_at"])
        log.info("call.given_back", call_id=attempt.call_id, reason=code, message=message)
        wake_schedulers()
    return True


def _lock_contact(attempt: CallAttempt) -> Contact:
    """The contact as it is now, and its campaign.

    The campaign is read in a later statement: one that waits for the contact's lock would bring the campaign
    as it was before the wait, and whoever was waited for may be the edit of its rules.
    """
    return Contact.objects.select_for_update(of=("self",)).get(pk=attempt.contact_id)
