"""What becomes of a campaign: when it may start, and who hears of it.

Every step opens its own transaction and locks the campaign's row, so that two operators, or an operator and
a scheduler, decide one after the other and each from what the other has left. ``by`` is the user who takes it, if any.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from campaigns.counting import count_some, say_contacts
from campaigns.models import Campaign, CampaignStatus, EmailText, MachineDetection
from campaigns.questions import copy_questions, find_question_problems, freeze_questions
from campaigns.windows import next_opening

# Sent after the commit with campaign=...: somebody may have to be rung now, or in another way than before.
campaign_changed = Signal()

# Sent inside the transaction with campaign=..., now=... and before=... (or None): what decides when its contacts are
# rung has been edited; whoever has contacts answers with how many of them that moves (Moved).
calling_rules_changed = Signal()

# Sent with campaign=... and now=...; whoever rings for campaigns answers with a list of what stands in the way at the
# moment, each a sentence that says what to do.
obstacles_wanted = Signal()

CALLING_RULES = {
    "max_attempts",
    "retry_interval_minutes",
    "retry_busy",
    "retry_no_answer",
    "retry_failed",
    "allowed_call_start",
    "allowed_call_end",
    "weekdays",
    "weekday_hours",
    "blocked_dates",
    "holidays_of",
    "time_zone",
}

# Who rings, or will when its start has come: what activation asks for must stay true.
ACTIVE = {CampaignStatus.SCHEDULED, CampaignStatus.RUNNING}

# Who may be started, and shows what is still to be put right before.
NOT_STARTED = {CampaignStatus.DRAFT, CampaignStatus.PAUSED}

# Each step: what cannot be done, as REFUSALS say it, and the statuses that it starts from.
STEPS = {
    "activate": (pgettext_lazy("campaign cannot be", "activated"), {CampaignStatus.DRAFT, CampaignStatus.COMPLETED}),
    "pause": (pgettext_lazy("campaign cannot be", "paused"), ACTIVE),
    "resume": (pgettext_lazy("campaign cannot be", "resumed"), {CampaignStatus.PAUSED}),
    "complete": (
        pgettext_lazy("campaign cannot be", "completed"),
        {CampaignStatus.RUNNING, CampaignStatus.PAUSED},
    ),
    "cancel": (
        pgettext_lazy("campaign cannot be", "cancelled"),
        set(CampaignStatus) - {CampaignStatus.COMPLETED, CampaignStatus.CANCELLED},
    ),
}

# Why a step is not taken, and which could be (`possible_steps`).
REFUSALS = {
    CampaignStatus.DRAFT: _("It is draft and cannot be %(done)s. It can be activated or cancelled."),
    CampaignStatus.SCHEDULED: _("It is scheduled and cannot be %(done)s. It can be paused or cancelled."),
    CampaignStatus.RUNNING: _("It is running and cannot be %(done)s. It can be paused or completed or cancelled."),
    CampaignStatus.PAUSED: _("It is paused and cannot be %(done)s. It can be resumed or completed or cancelled."),
    CampaignStatus.COMPLETED: _("It is completed and cannot be %(done)s. It can be activated."),
    CampaignStatus.CANCELLED: _("It is cancelled and cannot be %(done)s. Make a new campaign instead."),
}


class Moved(NamedTuple):
    """Who is rung at another time than before an edit; not ``is_all`` when many more are to be looked at."""

    contacts: int = 0
    is_all: bool = True


class LifecycleError(Exception):
    """The step was not taken; ``problems`` are all the reasons, each a sentence that says what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


class CampaignIsCancelled(Exception):
    """The campaign takes no more contacts. (A completed one does, and can be activated again for them.)"""


def activate(campaign: Campaign, *, now: datetime, by: Any = None) -> Campaign:
    """Start to call, or be scheduled when starts_at is still to come. Raises LifecycleError."""
    return _start(campaign, "activate", now, by)


def resume(campaign: Campaign, *, now: datetime, by: Any = None) -> Campaign:
    """Go on after a pause; the same must be true as for activate(). Raises LifecycleError."""
    return _start(campaign, "resume", now, by)


def pause(campaign: Campaign, *, now: datetime, by: Any = None) -> Campaign:
    """Start no more calls; those in progress go on to their end. Raises LifecycleError."""
    return _set_status(campaign, "pause", CampaignStatus.PAUSED, now, by)


