"""What operators do during a run, by the product's own steps, and the record of it for the judge."""

import csv
import io
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction

from bench.faults.evidence import CallingRules, CampaignStatus, Change, DoNotCall, Limits, OperatorLog, Person
from bench.faults.plan import CampaignPlan, Plan
from bench.world import CALLER_NUMBER
from calls.models import ProviderConfig
from campaigns import lifecycle
from campaigns.models import Campaign, Question
from contacts.exclusion import add_numbers_to_do_not_call
from contacts.importing import import_contacts
from contacts.models import DoNotCallEntry

LONGEST_TRY_SECONDS = 20.0
SCRIPT = "Hello from your library."
# Short, and none may be passed over: the judge takes a call in which the last question was answered for completed.
QUESTIONS = (
    {"type": "scale", "text_en": "How was it?", "lowest": 1, "highest": 5},
    {"type": "yes_no", "text_en": "Again?"},
)


class Operators:
    """They try again while the database is away. ``log`` tells the judge what was in force when."""

    def __init__(self, plan: Plan, log: OperatorLog) -> None:
        self._plan = plan
        self._log = log
        self._campaigns: dict[str, Campaign] = {}

    def clear(self) -> None:
        """Nothing is left of another run."""
        with connection.cursor() as cursor:
            cursor.execute(
                "TRUNCATE calls_callattempt, contacts_contact, contacts_donotcallentry, campaigns_campaign, "
                "django_q_ormq, django_q_task CASCADE"
            )
        ProviderConfig.objects.update(
            outbound_number=CALLER_NUMBER,
            dialing_enabled=True,
            halted_reason="",
            consecutive_failures=0,
            next_call_at=None,
            paused_until=None,
            shift_requested_at=None,
        )

    def prepare(self) -> None:
        """The plan's campaigns, running."""
        self.limits(lines=self._plan.lines, calls_per_second=self._plan.calls_per_second)
        for campaign in self._plan.campaigns:
            self._load(campaign)
        for campaign in self._plan.campaigns:
            self._step(lifecycle.activate, campaign.name, "running")

    def pause(self, campaign: str) -> None:
        self._step(lifecycle.pause, campaign, "paused")

    def resume(self, campaign: str) -> None:
        self._step(lifecycle.resume, campaign, "running")

    def cancel(self, campaign: str) -> None:
        self._step(lifecycle.cancel, campaign, "cancelled")

    def limits(self, lines: int, calls_per_second: float) -> None:
        changes = {"max_concurrent_calls": lines, "calls_per_second": calls_per_second}
        self._do(
            lambda now: (
                [Limits(lines=lines, calls_per_second=calls_per_second)]
                if ProviderConfig.objects.update(**changes)
                else []
            )
        )

    def do_not_call(self, numbers: Collection[str], bare: bool) -> None:
        """``bare``: into the table, as by a script that knows nothing of the product."""

        def add(now: datetime) -> list[Change]:
            if bare:
                entries = [DoNotCallEntry(phone_number=number) for number in sorted(numbers)]
                DoNotCallEntry.objects.bulk_create(entries, ignore_conflicts=True)
            else:
                add_numbers_to_do_not_call(numbers)
            return [DoNotCall(phone_number=number, listed=True, bare=bare) for number in numbers]

        self._do(add)

    def rules(self, campaign: str, hours: str, max_attempts: int) -> None:
        """``hours``: none, planned, closed or blocked."""

        def choose(now: datetime) -> dict[str, Any]:
            plan = self._find_plan(campaign)
            # An hour of the night in one zone is one of the day in another: closed for many, seldom for all.
            far = (now + timedelta(hours=12)).replace(minute=0, second=0, microsecond=0).time()
            choices = {
                "none": (None, None),
                "planned": (plan.start, plan.end),
                "closed": (far.replace(minute=10), far.replace(minute=50)),
                "blocked": (None, None),
            }
            start, end = choices[hours]
            # Today, wherever that is.
            days = [now.date() + timedelta(days=day) for day in (-1, 0, 1)] if hours == "blocked" else []
            edits = {"allowed_call_start": start, "allowed_call_end": end, "blocked_dates": days}
            return edits | {"max_attempts": max_attempts}

        self._edit(campaign, choose)

    def pace(self, campaign: str, max_concurrent_calls: int | None, retry_minutes: int) -> None:
        """The campaign's own lines, and how long it waits before it rings somebody again."""
        changes = {"max_concurrent_calls": max_concurrent_calls, "retry_interval_minutes": retry_minutes}
        self._edit(campaign, lambda now: changes)

    def _edit(self, campaign: str, choose: Callable[[datetime], dict[str, Any]]) -> None:
        """As the admin edits a campaign."""

        def edit(now: datetime) -> list[Change]:
            changes = choose(now)
            with transaction.atomic():
                edited = Campaign.objects.get(pk=self._campaigns[campaign].pk)
                for field, value in changes.items():
                    setattr(edited, field, value)
                if lifecycle.find_edit_problems(edited, now):
                    return []  # the admin shows them, and saves nothing
                edited.save(update_fields=[*changes, "updated_at"])
                lifecycle.campaign_edited(edited, changed_fields=list(changes), now=now)
            return [describe_rules(edited)]

        self._do(edit)

    def switch_on(self) -> None:
        """Dialling that a refusal has stopped."""
        self._insist(
            lambda now: [row.enable_dialling() for row in ProviderConfig.objects.filter(dialing_enabled=False)]
        )

    def _load(self, plan: CampaignPlan) -> None:
        def load(now: datetime) -> list[Change]:
            campaign = Campaign.objects.create(
                name=plan.name,
                intro_script=SCRIPT,
                time_zone="UTC",
                allowed_call_start=plan.start,
                allowed_call_end=plan.end,
                weekdays=list(plan.weekdays),
                max_attempts=plan.max_attempts,
                retry_interval_minutes=plan.retry_minutes,
                max_concurrent_calls=plan.max_concurrent_calls,
            )
            Question.objects.bulk_create(
                Question(campaign=campaign, position=position, **question)
                for position, question in enumerate(QUESTIONS, start=1)
            )
            self._campaigns[plan.name] = campaign
            record = import_contacts(campaign, io.BytesIO(_write_csv(plan)), now=now)
            if record.refused:
                raise ValueError(f"contacts of the plan were refused: {[*record.refusals.values()]}")
            return [CampaignStatus(campaign=str(campaign.pk), status="draft"), describe_rules(campaign)] + [
                Person(
                    contact=str(contact.pk),
                    campaign=str(campaign.pk),
                    phone_number=contact.phone_number,
                    zone=contact.calling_zone,
                )
                for contact in campaign.contacts.all()
            ]

        self._do(load)

    def _step(self, step: Callable[..., Campaign], campaign: str, status: str) -> None:
        def take(now: datetime) -> list[Change]:
            try:
                step(self._campaigns[campaign], now=now)
            except lifecycle.LifecycleError:
                # Completed or cancelled meanwhile; or it is there already, by a try whose answer was lost.
                if Campaign.objects.get(pk=self._campaigns[campaign].pk).status != status:
                    return []
            return [CampaignStatus(campaign=str(self._campaigns[campaign].pk), status=status)]

        self._do(take)

    def _do(self, change: Callable[[datetime], list[Change]]) -> None:
        """Make a change and put on record what it has changed."""
        from_, changes = self._insist(change)
        to = self._insist(lambda now: None)[0]
        for one in changes:
            self._log.write(one, from_=from_, to=to)

    def _insist(self, deed: Callable[[datetime], Any]) -> tuple[datetime, Any]:
        """Returns the database's time before the first try that got as far, and what the deed returned."""
        deadline = time.monotonic() + LONGEST_TRY_SECONDS
        began = None
        while True:
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT clock_timestamp()")
                    (now,) = cursor.fetchone()
                began = began or now
                return began, deed(now)
            except (OperationalError, InterfaceError):
                connection.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _find_plan(self, campaign: str) -> CampaignPlan:
        return next(plan for plan in self._plan.campaigns if plan.name == campaign)


def describe_rules(campaign: Campaign) -> CallingRules:
    return CallingRules(
        campaign=str(campaign.pk),
        start=campaign.allowed_call_start,
        end=campaign.allowed_call_end,
        weekdays=frozenset(campaign.weekdays),
        blocked=frozenset(campaign.blocked_dates),
        max_attempts=campaign.max_attempts,
        retry_seconds=60.0 * campaign.retry_interval_minutes,
        max_concurrent_calls=campaign.max_concurrent_calls,
    )


def _write_csv(plan: CampaignPlan) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["phone_number", "time_zone"])
    rows.writerows([contact.phone_number, contact.zone] for contact in plan.contacts)
    return text.getvalue().encode()
