"""The pace of several schedulers that draw from one row, by clocks that lose time, freeze and are set back.

All is checked by the steady time that goes on whatever the database's clock shows.
"""

import math
from bisect import bisect, insort
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from calls.pacing import (
    HEADROOM,
    HORIZON,
    TOLERANCE,
    Departures,
    believe,
    count_together,
    find_debt,
    gap_between,
    plan_again,
    plan_starts,
    was_set_back,
)
from calls.scheduler import PLACING_LEAD
from calls.tests.conftest import NOON

SECOND = timedelta(seconds=1)
NOTHING = timedelta(0)
SEND_DEADLINE = timedelta(seconds=5)
LONGEST_PASS = timedelta(milliseconds=200)  # of a scheduler's loop

rates = st.sampled_from([0.01, 0.3, 0.99, 1, 1.02, 1.5, 2, 2.5, 3, 9.99, 10, 33.3, 100]) | st.floats(0.01, 200)
steps = st.timedeltas(NOTHING, timedelta(seconds=3)) | st.sampled_from(
    [
        NOTHING,
        timedelta(milliseconds=1),
        timedelta(milliseconds=100),
        SECOND,
        timedelta(seconds=7),
        timedelta(minutes=5),
    ]
)
set_back = st.timedeltas(timedelta(milliseconds=1), timedelta(hours=30)) | st.sampled_from(
    [timedelta(milliseconds=900), SECOND, timedelta(seconds=5), timedelta(seconds=30), timedelta(hours=1)]
)
hold_ups = st.sampled_from([NOTHING, TOLERANCE, timedelta(milliseconds=40)]) | st.timedeltas(
    NOTHING, timedelta(seconds=0.3)
)


def most_together(rate):
    """So many calls may start in how long a half-open span: in a second, for a rate that is a whole number."""
    most = math.ceil(rate)
    return most, timedelta(seconds=most / rate)


@dataclass
class Waiting:
    """A call that was claimed: its instant by the database's clock, the rate that it was planned for."""

    start: datetime
    claimed_at: datetime
    rate: float

    @property
    def send_before(self):
        return self.claimed_at + SEND_DEADLINE


@dataclass
class Scheduler:
    """Waits by the steady clock, for instants of the database's clock as it was when last asked."""

    shift: timedelta = NOTHING  # what is to be added to steady time
    rate: float = 1
    hold_up: timedelta = NOTHING  # of its senders
    debts: deque[tuple[datetime, timedelta]] = field(default_factory=deque)  # when it pushes starts back, by how much
    calls: deque[Waiting] = field(default_factory=deque)
    departures: Departures = field(default_factory=Departures)
    is_frozen: bool = False