def complete(campaign: Campaign, *, now: datetime, by: Any = None) -> Campaign:
    """Call no more, though contacts may be waiting. Raises LifecycleError."""
    return _set_status(campaign, "complete", CampaignStatus.COMPLETED, now, by)


def cancel(campaign: Campaign, *, now: datetime, by: Any = None) -> Campaign:
    """Give the campaign up for ever. Raises LifecycleError."""
    return _set_status(campaign, "cancel", CampaignStatus.CANCELLED, now, by)


def start_scheduled(now: datetime) -> int:
    """Set the scheduled campaigns running whose start has come; how many there were.

    A row that is locked by an edit or an import is passed over, not waited for: schedulers ask again soon.
    """
    due = Campaign.objects.filter(Q(starts_at=None) | Q(starts_at__lte=now), status=CampaignStatus.SCHEDULED)
    with transaction.atomic():
        free = due.select_for_update(skip_locked=True, no_key=True)
        begun = {"status": CampaignStatus.RUNNING, "status_changed_at": now, "status_changed_by": None}
        return Campaign.objects.filter(pk__in=free.values("pk")).update(**begun, updated_at=now)


def find_overdue(now: datetime) -> list[UUID]:
    """The running campaigns whose end has passed; complete_if_done() ends them when nobody is in a call."""
    overdue = Campaign.objects.filter(status=CampaignStatus.RUNNING, ends_at__lte=now)
    return list(overdue.order_by("pk").values_list("pk", flat=True))


