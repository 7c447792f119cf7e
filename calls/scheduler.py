"""CallScheduler: rings everybody who should be rung, over as many lines as are allowed.

One pass: record what the provider has answered, claim calls (calls/claiming.py) while those claimed before are on
their way, and hand those whose instants are near to senders (calls/senders.py). The thread that runs the scheduler does
the database work, for several calls at a time where several wait for it, and with no transaction open around a request.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils.translation import gettext_noop

from calls import breaker, heartbeat, hooks, outcomes, pacing
from calls.callback_urls import answer_url, events_url
from calls.claiming import Claim, Reason, claim_calls, push_back, replan_starts
from calls.clock import Clock, DatabaseClock
from calls.models import CallAttempt, ProviderConfig
from calls.providers import get_provider
from calls.providers.base import (
    CallRejected,
    CallRequest,
    Detection,
    PlacedCall,
    PlacementUnknown,
    ProviderMisconfigured,
    ProviderUnavailable,
    TelephonyProvider,
)
from calls.reconciliation import reconcile_calls
from calls.roster import Roster
from calls.senders import MOST_AT_ONCE, SendDeadlinePassed, Senders, StartMissed
from calls.wakeups import WakeupListener
from campaigns import lifecycle
from campaigns.models import MachineDetection

log = structlog.get_logger(__name__)

# With more than half of the senders busy, calls are claimed this often and not for each answer: a claim costs the same
# for one call as for many.
CLAIM_EVERY = timedelta(milliseconds=50)
# So long before the last claimed call starts the next ones are claimed; sooner would serve nobody sooner.
CLAIM_AHEAD = timedelta(milliseconds=250)
# Campaigns that are to start or to end by their dates are looked for with a claim, but no more often than this.
TEND_EVERY = timedelta(seconds=1)
RECONCILE_EVERY = timedelta(seconds=5)
# So long before its instant a call is looked at once more, and marked as being placed, with those right behind it.
# It is also how long anything else may take without making a call late.
PLACING_LEAD = timedelta(milliseconds=50)
LOCKED_RETRY = timedelta(milliseconds=200)
DATABASE_RETRY_SECONDS = 1.0

DETECTION = {
    MachineDetection.OFF: Detection.NONE,
    MachineDetection.HANG_UP: Detection.MACHINE,
    MachineDetection.LEAVE_MESSAGE: Detection.END_OF_GREETING,
}

# Why a call was given back that the provider was never asked for: error_code and error_message of its attempt.
STOPPED = ("stopped", gettext_noop("The scheduler was stopped before it placed the call."))
LATE = ("send_deadline", gettext_noop("The call would have been placed too late."))
MISSED = (
    "start_missed",
    gettext_noop("The call would have been placed too long after the instant that it was given."),
)
CLOCK_SET_BACK = ("clock_set_back", gettext_noop("The database's clock was set back after the call was claimed."))
WITHDRAWN = (
    "withdrawn",
    gettext_noop(
        "Just before it was to be placed the campaign stopped calling, the number was put on the do-not-call list, "
        "or the database failed."
    ),
)


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

    def find_lines(self, provider: ProviderConfig) -> int:
        """How many calls may be open at once."""
        limit = provider.max_concurrent_calls
        return limit if self.max_concurrent_calls is None else min(limit, self.max_concurrent_calls)


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


Answer = tuple[Future[PlacedCall], CallAttempt]


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
        self._senders = Senders(self._clock, sleep)
        self._reconciler = ThreadPoolExecutor(1, thread_name_prefix="reconciler")
        self._roster = Roster()
        self._end = math.inf  # steady seconds
        self._account: ProviderConfig | None = None  # as the last claim has read it
        self._waiting: deque[CallAttempt] = deque()  # in the order of their starts
        self._pushed = (-math.inf, timedelta(0))  # since when starts stand later (steady seconds), and by how much
        self._reconciling: Future[None] | None = None
        self._reconcile_after = self._claim_after = self._tend_after = self._clock.steady()
        self._is_untended = False
        self._wakeups: WakeupListener | None = None

    def run_once(self) -> SchedulerReport:
        """One pass: claim what may be rung now, place it, wait for every answer, and settle silent calls."""
        self._tend_campaigns(self._clock.synchronise())
        reconcile_calls(self._provider or get_provider(), clock=self._clock)
        self._roster.forget()
        report = SchedulerReport()
        self._claim(report)
        while self._waiting and not self.stopping:
            self._sleep_until(self._waiting[0].start_at - PLACING_LEAD)
            self._make_up_for_late_starts()
            self._place_due(report)
        self._give_back_waiting(report)
        self._senders.wait_for_all()
        self._record_answers(report)
        return report

    def run(self, wakeups: WakeupListener, *, seconds: float = math.inf) -> SchedulerReport:
        """Pass after pass, until ``stop`` or for so long; returns the last one's report.

        Looks again when a call has ended, when the next contact is due, and at the latest after the interval.
        Claims nothing when the time is over, but places what was claimed before. Outlives the database's restarts.
        """
        self._end = self._clock.steady() + seconds
        self._wakeups = wakeups
        self._senders.on_answer = wakeups.wake
        report = SchedulerReport()
        try:
            while not self.stopping and (self._waiting or not self._is_over()):
                try:
                    report = self._run_pass(report)
                    wakeups.wait(self._seconds_to_wait(report))
                except (DatabaseError, InterfaceError) as error:
                    # What waits is placed when the database is back, or given back after its send deadline.
                    log.warning("database.failed", error=str(error).strip())
                    connection.close()
                    if self._is_over():
                        break
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
        """Give back what was not sent, wait for the provider's answers that are still out, and record them.

        Those that cannot be recorded, because the database is away, are left to reconciliation.
        """
        self.stopping = True  # for the reconciler
        try:
            self._give_back_waiting(SchedulerReport())
            self._senders.wait_for_all()
            self._record_answers(SchedulerReport())
        except (DatabaseError, InterfaceError) as error:
            log.warning("database.failed", error=str(error).strip())
        finally:
            self._senders.close()
            self._reconciler.shutdown()

    def _is_over(self) -> bool:
        return self._clock.steady() >= self._end

    def _run_pass(self, last: SchedulerReport) -> SchedulerReport:
        """The report of this pass's claim, or the last one's when it is not yet time for the next."""
        self._record_answers(last)
        self._make_up_for_late_starts()
        self._place_due(last)
        self._reconcile_in_background()
        claim_at, now = self._find_claim_instant(), self._clock()
        if claim_at is None or now < claim_at or self._is_over():
            return last
        report = SchedulerReport()
        self._is_untended = self._clock.steady() < self._tend_after
        if not self._is_untended:
            self._tend_campaigns(now)
        self._claim(report)
        self._place_due(report)
        return report

    def _tend_campaigns(self, now: datetime) -> None:
        lifecycle.start_scheduled(now)
        for campaign_id in lifecycle.find_overdue(now):
            lifecycle.complete_if_done(campaign_id, now)
        self._tend_after = self._clock.steady() + TEND_EVERY.total_seconds()

    def _find_room(self) -> int:
        return self._senders.count_free() - len(self._waiting)

    def _find_claim_instant(self) -> datetime | None:
        """When the next claim makes sense; None: not before a sender is free."""
        room, instants = self._find_room(), [self._clock()]
        if room < 1:
            return None
        if self._waiting:
            instants.append(self._waiting[-1].start_at - CLAIM_AHEAD)
        if room < MOST_AT_ONCE / 2:
            instants.append(instants[0] + timedelta(seconds=self._claim_after - self._clock.steady()))
        return max(instants)

    def _claim(self, report: SchedulerReport) -> None:
        claim = claim_calls(
            max_concurrent_calls=self.config.max_concurrent_calls,
            batch_size=self.config.batch_size,
            room=self._find_room(),
            clock=self._clock,
            roster=self._roster,
        )
        self._claim_after = self._clock.steady() + CLAIM_EVERY.total_seconds()
        self._account = claim.provider or self._account
        report.claimed = len(claim.attempts)
        report.blocked = claim.blocked
        report.reasons = claim.reasons
        report.open_calls = claim.open_calls + len(claim.attempts)
        report.look_again_at = claim.look_again_at
        for attempt in claim.attempts:
            log.info("call.claimed", call_id=attempt.call_id, attempt_number=attempt.attempt_number)
            hooks.announce_claimed(attempt)
        self._waiting += claim.attempts
        self._complete_idle_campaigns(claim)
        heartbeat.beat(claim.provider, now=claim.now, interval_seconds=self.config.interval_seconds)

    def _complete_idle_campaigns(self, claim: Claim) -> None:
        idle = {Reason.NOBODY_WAITING, Reason.NEVER_OPEN}
        for campaign_id, reason in claim.reasons.items():
            if reason in idle:
                lifecycle.complete_if_done(campaign_id, claim.now)

    def _place_due(self, report: SchedulerReport) -> None:
        """Hand those whose instants are near to a sender each, and give back who may not be rung any more.

        What an error of the database leaves in the queue was certainly not sent.
        """
        if not self._is_next_due():
            return
        now = self._clock.synchronise()
        if pacing.was_set_back(self._waiting[0].claimed_at, now):
            # By the clock as it is now its instant is nobody knows how far away, and so is its send deadline.
            self._give_back_waiting(report, CLOCK_SET_BACK)
            return
        due = self._find_due(now)
        if not due:
            self._move_starts(now)
            return
        may_ring = outcomes.start_placing(due, now=now)
        for attempt in due:
            self._waiting.popleft()
            if attempt.pk in may_ring:
                self._send(attempt)
        for attempt in due:
            if attempt.pk not in may_ring:
                reason = LATE if now >= attempt.send_before else WITHDRAWN
                report.given_back += self._give_back(attempt, *reason)

    def _is_next_due(self) -> bool:
        return bool(self._waiting) and self._clock() >= self._waiting[0].start_at - PLACING_LEAD

    def _find_due(self, now: datetime) -> list[CallAttempt]:
        """The next ones, up to the first that is not due yet, or that is too late for its instant."""
        due: list[CallAttempt] = []
        for attempt in self._waiting:
            departure = self._senders.plan(attempt.start_at, self._account.calls_per_second, ahead=len(due))
            if attempt.start_at > now + PLACING_LEAD or self._senders.is_too_late(departure):
                break
            due.append(attempt)
        return due

    def _move_starts(self, now: datetime) -> None:
        """All that wait get new instants, because the next one is too late for its own."""
        first = self._waiting[0]
        hold = self._senders.plan(first.start_at, self._account.calls_per_second).leaves_at - self._clock.steady()
        replan_starts(self._waiting, self._clock, not_before=now + timedelta(seconds=hold))

    def _make_up_for_late_starts(self) -> None:
        """Have the starts that are planned from now on stand later, so that no second has too many.

        Our own would wait for each other; other schedulers do not know of ours. One push covers all late ones that were
        planned before it.
        """
        late = self._senders.take_late()
        if not late:
            return
        lateness = [departure.leaves_at - departure.start for departure in late]
        debt = pacing.find_debt(lateness, self._account.calls_per_second)
        pushed_from, pushed_by = self._pushed
        if debt > pushed_by or any(departure.start >= pushed_from for departure in late):
            first = push_back(debt, self._clock)
            self._pushed = self._clock.steady() + (first - self._clock()).total_seconds(), debt

    def _send(self, attempt: CallAttempt) -> None:
        account, campaign = self._account, attempt.contact.campaign
        request = CallRequest(
            call_id=attempt.call_id,
            to=attempt.phone_number,
            from_=campaign.caller_id or account.outbound_number,
            answer_url=answer_url(attempt.call_id),
            events_url=events_url(attempt.call_id),
            ring_timeout=settings.CALL_RING_TIMEOUT_SECONDS,
            time_limit=settings.CALL_TIME_LIMIT_SECONDS,
            detection=DETECTION[campaign.machine_detection],
        )
        departure = self._senders.plan(attempt.start_at, account.calls_per_second)
        self._senders.send(attempt, request, self._provider or get_provider(account.adapter), departure)

    def _record_answers(self, report: SchedulerReport) -> None:
        """In the order of the requests; the calls that were placed between two failures in one transaction.

        An answer that an error of the database kept from being recorded is recorded later.
        """
        placed: list[Answer] = []
        for answer in self._senders.list_answered():
            future, attempt = answer
            if future.exception() is None:
                placed.append(answer)
                continue
            self._record_placed(placed, report)
            placed = []
            self._record_failure(attempt, future.exception(), report)
            self._senders.forget(future)
        self._record_placed(placed, report)

    def _record_placed(self, answers: Sequence[Answer], report: SchedulerReport) -> None:
        if not answers:
            return
        placed = [(attempt, future.result()) for future, attempt in answers]
        self._note_success()
        outcomes.record_placed(placed, now=self._clock())
        for attempt, call in placed:
            log.info("call.placed", call_id=attempt.call_id, provider_call_id=call.provider_call_id)
            hooks.announce_placed(attempt, call.provider_call_id)
        for future, _ in answers:
            self._senders.forget(future)
        report.placed += len(answers)

    @transaction.atomic
    def _record_failure(self, attempt: CallAttempt, failure: BaseException, report: SchedulerReport) -> None:
        """In one transaction, so that the breaker counts no failure twice whose record the database refused."""
        now = self._clock()
        try:
            raise failure
        except SendDeadlinePassed:
            report.given_back += self._give_back(attempt, *LATE)
        except StartMissed:
            report.given_back += self._give_back(attempt, *MISSED)
        except CallRejected as error:
            report.rejected += 1
            outcomes.reject(attempt, code=error.code, message=str(error), now=now)
            self._note_success()
        except ProviderMisconfigured as error:
            breaker.halt_dialling(error, now)
            # Perhaps it is only this number's country: others come first when dialling is switched on again.
            delay = breaker.LONGEST_DELAY
            report.given_back += self._give_back(attempt, error.code or "misconfigured", str(error), delay)
        except ProviderUnavailable as error:
            delay = breaker.delay_after(self._note_failure(error, now))
            report.given_back += self._give_back(attempt, error.code or "unavailable", str(error), delay)
        except Exception as error:
            if not isinstance(error, PlacementUnknown):
                log.exception("call.placing_failed", call_id=attempt.call_id)
            report.unknown += 1
            self._note_failure(error, now)
            outcomes.record_unknown(attempt, message=str(error), now=now)

    def _note_success(self) -> None:
        """Failures that others have had since the last claim are seen with the next one."""
        if self._account.consecutive_failures:
            breaker.note_success()
            self._account.consecutive_failures = 0

    def _note_failure(self, error: Exception, now: datetime) -> int:
        """Returns how many there have been in a row."""
        self._account.consecutive_failures = breaker.note_failure(error, now)
        return self._account.consecutive_failures

    def _give_back_waiting(self, report: SchedulerReport, reason: tuple[str, str] = STOPPED) -> None:
        while self._waiting:
            report.given_back += self._give_back(self._waiting[0], *reason)
            self._waiting.popleft()

    def _give_back(self, attempt: CallAttempt, code: str, message: str, delay: timedelta = timedelta(0)) -> int:
        return int(outcomes.give_back(attempt, code=code, message=message, now=self._clock(), delay=delay))

    def _reconcile_in_background(self) -> None:
        """In a thread and with a database connection of its own, because the provider may be slow."""
        if self._clock.steady() < self._reconcile_after:
            return
        self._reconcile_after = self._clock.steady() + RECONCILE_EVERY.total_seconds()
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

    def _seconds_to_wait(self, report: SchedulerReport) -> float:
        """Until something is to be done again; answers and wake-ups end the wait."""
        claim_at, now = self._find_claim_instant(), self._clock()
        left = self._end - self._clock.steady()
        looks = [now + timedelta(seconds=self.config.interval_seconds)]
        if 0 < left < math.inf:
            looks.append(now + timedelta(seconds=left))
        if self._waiting:
            looks.append(self._waiting[0].start_at - PLACING_LEAD)
        if report.open_calls:
            looks.append(now + timedelta(seconds=self._reconcile_after - self._clock.steady()))
        if claim_at and left > 0:
            if claim_at > now:
                looks.append(claim_at)
            elif report.claimed:
                return 0.0
            else:
                looks.append(report.look_again_at)
            if self._is_untended:
                looks.append(now + timedelta(seconds=self._tend_after - self._clock.steady()))
            if report.blocked == Reason.LOCKED:
                looks.append(now + LOCKED_RETRY)
        return max(0.0, (min(filter(None, looks)) - now).total_seconds())
