"""The arithmetic of the benchmarks, which no run of them would show to be wrong."""

import os
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from bench import idle
from bench.claim_data import zones_by_day_and_night
from bench.cps import count_violations, find_excesses, measure_rate
from bench.dispatch import steady_rate
from bench.memory import find_slope, read_resident
from bench.recovery import find_return
from bench.utilisation import compare_rounds, refill_ideally, share_busy
from calls.simulator.ledger import LedgerCall

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def make_call(start, end=None):
    ended_at = None if end is None else after(end)
    return LedgerCall(sid="", to="", from_="", call_id=None, started_at=after(start), ended_at=ended_at)


def make_calls(*starts):
    return [make_call(start) for start in starts]


def test_calls_a_full_second_apart_do_not_come_too_soon():
    assert find_excesses(2, make_calls(0, 0.1, 1, 1.1, 2)) == []


def test_a_call_comes_too_soon_by_what_is_missing_to_a_second_from_the_one_so_many_places_before():
    assert find_excesses(2, make_calls(0, 0.5, 0.99, 1.5, 2.5)) == pytest.approx([0.01])


def test_of_one_and_a_half_calls_a_second_there_may_be_two_in_one_and_a_third():
    assert find_excesses(1.5, make_calls(0, 0.1, 1.34)) == []
    assert find_excesses(1.5, make_calls(0, 0.1, 1.3)) == pytest.approx([4 / 3 - 1.3])


def test_violations_are_counted_over_all_rounds_and_rates_and_the_worst_is_named():
    runs = {1: [make_calls(0, 1, 2), make_calls(0, 0.9)], 2: [make_calls(0, 0.1, 0.2)]}
    figure = count_violations("cps_violations", runs, "one scheduler")
    assert (figure.value, figure.b, figure.is_met) == (2, 8, False)
    assert "800.0 ms too soon" in figure.detail


def test_the_rate_is_measured_without_the_first_seconds():
    assert measure_rate(make_calls(0, 0.1, 0.2, 2, 3, 4, 5)) == 1


def test_the_steady_rate_leaves_the_first_fifth_of_the_calls_out():
    assert steady_rate(make_calls(0, 100, *(102 + number / 2 for number in range(8)))) == 2


def test_an_ideal_refiller_takes_the_first_free_line_as_soon_as_the_rate_allows_it():
    assert refill_ideally([4, 1, 2, 5], 2, calls_per_second=2) == [(0, 4), (0.5, 1.5), (1.5, 3.5), (3.5, 8.5)]


def test_the_busy_share_is_counted_from_the_full_lines_to_the_last_start():
    assert share_busy([(0, 4), (1, 3), (4, 9), (5, 9)], lines=2) == (3 + 2 + 1) / 8


def test_of_several_rounds_of_utilisation_the_middle_one_counts_with_its_own_ideal():
    def make_round(gap):
        starts = [number * (10 + gap) for number in range(5)]
        return [make_call(start, start + 10) for start in starts]

    figure = compare_rounds("utilisation", [make_round(gap) for gap in (10, 0, 2.5)], lines=1, goal=">= 0.9", who="x")
    assert (figure.value, figure.a, figure.b) == pytest.approx((0.8, 0.8, 1))
    assert "0.5000, 0.8000, 1.0000" in figure.detail
    assert "2500 ms between two calls" in figure.detail


def test_calls_have_returned_with_the_first_start_of_two_seconds_with_the_rate_of_before():
    starts = [after(seconds) for seconds in (-1, 1, 4, 4.5, 5, 5.5, 6, 6.5)]
    assert find_return(starts, NOON, rate=2) == 4
    assert find_return(starts, NOON, rate=9) == float("inf")


def test_one_jump_does_not_bend_the_slope():
    readings = [(number, 100 + number / 10) for number in range(30)]
    readings[20] = (20, 500)
    assert find_slope(readings) == pytest.approx(0.1)


def test_resident_memory_is_in_megabytes():
    own = read_resident(SimpleNamespace(process=SimpleNamespace(pid=os.getpid())))
    assert 10 < own < 4000


def test_only_statements_are_counted_in_the_log(tmp_path):
    (tmp_path / "server.log").write_text(
        "12:00 [1] LOG:  statement: BEGIN\n12:00 [1] LOG:  checkpoint complete\n12:00 [1] LOG:  statement: SELECT 1\n"
    )
    assert idle.count_statements(SimpleNamespace(postgres=SimpleNamespace(directory=tmp_path))) == 2


@pytest.mark.parametrize("hour", range(24))
def test_at_every_hour_it_is_day_in_some_zone_and_night_in_another(hour):
    day, night = zones_by_day_and_night(NOON.replace(hour=hour))
    assert day and night and not set(day) & set(night)


def test_the_numbers_of_benchmarks_belong_to_nobody():
    from bench.people import make_number

    assert re.fullmatch(r"\+4400\d{8}", make_number(7))