def complete_if_done(campaign_id: UUID, now: datetime) -> bool:
    """Complete a running campaign that has nobody left to call, or whose end has passed; True when it did.

    Who waits but can never be rung in its hours is nobody left to call, and keeps waiting: for other hours.

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
        _save_status(campaign, CampaignStatus.COMPLETED, now)
    return True


def duplicate(campaign: Campaign, *, copy_id: UUID, created_by: Any = None) -> tuple[Campaign, bool]:
    """A draft with the same settings, but for its dates, and without contacts; and whether it is new.

    Whoever asks twice for the copy of one id, as a double click does, is given the same one.
    """
    with transaction.atomic():
        copy = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        if made := Campaign.objects.filter(pk=copy_id).first():
            return made, False
        name_length = Campaign._meta.get_field("name").max_length
        copy.pk, copy._state.adding = copy_id, True
        copy.name = (gettext("Copy of %(name)s") % {"name": campaign.name})[:name_length]
        copy.status, copy.status_changed_at, copy.status_changed_by = CampaignStatus.DRAFT, None, None
        copy.created_by = created_by
        copy.starts_at = copy.ends_at = None
        copy.save(force_insert=True)
        copy_questions(campaign, copy)
        EmailText.objects.bulk_create(
            EmailText(campaign=copy, event=text.event, language=text.language, subject=text.subject, body=text.body)
            for text in campaign.email_texts.all()
        )
    return copy, True


def admit_contacts(campaign: Campaign) -> Campaign:
    """The campaign as it is now, for a transaction that adds contacts to it. Raises CampaignIsCancelled.

    It is locked until the commit, so that it is neither cancelled nor completed under them.
    """
    locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
    check_admission(locked)
    return locked


def check_admission(campaign: Campaign) -> None:
    """Raises CampaignIsCancelled if it takes no more contacts."""
    if campaign.status == CampaignStatus.CANCELLED:
        problem = gettext("“%(campaign)s” is cancelled; it takes no more contacts.")
        raise CampaignIsCancelled(problem % {"campaign": campaign.name})


def campaign_edited(
    campaign: Campaign, *, changed_fields: Collection[str], now: datetime, before: Campaign | None = None
) -> Moved:
    """What must follow when an operator has edited and saved a campaign; call it in the same transaction.

    Without the campaign as it was ``before``, nobody is among those who are moved whom only its hours move.
    """
    moved = Moved()
    with transaction.atomic():
        if CALLING_RULES.intersection(changed_fields):
            # Read again: another operator may have saved other rules since this one's page was opened.
            locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
            answers = calling_rules_changed.send(sender=Campaign, campaign=locked, now=now, before=before)
            counts = [count for _receiver, count in answers]
            moved = Moved(sum(count.contacts for count in counts), all(count.is_all for count in counts))
        if changed_fields:
            _announce_change(campaign)
    return moved


def possible_steps(status: str) -> list[str]:
    """The names of the steps that start from this status."""
    return [step for step, (_done, starts) in STEPS.items() if status in starts]


def find_problems(campaign: Campaign, now: datetime) -> list[str]:
    """Every reason why this campaign may not start: it could call nobody, or some without a time zone never."""
    problems = [*find_setting_problems(campaign, now).values(), *find_question_problems(campaign)]
    if not campaign.contacts.exists():
        return [gettext("It has no contacts: import some."), *problems]
    if not _is_being_rearmed(campaign) and not campaign.contacts.unfinished().exists():
        return [gettext("Nobody is waiting to be called: add contacts, or allow more attempts."), *problems]
    return problems


def find_warnings(campaign: Campaign, now: datetime) -> list[str]:
    """What does not keep the campaign from running, and keeps some or all of its people from being rung."""
    warnings = _describe_zoneless(campaign)
    if _has_hours(campaign, now):
        warnings += _describe_never_rung(campaign, now).values()
    for _receiver, obstacles in obstacles_wanted.send(sender=Campaign, campaign=campaign, now=now):
        warnings += obstacles
    return warnings


def find_edit_problems(edited: Campaign, now: datetime) -> dict[str, str]:
    """What an edit that is not saved yet would break: the name of a field, and the reason to show beside it.

    Nothing unless the campaign is active; that is looked at, and locked, in the database, so that it does not
    become active between the check and the commit. What was wrong before is not the edit's fault.
    """
    stored = Campaign.objects.select_for_update(no_key=True).get(pk=edited.pk)
    if stored.status not in ACTIVE:
        return {}
    before = find_setting_problems(stored, now)
    return {field: reason for field, reason in find_setting_problems(edited, now).items() if field not in before}


def starts_at_once(edited: Campaign, stored: Campaign, now: datetime) -> bool:
    """Whether this edit has a campaign call from now on that is scheduled for later."""
    waits = stored.status == CampaignStatus.SCHEDULED and stored.starts_at is not None and stored.starts_at > now
    return waits and (edited.starts_at is None or edited.starts_at <= now)


def find_setting_problems(campaign: Campaign, now: datetime) -> dict[str, str]:
    """What is wrong with the settings, by the name of the field in which it is best put right."""
    problems = {}
    if not campaign.intro_script.strip():
        problems["intro_script"] = gettext("It has no intro script: write what is said first.")
    problems |= _describe_missing_messages(campaign)
    if campaign.ends_at is not None and campaign.ends_at <= now:
        ended = date_format(localtime(campaign.ends_at), "DATETIME_FORMAT")
        problems["ends_at"] = gettext("It ended on %(when)s: set a later end, or none.") % {"when": ended}
    for problem in _describe_zoneless(campaign):
        problems["time_zone"] = problem
    if not _has_hours(campaign, now):
        problems["weekdays"] = gettext(
            "Its calling hours and weekdays never open: tick a weekday, and set a start that is before the "
            "end, or leave both hours empty."
        )
    elif not _is_anybody_callable(campaign, now):
        problems |= _describe_never_rung(campaign, now)
    return problems


def _describe_missing_messages(campaign: Campaign) -> dict[str, str]:
    """In which languages there is nothing to leave on an answering machine, by the name of the field."""
    if campaign.machine_detection != MachineDetection.LEAVE_MESSAGE:
        return {}
    problem = gettext("There is no message for answering machines in %(language)s: write it, or hang up instead.")
    missing = [language for language in campaign.spoken_languages if not campaign.machine_message_in(language).strip()]
    return {
        f"machine_message{'' if language == campaign.language else '_other'}": problem % {"language": language.label}
        for language in missing
    }


def _has_hours(campaign: Campaign, now: datetime) -> bool:
    """Whether it opens at all, in any zone."""
    return next_opening(campaign.hours, ["UTC"], now) is not None


def _describe_zoneless(campaign: Campaign) -> list[str]:
    zoneless = 0 if campaign.time_zone else count_some(campaign.contacts.waiting().filter(calling_zone=""))
    if not zoneless:
        return []
    problem = ngettext(
        "%(contacts)s has no time zone and the campaign has none either: choose the campaign's time zone.",
        "%(contacts)s have no time zone and the campaign has none either: choose the campaign's time zone.",
        zoneless,
    )
    return [problem % {"contacts": say_contacts(zoneless)}]


def _describe_never_rung(campaign: Campaign, now: datetime) -> dict[str, str]:
    """Of those who wait in vain how many and why, by the name of the field in which it is best put right.

    That the end has passed already is not told again.
    """
    zones = [zone for zone in _find_zones(campaign) if campaign.zones_of(zone)]
    never = [zone for zone in zones if campaign.next_opening_for(zone, now) is None]
    late = [zone for zone in zones if zone not in never and campaign.next_turn_for(zone, now) is None]
    problems = {}
    if never:
        count = count_some(campaign.contacts.waiting().filter(calling_zone__in=never))
        problem = ngettext(
            "%(contacts)s can never be rung in these hours: their numbers may lie in time zones that are never open "
            "together; give them a time zone or widen the hours.",
            "%(contacts)s can never be rung in these hours: their numbers may lie in time zones that are never open "
            "together; give them a time zone or widen the hours.",
            count,
        )
        problems["allowed_call_start"] = problem % {"contacts": say_contacts(count)}
    if late and campaign.ends_at > now:
        count = count_some(campaign.contacts.waiting().filter(calling_zone__in=late))
        problem = ngettext(
            "%(contacts)s cannot be rung before the campaign ends on %(when)s: set a later end, or widen the hours.",
            "%(contacts)s cannot be rung before the campaign ends on %(when)s: set a later end, or widen the hours.",
            count,
        )
        ends = date_format(localtime(campaign.ends_at), "DATETIME_FORMAT")
        problems["ends_at"] = problem % {"contacts": say_contacts(count), "when": ends}
    return problems


def _find_zones(campaign: Campaign) -> list[str]:
    """The calling zones in which somebody waits."""
    return [zone for _pk, zone in campaign.contacts.find_waiting_zones([campaign.pk])]


def _is_anybody_callable(campaign: Campaign, now: datetime) -> bool:
    """Whether anybody is in a call, or waits in a zone that opens some time before the end."""
    if campaign.contacts.in_progress().exists():
        return True
    if any(campaign.next_turn_for(zone, now) for zone in _find_zones(campaign)):
        return True
    # Whoever was claimed between the two questions is in neither answer.
    return campaign.contacts.in_progress().exists()


def _start(campaign: Campaign, step: str, now: datetime, by: Any) -> Campaign:
    with transaction.atomic():
        locked = _lock(campaign, step)
        if problems := find_problems(locked, now):
            raise LifecycleError(problems)
        freeze_questions(locked)
        waits = locked.starts_at is not None and locked.starts_at > now
        _save_status(locked, CampaignStatus.SCHEDULED if waits else CampaignStatus.RUNNING, now, by)
        _announce_change(locked)
    return locked


def _set_status(campaign: Campaign, step: str, status: CampaignStatus, now: datetime, by: Any) -> Campaign:
    with transaction.atomic():
        locked = _lock(campaign, step)
        _save_status(locked, status, now, by)
    return locked


def _lock(campaign: Campaign, step: str) -> Campaign:
    """The campaign as it is now, locked. Raises LifecycleError when its status does not allow the step."""
    # no_key: calls and contacts that are being written refer to the row; they and this need not wait in turn.
    locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
    done, starts = STEPS[step]
    if locked.status not in starts:
        raise LifecycleError([REFUSALS[locked.status] % {"done": done}])
    return locked


def _save_status(campaign: Campaign, status: CampaignStatus, now: datetime, by: Any = None) -> None:
    step = {"status": status, "status_changed_at": now, "status_changed_by": by, "updated_at": now}
    for name, value in step.items():
        setattr(campaign, name, value)
    Campaign.objects.filter(pk=campaign.pk).update(**step)


def _is_done(campaign: Campaign, now: datetime) -> bool:
    if campaign.ends_at is not None and campaign.ends_at <= now:
        return not campaign.contacts.in_progress().exists()
    # In this order: whoever has gone through them has committed by then whom the new rules bring back.
    return not _is_being_rearmed(campaign) and not _is_anybody_callable(campaign, now)


def _is_being_rearmed(campaign: Campaign) -> bool:
    """Whether contacts may still wait, or not wait, by former rules."""
    return Campaign.objects.filter(pk=campaign.pk, rearming__isnull=False).exists()


def _announce_change(campaign: Campaign) -> None:
    transaction.on_commit(lambda: campaign_changed.send(sender=Campaign, campaign=campaign))
