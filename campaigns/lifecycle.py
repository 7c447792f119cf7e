"""What becomes of a campaign: when it may start, and who hears of it.

Every step opens its own transaction and locks the campaign's row, so that two operators, or an operator and
a scheduler, decide one after the other and each from what the other has left.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils.formats import date_format
from django.utils.timezone import localtime

from campaigns.models import Campaign, CampaignStatus
from campaigns.windows import next_opening

# Sent after the commit with campaign=...: somebody may have to be rung now, or in another way than before.
campaign_changed = Signal()

# Sent inside the transaction with campaign=... and now=...: what decides when its
# contacts are due has been edited.
calling_rules_changed = Signal()

CALLING_RULES = {
    "max_attempts",
    "retry_interval_minutes",
    "allowed_call_start",
    "allowed_call_end",
    "weekdays",
    "time_zone",
}

# Each step: what has been done after it, and the statuses that it starts from.
STEPS = {
    "activate": ("activated", {CampaignStatus.DRAFT, CampaignStatus.COMPLETED}),
    "pause": ("paused", {CampaignStatus.RUNNING, CampaignStatus.SCHEDULED}),
    "resume": ("resumed", {CampaignStatus.PAUSED}),
    "complete": ("completed", {CampaignStatus.RUNNING, CampaignStatus.PAUSED}),
    "cancel": ("cancelled", set(CampaignStatus) - {CampaignStatus.COMPLETED, CampaignStatus.CANCELLED}),
}


class LifecycleError(Exception):
    """The step was not taken; ``problems`` are all the reasons, each a sentence that says what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


def activate(campaign: Campaign, *, now: datetime) -> Campaign:
    """Start to call, or be scheduled when starts_at is still to come. Raises LifecycleError."""
    return _start(campaign, "activate", now)


def resume(campaign: Campaign, *, now: datetime) -> Campaign:
    """Go on after a pause; the same must be true as for activate(). Raises LifecycleError."""
    return _start(campaign, "resume", now)


def pause(campaign: Campaign, *, now: datetime) -> Campaign:
    """Start no more calls; those in progress go on to their end. Raises LifecycleError."""
    return _set_status(campaign, "pause", CampaignStatus.PAUSED)


def complete(campaign: Campaign, *, now: datetime) -> Campaign:
    """Call no more, though contacts may be waiting. Raises LifecycleError."""
    return _set_status(campaign, "complete", CampaignStatus.COMPLETED)


def cancel(campaign: Campaign, *, now: datetime) -> Campaign:
    """Give the campaign up for ever. Raises LifecycleError."""
    return _set_status(campaign, "cancel", CampaignStatus.CANCELLED)


def start_scheduled(now: datetime) -> int:
    """Set the scheduled campaigns running whose start has come; how many there were."""
    due = Campaign.objects.filter(Q(starts_at=None) | Q(starts_at__lte=now), status=CampaignStatus.SCHEDULED)
    return due.update(status=CampaignStatus.RUNNING, updated_at=now)


def find_overdue(now: datetime) -> list[UUID]:
    """The running campaigns whose end has passed; complete_if_done() ends them when nobody is in a call."""
    overdue = Campaign.objects.filter(status=CampaignStatus.RUNNING, ends_at__lte=now)
    return list(overdue.order_by("pk").values_list("pk", flat=True))


def complete_if_done(campaign_id: UUID, now: datetime) -> bool:
    """Complete a running campaign that has nobody left to call, or whose end has passed; True when it did.

    Whoever adds contacts locks the campaign's row until the commit, so none is completed under contacts that
    nobody can see yet. (Their foreign key would not do: it is deferred, and locks the row at the commit only.)
    A row that is locked is passed over, not waited for: schedulers ask again soon, and have others to serve.
    """
    with transaction.atomic():
        campaign = (
            Campaign.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(pk=campaign_id, status=CampaignStatus.RUNNING)
            .first()
        )
        if campaign is None or not _is_done(campaign, now):
            return False
        _save_status(campaign, CampaignStatus.COMPLETED)
    return True


def campaign_edited(campaign: Campaign, *, changed_fields: Collection[str], now: datetime) -> None:
    """What must follow when an operator has edited and saved a campaign; call it in the same transaction."""
    if CALLING_RULES.intersection(changed_fields):
        calling_rules_changed.send(sender=Campaign, campaign=campaign, now=now)
    if changed_fields:
        _announce_change(campaign)


def possible_steps(status: str) -> list[str]:
    """The names of the steps that start from this status."""
    return [step for step, (_, starts) in STEPS.items() if status in starts]


def find_problems(campaign: Campaign, now: datetime) -> list[str]:
    """Every reason why this campaign could not call anybody if it ran."""
    problems = []
    waiting = campaign.contacts.waiting()
    if not campaign.contacts.exists():
        problems.append("It has no contacts: import some.")
    elif not campaign.contacts.unfinished().exists():
        problems.append("Nobody is waiting to be called: add contacts, or allow more attempts.")
    if not campaign.intro_script.strip():
        problems.append("It has no intro script: write what is said first.")
    if next_opening(campaign.hours, ["UTC"], now) is None:
        problems.append(
            "Its calling hours and weekdays never open: tick a weekday, and set a start that is before the "
            "end, or leave both hours empty."
        )
    if campaign.ends_at is not None and campaign.ends_at <= now:
        problems.append(f"It ended on {_format_time(campaign.ends_at)}: set a later end, or none.")
    if not campaign.time_zone and (unknown := waiting.filter(calling_zone="").count()):
        problems.append(
            f"{unknown} {'contact has' if unknown == 1 else 'contacts have'} no time zone and the campaign has "
            "none either: choose the campaign's time zone."
        )
    return problems


def _start(campaign: Campaign, step: str, now: datetime) -> Campaign:
    with transaction.atomic():
        locked = _lock(campaign, step)
        if problems := find_problems(locked, now):
            raise LifecycleError(problems)
        waits = locked.starts_at is not None and locked.starts_at > now
        _save_status(locked, CampaignStatus.SCHEDULED if waits else CampaignStatus.RUNNING)
        _announce_change(locked)
    return locked


def _set_status(campaign: Campaign, step: str, status: CampaignStatus) -> Campaign:
    with transaction.atomic():
        locked = _lock(campaign, step)
        _save_status(locked, status)
    return locked


def _lock(campaign: Campaign, step: str) -> Campaign:
    """The campaign as it is now, locked. Raises LifecycleError when its status does not allow the step."""
    # no_key: calls and contacts that are being written refer to the row; they and this need not wait in turn.
    locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
    done, starts = STEPS[step]
    if locked.status not in starts:
        ways_on = [STEPS[other][0] for other in possible_steps(locked.status)]
        advice = f"It can be {' or '.join(ways_on)}." if ways_on else "Make a new campaign instead."
        raise LifecycleError([f"It is {locked.get_status_display().lower()} and can not be {done}. {advice}"])
    return locked


def _save_status(campaign: Campaign, status: CampaignStatus) -> None:
    campaign.status = status
    campaign.save(update_fields=["status", "updated_at"])


def _is_done(campaign: Campaign, now: datetime) -> bool:
    if campaign.ends_at is not None and campaign.ends_at <= now:
        return not campaign.contacts.in_progress().exists()
    return not campaign.contacts.unfinished().exists()


def _announce_change(campaign: Campaign) -> None:
    transaction.on_commit(lambda: campaign_changed.send(sender=Campaign, campaign=campaign))


def _format_time(instant: datetime) -> str:
    return date_format(localtime(instant), "DATETIME_FORMAT")
