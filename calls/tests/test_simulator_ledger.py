import json
from datetime import UTC, datetime, timedelta

import pytest

from calls.simulator.ledger import (
    Ledger,
    LedgerCall,
    calls_from,
    calls_outside_window,
    calls_per_second,
    calls_to,
    find_duplicates,
    outcomes,
    peak_concurrent,
    peak_starts_per_second,
    read_ledger,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ANNE, BEN = "+12025550123", "+12025550124"


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def call(start, end=None, *, to=ANNE, call_id=None, status="completed"):
    return LedgerCall(
        sid=f"CA{start}-{to}",
        to=to,
        from_="+12025550100",
        call_id=call_id,
        started_at=at(start),
        ended_at=None if end is None else at(end),
        status=None if end is None else status,
    )


@pytest.mark.parametrize(
    ("spans", "peak"),
    [
        ([], 0),
        ([(0, 5)], 1),
        ([(0, 5), (5, 9)], 1),  # one ends as the next starts
        ([(0, 5), (4.999, 9)], 2),
        ([(0, 9), (1, 2), (3, 4)], 2),
        ([(0, None), (100, 101)], 2),  # without an end it is still open
    ],
)
def test_peak_concurrent_counts_calls_from_start_up_to_their_end(spans, peak):
    assert peak_concurrent([call(*span) for span in spans]) == peak


@pytest.mark.parametrize(
    ("starts", "peak"),
    [
        ([], 0),
        ([0], 1),
        ([0, 1], 1),  # a second does not contain the moment at which it ends
        ([0, 0.999999], 2),
        ([0.9, 1.1, 1.8], 3),  # not aligned to whole seconds
        ([0, 0.5, 1.0, 1.5, 2.0], 2),
        ([2.0, 0.0, 1.5], 2),  # in any order
    ],
)
def test_peak_starts_looks_at_every_second_wherever_it_begins(starts, peak):
    assert peak_starts_per_second([call(start, start + 9) for start in starts]) == peak


@pytest.mark.parametrize(
    ("calls", "rate"),
    [
        ([], 0.0),
        ([call(0)], 0.0),
        ([call(0, 4)], 0.25),
        ([call(0, 1), call(1, 2), call(2, 4)], 0.75),
        ([call(0, 1), call(2)], 1.0),
    ],
)
def test_calls_per_second_spans_the_first_start_to_the_last_end(calls, rate):
    assert calls_per_second(calls) == rate


@pytest.mark.parametrize(
    ("first", "second", "is_duplicate"),
    [
        (call(0, 5), call(5, 9), False),
        (call(0, 5), call(4, 9), True),
        (call(0), call(500, 600), True),  # the first never ended
        (call(0, 5), call(4, 9, to=BEN), False),
        (call(0, 5, call_id="a"), call(6, 9, to=BEN, call_id="a"), True),
        (call(0, 5, call_id="a"), call(6, 9, call_id="b"), False),
        (call(0, 5), call(6, 9), False),  # no call_id is not the same call_id
    ],
)
def test_duplicates_are_one_call_id_twice_or_one_number_on_two_calls(first, second, is_duplicate):
    assert find_duplicates([second, first]) == ([(first, second)] if is_duplicate else [])


def test_a_short_call_in_between_does_not_hide_an_overlap():
    long, short, late = call(0, 60), call(1, 2), call(30, 40)
    assert find_duplicates([long, short, late]) == [(long, short), (long, late)]


def test_outcomes_count_open_calls_too():
    calls = [call(0, 1), call(1, 2, status="busy"), call(2, 3), call(3)]
    assert outcomes(calls) == {"completed": 2, "busy": 1, "open": 1}


def test_calls_outside_the_window_are_those_it_says_no_to():
    early, late = call(0, 1), call(3600, 3601)
    assert calls_outside_window([early, late], lambda call: call.started_at < at(60)) == [late]


def test_calls_to_some_numbers():
    anne, ben = call(0, 1), call(0, 1, to=BEN)
    assert calls_to([anne, ben], [BEN]) == [ben]


def test_calls_are_put_together_from_their_lines(tmp_path):
    facts = {"sid": "CA1", "to": ANNE, "from": "+12025550100", "call_id": "a"}
    ledger = Ledger(tmp_path / "deep" / "ledger.jsonl")
    ledger.write("call", at(0), **facts)
    ledger.write("request", at(0), method="POST", answer=201)
    ledger.write("ringing", at(1), **facts)
    ledger.write("answered", at(2), **facts)
    ledger.write("ended", at(9), **facts, status="completed", heard_to_end=True)
    ledger.close()
    assert calls_from(read_ledger(tmp_path / "deep" / "ledger.jsonl")) == [
        LedgerCall(
            sid="CA1",
            to=ANNE,
            from_="+12025550100",
            call_id="a",
            started_at=at(0),
            answered_at=at(2),
            ended_at=at(9),
            status="completed",
            heard_to_end=True,
        )
    ]


def test_moments_are_written_in_utc_with_microseconds(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.write("request", datetime.fromisoformat("2026-03-02T13:00:00+01:00"))
    ledger.close()
    assert read_ledger(tmp_path / "ledger.jsonl")[0]["at"] == "2026-03-02T12:00:00.000000+00:00"


def test_a_line_that_is_still_being_written_is_not_read(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"kind": "call"}\n{"kind": "ri')
    assert read_ledger(path) == [{"kind": "call"}]


def test_a_ledger_goes_on_after_its_last_whole_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"kind": "call"}\n{"kind": "ri')
    ledger = Ledger(path)
    ledger.write("ended", at(0))
    ledger.close()
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["call", "ended"]


def test_a_ledger_that_does_not_exist_has_no_lines(tmp_path):
    assert read_ledger(tmp_path / "none.jsonl") == []
