"""Every kind of violation: a clean run, the smallest step that breaks it, and the boundary between them."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from bench.faults.evidence import (
    CallingRules,
    CampaignStatus,
    ClockStep,
    DoNotCall,
    Evidence,
    Limits,
    Person,
    Terms,
    Witness,
)
from bench.faults.history import EvidenceError, Setting
from bench.faults.judge import CHECKS, judge
from bench.faults.reckoning import CLOCK_TOLERANCE
from bench.faults.tables import AnswerRow, AttemptRow, CampaignRow, ContactRow, Snapshot
from bench.faults.violations import Kind
from calls.simulator.ledger import Gathering, LedgerCall

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
ANNE, BEN = "+3532091000001", "+3532091000002"

TERMS = Terms(send_deadline=5, longest_call=20, connect=1)
TOLERANCE = CLOCK_TOLERANCE.total_seconds()
REACH = TERMS.send_deadline + TERMS.connect + TOLERANCE
INSTANT = 0.000001

RULES = CallingRules(
    campaign="campaign",
    start=None,
    end=None,
    weekdays=frozenset(range(1, 8)),
    blocked=frozenset(),
    max_attempts=3,
    retry_seconds=60,
    max_concurrent_calls=None,
)
OUTCOMES = {
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no_answer",
    "failed": "failed",
    "canceled": "failed",
    None: "",
}


YES = Gathering(meant="consent", digits="1", answer=200)
FOUR = Gathering(meant="answer", digits="4", answer=200)
NO = Gathering(meant="refuse", digits="2", answer=200)
NEVER = Gathering(meant="opt_out", digits="9", answer=200)
WRONG = Gathering(meant="wrong_key", digits="7", answer=200)
UNHEARD = replace(FOUR, answer="timeout")
MISHEARD = Gathering(meant="answer", speech="the bus", confidence=0.2, answer=200)
NOTHING = Gathering(meant=None)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


LATER = at(100_000_000)  # than any instant of these tests


class Run:
    """A run that is clean until a test breaks it: one campaign in UTC, 10 lines, 20 calls a second, no hours."""

    def __init__(self):
        self.calls, self.attempts, self.log = [], [], []
        self.contacts = {}
        self.rang, self.refused, self.listed, self.answers = set(), set(), set(), []
        self.campaign = CampaignRow(id="campaign", status="running", starts_at=None, ends_at=None)
        self.read_at = at(1000)
        self.operate(Limits(lines=10, calls_per_second=20), -100)
        self.operate(RULES, -100)
        self.add("anne", ANNE)
        self.add("ben", BEN)
        self.operate(CampaignStatus(campaign="campaign", status="running"), -90)

    def add(self, name, number=None, *, zone="UTC"):
        known = self.contacts.get(name)
        number = number or (known.phone_number if known else f"+353209100{len(self.contacts):04d}")
        self.log = [one for one in self.log if getattr(one.value, "contact", None) != name]
        self.operate(Person(contact=name, campaign="campaign", phone_number=number, zone=zone), -95)
        self.contacts[name] = ContactRow(
            id=name,
            campaign_id="campaign",
            phone_number=number,
            state="pending",
            attempts_count=0,
            next_attempt_at=LATER,
            do_not_call=False,
            number_rejected=False,
        )

    def operate(self, change, seconds, *, took=0):
        self.log.append(Setting(from_=at(seconds), to=at(seconds + took), value=change))

    def set_rules(self, seconds=-100, **rules):
        """From the beginning on, unless another instant is given."""
        if seconds == -100:
            self.log = [one for one in self.log if not isinstance(one.value, CallingRules)]
        self.operate(replace(RULES, **rules), seconds)

    def ring(self, start, *, who="anne", lasts=5, status="no-answer", heard=False, gathered=(), **attempt):
        """One call with its attempt, claimed half a second before, and what becomes of its contact."""
        call_id = attempt.pop("call_id", f"{who}@{start}")
        number = self.contacts[who].phone_number
        self.see(start, call_id=call_id, number=number, lasts=lasts, status=status, heard=heard, gathered=gathered)
        ended_at = None if status is None else at(start + lasts + 0.1)
        self.write(
            start - 0.5,
            who=who,
            call_id=call_id,
            **{
                "status": "ended" if status else "ringing",
                "outcome": OUTCOMES[status] if status != "completed" or heard else "no_answer",
                "ended_at": ended_at,
            }
            | attempt,
        )

    def see(self, start, *, call_id, number, lasts=5, status="no-answer", heard=False, gathered=()):
        """The network saw a call."""
        sid = f"CA{len(self.calls)}"
        self.calls.append(
            LedgerCall(
                sid=sid,
                to=number,
                from_="+3532091099999",
                call_id=call_id,
                started_at=at(start),
                ended_at=None if status is None else at(start + lasts),
                status=status,
                heard_to_end=heard,
                gathered=tuple(gathered),
            )
        )
        self.rang.add(sid)

    def write(self, claimed, *, who="anne", call_id, **values):
        """The tables have an attempt; started 0.48 s after its claim, and never heard of."""
        attempt = AttemptRow(
            **{
                "id": call_id,
                "contact_id": who,
                "campaign_id": "campaign",
                "phone_number": self.contacts[who].phone_number,
                "call_id": call_id,
                "status": "ended",
                "outcome": "failed",
                "given_back": False,
                "claimed_at": at(claimed),
                "start_at": at(claimed + 0.5),
                "send_before": at(claimed + 5),
                "started_at": at(claimed + 0.48),
                "ended_at": at(claimed + 30),
                "error_code": "",
            }
            | values
        )
        self.attempts.append(attempt)
        contact = self.contacts[who]
        if attempt.given_back:
            return
        states = {"": "in_progress", "completed": "completed", "refused": "refused"}
        state = states.get(attempt.outcome, "not_reached")
        is_done = state != "not_reached" or contact.attempts_count == 2
        self.change(
            who,
            state=state,
            attempts_count=contact.attempts_count + 1,
            next_attempt_at=None if is_done else LATER,
        )

    def change(self, who="anne", **values):
        self.contacts[who] = replace(self.contacts[who], **values)

    def change_attempt(self, **values):
        """The last one."""
        self.attempts[-1] = replace(self.attempts[-1], **values)

    def list_number(self, number, seconds, *, took=0):
        self.operate(DoNotCall(phone_number=number, listed=True), seconds, took=took)
        self.listed.add(number)
        for name, contact in self.contacts.items():
            if contact.phone_number == number:
                state = "excluded" if contact.state in ("pending", "not_reached") else contact.state
                self.change(name, do_not_call=True, state=state, next_attempt_at=None)

    def answer(self, attempt_id, raw="4", value=None, *, position=1, is_current=True):
        contact_id = attempt_id.partition("@")[0]
        self.answers.append(
            AnswerRow(
                attempt_id=attempt_id,
                contact_id=contact_id,
                position=position,
                raw=raw,
                value=value or raw,
                is_current=is_current,
            )
        )

    def evidence(self):
        return Evidence(
            witness=Witness(
                calls=sorted(self.calls, key=lambda call: call.started_at),
                rang=frozenset(self.rang),
                refused=frozenset(self.refused),
            ),
            snapshot=Snapshot(
                read_at=self.read_at,
                campaigns=[self.campaign],
                contacts=list(self.contacts.values()),
                attempts=sorted(self.attempts, key=lambda attempt: attempt.claimed_at),
                do_not_call=frozenset(self.listed),
                answers=self.answers,
            ),
            log=self.log,
            terms=TERMS,
        )

    def kinds(self):
        return {violation.kind for violation in judge(self.evidence()).violations}


@pytest.fixture
def run():
    return Run()


CLEAN = set()


def test_an_ordinary_run_is_clean(run):
    run.ring(0)
    run.ring(65, status="busy")
    run.ring(200, status="completed", heard=True, gathered=[YES, FOUR])
    run.answer("anne@200")
    run.ring(3, who="ben", status="completed", gathered=[YES, Gathering(meant=None)])
    verdict = judge(run.evidence())
    assert (verdict.violations, verdict.by_kind) == ([], {})


def test_a_run_in_which_nothing_happened_is_clean(run):
    assert run.kinds() == CLEAN


def test_every_check_is_listed_once():
    assert len(set(CHECKS)) == len(CHECKS)


# rung_twice_at_once


@pytest.mark.parametrize(("start", "kinds"), [(5, CLEAN), (5 - INSTANT, {Kind.RUNG_TWICE_AT_ONCE})])
def test_a_number_is_in_one_call_at_a_time(run, start, kinds):
    run.set_rules(retry_seconds=0)
    run.ring(0, lasts=5)
    run.ring(start)
    assert run.kinds() == kinds


def test_the_same_number_under_two_names_counts_as_one(run):
    run.ring(0, lasts=5)
    run.add("anne again", ANNE)
    run.ring(2, who="anne again")
    assert run.kinds() == {Kind.RUNG_TWICE_AT_ONCE}


def test_two_people_may_be_in_calls_at_once(run):
    run.ring(0, lasts=5)
    run.ring(2, who="ben")
    assert run.kinds() == CLEAN


# attempt_rung_twice


def test_an_attempt_becomes_one_call(run):
    run.set_rules(retry_seconds=0)
    run.ring(0, lasts=1)
    run.see(2, call_id="anne@0", number=ANNE, lasts=1)
    assert run.kinds() == {Kind.ATTEMPT_RUNG_TWICE}


# too_many_attempts


def ring_thrice(run):
    for start in (0, 100, 200):
        run.ring(start)


def test_nobody_is_rung_more_often_than_allowed(run):
    ring_thrice(run)
    assert run.kinds() == CLEAN
    run.ring(300)
    assert run.kinds() == {Kind.TOO_MANY_ATTEMPTS}


def test_an_attempt_that_was_given_back_does_not_count(run):
    ring_thrice(run)
    run.write(150, call_id="withdrawn", given_back=True)
    assert run.kinds() == CLEAN


@pytest.mark.parametrize(
    ("lowered", "kinds"), [(200 - REACH, CLEAN), (200 - REACH - INSTANT, {Kind.TOO_MANY_ATTEMPTS})]
)
def test_fewer_attempts_hold_for_what_is_decided_afterwards(run, lowered, kinds):
    ring_thrice(run)
    run.set_rules(lowered, max_attempts=2)
    assert run.kinds() == kinds


def test_more_attempts_hold_from_when_they_may_have_been_committed(run):
    ring_thrice(run)
    run.ring(300)
    run.set_rules(299, max_attempts=4)
    run.change(next_attempt_at=None)
    assert run.kinds() == CLEAN


# retry_too_soon


@pytest.mark.parametrize(
    ("start", "kinds"), [(65 - TOLERANCE, CLEAN), (65 - TOLERANCE - INSTANT, {Kind.RETRY_TOO_SOON})]
)
def test_the_retry_interval_is_kept(run, start, kinds):
    run.ring(0, lasts=5)
    run.ring(start)
    assert run.kinds() == kinds


def test_the_interval_in_force_at_the_retry_counts(run):
    run.ring(0, lasts=5)
    run.ring(20)
    run.set_rules(10, retry_seconds=10)
    assert run.kinds() == CLEAN
    run.set_rules(13, retry_seconds=60)
    assert run.kinds() == {Kind.RETRY_TOO_SOON}


def test_nobody_waits_the_interval_after_a_call_that_never_rang(run):
    run.set_rules(retry_seconds=60)
    run.ring(0, status="canceled", given_back=True)
    run.rang.clear()
    run.ring(10)
    assert run.kinds() == CLEAN


# too_many_lines


def ring_side_by_side(run, number, *, lasts=50):
    for index in range(number):
        run.add(f"person {index}")
        run.ring(index, who=f"person {index}", lasts=lasts)


@pytest.mark.parametrize(("number", "kinds"), [(10, CLEAN), (11, {Kind.TOO_MANY_LINES})])
def test_no_more_calls_than_lines(run, number, kinds):
    ring_side_by_side(run, number)
    assert run.kinds() == kinds


def test_a_line_is_free_at_the_instant_at_which_its_call_ends(run):
    ring_side_by_side(run, 11, lasts=10)
    assert run.kinds() == CLEAN


def test_calls_that_are_open_when_the_limit_is_lowered_may_go_on(run):
    ring_side_by_side(run, 8)
    run.operate(Limits(lines=3, calls_per_second=20), 10)
    assert run.kinds() == CLEAN


@pytest.mark.parametrize(("start", "kinds"), [(10 + REACH, CLEAN), (10 + REACH + INSTANT, {Kind.TOO_MANY_LINES})])
def test_no_call_starts_above_a_limit_that_was_lowered(run, start, kinds):
    ring_side_by_side(run, 8)
    run.operate(Limits(lines=3, calls_per_second=20), 9, took=1)
    run.ring(start)
    assert run.kinds() == kinds


@pytest.mark.parametrize(("lines", "kinds"), [(8, CLEAN), (7, {Kind.TOO_MANY_LINES})])
def test_no_more_calls_than_the_campaign_has_lines(run, lines, kinds):
    run.set_rules(max_concurrent_calls=lines)
    ring_side_by_side(run, 8)
    assert run.kinds() == kinds


# too_many_starts


def ring_every(run, gap, number, *, planned=None):
    """Calls that arrive with this gap between them, planned with that one."""
    planned = planned or gap
    for index in range(number):
        who = f"person {index}"
        run.add(who)
        run.ring(index * gap, who=who, lasts=0.5, start_at=at(index * planned), claimed_at=at(index * gap - 0.1))


@pytest.fixture
def fast_run(run):
    run.operate(Limits(lines=100, calls_per_second=20), -99)
    return run


def test_starts_at_the_rate_are_clean(fast_run):
    ring_every(fast_run, 0.05, 60)
    assert fast_run.kinds() == CLEAN


def test_arrivals_a_little_closer_than_planned_are_jitter(fast_run):
    ring_every(fast_run, 0.0426, 60, planned=0.05)  # 20 of them take 0.852 s
    verdict = judge(fast_run.evidence())
    assert verdict.violations == []
    assert verdict.figures["arrivals_too_soon"] == 40
    assert (verdict.figures["peak_starts_per_second"], verdict.figures["calls_per_second_allowed"]) == (24, 20)


def test_arrivals_much_closer_than_the_rate_are_too_many(fast_run):
    ring_every(fast_run, 0.0424, 60, planned=0.05)  # 0.848 s
    assert fast_run.kinds() == {Kind.TOO_MANY_STARTS}


def test_planned_starts_have_no_jitter(fast_run):
    ring_every(fast_run, 0.05, 60, planned=0.05 - INSTANT)
    assert fast_run.kinds() == {Kind.TOO_MANY_STARTS}


def test_a_call_that_was_never_sent_had_its_place_in_the_plan(fast_run):
    ring_every(fast_run, 0.05, 20)
    fast_run.write(0, who="anne", call_id="withdrawn", given_back=True, start_at=at(0.5))
    assert fast_run.kinds() == {Kind.TOO_MANY_STARTS}


@pytest.mark.parametrize(
    ("rate", "gap", "kinds"),
    [
        (0.5, 2, CLEAN),
        (0.5, 1.84, {Kind.TOO_MANY_STARTS}),
        (2.5, 0.4, CLEAN),
        (2.5, 0.34, {Kind.TOO_MANY_STARTS}),  # four in 1.02 s: three calls take 1.2 s
        (1, 1, CLEAN),
        (1, 0.84, {Kind.TOO_MANY_STARTS}),
    ],
)
def test_rates_may_be_fractions(run, rate, gap, kinds):
    run.log[0] = replace(run.log[0], value=Limits(lines=100, calls_per_second=rate))
    ring_every(run, gap, 10, planned=2)
    assert run.kinds() == kinds


def test_a_lower_rate_holds_for_what_is_decided_afterwards(fast_run):
    ring_every(fast_run, 0.05, 2, planned=2)
    fast_run.operate(Limits(lines=100, calls_per_second=1), -REACH)
    assert fast_run.kinds() == CLEAN
    fast_run.operate(Limits(lines=100, calls_per_second=1), -REACH - INSTANT)
    assert fast_run.kinds() == {Kind.TOO_MANY_STARTS}


# outside_window


def test_calls_are_within_the_hours_the_end_excluded(run):
    run.set_rules(start=time(12), end=time(17))
    run.ring(0)
    run.ring(5 * 3600 - INSTANT)
    run.read_at = at(20_000)
    assert run.kinds() == CLEAN


@pytest.mark.parametrize("start", [-INSTANT, 5 * 3600])
def test_a_call_before_or_after_the_hours_is_found(run, start):
    run.set_rules(start=time(12), end=time(17))
    run.ring(start)
    run.read_at = at(20_000)
    assert run.kinds() == {Kind.OUTSIDE_WINDOW}


@pytest.mark.parametrize(("weekdays", "kinds"), [({3}, CLEAN), ({1, 2, 4, 5, 6, 7}, {Kind.OUTSIDE_WINDOW})])
def test_calls_are_on_the_weekdays(run, weekdays, kinds):
    run.set_rules(weekdays=frozenset(weekdays))
    run.ring(0)
    assert run.kinds() == kinds


@pytest.mark.parametrize(
    ("zone", "blocked", "kinds"),
    [
        ("UTC", date(2026, 3, 4), {Kind.OUTSIDE_WINDOW}),
        ("UTC", date(2026, 3, 5), CLEAN),
        ("Pacific/Auckland", date(2026, 3, 5), {Kind.OUTSIDE_WINDOW}),  # there it is Thursday
    ],
)
def test_calls_are_not_on_days_that_are_blocked_where_the_contact_is(run, zone, blocked, kinds):
    run.add("anne", zone=zone)
    run.set_rules(blocked=frozenset({blocked}))
    run.ring(0)
    assert run.kinds() == kinds


def test_the_weekday_is_that_of_the_contacts_zone(run):
    run.add("anne", zone="Pacific/Auckland")  # Thursday, one in the morning
    run.set_rules(weekdays=frozenset({3}))
    run.ring(0)
    assert run.kinds() == {Kind.OUTSIDE_WINDOW}


@pytest.mark.parametrize(
    ("zone", "kinds"),
    [
        ("Europe/Rome", CLEAN),
        ("Europe/Rome America/New_York", {Kind.OUTSIDE_WINDOW}),
        ("Asia/Tokyo Europe/Rome", CLEAN),
    ],
)
def test_all_zones_of_a_contact_must_be_open(run, zone, kinds):
    run.add("anne", zone=zone)
    run.set_rules(start=time(9), end=time(21, 30))
    run.ring(0)
    assert run.kinds() == kinds


@pytest.mark.parametrize(("narrowed", "kinds"), [(-REACH, CLEAN), (-REACH - INSTANT, {Kind.OUTSIDE_WINDOW})])
def test_narrower_hours_hold_for_what_is_decided_afterwards(run, narrowed, kinds):
    run.ring(0)
    run.set_rules(narrowed, start=time(13), end=time(17))
    assert run.kinds() == kinds


@pytest.mark.parametrize(("widened", "kinds"), [(TOLERANCE, CLEAN), (TOLERANCE + INSTANT, {Kind.OUTSIDE_WINDOW})])
def test_wider_hours_hold_from_when_they_may_have_been_committed(run, widened, kinds):
    run.set_rules(start=time(13), end=time(17))
    run.ring(0)
    run.set_rules(widened, start=time(9), end=time(17))
    assert run.kinds() == kinds


@pytest.mark.parametrize(
    ("utc", "kinds"),
    [
        ("2026-03-28T08:00", CLEAN),  # the day before the clocks in Rome go forward: 9:00 is 8:00 UTC
        ("2026-03-28T07:59", {Kind.OUTSIDE_WINDOW}),
        ("2026-03-29T07:00", CLEAN),  # from then on 7:00 UTC
        ("2026-03-29T16:00", {Kind.OUTSIDE_WINDOW}),  # 18:00
        ("2026-03-29T15:59", CLEAN),
        ("2026-10-24T07:00", CLEAN),  # the day before they go back
        ("2026-10-25T07:30", {Kind.OUTSIDE_WINDOW}),  # 8:30
        ("2026-10-25T16:59", CLEAN),
        ("2026-10-25T17:00", {Kind.OUTSIDE_WINDOW}),
    ],
)
def test_the_hours_follow_the_local_clock_through_its_changes(run, utc, kinds):
    arrival = (datetime.fromisoformat(utc).replace(tzinfo=UTC) - NOON).total_seconds()
    run.add("anne", zone="Europe/Rome")
    run.set_rules(start=time(9), end=time(18))
    run.ring(arrival)
    run.read_at = at(arrival + 60)
    assert run.kinds() == kinds


@pytest.mark.parametrize(
    ("utc", "kinds"),
    [
        ("2026-03-29T00:59", CLEAN),  # 1:59
        ("2026-03-29T01:00", {Kind.OUTSIDE_WINDOW}),  # 3:00: the hours from 1:30 to 2:30 end with the jump
        ("2026-10-25T00:00", CLEAN),  # 2:00
        ("2026-10-25T00:30", {Kind.OUTSIDE_WINDOW}),  # 2:30
        ("2026-10-25T01:00", CLEAN),  # 2:00 for the second time
        ("2026-10-25T01:30", {Kind.OUTSIDE_WINDOW}),
    ],
)
def test_hours_that_a_change_of_the_clock_cuts_or_doubles(run, utc, kinds):
    arrival = (datetime.fromisoformat(utc).replace(tzinfo=UTC) - NOON).total_seconds()
    run.add("anne", zone="Europe/Rome")
    run.set_rules(start=time(1, 30), end=time(2, 30))
    run.ring(arrival)
    run.read_at = at(arrival + 60)
    assert run.kinds() == kinds


# do_not_call and not_running: within the send deadline

DEADLINE = TERMS.send_deadline + TOLERANCE


@pytest.mark.parametrize(("start", "kinds"), [(DEADLINE, CLEAN), (DEADLINE + INSTANT, {Kind.DO_NOT_CALL})])
def test_nobody_on_the_list_is_rung(run, start, kinds):
    run.ring(start)
    run.list_number(ANNE, -2, took=2)
    assert run.kinds() == kinds


def test_a_number_may_be_rung_again_when_it_is_off_the_list(run):
    run.ring(100)
    run.operate(DoNotCall(phone_number=ANNE, listed=True), 0)
    run.operate(DoNotCall(phone_number=ANNE, listed=False), 90)
    assert run.kinds() == CLEAN


def test_an_entry_of_which_nobody_knows_whether_it_was_committed_proves_nothing(run):
    run.ring(100)
    run.log.append(Setting(from_=at(0), to=None, value=DoNotCall(phone_number=ANNE, listed=True)))
    assert run.kinds() == CLEAN


@pytest.mark.parametrize("status", ["paused", "cancelled", "completed", "draft"])
@pytest.mark.parametrize(("start", "kinds"), [(DEADLINE, CLEAN), (DEADLINE + INSTANT, {Kind.NOT_RUNNING})])
def test_only_running_campaigns_ring(run, status, start, kinds):
    run.ring(start)
    run.operate(CampaignStatus(campaign="campaign", status=status), -2, took=2)
    run.campaign = replace(run.campaign, status=status)
    assert run.kinds() == kinds


def test_a_campaign_that_was_resumed_rings(run):
    run.ring(100)
    run.operate(CampaignStatus(campaign="campaign", status="paused"), 0)
    run.operate(CampaignStatus(campaign="campaign", status="running"), 99)
    assert run.kinds() == CLEAN


# late, order

LATEST = 5 + TERMS.connect + TOLERANCE


@pytest.mark.parametrize(("claimed", "kinds"), [(-LATEST, CLEAN), (-LATEST - INSTANT, {Kind.LATE})])
def test_a_call_arrives_before_its_send_deadline(run, claimed, kinds):
    run.ring(0, claimed_at=at(claimed), send_before=at(claimed + 50), started_at=at(claimed), start_at=at(claimed))
    assert run.kinds() == kinds


@pytest.mark.parametrize(("send_before", "kinds"), [(5 - LATEST, CLEAN), (5 - LATEST - INSTANT, {Kind.LATE})])
def test_a_call_arrives_before_the_deadline_in_its_row(run, send_before, kinds):
    run.ring(0, send_before=at(send_before), claimed_at=at(-3))
    assert run.kinds() == kinds


def test_a_clock_that_was_put_forward_in_between_makes_no_call_late(run):
    run.set_rules(start=time(9), end=time(12))
    run.ring(59.5, claimed_at=at(-1), send_before=at(4), started_at=at(-0.9), start_at=at(-0.9))
    run.operate(CampaignStatus(campaign="campaign", status="paused"), -0.8)
    run.set_rules(-0.7, start=time(12), end=time(13))
    run.operate(ClockStep(seconds=60), -0.5, took=60)
    assert run.kinds() == CLEAN


def test_a_clock_that_was_put_forward_at_another_time_excuses_nothing(run):
    run.operate(ClockStep(seconds=60), -100, took=60)
    run.ring(0, claimed_at=at(-20), send_before=at(-15))
    run.operate(ClockStep(seconds=60), 1, took=60)
    assert run.kinds() == {Kind.LATE}


@pytest.mark.parametrize(
    ("claimed", "started", "kinds"),
    [
        (TOLERANCE, TOLERANCE, CLEAN),
        (TOLERANCE + INSTANT, TOLERANCE, {Kind.ORDER}),
        (0, TOLERANCE + INSTANT, {Kind.ORDER}),
    ],
)
def test_the_attempt_is_there_before_the_call(run, claimed, started, kinds):
    run.ring(0, claimed_at=at(claimed), started_at=at(started))
    assert run.kinds() == kinds


def test_an_attempt_that_was_never_placed_has_no_call(run):
    run.ring(0, started_at=None)
    assert run.kinds() == {Kind.ORDER}


# unknown_call


@pytest.mark.parametrize("call_id", [None, "nobody's"])
def test_every_call_has_its_attempt(run, call_id):
    run.see(0, call_id=call_id, number=ANNE)
    assert run.kinds() == {Kind.UNKNOWN_CALL}


def test_a_call_goes_to_the_number_of_its_attempt(run):
    run.ring(0)
    run.calls[0] = replace(run.calls[0], to=BEN)
    assert run.kinds() == {Kind.UNKNOWN_CALL}


def test_an_attempt_has_the_number_of_its_contact(run):
    run.ring(0, phone_number=BEN)
    run.calls[0] = replace(run.calls[0], to=BEN)
    assert run.kinds() == {Kind.UNKNOWN_CALL}


# given_back_but_rang


def test_what_was_given_back_never_rang(run):
    run.ring(0, given_back=True, outcome="failed")
    assert run.kinds() == {Kind.GIVEN_BACK_BUT_RANG}


def test_a_call_that_was_cancelled_in_the_networks_queue_may_be_given_back(run):
    run.ring(0, status="canceled", given_back=True)
    assert run.kinds() == {Kind.GIVEN_BACK_BUT_RANG}
    run.rang.clear()
    assert run.kinds() == CLEAN


def test_a_call_that_may_still_ring_is_not_given_back(run):
    run.ring(0, status=None, given_back=True, outcome="failed")
    run.change_attempt(status="ended", ended_at=at(2))
    run.rang.clear()
    assert run.kinds() == {Kind.GIVEN_BACK_BUT_RANG}


# wrong_outcome


@pytest.mark.parametrize(
    ("seen", "right"),
    [
        ({"status": "completed", "heard": True, "gathered": [YES, FOUR]}, {"completed"}),
        # The site has it; whether it was the last one cannot be told of a call that was cut off.
        ({"status": "completed", "heard": False, "gathered": [YES, FOUR]}, {"completed", "no_answer"}),
        ({"status": "completed", "heard": False, "gathered": [YES, UNHEARD]}, {"completed", "no_answer"}),
        ({"status": "completed", "heard": False, "gathered": [YES, FOUR, NOTHING]}, {"no_answer"}),
        ({"status": "completed", "heard": True, "gathered": [YES, MISHEARD]}, {"no_answer"}),
        ({"status": "completed", "heard": False, "gathered": [NO]}, {"refused"}),
        ({"status": "completed", "heard": False, "gathered": [NO, NOTHING]}, {"refused"}),
        ({"status": "completed", "heard": True, "gathered": [YES, NEVER]}, {"refused"}),
        ({"status": "completed", "heard": False, "gathered": [replace(NO, answer=503)]}, {"refused", "no_answer"}),
        ({"status": "completed", "heard": True}, {"no_answer"}),
        ({"status": "completed", "heard": False}, {"no_answer"}),
        ({"status": "no-answer"}, {"no_answer"}),
        ({"status": "busy"}, {"busy"}),
        ({"status": "failed"}, {"failed"}),
        ({"status": "canceled"}, {"failed"}),
    ],
)
@pytest.mark.parametrize("outcome", ["completed", "no_answer", "busy", "failed", "refused"])
def test_an_outcome_is_what_the_network_saw(run, seen, right, outcome):
    run.answer("anne@0")
    run.ring(0, outcome=outcome, **seen)
    assert run.kinds() - {Kind.NOT_LISTED} == (CLEAN if outcome in right else {Kind.WRONG_OUTCOME})


@pytest.mark.parametrize(("ended", "kinds"), [(5 - TOLERANCE, CLEAN), (5 - TOLERANCE - INSTANT, {Kind.WRONG_OUTCOME})])
def test_no_outcome_is_written_before_the_call_is_over(run, ended, kinds):
    run.ring(0, lasts=5, ended_at=at(ended))
    assert run.kinds() == kinds


def test_a_call_that_never_ended_has_no_outcome(run):
    run.ring(0, status=None, outcome="no_answer")
    run.change_attempt(status="ended", ended_at=at(6))
    run.change(state="not_reached", next_attempt_at=LATER)
    assert run.kinds() == {Kind.WRONG_OUTCOME}


@pytest.mark.parametrize(
    ("ended", "outcome", "kinds"),
    [
        (20 - TOLERANCE, "failed", CLEAN),
        (20 - TOLERANCE - INSTANT, "failed", {Kind.WRONG_OUTCOME}),  # the longest call was not over
        (20, "no_answer", {Kind.WRONG_OUTCOME}),
        (20, "completed", {Kind.WRONG_OUTCOME}),
    ],
)
def test_who_was_never_heard_of_is_given_up_when_the_longest_call_is_over(run, ended, outcome, kinds):
    run.write(0, call_id="silent", started_at=at(0), ended_at=at(ended), outcome=outcome, error_code="lost")
    assert run.kinds() == kinds


@pytest.mark.parametrize(
    ("last", "outcome", "kinds"),
    [
        (FOUR, "completed", CLEAN),
        (NO, "refused", CLEAN),
        (FOUR, "failed", CLEAN),
        (NOTHING, "completed", {Kind.WRONG_OUTCOME}),
        (FOUR, "refused", {Kind.WRONG_OUTCOME}),
    ],
)
def test_who_was_given_up_has_decided_only_what_was_said(run, last, outcome, kinds):
    run.answer("anne@0")
    run.ring(0, status="completed", gathered=[YES, last], outcome=outcome, error_code="lost", ended_at=at(30))
    assert run.kinds() == kinds


# lost_answer


def test_an_answer_that_the_site_said_it_has_is_stored(run):
    run.ring(0, status="completed", gathered=[YES, FOUR, NOTHING])
    assert run.kinds() == {Kind.LOST_ANSWER}
    run.answer("anne@0")
    assert run.kinds() == CLEAN


def test_the_same_key_to_two_questions_is_two_answers(run):
    one = replace(FOUR, digits="1")
    run.ring(0, status="completed", gathered=[YES, one, one, NOTHING])
    run.answer("anne@0", "1")
    assert run.kinds() == {Kind.LOST_ANSWER}
    run.answer("anne@0", "1", "yes", position=2)
    assert run.kinds() == CLEAN


@pytest.mark.parametrize("given", [UNHEARD, MISHEARD, NOTHING, YES])
def test_what_the_site_did_not_say_it_has_need_not_be(run, given):
    run.ring(0, status="completed", gathered=[YES, given, NOTHING])
    assert run.kinds() == CLEAN


# wrong_answer


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ({"raw": "4", "value": "4"}, CLEAN),
        ({"raw": "four", "value": "4"}, CLEAN),
        ({"raw": "4", "value": "3"}, {Kind.WRONG_ANSWER}),
        ({"raw": "four", "value": "7"}, {Kind.WRONG_ANSWER}),
        ({"raw": "2", "value": "no", "position": 2}, CLEAN),
        ({"raw": "2", "value": "yes", "position": 2}, {Kind.WRONG_ANSWER}),
        ({"raw": "4", "is_current": False}, {Kind.WRONG_ANSWER}),
    ],
)
def test_an_answer_has_the_value_that_was_meant_and_is_current(run, answer, kinds):
    run.answer("anne@0", **answer)
    assert run.kinds() == kinds


@pytest.mark.parametrize(("current", "kinds"), [((False, True), CLEAN), ((True, False), {Kind.WRONG_ANSWER})])
def test_of_two_answers_to_a_question_the_last_one_is_current(run, current, kinds):
    for raw, is_current in zip("45", current, strict=True):
        run.answer("anne@0", raw, is_current=is_current)
    assert run.kinds() == kinds


# not_listed


def test_who_wants_no_calls_is_on_the_list(run):
    run.ring(0, status="completed", gathered=[NEVER], outcome="refused")
    assert run.kinds() == {Kind.NOT_LISTED}
    run.listed.add(ANNE)
    assert Kind.NOT_LISTED not in run.kinds()


def test_operators_may_have_taken_off_the_list_who_wants_no_calls(run):
    run.ring(0, status="completed", gathered=[NEVER], outcome="refused")
    run.operate(DoNotCall(phone_number=ANNE, listed=False), 50)
    assert Kind.NOT_LISTED not in run.kinds()


# after_last_word


@pytest.mark.parametrize(
    ("seen", "kinds"),
    [
        ({"gathered": [NO]}, {Kind.AFTER_LAST_WORD}),
        ({"gathered": [NO, NO, NOTHING]}, {Kind.AFTER_LAST_WORD}),
        ({"gathered": [NEVER]}, {Kind.AFTER_LAST_WORD}),
        ({"gathered": [YES], "heard": True}, {Kind.AFTER_LAST_WORD}),
        ({"gathered": [YES]}, CLEAN),  # cut off before the first question
        ({"gathered": [YES, NOTHING], "heard": True}, CLEAN),
        ({"gathered": [YES, WRONG, WRONG], "heard": True}, CLEAN),  # the call ends politely
    ],
)
def test_who_has_refused_or_taken_part_is_not_rung_again(run, seen, kinds):
    run.ring(0, status="completed", **seen)
    run.ring(100)
    assert run.kinds() & {Kind.AFTER_LAST_WORD} == kinds


def test_who_wants_no_calls_is_rung_by_no_campaign_unless_taken_off_the_list(run):
    run.add("anne elsewhere", ANNE)
    run.ring(0, status="completed", gathered=[NEVER])
    run.ring(100, who="anne elsewhere")
    assert Kind.AFTER_LAST_WORD in run.kinds()
    run.operate(DoNotCall(phone_number=ANNE, listed=False), 50)
    assert Kind.AFTER_LAST_WORD not in run.kinds()


def test_who_says_no_may_be_rung_by_another_campaign(run):
    run.add("anne elsewhere", ANNE)
    run.ring(0, status="completed", gathered=[NO], outcome="refused")
    run.ring(100, who="anne elsewhere")
    assert run.kinds() == CLEAN


def test_a_call_that_nobody_saw_fails_only_when_its_number_was_refused(run):
    run.write(0, call_id="refused", error_code="21211")
    run.change(number_rejected=True, next_attempt_at=None)
    assert Kind.WRONG_OUTCOME in run.kinds()
    run.refused.add(ANNE)
    assert run.kinds() == CLEAN


def test_what_was_given_back_has_failed(run):
    run.write(0, call_id="withdrawn", given_back=True, outcome="no_answer")
    assert run.kinds() == {Kind.WRONG_OUTCOME}


# wrong_contact_state


@pytest.mark.parametrize(
    ("status", "state", "kinds"),
    [
        ("no-answer", "not_reached", CLEAN),
        ("no-answer", "pending", {Kind.WRONG_CONTACT_STATE}),
        ("no-answer", "excluded", {Kind.WRONG_CONTACT_STATE}),
        ("no-answer", "completed", {Kind.WRONG_CONTACT_STATE}),
        ("no-answer", "in_progress", {Kind.WRONG_CONTACT_STATE, Kind.STUCK}),
    ],
)
def test_a_contact_is_in_the_one_right_state(run, status, state, kinds):
    run.ring(0, status=status)
    run.change(state=state)
    assert run.kinds() == kinds


def test_who_took_part_is_completed(run):
    run.ring(0, status="completed", heard=True, gathered=[YES])
    run.change(state="not_reached", next_attempt_at=LATER)
    assert run.kinds() == {Kind.WRONG_CONTACT_STATE}


def test_who_is_in_a_call_is_in_progress(run):
    run.ring(0, status=None)
    assert run.kinds() == {Kind.STUCK}
    run.change(state="pending", next_attempt_at=LATER)
    assert run.kinds() == {Kind.STUCK, Kind.WRONG_CONTACT_STATE}


def test_who_is_on_the_list_is_excluded(run):
    run.list_number(ANNE, 0)
    assert run.kinds() == CLEAN
    run.change(state="pending")
    assert Kind.WRONG_CONTACT_STATE in run.kinds()


def test_who_took_part_and_is_on_the_list_is_completed(run):
    run.ring(0, status="completed", heard=True, gathered=[YES])
    run.list_number(ANNE, 20)
    assert run.kinds() == CLEAN


def test_the_mark_on_a_contact_and_the_list_say_the_same(run):
    run.ring(0, status="completed", heard=True, gathered=[YES])
    run.change(do_not_call=True)
    assert run.kinds() == {Kind.WRONG_CONTACT_STATE}


@pytest.mark.parametrize("count", [0, 2])
def test_attempts_are_counted(run, count):
    run.ring(0)
    run.change(attempts_count=count)
    assert run.kinds() == {Kind.WRONG_CONTACT_STATE}


@pytest.mark.parametrize("state", ["pending", "not_reached"])
def test_who_was_given_back_after_a_call_waits_by_either_name(run, state):
    run.ring(0)
    run.write(100, call_id="withdrawn", given_back=True)
    run.change(state=state)
    assert run.kinds() == CLEAN


# stuck


def test_no_call_is_open_when_all_is_quiet(run):
    run.write(0, call_id="silent", status="unknown", outcome="", ended_at=None)
    assert run.kinds() == {Kind.STUCK}


@pytest.mark.parametrize(("due", "kinds"), [(995, {Kind.STUCK}), (995 + INSTANT, CLEAN)])
def test_nobody_is_due_for_long_when_all_is_quiet(run, due, kinds):
    run.change(next_attempt_at=at(due))
    assert run.kinds() == kinds


@pytest.mark.parametrize("hours", [(time(13), time(17)), (time(9), time(12, 16, 45)), (time(12, 16, 36), time(17))])
def test_nobody_is_stuck_who_waits_for_the_window_or_just_before_its_end(run, hours):
    run.change(next_attempt_at=at(0))  # and it is 12:16:40
    run.set_rules(start=hours[0], end=hours[1])
    assert run.kinds() == CLEAN


@pytest.mark.parametrize(
    "changes",
    [{"status": "paused"}, {"status": "cancelled"}, {"starts_at": at(2000)}, {"ends_at": at(1000)}],
)
def test_nobody_is_stuck_in_a_campaign_that_does_not_dial(run, changes):
    run.change(next_attempt_at=at(0))
    run.campaign = replace(run.campaign, **changes)
    assert run.kinds() == CLEAN


# lost


@pytest.mark.parametrize("attempts", [0, 2])
def test_who_has_attempts_left_waits(run, attempts):
    for index in range(attempts):
        run.ring(index * 100)
    run.change(next_attempt_at=None)
    assert run.kinds() == {Kind.LOST}


def test_who_has_none_left_does_not_wait(run):
    ring_thrice(run)
    run.change(next_attempt_at=None)
    assert run.kinds() == CLEAN
    run.set_rules(300, max_attempts=4)
    assert run.kinds() == {Kind.LOST}


def test_only_the_network_can_say_that_a_number_will_never_work(run):
    run.ring(0, status="failed")
    run.change(number_rejected=True, next_attempt_at=None)
    assert run.kinds() == {Kind.LOST}
    run.refused.add(ANNE)
    assert run.kinds() == CLEAN


def test_a_campaign_is_not_completed_while_somebody_waits(run):
    run.ring(0, who="ben")
    run.campaign = replace(run.campaign, status="completed")
    assert run.kinds() == {Kind.LOST}


def test_a_campaign_is_completed_when_its_end_has_passed(run):
    run.campaign = replace(run.campaign, status="completed", ends_at=at(1000))
    assert run.kinds() == CLEAN


def test_an_operator_may_complete_a_campaign(run):
    run.campaign = replace(run.campaign, status="completed")
    run.operate(CampaignStatus(campaign="campaign", status="completed"), 100)
    assert run.kinds() == CLEAN


@pytest.mark.parametrize(("zone", "kinds"), [("America/New_York Asia/Tokyo", CLEAN), ("Asia/Tokyo", {Kind.LOST})])
def test_a_campaign_is_completed_when_who_waits_can_never_be_rung(run, zone, kinds):
    run.add("anne", zone=zone)
    run.change("ben", state="excluded", do_not_call=True, next_attempt_at=None)
    run.listed.add(BEN)
    run.set_rules(start=time(9), end=time(17))
    run.campaign = replace(run.campaign, status="completed")
    assert run.kinds() == kinds


def test_who_came_to_wait_after_the_completion_is_left_to_the_next_activation(run):
    ring_thrice(run)
    run.change("ben", state="excluded", do_not_call=True, next_attempt_at=None)
    run.listed.add(BEN)
    run.campaign = replace(run.campaign, status="completed")
    run.set_rules(300, max_attempts=4)
    run.change(next_attempt_at=at(400))
    assert run.kinds() == CLEAN


# The evidence must suffice


@pytest.mark.parametrize("missing", [Limits, CallingRules, CampaignStatus, Person])
def test_a_run_that_forgot_to_log_something_cannot_be_judged(run, missing):
    run.ring(0)
    run.log = [one for one in run.log if not isinstance(one.value, missing)]
    with pytest.raises(EvidenceError):
        judge(run.evidence())


def test_a_call_before_the_first_entry_of_the_log_cannot_be_judged(run):
    run.ring(-200)
    with pytest.raises(EvidenceError):
        judge(run.evidence())


# Figures


def test_the_figures_of_a_run(run):
    run.ring(0, lasts=5)
    run.answer("ben@2")
    run.ring(2, who="ben", lasts=5, status="completed", heard=True, gathered=[YES, FOUR])
    run.ring(80)
    run.write(70, call_id="withdrawn", given_back=True)
    assert judge(run.evidence()).figures == {
        "calls": 3,
        "answers": 1,
        "attempts": 4,
        "given_back": 1,
        "outcomes": {"completed": 1, "no_answer": 2},
        "contacts": {"completed": 1, "not_reached": 1},
        "peak_lines": 2,
        "lines_allowed": 10,
        "peak_starts_per_second": 1,
        "calls_per_second_allowed": 20,
        "arrivals_too_soon": 0,
        "longest_gap_seconds": 15.0,  # due at 65, rung at 80
    }


def test_a_gap_counts_from_when_the_window_opened(run):
    run.set_rules(start=time(12), end=time(17))
    run.ring(0, who="ben")
    run.set_rules(10, start=time(12, 5), end=time(17))
    run.ring(303)
    assert judge(run.evidence()).figures["longest_gap_seconds"] == 3


def test_a_gap_counts_from_when_a_line_was_free(run):
    run.operate(Limits(lines=1, calls_per_second=20), -99)
    run.ring(0, who="ben", lasts=40)
    run.ring(47)
    assert judge(run.evidence()).figures["longest_gap_seconds"] == 7


def test_a_step_of_the_clock_is_no_gap(run):
    run.ring(0, who="ben")
    run.operate(ClockStep(seconds=60), 10, took=60)
    run.ring(75)
    assert judge(run.evidence()).figures["longest_gap_seconds"] == 15
