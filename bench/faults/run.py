"""One run: a plan carried out in the arena, then quiet, then the evidence of what happened."""

import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from random import Random

from django.db import connection, transaction
from django_q.models import Success
from django_q.tasks import async_task

from bench.faults.arena import Arena, ArenaError
from bench.faults.evidence import ClockStep, Evidence, OperatorLog, Terms, read_evidence
from bench.faults.operators import Operators
from bench.faults.plan import Event, Plan
from bench.faults.strangers import Strangers
from bench.faults.zones import to_local
from bench.world import DATABASE, SHORT_CALLS
from calls.models import CallAttempt
from campaigns.models import CampaignStatus
from contacts.models import Contact

LOOK_EVERY_SECONDS = 0.25
# Several times what the longest call, its look-ups and the restart of every process take.
LONGEST_QUIET_SECONDS = 60.0

# Several times what a cluster takes to start, or to end the jobs that are at work when it begins anew.
LONGEST_JOBLESS_SECONDS = 25.0
ASK_AGAIN_SECONDS = 5.0

OPENS_SOON = timedelta(seconds=3)
# Who is to be called within it is waited for by putting the clock forward.
SOON = timedelta(minutes=10)
MOST_CLOCK_STEPS = 3
# Who reports by the database's clock may have read it so long ago; nobody rings sooner after it was put forward.
OLDEST_READING = timedelta(seconds=1.2)

TERMS = Terms.from_environment(SHORT_CALLS)


def carry_out(plan: Plan, arena: Arena) -> Evidence:
    """Leaves ledger.run.jsonl and operators.jsonl in the arena's directory, and the tables as they are."""
    ledger, log_path = arena.directory / "ledger.run.jsonl", arena.directory / "operators.jsonl"
    log_path.unlink(missing_ok=True)
    ledger.unlink(missing_ok=True)
    arena.begin()
    begins = arena.world.ledger_path.stat().st_size
    arena.world.control_network("DELETE", "calls")
    arena.world.control_network("POST", "seed", {"seed": plan.seed})  # other people than in the run before
    log = OperatorLog(log_path)
    operators, strangers = Operators(plan, log), Strangers(Random(plan.seed))
    operators.clear()
    arena.set_clock(plan.starts_at)
    time.sleep(OLDEST_READING.total_seconds())
    try:
        operators.prepare()
        started = time.monotonic()
        for event in plan.events:
            arena.do_at(started + event.at, _find_deed(event, arena, operators, strangers))
        _pass_time(arena, operators, until=lambda: arena.is_idle)
        arena.quieten()
        _wait_for_quiet(arena, operators, log)
        _see_cluster_work(arena, operators)
    finally:
        strangers.close()
        log.close()
    with arena.world.ledger_path.open("rb") as whole, ledger.open("wb") as part:
        whole.seek(begins)
        shutil.copyfileobj(whole, part)
    return read_evidence(ledger=ledger, operator_log=log_path, dsn=arena.world.postgres.url(DATABASE), terms=TERMS)


def _find_deed(event: Event, arena: Arena, operators: Operators, strangers: Strangers) -> Callable[[], None]:
    """Each action is a method of somebody."""
    doer = next(one for one in (arena, operators, strangers) if hasattr(one, event.action))
    return partial(getattr(doer, event.action), **event.values)


def _pass_time(arena: Arena, operators: Operators, *, until: Callable[[], bool]) -> None:
    next_look = time.monotonic()
    while not until():
        arena.tick()
        if time.monotonic() > next_look:
            operators.switch_on()
            next_look = time.monotonic() + LOOK_EVERY_SECONDS


def _wait_for_quiet(arena: Arena, operators: Operators, log: OperatorLog) -> None:
    """Until nobody is in a call and nobody may be called; whoever is not done by the end is the judge's affair."""
    deadline, steps = time.monotonic() + LONGEST_QUIET_SECONDS, 0
    while time.monotonic() < deadline:
        look_at = time.monotonic() + LOOK_EVERY_SECONDS
        _pass_time(arena, operators, until=lambda look_at=look_at: time.monotonic() > look_at)
        is_ringing, waiting = look_around()
        if is_ringing or arena.count_calls():
            continue
        now = arena.now()
        if any(contact.next_attempt_at <= now + OPENS_SOON and _opens_soon(contact, now) for contact in waiting):
            continue
        later = [one.next_attempt_at for one in waiting if now + OPENS_SOON < one.next_attempt_at <= now + SOON]
        if not later or steps == MOST_CLOCK_STEPS:
            return
        steps += 1
        _put_clock_forward(arena, min(later) - OLDEST_READING - now, log)


def _see_cluster_work(arena: Arena, operators: Operators) -> None:
    """Raises ArenaError if it does no jobs any more, which the judge would not notice: the schedulers ring too."""
    deadline, jobs = time.monotonic() + LONGEST_JOBLESS_SECONDS, []

    def is_one_done() -> bool:
        return Success.objects.filter(pk__in=jobs).exists()

    while not is_one_done():
        if time.monotonic() > deadline:
            arena.show_stacks("cluster")
            raise ArenaError(f"the cluster did no job within {LONGEST_JOBLESS_SECONDS:g} s")
        # One that was fetched by a cluster which ended before it began would come back after minutes.
        jobs.append(async_task("calls.tasks.reconcile"))
        ask_again_at = time.monotonic() + ASK_AGAIN_SECONDS
        _pass_time(arena, operators, until=lambda at=ask_again_at: is_one_done() or time.monotonic() > at)


def look_around() -> tuple[bool, list[Contact]]:
    """Whether anybody is in a call, and who waits for one, at one instant: who is claimed between two is in neither."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        waiting = Contact.objects.waiting().filter(campaign__status=CampaignStatus.RUNNING).select_related()
        return CallAttempt.objects.open().exists(), list(waiting)


def _opens_soon(contact: Contact, now: datetime) -> bool:
    """Or is open."""
    return any(_is_open(contact, instant) for instant in (now, now + OPENS_SOON))


def _is_open(contact: Contact, instant: datetime) -> bool:
    campaign = contact.campaign
    local = to_local(contact.calling_zone, instant)
    if local.isoweekday() not in campaign.weekdays or local.date() in campaign.blocked_dates:
        return False
    return (
        campaign.allowed_call_start is None or campaign.allowed_call_start <= local.time() < campaign.allowed_call_end
    )


def _put_clock_forward(arena: Arena, step: timedelta, log: OperatorLog) -> None:
    before = arena.now()
    arena.set_clock(before + step)
    log.write(ClockStep(seconds=step.total_seconds()), from_=before, to=arena.now())
