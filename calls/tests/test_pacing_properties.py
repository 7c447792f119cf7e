"""The pace of several schedulers that draw from one row, by clocks that lose time, freeze and are set back.

All is checked by the steady time that goes on whatever the database's clock shows.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

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
    HORIZON,
    LONGEST_ANSWER,
    TOLERANCE,
    Departure,
    Departures,
    believe,
    count_together,
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
        self.left = []  # (steady instant, rate) of every call that was sent
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
        scheduler.shift = self.shift
        starts = self.plan(wanted)
        scheduler.calls.extend(Waiting(start, self.now, self.rate) for start in starts)

    def plan(self, wanted):
        gap = gap_between(self.rate)
        believed = believe(self.next_call_at, self.now, calls_per_second=self.rate, send_deadline=SEND_DEADLINE)
        starts = plan_starts(self.now, next_call_at=believed, calls_per_second=self.rate, wanted=wanted)
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
            awake = [scheduler for scheduler in self.schedulers if scheduler.calls and not scheduler.is_frozen]
            turns = [(self.wakes_at(scheduler), index) for index, scheduler in enumerate(awake)]
            turn, index = min(turns, default=(None, None))
            if turn is None or turn > until:
                self.steady = until
                return
            self.steady = max(self.steady, turn)
            self.place(awake[index])

    def wakes_at(self, scheduler):
        return max(self.steady, scheduler.calls[0].start - scheduler.shift)

    def place(self, scheduler):
        """As CallScheduler._place does, with its first call; the lead before the instant takes no time here."""
        scheduler.shift = self.shift
        call = scheduler.calls[0]
        if was_set_back(call.claimed_at, self.now):
            scheduler.calls.clear()  # given back, because the clock was set back
            return
        if self.now >= call.send_before:
            scheduler.calls.popleft()  # given back
            return
        if call.start <= self.now:
            earliest = scheduler.departures.earliest_next(self.rate, self.now) or call.start
            if earliest > call.start or self.now > call.start + TOLERANCE:
                self.replan(scheduler, earliest)
        if call.start <= self.now:
            scheduler.calls.popleft()
            scheduler.departures.note(self.now).answered_at = self.now + timedelta(milliseconds=10)
            self.left.append((self.steady, call.rate))

    def replan(self, scheduler, not_before):
        starts = plan_again(
            self.now,
            [call.start for call in scheduler.calls],
            next_call_at=self.next_call_at,
            calls_per_second=self.rate,
            send_deadline=SEND_DEADLINE,
            not_before=not_before,
        )
        assert starts[0] >= self.now
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
        self.schedulers[index].shift = self.shift
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
        now, planned, next_call_at=others_end, calls_per_second=rate, send_deadline=SEND_DEADLINE, not_before=None
    )
    assert starts == [starts[0] + index * gap_between(rate) for index in range(own)]
    latest = now + SEND_DEADLINE + HORIZON + gap_between(rate)
    assert now <= starts[0] <= latest
    if others and starts[0] < latest:
        assert starts[0] >= others_end
    if not others and claimed_at == rate:
        assert starts[0] == now


# Requests on their way


answers = st.none() | st.timedeltas(NOTHING, timedelta(seconds=20))


@given(rate=rates, sent=st.lists(st.tuples(steps, answers), max_size=30))
def test_a_scheduler_that_waits_for_its_departures_never_exceeds_the_rate_on_arrival(rate, sent):
    """Each request may arrive later than the quickest one by as much as its answer was later than that one's."""
    departures, now, latest_arrivals = Departures(), NOON, []
    for pause, took in [(NOTHING, NOTHING), *sent]:
        now = max(now + pause, departures.earliest_next(rate, now + pause) or now)
        departures.note(now).answered_at = None if took is None else now + took
        latest_arrivals.append((now, now + (took or NOTHING)))
    most, span = count_together(rate)
    for earlier, later in zip(latest_arrivals, latest_arrivals[most:], strict=False):
        assert later[0] >= earlier[1] + span


@given(
    rate=rates,
    sent=st.lists(st.tuples(set_back | st.just(NOTHING), steps, st.none() | set_back | answers), max_size=20),
    ahead=set_back,
)
def test_a_clock_that_is_set_never_holds_a_request_back_for_long(rate, sent, ahead):
    departures, now = Departures(), NOON
    for back, pause, took in sent:
        now += pause - back
        departures.note(now).answered_at = None if took is None else now + took - back
    earliest = departures.earliest_next(rate, now - ahead)
    most, span = count_together(rate)
    assert earliest is None or earliest <= now - ahead + span + LONGEST_ANSWER
    if len(sent) < most:
        assert earliest is None


class AnsweredWhileLookedAt:
    """Has no answer for the first looks, as a sender's thread may write it at any moment."""

    def __init__(self, sent_at, looks, took):
        self.sent_at, self.looks, self.took = sent_at, looks, took

    @property
    def answered_at(self):
        self.looks -= 1
        return None if self.looks >= 0 else self.sent_at + self.took


@given(
    rate=rates,
    sent=st.lists(st.tuples(steps, st.integers(0, 4), st.timedeltas(NOTHING, SECOND)), min_size=1, max_size=12),
)
def test_an_answer_may_come_at_any_moment_of_the_look(rate, sent):
    departures, now = Departures(), NOON
    for pause, looks, took in sent:
        now += pause
        departures._latest.append(AnsweredWhileLookedAt(now, looks, took))
    earliest = departures.earliest_next(rate, now)
    if earliest is not None:
        most, span = count_together(rate)
        counted = departures._latest[-most]
        assert counted.sent_at + span <= earliest <= counted.sent_at + span + counted.took


def test_the_lead_is_within_what_counts_as_on_time():
    """A clock that was set back is told from a call that is marked as being placed just before its instant."""
    assert PLACING_LEAD < HORIZON
    assert isinstance(Departures().note(NOON), Departure)
