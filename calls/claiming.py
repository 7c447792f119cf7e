"""Claim: reserve due contacts and write their attempts, in one short transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from calls import breaker, pacing
from calls.clock import Clock
from calls.lanes import Openings, find_next_change, send_deadline
from calls.metrics import counting
from calls.models import CallAttempt, ProviderConfig
from calls.reserving import reserve
from calls.roster import Roster
from calls.sharing import Demand, share_lines
from campaigns.models import Campaign, CampaignStatus
from contacts.exclusion import is_list_readable

# When everybody who was chosen turned out to be locked by somebody else, or not to be called any more.
MISSED_RETRY = timedelta(milliseconds=200)
# So often others are chosen when nobody of those who were can be had.
CHOICES = 10


class Reason(StrEnum):
    """Why nobody is claimed: the first eight for every campaign, the others for one."""

    LOCKED = "another scheduler is filling the lines"
    SWITCHED_OFF = "dialling is switched off"
    LIST_UNREADABLE = "another key has hashed numbers of the do-not-call list"
    BREAKER_OPEN = "the provider is failing and left alone for a while"
    LINES_BUSY = "all lines are in use"
    RATE_USED_UP = "no further call may start within this second"
    NO_ROOM = "this scheduler is busy placing calls"
    NO_CAMPAIGN = "no campaign is running"
    OUTSIDE_DATES = "its start is still to come, or its end has passed"
    CAMPAIGN_LINES_BUSY = "all lines of the campaign are in use"
    NOBODY_WAITING = "nobody is left to call"
    ZONES_CLOSED = "it is outside the calling hours of everybody who waits"
    NEVER_OPEN = "the calling hours of everybody who waits never open, or not before its end"
    NOBODY_DUE = "everybody who waits is to be called later"
    OTHERS_FIRST = "the free lines went to other campaigns or are about to"
    BEING_EDITED = "those whose turn it is are being edited or imported"


@dataclass(kw_only=True)
class Claim:
    """``attempts`` in the order of their start; ``look_again_at`` is when the answer may be another.

    ``reasons`` are given by claims that have read the roster anew, and by those that could claim nobody.
    ``is_thorough``: it has read the roster anew.
    """

    now: datetime
    provider: ProviderConfig | None
    attempts: list[CallAttempt] = field(default_factory=list)
    blocked: Reason | None = None
    reasons: dict[UUID, Reason] = field(default_factory=dict)
    look_again_at: datetime | None = None
    open_calls: int = 0
    is_thorough: bool = False


@counting.measure_claim
def claim_calls(
    *, max_concurrent_calls: int | None, batch_size: int, room: int, clock: Clock, roster: Roster | None = None
) -> Claim:
    """Claim as many calls as may start within the pacing horizon.

    Their number is bounded by the free lines (of the provider, and below ``max_concurrent_calls``), the rate,
    the batch and the ``room``, which is how many the caller can send at once. ``roster`` is what the caller
    remembers from its last claim; without it everything is read.
    """
    roster = roster or Roster()
    limits = (max_concurrent_calls, batch_size, room)
    try:
        claim = _claim(*limits, clock, roster)
        if not claim.attempts and claim.blocked in (None, Reason.NO_CAMPAIGN) and not claim.is_thorough:
            # Memory must not be the reason why nobody is rung.
            roster.forget()
            claim = _claim(*limits, clock, roster)
    except BaseException:
        roster.forget()
        raise
    return claim


def _claim(max_concurrent_calls: int | None, batch_size: int, room: int, clock: Clock, roster: Roster) -> Claim:
    with transaction.atomic():
        # 1. The lock. Whoever holds it is filling the same lines.
        provider = ProviderConfig.objects.select_for_update(skip_locked=True, no_key=True).first()
        now = clock.synchronise()
        claim = Claim(now=now, provider=provider)
        if provider is None:
            claim.blocked = Reason.LOCKED
            return claim

        # 2. What may start. Counted in a later statement than the lock: a count from before it, or of the
        #    same statement, may not see what the last holder of the lock has claimed.
        open_calls, newest_starts = roster.count_open(provider.claims, now)
        claim.open_calls = sum(open_calls.values())
        starts = _plan_starts(claim, _lowest(provider.max_concurrent_calls, max_concurrent_calls), batch_size, room)
        if claim.blocked:
            claim.reasons = _explain_blocked(claim.blocked, now)
            return claim

        # 3. Who is due, whose turn it is, and who of them can be had: their attempts are written down.
        openings = Openings(now)
        if not roster.is_current(now):
            roster.read(openings, now)
            claim.is_thorough = True
        if not roster.campaigns:
            claim.blocked = Reason.NO_CAMPAIGN
            claim.reasons = _explain_outside_dates(roster)
            return claim
        roster.note_served(newest_starts)
        for _ in range(CHOICES):
            demands = roster.state_demands(open_calls, len(starts), now)
            chosen = share_lines(demands, len(starts))
            reservation = reserve(
                chosen,
                starts,
                open_calls=open_calls,
                campaigns=roster.campaigns,
                openings=openings,
                caps=provider.caps,
            )
            roster.pass_over(reservation.missed)
            if reservation.attempts or not chosen or not reservation.is_as_known:
                break

        # 4. What follows from it.
        claim.attempts = reservation.attempts
        if claim.attempts:
            _store_pacing(provider, claim.attempts[-1].start_at, now)
        elif chosen or roster.passed_over:
            claim.look_again_at = now + MISSED_RETRY
        elif claim.is_thorough:
            claim.look_again_at = find_next_change(roster.all_lanes(), openings, now)
        if claim.is_thorough:
            claim.reasons = _explain(roster, demands, claim.attempts, openings, open_calls)
            if not claim.attempts:
                claim.reasons |= _explain_outside_dates(roster)
    # For the next claim, once this one is committed.
    if reservation.is_as_known:
        roster.note_claimed(claim.attempts, provider.claims)
    else:
        roster.forget()
    return claim


def look(*, max_concurrent_calls: int | None, batch_size: int, clock: Clock) -> tuple[Claim, Roster, Openings]:
    """What a claim would say now, by the same rules, without the lock and without writing anything.

    A campaign whose reason is OTHERS_FIRST, while nothing is blocked, has people who can be rung now.
    """
    with transaction.atomic():
        provider = ProviderConfig.objects.get()
        now = clock.synchronise()
        claim, roster, openings = Claim(now=now, provider=provider, is_thorough=True), Roster(), Openings(now)
        open_calls, _ = roster.count_open(provider.claims, now)
        claim.open_calls = sum(open_calls.values())
        lines = _lowest(provider.max_concurrent_calls, max_concurrent_calls)
        starts = _plan_starts(claim, lines, batch_size, batch_size)
        roster.read(openings, now)
        if not roster.campaigns:
            claim.blocked = claim.blocked or Reason.NO_CAMPAIGN
        demands = roster.state_demands(open_calls, max(1, len(starts)), now)
        claim.reasons = _explain(roster, demands, [], openings, open_calls) | _explain_outside_dates(roster)
        transaction.set_rollback(True)  # what a clock that was set back has moved on
    return claim, roster, openings


def push_back(debt: timedelta, clock: Clock) -> datetime:
    """Move all starts that are not planned yet by so much; returns the instant from which on they stand later.

    Waits for the provider's row.
    """
    with transaction.atomic():
        provider = ProviderConfig.objects.select_for_update(no_key=True).get()
        first = max(clock.synchronise(), provider.next_call_at or clock())
        ProviderConfig.objects.update(next_call_at=first + debt)
    return first


def replan_starts(attempts: Sequence[CallAttempt], clock: Clock, *, not_before: datetime) -> None:
    """New ``start_at`` for claimed calls that could not be sent at theirs; the first one's not before the instant.

    They move back together when nobody has claimed since; otherwise they queue up behind those who have. Waits for
    the provider's row.
    """
    with transaction.atomic():
        provider = ProviderConfig.objects.select_for_update(no_key=True).get()
        now = clock.synchronise()
        rate = provider.calls_per_second
        starts = pacing.plan_again(
            now,
            [attempt.start_at for attempt in attempts],
            next_call_at=provider.next_call_at,
            calls_per_second=rate,
            send_deadline=send_deadline(),
            not_before=max(not_before, now + pacing.HEADROOM),
        )
        ProviderConfig.objects.update(next_call_at=starts[-1] + pacing.gap_between(rate))
        CallAttempt.objects.move_starts([attempt.pk for attempt in attempts], starts)
    for attempt, start in zip(attempts, starts, strict=True):
        attempt.start_at = start


def _lowest(limit: int, other: int | None) -> int:
    return limit if other is None else min(limit, other)


def _plan_starts(claim: Claim, lines: int, batch_size: int, room: int) -> list[datetime]:
    """The instants at which calls may start; for an empty list ``claim.blocked`` says why."""
    now, provider = claim.now, claim.provider
    if not provider.dialing_enabled:
        claim.blocked = Reason.SWITCHED_OFF
    elif not is_list_readable():
        claim.blocked = Reason.LIST_UNREADABLE
    elif paused_until := breaker.find_end_of_pause(provider, now):
        claim.blocked, claim.look_again_at = Reason.BREAKER_OPEN, paused_until
    elif claim.open_calls >= lines:
        claim.blocked = Reason.LINES_BUSY
    elif room < 1:
        claim.blocked = Reason.NO_ROOM
    if claim.blocked:
        return []
    wanted = min(lines - claim.open_calls, batch_size, room)
    rate = provider.calls_per_second
    next_call_at = pacing.believe(provider.next_call_at, now, calls_per_second=rate, send_deadline=send_deadline())
    starts = pacing.plan_starts(
        now,
        next_call_at=max(next_call_at or now, now + pacing.HEADROOM),
        calls_per_second=rate,
        wanted=1 if breaker.is_probing(provider) else wanted,
    )
    if not starts:
        claim.blocked = Reason.RATE_USED_UP
        claim.look_again_at = next_call_at - pacing.HORIZON
        if next_call_at != provider.next_call_at:
            provider.next_call_at = next_call_at
            provider.save(update_fields=["next_call_at"])
    return starts


def _store_pacing(provider: ProviderConfig, last_start: datetime, now: datetime) -> None:
    provider.next_call_at = last_start + pacing.gap_between(provider.calls_per_second)
    if breaker.is_probing(provider):
        # Until the probe has succeeded nobody else is rung.
        provider.paused_until = now + breaker.pause_after(provider.consecutive_failures)
    provider.claims += 1
    provider.save(update_fields=["next_call_at", "paused_until", "claims"])


def _explain_blocked(blocked: Reason, now: datetime) -> dict[UUID, Reason]:
    return dict.fromkeys(Campaign.objects.dialling(now).values_list("pk", flat=True), blocked)


def _explain_outside_dates(roster: Roster) -> dict[UUID, Reason]:
    """For the campaigns that are running and not among those that may ring."""
    running = Campaign.objects.filter(status=CampaignStatus.RUNNING).values_list("pk", flat=True)
    return dict.fromkeys((pk for pk in running if pk not in roster.campaigns), Reason.OUTSIDE_DATES)


def _explain(
    roster: Roster,
    demands: Sequence[Demand],
    attempts: Sequence[CallAttempt],
    openings: Openings,
    open_calls: dict[UUID, int],
) -> dict[UUID, Reason]:
    """For each campaign that got nothing, why."""
    served = {attempt.campaign_id for attempt in attempts}
    waiting = {demand.campaign for demand in demands if demand.waiting}
    unasked = roster.campaigns.keys() - {demand.campaign for demand in demands}
    waiting |= roster.find_due(unasked, openings.now)
    reasons = {}
    for pk, campaign in roster.campaigns.items():
        own = roster.lanes_of(pk)
        limit = campaign.max_concurrent_calls
        if pk in served:
            continue
        if limit is not None and open_calls.get(pk, 0) >= limit:
            reasons[pk] = Reason.CAMPAIGN_LINES_BUSY
        elif pk in roster.passed_over:
            reasons[pk] = Reason.BEING_EDITED
        elif pk in waiting:
            reasons[pk] = Reason.OTHERS_FIRST
        elif not own:
            reasons[pk] = Reason.NOBODY_WAITING
        elif not any(lane.is_open for lane in own):
            # Only a claim that has nothing else to do asks for openings: they take time to find.
            never = not attempts and not any(openings.next_opening(campaign, lane.calling_zone) for lane in own)
            reasons[pk] = Reason.NEVER_OPEN if never else Reason.ZONES_CLOSED
        else:
            reasons[pk] = Reason.NOBODY_DUE
    return reasons
