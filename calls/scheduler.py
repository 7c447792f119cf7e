"""CallScheduler: rings everybody who should be rung, over as many lines as are allowed.

One pass: claim calls (calls/claiming.py), place them at the instants that pacing gave them, record what the
provider answered. All database work is done by the thread that runs the scheduler, with no transaction open
around a request; the pool's threads only wait for the provider.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from calls import breaker, outcomes, pacing
from calls.callback_urls import answer_url, events_url
from calls.claiming import Claim, Reason, claim_calls, replan_starts
from calls.clock import Clock, DatabaseClock
from calls.models import CallAttempt, ProviderConfig
from calls.providers import get_provider
from calls.providers.base import (
    CallRejected,
    CallRequest,
    PlacedCall,
    PlacementUnknown,
    ProviderMisconfigured,
    ProviderUnavailable,
    TelephonyProvider,
)
from calls.reconciliation import reconcile_calls
from calls.wakeups import WakeupListener
from campaigns import lifecycle

log = structlog.get_logger(__name__)

SENDERS = 16
RECONCILE_EVERY = timedelta(seconds=5)
# Before its instant a call is looked at once more, and marked as being placed; so long may that take.
PLACING_LEAD = timedelta(milliseconds=20)
LOCKED_RETRY = timedelta(milliseconds=200)
DATABASE_RETRY_SECONDS = 1.0

# Why a call was given back that the provider was never asked for: error_code and error_message of its attempt.
STOPPED = ("stopped", "The scheduler was stopped before it placed the call.")
LATE = ("send_deadline", "The call would have been placed too late.")
WITHDRAWN = ("withdrawn", "The campaign stopped calling, or the number was put on the do-not-call list.")


@dataclass(frozen=True, kw_only=True)
class CallSchedulerConfig:
    """How one scheduler works.

    ``max_concurrent_calls`` bounds the open calls of all schedulers together, as the provider's own limit
    does; the lower one counts. None leaves it to the provider's.
    """

    interval_seconds: float = 60
    max_concurrent_calls: int | None = 10
    batch_size: int = 50

    @classmethod
    def from_settings(cls) -> "CallSchedulerConfig":
        return cls(
            interval_seconds=settings.SCHEDULER_INTERVAL_SECONDS,
            max_concurrent_calls=settings.SCHEDULER_MAX_CONCURRENT_CALLS,
            batch_size=settings.SCHEDULER_BATCH_SIZE,
        )


@dataclass(kw_only=True)
class SchedulerReport:
    """What became of the calls of a pass, and per campaign (by id) why it got nothing."""

    claimed: int = 0
    placed: int = 0
    rejected: int = 0
    given_back: int = 0
    unknown: int = 0
    blocked: Reason | None = None
    reasons: dict[UUID, Reason] = field(default_factory=dict)
    open_calls: int = 0
    look_again_at: datetime | None = None


class SendDeadlinePassed(Exception):
    """The process was held up between claiming the call and sending it."""


class CallScheduler:
    def __init__(
        self,
        config: CallSchedulerConfig | None = None,
        *,
        provider: TelephonyProvider | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config = config or CallSchedulerConfig()
        self.stopping = False
        self._provider = provider
        self._clock = clock or DatabaseClock()
        self._sleep = sleep
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        self._reconciler = ThreadPoolExecutor(1, thread_name_prefix="reconciler")
        self._departures = pacing.Departures()
        self._in_flight: dict[Future[PlacedCall], CallAttempt] = {}
        self._reconciling: Future[None] | None = None
        self._reconcile_at: datetime | None = None
        self._wakeups: WakeupListener | None = None

    def run_once(self) -> SchedulerReport:
        """One pass: claim what may be rung now, place it, wait for every answer, and settle silent calls."""
        lifecycle.start_scheduled(self._clock.synchronise())
        reconcile_calls(self._provider or get_provider(), clock=self._clock)
        report = SchedulerReport()
        self._claim_and_place(report)
        self._record_answers(report, wait_for_all=True)
        return report

    def run(self, wakeups: WakeupListener, *, until: datetime | None = None) -> SchedulerReport:
        """Pass after pass, until ``stop`` or the instant; returns the last one's report.

        Looks again when a call has ended, when the next contact is due, and at the latest after the interval.
        Outlives the database's restarts.
        """
        self._wakeups = wakeups
        report = SchedulerReport()
        try:
            while not self.stopping and (until is None or self._clock() < until):
                try:
                    report = self._run_pass()
                    if not report.claimed:
                        wakeups.wait(self._seconds_to_wait(report, until))
                except (DatabaseError, InterfaceError) as error:
                    # What was claimed and not sent is given back by reconciliation.
                    log.warning("database.failed", error=str(error).strip())
                    connection.close()
                    self._sleep(DATABASE_RETRY_SECONDS)
            return report
        finally:
            self.close()

    def stop(self) -> None:
        """Finish the calls that are being placed and no others. For signal handlers."""
        self.stopping = True
        if self._wakeups:
            self._wakeups.wake()

    def close(self) -> None:
        """Wait for the provider's answers that are still out, and record them.

        Those that cannot be recorded, because the database is away, are left to reconciliation.
        """
        self.stopping = True  # for the reconciler
        try:
            self._record_answers(SchedulerReport(), wait_for_all=True)
        except (DatabaseError, InterfaceError) as error:
            log.warning("database.failed", error=str(error).strip())
        finally:
            self._senders.shutdown()
            self._reconciler.shutdown()

    def _run_pass(self) -> SchedulerReport:
        report = SchedulerReport()
        self._record_answers(report)
        self._reconcile_in_background()
        lifecycle.start_scheduled(self._clock())
        self._claim_and_place(report)
        return report

    def _claim_and_place(self, report: SchedulerReport) -> None:
        claim = claim_calls(
            max_concurrent_calls=self.config.max_concurrent_calls,
            batch_size=self.config.batch_size,
            room=SENDERS - len(self._in_flight),
            clock=self._clock,
        )
        report.claimed = len(claim.attempts)
        report.blocked = claim.blocked
        report.reasons = claim.reasons
        report.open_calls = claim.open_calls + len(claim.attempts)
        report.look_again_at = claim.look_again_at
        for attempt in claim.attempts:
            log.info("call.claimed", call_id=attempt.call_id, attempt_number=attempt.attempt_number)
        self._complete_campaigns(claim)
        self._place(claim, report)

    def _complete_campaigns(self, claim: Claim) -> None:
        idle = {Reason.NOBODY_WAITING, Reason.NEVER_OPEN}
        done = [campaign for campaign, reason in claim.reasons.items() if reason in idle]
        for campaign_id in [*done, *lifecycle.find_overdue(claim.now)]:
            lifecycle.complete_if_done(campaign_id, claim.now)

    def _place(self, claim: Claim, report: SchedulerReport) -> None:
        """Hand each call to a sender at its instant; no two of them ever nearer than planned."""
        starts = [attempt.start_at for attempt in claim.attempts]
        for index, attempt in enumerate(claim.attempts):
            if self.stopping:
                report.given_back += self._give_back(attempt, *STOPPED)
                continue
            self._sleep_until(starts[index] - PLACING_LEAD)
            now = self._clock.synchronise()
            if not outcomes.start_placing(attempt, now=now):
                reason = LATE if now >= attempt.send_before else WITHDRAWN
                report.given_back += self._give_back(attempt, *reason)
                continue
            self._sleep_until(starts[index])
            earliest = self._departures.earliest_next(claim.provider.calls_per_second) or starts[index]
            if earliest > starts[index] or self._clock() > starts[index] + pacing.TOLERANCE:
                starts[index:] = replan_starts(starts[index:], self._clock, not_before=earliest)
                self._sleep_until(starts[index])
            self._send(attempt, claim.provider)

    def _send(self, attempt: CallAttempt, account: ProviderConfig) -> None:
        provider = self._provider or get_provider(account.adapter)
        request = CallRequest(
            call_id=attempt.call_id,
            to=attempt.phone_number,
            from_=attempt.contact.campaign.caller_id or account.outbound_number,
            answer_url=answer_url(attempt.call_id),
            events_url=events_url(attempt.call_id),
            ring_timeout=settings.CALL_RING_TIMEOUT_SECONDS,
            time_limit=settings.CALL_TIME_LIMIT_SECONDS,
        )
        departure = self._departures.note(self._clock())
        future = self._senders.submit(self._ask_provider, provider, request, attempt.send_before, departure)
        self._in_flight[future] = attempt
        if self._wakeups:
            future.add_done_callback(lambda _: self._wakeups.wake())

    def _ask_provider(
        self,
        provider: TelephonyProvider,
        request: CallRequest,
        send_before: datetime,
        departure: pacing.Departure,
    ) -> PlacedCall:
        """Runs in a sender's thread; touches no database."""
        if self._clock() >= send_before:
            raise SendDeadlinePassed
        try:
            return provider.initiate_call(request)
        finally:
            departure.answered_at = self._clock()

    def _record_answers(self, report: SchedulerReport, *, wait_for_all: bool = False) -> None:
        if wait_for_all:
            wait(self._in_flight)
        for future in [future for future in self._in_flight if future.done()]:
            self._record_answer(self._in_flight[future], future, report)
            del self._in_flight[future]

    def _record_answer(self, attempt: CallAttempt, future: Future[PlacedCall], report: SchedulerReport) -> None:
        now = self._clock()
        try:
            placed = future.result()
        except SendDeadlinePassed:
            report.given_back += self._give_back(attempt, *LATE)
        except CallRejected as error:
            report.rejected += 1
            outcomes.reject(attempt, code=error.code, message=str(error), now=now)
            breaker.note_success()
        except ProviderMisconfigured as error:
            breaker.halt_dialling(error, now)
            # Perhaps it is only this number's country: others come first when dialling is switched on again.
            delay = breaker.LONGEST_DELAY
            report.given_back += self._give_back(attempt, error.code or "misconfigured", str(error), delay)
        except ProviderUnavailable as error:
            delay = breaker.delay_after(breaker.note_failure(error, now))
            report.given_back += self._give_back(attempt, error.code or "unavailable", str(error), delay)
        except Exception as error:
            if not isinstance(error, PlacementUnknown):
                log.exception("call.placing_failed", call_id=attempt.call_id)
            report.unknown += 1
            breaker.note_failure(error, now)
            outcomes.record_unknown(attempt, message=str(error), now=now)
        else:
            report.placed += 1
            log.info("call.placed", call_id=attempt.call_id, provider_call_id=placed.provider_call_id)
            breaker.note_success()
            outcomes.record_placed(
                attempt, provider_call_id=placed.provider_call_id, raw_status=placed.raw_status, now=now
            )

    def _give_back(self, attempt: CallAttempt, code: str, message: str, delay: timedelta = timedelta(0)) -> int:
        return int(outcomes.give_back(attempt, code=code, message=message, now=self._clock(), delay=delay))

    def _reconcile_in_background(self) -> None:
        """In a thread and with a database connection of its own, because the provider may be slow."""
        now = self._clock()
        if self._reconcile_at and now < self._reconcile_at:
            return
        self._reconcile_at = now + RECONCILE_EVERY
        if self._reconciling and not self._reconciling.done():
            return
        self._reconciling = self._reconciler.submit(self._reconcile_and_disconnect)

    def _reconcile_and_disconnect(self) -> None:
        try:
            provider = self._provider or get_provider()
            reconcile_calls(provider, clock=DatabaseClock(), is_stopping=lambda: self.stopping)
        except Exception:
            log.exception("reconciliation.failed")
        finally:
            connection.close()

    def _sleep_until(self, instant: datetime) -> None:
        self._sleep(max(0.0, (instant - self._clock()).total_seconds()))

    def _seconds_to_wait(self, report: SchedulerReport, until: datetime | None) -> float:
        now = self._clock()
        looks = [now + timedelta(seconds=self.config.interval_seconds), report.look_again_at, until]
        if report.blocked == Reason.LOCKED:
            looks.append(now + LOCKED_RETRY)
        if report.open_calls:
            looks.append(self._reconcile_at)
        return max(0.0, (min(filter(None, looks)) - now).total_seconds())