class Pace(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.steady = NOON
        self.shift = NOTHING
        self.next_call_at = None
        self.schedulers = [Scheduler() for _ in range(3)]
        self.left = []  # (steady instant, rate) of every call that was sent, in their order
        self.checked = 0

    @initialize(rate=rates)
    def begin(self, rate):
        self.rate = rate

    @property
    def now(self):
        return self.steady + self.shift

    @rule(rate=rates)
    def set_rate(self, rate):
        self.rate = rate

    @rule(by=set_back)
    def set_clock_back(self, by):
        self.shift -= by

    @rule(index=st.integers(0, 2))
    def freeze_or_thaw(self, index):
        self.schedulers[index].is_frozen ^= True

    @rule(index=st.integers(0, 2), wanted=st.integers(1, 16))
    def claim(self, index, wanted):
        """Like a scheduler's pass: it claims only when it has sent what it claimed before."""
        scheduler = self.schedulers[index]
        if scheduler.is_frozen or scheduler.calls:
            return
        scheduler.shift, scheduler.rate = self.shift, self.rate
        starts = self.plan(wanted)
        scheduler.calls.extend(Waiting(start, self.now, self.rate) for start in starts)

    @rule(turns=st.lists(st.tuples(st.integers(0, 2), hold_ups), min_size=2, max_size=8))
    def ring_in_turn(self, turns):
        """As fast as the rate allows, so that every place is taken; senders may be held up."""
        for index, hold_up in turns:
            self.schedulers[index].hold_up = hold_up
            wait = (self.next_call_at or self.now) - HORIZON - self.now
            self.advance(self.steady + max(wait, NOTHING))
            self.claim(index, 16)

    def plan(self, wanted):
        gap = gap_between(self.rate)
        believed = believe(self.next_call_at, self.now, calls_per_second=self.rate, send_deadline=SEND_DEADLINE)
        first = max(believed or self.now, self.now + HEADROOM)
        starts = plan_starts(self.now, next_call_at=first, calls_per_second=self.rate, wanted=wanted)
        assert len(starts) <= wanted
        assert all(self.now <= start <= self.now + HORIZON for start in starts)
        self.next_call_at = starts[-1] + gap if starts else believed
        assert self.next_call_at <= self.now + SEND_DEADLINE + HORIZON + gap
        return starts

    @rule(by=steps)
    def pass_time(self, by):
        self.advance(self.steady + by)

    def advance(self, until):
        """Let every scheduler that is not frozen come to what it waits for, in the order in which that happens."""
        while True:
            debts = [
                (scheduler.debts[0][0], self.push_back, scheduler) for scheduler in self.schedulers if scheduler.debts
            ]
            awake = [scheduler for scheduler in self.schedulers if scheduler.calls and not scheduler.is_frozen]
            calls = [(scheduler.calls[0].start - scheduler.shift, self.place, scheduler) for scheduler in awake]
            turn, act, scheduler = min([*debts, *calls], key=itemgetter(0), default=(None, None, None))
            if turn is None or turn > until:
                self.steady = until
                return
            self.steady = max(self.steady, turn)
            act(scheduler)

    def push_back(self, scheduler):
        _, debt = scheduler.debts.popleft()
        self.next_call_at = max(self.next_call_at, self.now) + debt

    @property
    def seconds(self):
        return (self.steady - NOON).total_seconds()

    def place(self, scheduler):
        """As CallScheduler._place_due does, with its first call; the lead before the instant takes no time here."""
        scheduler.shift = self.shift
        call = scheduler.calls[0]
        if was_set_back(call.claimed_at, self.now):
            scheduler.calls.clear()  # given back, because the clock was set back
            return
        if self.now >= call.send_before:
            scheduler.calls.popleft()  # given back
            return
        if call.start > self.now:
            return
        start = self.seconds + (call.start - self.now).total_seconds()
        departure = scheduler.departures.plan(start, scheduler.rate)
        if departure.is_too_late(self.seconds):
            self.replan(scheduler, self.now + timedelta(seconds=departure.leaves_at - self.seconds))
            return
        scheduler.calls.popleft()
        scheduler.departures.note(departure)
        sent_at = max(departure.leaves_at, self.seconds) + scheduler.hold_up.total_seconds()
        if departure.is_too_late(sent_at):
            return  # given back
        departure.leaves_at, departure.answered_at = sent_at, sent_at + 0.01
        if sent_at - start > TOLERANCE.total_seconds():
            pushed_at = NOON + timedelta(seconds=sent_at) + LONGEST_PASS
            scheduler.debts.append((pushed_at, find_debt([sent_at - start], scheduler.rate)))
        sent = NOON + timedelta(seconds=sent_at), call.rate
        self.checked = min(self.checked, bisect(self.left, sent))
        insort(self.left, sent)

    def replan(self, scheduler, not_before):
        starts = plan_again(
            self.now,
            [call.start for call in scheduler.calls],
            next_call_at=self.next_call_at,
            calls_per_second=self.rate,
            send_deadline=SEND_DEADLINE,
            not_before=max(not_before, self.now + HEADROOM),
        )
        assert starts[0] > self.now
        self.next_call_at = starts[-1] + gap_between(self.rate)
        for call, start in zip(scheduler.calls, starts, strict=True):
            call.start, call.rate = start, self.rate

    @rule(index=st.integers(0, 2))
    @precondition(lambda self: not any(scheduler.calls for scheduler in self.schedulers))
    def nobody_is_silent_for_long(self, index):
        """Whatever was done to the clock, a claim gets a start after the send deadline, a gap and a second."""
        waited_until = self.steady + SEND_DEADLINE + HORIZON + gap_between(self.rate) + SECOND
        while not (starts := self.plan(1)):
            wait = self.next_call_at - HORIZON - self.now
            assert wait > NOTHING
            self.steady += wait
            assert self.steady <= waited_until
        self.schedulers[index].is_frozen = False
        self.schedulers[index].shift, self.schedulers[index].rate = self.shift, self.rate
        self.schedulers[index].calls.append(Waiting(starts[0], self.now, self.rate))

    @invariant()
    def never_more_than_the_rate(self):
        """The highest rate that was in force when one of the calls was planned."""
        for index in range(self.checked, len(self.left)):
            end = self.left[index][0]
            for most, span in {most_together(rate) for _, rate in self.left}:
                # Every span that is fullest ends with one of the starts.
                together = [rate for start, rate in self.left[: index + 1] if start > end - span]
                if most_together(max(together, default=0.01)) == (most, span):
                    assert len(together) <= most, f"{len(together)} before {end}, for {together}"
        self.checked = len(self.left)


def test_no_claims_no_freezes_and_no_clock_that_is_set_back_exceed_the_rate_or_bring_silence():
    run_state_machine_as_test(Pace, settings=settings(max_examples=settings.default.max_examples * 2))


# The arithmetic by itself


@given(st.floats(0.001, 5000))
def test_as_many_gaps_as_the_rate_allows_fill_their_span(rate):
    most, span = most_together(rate)
    assert span < gap_between(rate) * most <= span * 1.03


@given(rates, rates)
def test_a_higher_rate_never_means_a_longer_gap(one, other):
    slower, faster = sorted([one, other])
    assert gap_between(faster) <= gap_between(slower)


@given(
    rate=rates,
    ahead=st.none() | st.timedeltas(-timedelta(hours=2), timedelta(hours=2)),
    wanted=st.integers(0, 100),
)
def test_a_plan_begins_as_soon_as_it_may_and_is_as_long_as_it_may(rate, ahead, wanted):
    next_call_at = None if ahead is None else NOON + ahead
    starts = plan_starts(NOON, next_call_at=next_call_at, calls_per_second=rate, wanted=wanted)
    first = max(NOON, next_call_at or NOON)
    expected = []
    while len(expected) < wanted and first <= NOON + HORIZON:
        expected.append(first)
        first += gap_between(rate)
    assert starts == expected


@given(rate=rates, ahead=st.timedeltas(-timedelta(hours=2), timedelta(hours=2)))
def test_what_a_claim_may_have_stored_is_believed_and_nothing_later(rate, ahead):
    believed = believe(NOON + ahead, NOON, calls_per_second=rate, send_deadline=SEND_DEADLINE)
    assert believed == min(NOON + ahead, NOON + SEND_DEADLINE + HORIZON + gap_between(rate))
    assert believe(None, NOON, calls_per_second=rate, send_deadline=SEND_DEADLINE) is None


@given(
    claimed_at=rates,
    rate=rates,
    own=st.integers(1, 16),
    others=st.integers(0, 16),
    late=steps,
    back=set_back | st.just(NOTHING),
)
def test_late_calls_never_come_between_those_that_others_have_claimed_since(claimed_at, rate, own, others, late, back):
    """Whatever became of the rate since; and a clock that was set back does not put them off by as much."""
    gap = gap_between(claimed_at)
    planned = [NOON + index * gap for index in range(own)]
    others_end = NOON + (own + others) * gap
    now = NOON + late - back
    starts = plan_again(
        now, planned, next_call_at=others_end, calls_per_second=rate, send_deadline=SEND_DEADLINE, not_before=now
    )
    assert starts == [starts[0] + index * gap_between(rate) for index in range(own)]
    latest = now + SEND_DEADLINE + HORIZON + gap_between(rate)
    assert now <= starts[0] <= latest
    if others and starts[0] < latest:
        assert starts[0] >= others_end
    if not others and claimed_at == rate:
        assert starts[0] == now


# Requests on their way

pauses = st.floats(0, 3) | st.sampled_from([0, 0.001, 0.1, 1, 7, 300])
answers = st.none() | st.floats(0, 20)


@given(rate=rates, sent=st.lists(st.tuples(pauses, answers), max_size=30))
def test_a_scheduler_that_waits_for_its_departures_never_exceeds_the_rate_on_arrival(rate, sent):
    """Each request may arrive later than the quickest one by as much as its answer was later than that one's."""
    departures, now, latest_arrivals = Departures(), 0.0, []
    for pause, took in [(0, 0), *sent]:
        departure = departures.plan(now + pause, rate)
        departures.note(departure)
        now = departure.leaves_at
        departure.answered_at = None if took is None else now + took
        latest_arrivals.append((now, now + (took or 0)))
    most, span = count_together(rate)
    for earlier, later in zip(latest_arrivals, latest_arrivals[most:], strict=False):
        assert later[0] >= earlier[1] + span.total_seconds() - 1e-6


class AnsweredWhileLookedAt:
    """Has no answer for the first looks, as a sender's thread may write it at any moment."""

    def __init__(self, leaves_at, looks, took):
        self.leaves_at, self.looks, self.took = leaves_at, looks, took

    @property
    def answered_at(self):
        self.looks -= 1
        return None if self.looks >= 0 else self.leaves_at + self.took


@given(rate=rates, sent=st.lists(st.tuples(pauses, st.integers(0, 4), st.floats(0, 1)), min_size=1, max_size=12))
def test_an_answer_may_come_at_any_moment_of_the_look(rate, sent):
    departures, now = Departures(), 0.0
    for pause, looks, took in sent:
        now += pause
        departures.note(AnsweredWhileLookedAt(now, looks, took))
    earliest = departures.plan(-math.inf, rate).leaves_at
    most, span = count_together(rate)
    if len(sent) >= most:
        counted = departures._latest[-most]
        soonest = counted.leaves_at + span.total_seconds()
        assert soonest <= earliest <= soonest + counted.took + 1e-6
    else:
        assert earliest == -math.inf


def test_the_lead_is_within_what_counts_as_on_time():
    """A clock that was set back is told from a call that is marked as being placed just before its instant."""
    assert PLACING_LEAD < HORIZON
    assert HEADROOM <= PLACING_LEAD
