"""Why nothing rings, in one sentence, by the rules of the scheduler itself (calls/claiming.py)."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Min, QuerySet

from calls.claiming import Claim, Reason, look
from calls.clock import Clock
from calls.heartbeat import is_alive
from calls.lanes import Lane, Openings
from calls.models import ProviderConfig
from calls.roster import Roster
from calls.scheduler import CallSchedulerConfig
from calls.wording import say_clock, say_span, say_time, say_time_there
from campaigns.counting import count_some, is_exact, say_contacts
from campaigns.models import Campaign, CampaignStatus
from contacts.models import Contact


def explain(campaign: Campaign, *, clock: Clock) -> str:
    """What the campaign is doing, or what keeps it from ringing; times are in the current time zone."""
    return explain_each([campaign], clock=clock)[campaign.pk]


def explain_each(campaigns: Sequence[Campaign], *, clock: Clock) -> dict[UUID, str]:
    """The same of many, with one look at the lines for all of them."""
    running = [campaign for campaign in campaigns if campaign.status == CampaignStatus.RUNNING]
    sentences = {one.pk: _explain_status(one) for one in campaigns if one.status != CampaignStatus.RUNNING}
    if running:
        seen = _look(clock)
        sentences |= {campaign.pk: _explain_running(campaign, *seen) for campaign in running}
    return sentences


def _look(clock: Clock) -> tuple[Claim, Roster, Openings]:
    config = CallSchedulerConfig.from_settings()
    return look(max_concurrent_calls=config.max_concurrent_calls, batch_size=config.batch_size, clock=clock)


def _explain_running(campaign: Campaign, claim: Claim, roster: Roster, openings: Openings) -> str:
    reason = claim.reasons.get(campaign.pk)
    # What only this campaign can mend comes before what all wait for.
    is_own_fault = reason in (Reason.NEVER_OPEN, Reason.NOBODY_WAITING, Reason.OUTSIDE_DATES)
    obstacle = "" if is_own_fault else _explain_obstacle(claim, reason)
    return obstacle or _explain_reason(campaign, reason, claim, roster, openings)


def _explain_obstacle(claim: Claim, reason: Reason | None) -> str:
    """What keeps all campaigns from ringing, or empty for none that concerns one with this reason of its own."""
    if sentence := _explain_schedulers(claim.provider, claim.now):
        return sentence
    is_about_lines = claim.blocked in (Reason.LINES_BUSY, Reason.RATE_USED_UP)
    # Whoever would not be rung with free lines either does not wait for them.
    waits_for_lines = reason in (None, Reason.OTHERS_FIRST)
    return "" if is_about_lines and not waits_for_lines else _explain_blocked(claim)


def _explain_status(campaign: Campaign) -> str:
    match campaign.status:
        case CampaignStatus.DRAFT:
            return "It is a draft, and rings nobody before it is activated."
        case CampaignStatus.SCHEDULED:
            return f"It begins {say_time(campaign.starts_at)}."
        case CampaignStatus.PAUSED:
            return f"{_describe_step(campaign, 'Paused')}; it rings nobody until it is resumed."
        case CampaignStatus.COMPLETED:
            return f"{_describe_step(campaign, 'Completed')}; nobody is called any more."
        case _:
            return f"{_describe_step(campaign, 'Cancelled')}, for ever."


def _describe_step(campaign: Campaign, step: str) -> str:
    """When its status was changed, and by whom if it was somebody."""
    when = say_time(campaign.status_changed_at or campaign.updated_at)
    return f"{step} {when} by {campaign.status_changed_by}" if campaign.status_changed_by else f"{step} {when}"


def _explain_schedulers(provider: ProviderConfig, now: datetime) -> str:
    if is_alive(provider, now):
        return ""
    advice = "start manage.py run_scheduler or qcluster"
    if provider.scheduler_seen_at is None:
        return f"No scheduler has ever reported: {advice}."
    return f"No scheduler has reported for {say_span(now - provider.scheduler_seen_at)}: {advice}."


def _explain_blocked(claim: Claim) -> str:
    provider = claim.provider
    match claim.blocked:
        case Reason.SWITCHED_OFF if provider.halted_reason:
            since = f" since {say_clock(provider.last_error_at)}" if provider.last_error_at else ""
            return f"Dialling is off{since}: {provider.halted_reason}"
        case Reason.SWITCHED_OFF:
            return "Dialling is switched off on the provider's page."
        case Reason.BREAKER_OPEN:
            return (
                f"The provider has failed {provider.consecutive_failures} times in a row, and is tried again "
                f"{say_time(claim.look_again_at)}. It said last: {provider.last_error}"
            )
        case Reason.LINES_BUSY:
            return _say_busy(claim.open_calls, "")
        case Reason.RATE_USED_UP:
            return f"Calls start as fast as is allowed, {provider.calls_per_second:g} a second."
    return ""


def _say_busy(lines: int, whose: str) -> str:
    return f"The only line{whose} is in use." if lines == 1 else f"All {lines} lines{whose} are in use."


def _explain_reason(campaign: Campaign, reason: Reason | None, claim: Claim, roster: Roster, openings: Openings) -> str:
    waiting = Contact.objects.filter(campaign=campaign).waiting()
    lanes = roster.lanes_of(campaign.pk) if campaign.pk in roster.campaigns else []
    match reason:
        case Reason.OUTSIDE_DATES if campaign.starts_at and campaign.starts_at > claim.now:
            return f"It begins {say_time(campaign.starts_at)}."
        case Reason.OUTSIDE_DATES:
            return f"It ended {say_time(campaign.ends_at)}."
        case Reason.CAMPAIGN_LINES_BUSY:
            return _say_busy(campaign.max_concurrent_calls, " of this campaign")
        case Reason.NOBODY_WAITING:
            calls = Contact.objects.filter(campaign=campaign).in_progress().count()
            last = f"Nobody else waits; calls that go on: {calls:,}." if calls else ""
            return last or "Nobody is left to call."
        case Reason.NEVER_OPEN:
            return "The calling hours of everybody who waits never open: widen them, or give the contacts a time zone."
        case Reason.ZONES_CLOSED:
            return _explain_closed(campaign, waiting, lanes, openings)
        case Reason.NOBODY_DUE:
            return _explain_later(waiting, lanes)
        case Reason.BEING_EDITED:
            return "Those whose turn it is are being edited or imported at this moment."
    return "People are due and lines are free: they are rung now."


def _explain_later(waiting: QuerySet[Contact], lanes: list[Lane]) -> str:
    """Of those whose zones are open: others may be due already, and wait for their hours."""
    waiting = waiting.filter(calling_zone__in=[lane.calling_zone for lane in lanes if lane.is_open])
    first = waiting.aggregate(first=Min("next_attempt_at"))["first"]
    are_all = all(lane.is_open for lane in lanes)
    others = "" if are_all else " The others wait in time zones that are closed now."
    return f"{_count(waiting, are_all=are_all)} for the next try, the first {say_time(first)}.{others}"


def _explain_closed(campaign: Campaign, waiting: QuerySet[Contact], lanes: list[Lane], openings: Openings) -> str:
    ways = [(openings.next_opening(campaign, lane.calling_zone), lane.calling_zone) for lane in lanes]
    opening, lane = min(way for way in ways if way[0])
    zone = campaign.zones_of(lane)[0]
    there = opening.astimezone(ZoneInfo(zone))
    when = f"opens {say_time_there(there, openings.now)} there, in {say_span(opening - openings.now)}"
    if len(lanes) == 1:
        return f"{_count(waiting)} in {zone}, which {when}."
    return f"{_count(waiting)} in {len(lanes)} time zones that are closed now; the first, {zone}, {when}."


def _count(contacts: QuerySet[Contact], *, are_all: bool = True) -> str:
    count = count_some(contacts)
    every = "All " if are_all and count > 1 and is_exact(count) else ""
    return f"{every}{say_contacts(count)} {'waits' if count == 1 else 'wait'}"
