"""Why nothing rings, in one sentence, by the rules of the scheduler itself (calls/claiming.py)."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, npgettext

from calls.caps import LOOKED_AHEAD, NextCall, Waiting, find_next_calls
from calls.claiming import Claim, Reason, look
from calls.clock import Clock
from calls.heartbeat import is_alive
from calls.lanes import Lane, Openings, read_heads
from calls.models import ProviderConfig
from calls.obstacles import LIST_UNREADABLE
from calls.providers.messages import translate_message
from calls.roster import Roster
from calls.scheduler import CallSchedulerConfig
from calls.wording import say_clock, say_span, say_time, say_time_there
from campaigns import counting
from campaigns.counting import count_some, is_exact, say_count
from campaigns.models import Campaign, CampaignStatus
from contacts.models import Contact


def explain(campaign: Campaign, *, clock: Clock) -> str:
    """What the campaign is doing, or what keeps it from ringing; times are in the current time zone."""
    return explain_each([campaign], clock=clock)[campaign.pk]


def explain_each(campaigns: Sequence[Campaign], *, clock: Clock) -> dict[UUID, str]:
    """The same of many, with one look at the lines for all of them."""
    running = [one for one in campaigns if one.status == CampaignStatus.RUNNING or _is_to_begin(one, clock)]
    sentences = {one.pk: _explain_status(one) for one in campaigns if one not in running}
    if running:
        seen = _look(clock)
        sentences |= {campaign.pk: _explain_running(campaign, *seen) for campaign in running}
    return sentences


def _is_to_begin(campaign: Campaign, clock: Clock) -> bool:
    """Whether it would be running if a scheduler had looked."""
    is_scheduled = campaign.status == CampaignStatus.SCHEDULED
    return is_scheduled and (campaign.starts_at is None or campaign.starts_at <= clock())


def _look(clock: Clock) -> tuple[Claim, Roster, Openings]:
    config = CallSchedulerConfig.from_settings()
    return look(max_concurrent_calls=config.max_concurrent_calls, batch_size=config.batch_size, clock=clock)


def _explain_running(campaign: Campaign, claim: Claim, roster: Roster, openings: Openings) -> str:
    if campaign.status == CampaignStatus.SCHEDULED:
        is_next = _("Its start has come: it begins as soon as the scheduler looks again.")
        return _explain_schedulers(claim.provider, claim.now) or is_next
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
            return _("It is a draft, and rings nobody before it is activated.")
        case CampaignStatus.SCHEDULED:
            return _("It begins %(when)s.") % {"when": say_time(campaign.starts_at)}
        case CampaignStatus.PAUSED:
            by_whom = _("Paused %(when)s by %(who)s; it rings nobody until it is resumed.")
            by_nobody = _("Paused %(when)s; it rings nobody until it is resumed.")
        case CampaignStatus.COMPLETED:
            by_whom = _("Completed %(when)s by %(who)s; nobody is called any more.")
            by_nobody = _("Completed %(when)s; nobody is called any more.")
        case _:
            by_whom = _("Cancelled %(when)s by %(who)s, for ever.")
            by_nobody = _("Cancelled %(when)s, for ever.")
    when = say_time(campaign.status_changed_at or campaign.updated_at)
    who = campaign.status_changed_by
    return by_whom % {"when": when, "who": who} if who else by_nobody % {"when": when}


def _explain_schedulers(provider: ProviderConfig, now: datetime) -> str:
    if is_alive(provider, now):
        return ""
    if provider.scheduler_seen_at is None:
        return _("No scheduler has ever reported: ask whoever runs this site to start it.")
    silence = say_span(now - provider.scheduler_seen_at)
    return _("No scheduler has reported for %(silence)s: ask whoever runs this site to start it.") % {
        "silence": silence
    }


def _explain_blocked(claim: Claim) -> str:
    provider = claim.provider
    match claim.blocked:
        case Reason.SWITCHED_OFF if provider.halted_reason:
            return _explain_halt(provider)
        case Reason.SWITCHED_OFF:
            return _("Dialling is switched off on the provider's page.")
        case Reason.LIST_UNREADABLE:
            return str(LIST_UNREADABLE)
        case Reason.BREAKER_OPEN:
            return _explain_failures(provider, claim.look_again_at)
        case Reason.LINES_BUSY:
            sentence = ngettext("The only line is in use.", "All %(count)s lines are in use.", claim.open_calls)
            return sentence % {"count": say_count(claim.open_calls)}
        case Reason.RATE_USED_UP:
            rate = number_format(f"{provider.calls_per_second:g}")
            return _("Calls start as fast as is allowed, %(rate)s a second.") % {"rate": rate}
    return ""


def _explain_halt(provider: ProviderConfig) -> str:
    reason = {"reason": translate_message(provider.halted_reason)}
    if provider.last_error_at is None:
        return _("Dialling is off: %(reason)s") % reason
    return _("Dialling is off since %(when)s: %(reason)s") % {"when": say_clock(provider.last_error_at), **reason}


def _explain_failures(provider: ProviderConfig, tried_again_at: datetime) -> str:
    sentence = ngettext(
        "The provider has failed %(count)s time in a row, and is tried again %(when)s. It said last: %(error)s",
        "The provider has failed %(count)s times in a row, and is tried again %(when)s. It said last: %(error)s",
        provider.consecutive_failures,
    )
    return sentence % {
        "count": say_count(provider.consecutive_failures),
        "when": say_time(tried_again_at),
        "error": translate_message(provider.last_error),
    }


def _explain_reason(campaign: Campaign, reason: Reason | None, claim: Claim, roster: Roster, openings: Openings) -> str:
    waiting = Contact.objects.filter(campaign=campaign).waiting()
    lanes = roster.lanes_of(campaign.pk) if campaign.pk in roster.campaigns else []
    match reason:
        case Reason.OUTSIDE_DATES if campaign.starts_at and campaign.starts_at > claim.now:
            return _("It begins %(when)s.") % {"when": say_time(campaign.starts_at)}
        case Reason.OUTSIDE_DATES:
            return _("It ended %(when)s.") % {"when": say_time(campaign.ends_at)}
        case Reason.CAMPAIGN_LINES_BUSY:
            return _explain_own_lines(campaign.max_concurrent_calls)
        case Reason.NOBODY_WAITING:
            return _explain_nobody(Contact.objects.filter(campaign=campaign).in_progress().count())
        case Reason.NEVER_OPEN if any(campaign.next_opening_for(lane.calling_zone, claim.now) for lane in lanes):
            sentence = _(
                "It ends %(when)s, before the calling hours of anybody who waits open: set a later end, or widen the "
                "hours."
            )
            return sentence % {"when": say_time(campaign.ends_at)}
        case Reason.NEVER_OPEN:
            return _(
                "The calling hours of everybody who waits never open: widen them, or give the contacts a time zone."
            )
        case Reason.ZONES_CLOSED:
            return _explain_closed(campaign, waiting, lanes, openings)
        case Reason.NOBODY_DUE:
            return _explain_later(campaign, waiting, lanes, claim)
        case Reason.BEING_EDITED:
            return _("Those whose turn it is are being edited or imported at this moment.")
    return _("People are due and lines are free: they are rung now.")


def _explain_own_lines(lines: int) -> str:
    sentence = ngettext(
        "The only line of this campaign is in use.", "All %(count)s lines of this campaign are in use.", lines
    )
    return sentence % {"count": say_count(lines)}


def _explain_nobody(calls: int) -> str:
    if not calls:
        return _("Nobody is left to call.")
    return _("Nobody else waits; calls that go on: %(count)s.") % {"count": say_count(calls)}


def _explain_later(campaign: Campaign, waiting: QuerySet[Contact], lanes: list[Lane], claim: Claim) -> str:
    """Of those whose zones are open: others may be due already, and wait for their hours."""
    opened = [lane for lane in lanes if lane.is_open]
    waiting = waiting.filter(calling_zone__in=[lane.calling_zone for lane in opened])
    calls = _find_first_calls(campaign, opened, claim)
    capped = sum(call.is_capped for call in calls)
    first = min(calls).at if calls else claim.now  # all were claimed meanwhile
    are_all = len(opened) == len(lanes)
    if capped == len(calls) and 0 < capped < LOOKED_AHEAD:
        sentences = [_say_capped(capped, say_time(first), are_all=are_all)]
    else:
        sentences = [_say_later(count_some(waiting), say_time(first), are_all=are_all)]
        if capped:
            sentences.append(_say_some_capped(capped))
    if not are_all:
        sentences.append(_("The others wait in time zones that are closed now."))
    return " ".join(sentences)


def _find_first_calls(campaign: Campaign, lanes: list[Lane], claim: Claim) -> list[NextCall]:
    """Of those who are due next in these lanes; without caps of the first alone."""
    caps = claim.provider.caps
    read_heads(lanes, LOOKED_AHEAD if caps.limits else 1, besides=[])
    waiting = [Waiting(lane.calling_zone, number, due_at) for lane in lanes for _pk, number, due_at in lane.heads]
    return find_next_calls(campaign, waiting, caps, claim.now)


def _say_capped(count: int, when: str, *, are_all: bool) -> str:
    if are_all:
        sentence = npgettext(
            "all who wait",
            "%(count)s contact waits because its number was rung as often as is allowed in 24 hours or in 7 days; it "
            "may be rung again %(when)s.",
            "All %(count)s contacts wait because their numbers were rung as often as is allowed in 24 hours or in 7 "
            "days; the first may be rung again %(when)s.",
            count,
        )
    else:
        sentence = ngettext(
            "%(count)s contact waits because its number was rung as often as is allowed in 24 hours or in 7 days; it "
            "may be rung again %(when)s.",
            "%(count)s contacts wait because their numbers were rung as often as is allowed in 24 hours or in 7 days; "
            "the first may be rung again %(when)s.",
            count,
        )
    return sentence % {"count": say_count(count), "when": when}


def _say_some_capped(count: int) -> str:
    sentence = ngettext(
        "%(count)s of them waits because its number was rung as often as is allowed in 24 hours or in 7 days.",
        "%(count)s of them wait because their numbers were rung as often as is allowed in 24 hours or in 7 days.",
        count,
    )
    return sentence % {"count": say_count(count)}


def _say_later(count: int, when: str, *, are_all: bool) -> str:
    if not is_exact(count):
        sentence = _("More than %(count)s contacts wait for the next try, the first %(when)s.")
    elif are_all:
        sentence = npgettext(
            "all who wait",
            "%(count)s contact waits for the next try, the first %(when)s.",
            "All %(count)s contacts wait for the next try, the first %(when)s.",
            count,
        )
    else:
        sentence = ngettext(
            "%(count)s contact waits for the next try, the first %(when)s.",
            "%(count)s contacts wait for the next try, the first %(when)s.",
            count,
        )
    return sentence % {"count": _say_at_most(count), "when": when}


def _explain_closed(campaign: Campaign, waiting: QuerySet[Contact], lanes: list[Lane], openings: Openings) -> str:
    ways = [(openings.next_opening(campaign, lane.calling_zone), lane.calling_zone) for lane in lanes]
    opening, lane = min(way for way in ways if way[0])
    zone = campaign.zones_of(lane)[0]
    count = count_some(waiting)
    return _choose_closed(count, len(lanes)) % {
        "count": _say_at_most(count),
        "zones": say_count(len(lanes)),
        "zone": zone,
        "when": say_time_there(opening.astimezone(ZoneInfo(zone)), openings.now),
        "span": say_span(opening - openings.now),
    }


def _choose_closed(count: int, zones: int) -> str:
    if zones == 1:
        if not is_exact(count):
            return _("More than %(count)s contacts wait in %(zone)s, which opens %(when)s there, in %(span)s.")
        return ngettext(
            "%(count)s contact waits in %(zone)s, which opens %(when)s there, in %(span)s.",
            "All %(count)s contacts wait in %(zone)s, which opens %(when)s there, in %(span)s.",
            count,
        )
    if not is_exact(count):
        return _(
            "More than %(count)s contacts wait in %(zones)s time zones that are closed now; the first, %(zone)s, opens "
            "%(when)s there, in %(span)s."
        )
    return ngettext(
        "%(count)s contact waits in %(zones)s time zones that are closed now; the first, %(zone)s, opens %(when)s "
        "there, in %(span)s.",
        "All %(count)s contacts wait in %(zones)s time zones that are closed now; the first, %(zone)s, opens %(when)s "
        "there, in %(span)s.",
        count,
    )


def _say_at_most(count: int) -> str:
    """Of a number that count_some() gave."""
    return say_count(min(count, counting.MOST_COUNTED))
