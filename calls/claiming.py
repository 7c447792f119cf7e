"""Claim: reserve due contacts and write their attempts, in one short transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, OuterRef, Subquery

from calls import breaker, pacing
from calls.clock import Clock
from calls.lanes import Lane, find_lanes, find_next_change, longest_way, read_heads
from calls.models import CallAttempt, ProviderConfig
from calls.sharing import Demand, share_lines
from campaigns.models import Campaign, CampaignStatus
from contacts.exclusion import exclude_contacts, numbers_on_do_not_call
from contacts.models import Contact, ContactState

# When everybody who was chosen turned out to be locked by somebody else, or not to be called any more.
MISSED_RETRY = timedelta(milliseconds=200)


class Reason(StrEnum):
    """Why nobody is claimed: the first seven for every campaign, the others for one."""

    LOCKED = "another scheduler is filling the lines"
    SWITCHED_OFF = "dialling is switched off"
    BREAKER_OPEN = "the provider is failing and left alone for a while"
    LINES_BUSY = "all lines are in use"
    RATE_USED_UP = "no further call may start within this second"
    NO_ROOM = "this scheduler is busy placing calls"
    NO_CAMPAIGN = "no campaign is running"
    OUTSIDE_DATES = "its start is still to come, or its end has passed"
    CAMPAIGN_LINES_BUSY = "all lines of the campaign are in use"
    NOBODY_WAITING = "nobody is left to call"
    ZONES_CLOSED = "it is outside the calling hours of everybody who waits"
    NEVER_OPEN = "the calling hours of everybody who waits never open"
    NOBODY_DUE = "everybody who waits is to be called later"
    OTHERS_FIRST = "the free lines went to other campaigns or are about to"


@dataclass(kw_only=True)
class Claim:
    """``attempts`` in the order of their start; ``look_again_at`` is when the answer may be another."""

    now: datetime
    provider: ProviderConfig | None
    attempts: list[CallAttempt] = field(default_factory=list)
    blocked: Reason | None = None
    reasons: dict[UUID, Reason] = field(default_factory=dict)
    look_again_at: datetime | None = None
    open_calls: int = 0


def claim_calls(*, max_concurrent_calls: int | None, batch_size: int, room: int, clock: Clock) -> Claim:
    """Claim as many calls as may start within the next second.

    Their number is bounded by the free lines (of the provider, and below ``max_concurrent_calls``), the rate,
    the batch and the ``room``, which is how many the caller can send at once.
    """
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
        open_calls = CallAttempt.objects.count_open_by_campaign()
        claim.open_calls = sum(open_calls.values())
        starts = _plan_starts(claim, _lowest(provider.max_concurrent_calls, max_concurrent_calls), batch_size, room)
        campaigns = _find_campaigns(now)
        if claim.blocked:
            claim.reasons = dict.fromkeys((campaign.pk for campaign in campaigns), claim.blocked)
            return claim
        if not campaigns:
            claim.blocked = Reason.NO_CAMPAIGN
            claim.reasons = _explain_outside_dates(campaigns)
            return claim

        # 3. Who is due, and whose turn it is.
        lanes = find_lanes(campaigns, now)
        read_heads([lane for lane in lanes if lane.is_open], len(starts))
        demands = [_state_demand(campaign, lanes, open_calls, now) for campaign in campaigns]
        chosen = share_lines(demands, len(starts))
        contacts = _lock_contacts(chosen, now)

        # 4. Write it down.
        if contacts:
            claim.attempts = _write_attempts(contacts, starts, now)
            _store_pacing(provider, claim.attempts[-1].start_at, now)
        elif chosen:
            claim.look_again_at = now + MISSED_RETRY
        else:
            claim.look_again_at = find_next_change(lanes, now)
        claim.reasons = _explain(campaigns, lanes, demands, contacts, now)
        if not contacts:
            claim.reasons |= _explain_outside_dates(campaigns)
    return claim


def replan_starts(planned: Sequence[datetime], clock: Clock, *, not_before: datetime | None = None) -> list[datetime]:
    """New instants for the calls of a claim that were not sent at their planned ones, first one now if possible.

    The late calls move back together when nobody has claimed since; otherwise they queue up behind those who
    have. Waits for the provider's row.
    """
    with transaction.atomic():
        provider = ProviderConfig.objects.select_for_update(no_key=True).get()
        now = clock.synchronise()
        gap = pacing.gap_between(provider.calls_per_second)
        claimed_since = provider.next_call_at is not None and provider.next_call_at > planned[-1] + gap
        first = max(now, not_before or now, provider.next_call_at if claimed_since else now)
        starts = [first + index * gap for index in range(len(planned))]
        ProviderConfig.objects.update(next_call_at=starts[-1] + gap)
    return starts


def _lowest(limit: int, other: int | None) -> int:
    return limit if other is None else min(limit, other)


def _plan_starts(claim: Claim, lines: int, batch_size: int, room: int) -> list[datetime]:
    """The instants at which calls may start; for an empty list ``claim.blocked`` says why."""
    now, provider = claim.now, claim.provider
    if not provider.dialing_enabled:
        claim.blocked = Reason.SWITCHED_OFF
    elif provider.paused_until and provider.paused_until > now:
        claim.blocked, claim.look_again_at = Reason.BREAKER_OPEN, provider.paused_until
    elif claim.open_calls >= lines:
        claim.blocked = Reason.LINES_BUSY
    elif room < 1:
        claim.blocked = Reason.NO_ROOM
    if claim.blocked:
        return []
    wanted = min(lines - claim.open_calls, batch_size, room)
    starts = pacing.plan_starts(
        now,
        next_call_at=provider.next_call_at,
        calls_per_second=provider.calls_per_second,
        wanted=1 if breaker.is_probing(provider) else wanted,
    )
    if not starts:
        claim.blocked = Reason.RATE_USED_UP
        claim.look_again_at = provider.next_call_at - pacing.HORIZON
    return starts


def _find_campaigns(now: datetime) -> list[Campaign]:
    """Those that may ring now; the one that was served longest ago comes first."""
    newest_attempt = CallAttempt.objects.filter(campaign=OuterRef("pk")).order_by("-id").values("id")[:1]
    served = Campaign.objects.dialling(now).annotate(newest_attempt=Subquery(newest_attempt))
    return list(served.order_by(F("newest_attempt").asc(nulls_first=True), "id"))


def _state_demand(campaign: Campaign, lanes: Sequence[Lane], open_calls: dict[UUID, int], now: datetime) -> Demand:
    due = sorted(
        (due_at, contact, number)
        for lane in lanes
        if lane.campaign is campaign
        for contact, number, due_at in lane.heads
        if due_at <= now
    )
    return Demand(
        campaign=campaign.pk,
        open_calls=open_calls.get(campaign.pk, 0),
        limit=campaign.max_concurrent_calls,
        waiting=[(contact, number) for _, contact, number in due],
    )


def _lock_contacts(chosen: Sequence[UUID], now: datetime) -> list[Contact]:
    """Lock the chosen contacts, in their order, less those that may not be called any more.

    Those who should not have been waiting at all, because their number is on the do-not-call list or their
    attempts are used up, are taken out for good, so that the next claim does not meet them again.
    """
    locked = (
        Contact.objects.due(now)
        .filter(pk__in=chosen)
        .select_related("campaign")
        .select_for_update(skip_locked=True, of=("self",))
    )
    contacts = {contact.pk: contact for contact in locked}
    listed = numbers_on_do_not_call({contact.phone_number for contact in contacts.values()})
    used_up = [pk for pk, contact in contacts.items() if contact.attempts_count >= contact.campaign.max_attempts]
    if listed:
        exclude_contacts(Contact.objects.filter(pk__in=contacts, phone_number__in=listed))
    if used_up:
        Contact.objects.filter(pk__in=used_up).update(next_attempt_at=None)
    return [
        contacts[pk]
        for pk in chosen
        if pk in contacts and pk not in used_up and contacts[pk].phone_number not in listed
    ]


def _write_attempts(contacts: Sequence[Contact], starts: Sequence[datetime], now: datetime) -> list[CallAttempt]:
    Contact.objects.filter(pk__in=[contact.pk for contact in contacts]).update(
        state=ContactState.IN_PROGRESS,
        attempts_count=F("attempts_count") + 1,
        next_attempt_at=None,
        updated_at=now,
    )
    for contact in contacts:
        contact.attempts_count += 1
    deadlines = [_send_before(contact, now) for contact in contacts]
    return CallAttempt.objects.create_attempts(contacts, starts, deadlines, now=now)


def _send_before(contact: Contact, now: datetime) -> datetime:
    """The send deadline, or sooner when a call that is sent just before it would ring too late."""
    deadline = now + timedelta(seconds=settings.CALL_SEND_DEADLINE_SECONDS)
    may_ring = contact.campaign.is_open_for(contact.calling_zone, deadline + longest_way())
    return deadline if may_ring else now + pacing.LAST_CALL


def _store_pacing(provider: ProviderConfig, last_start: datetime, now: datetime) -> None:
    provider.next_call_at = last_start + pacing.gap_between(provider.calls_per_second)
    if breaker.is_probing(provider):
        # Until the probe has succeeded nobody else is rung.
        provider.paused_until = now + breaker.pause_after(provider.consecutive_failures)
    provider.save(update_fields=["next_call_at", "paused_until"])


def _explain_outside_dates(campaigns: Sequence[Campaign]) -> dict[UUID, Reason]:
    """For the campaigns that are running and not among those that may ring."""
    others = Campaign.objects.filter(status=CampaignStatus.RUNNING).exclude(pk__in=[one.pk for one in campaigns])
    return dict.fromkeys(others.values_list("pk", flat=True), Reason.OUTSIDE_DATES)


def _explain(
    campaigns: Sequence[Campaign],
    lanes: Sequence[Lane],
    demands: Sequence[Demand],
    contacts: Sequence[Contact],
    now: datetime,
) -> dict[UUID, Reason]:
    """For each campaign that got nothing, why."""
    served = {contact.campaign_id for contact in contacts}
    reasons = {}
    for campaign, demand in zip(campaigns, demands, strict=True):
        own = [lane for lane in lanes if lane.campaign is campaign]
        if campaign.pk in served:
            continue
        if demand.limit is not None and demand.open_calls >= demand.limit:
            reasons[campaign.pk] = Reason.CAMPAIGN_LINES_BUSY
        elif demand.waiting:
            reasons[campaign.pk] = Reason.OTHERS_FIRST
        elif not own:
            reasons[campaign.pk] = Reason.NOBODY_WAITING
        elif not any(lane.is_open for lane in own):
            # Only a claim that has nothing else to do asks for openings: they take time to find.
            never = not contacts and not any(campaign.next_opening_for(lane.calling_zone, now) for lane in own)
            reasons[campaign.pk] = Reason.NEVER_OPEN if never else Reason.ZONES_CLOSED
        else:
            reasons[campaign.pk] = Reason.NOBODY_DUE
    return reasons
