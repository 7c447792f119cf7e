"""What the runner makes of figures; none is measured here."""

import json
from datetime import date

import pytest

from bench.families import FAMILIES, UnknownFamily, choose_families
from bench.figures import Figure, compare
from bench.report import as_json, write_page
from bench.results import Result, keep_results, read_results


def make_figure(name="claim_scale", **values):
    return Figure(name=name, **({"value": 1.02, "unit": "ratio", "goal": "<= 1.10", "a": 5.1, "b": 5.0} | values))


def make_result(figure, **values):
    return Result(figure=figure, **({"measured_on": date(2026, 3, 4), "machine": "2 processors"} | values))


@pytest.mark.parametrize(
    ("value", "goal", "is_met"),
    [(1.1, "<= 1.10", True), (1.11, "<= 1.10", False), (2, ">= 2", True), (1.9, ">= 2", False), (9, "", True)],
)
def test_a_figure_knows_whether_its_goal_is_met(value, goal, is_met):
    assert make_figure(value=value, goal=goal).is_met is is_met


def test_a_goal_that_cannot_be_read_is_an_error():
    with pytest.raises(ValueError, match="claim_scale"):
        make_figure(goal="fast").is_met  # noqa: B018


def test_medians_are_compared():
    assert compare("x", [1, 2, 90], [4, 4, 1], goal="").value == 0.5


def test_only_takes_a_family_or_a_module():
    assert choose_families(None) == list(FAMILIES)
    assert choose_families("claim_bloat") == ["claim_bloat"]
    assert choose_families("claims") == ["claim_scale", "claim_adversarial", "claim_bloat", "claim_limit"]
    with pytest.raises(UnknownFamily, match="claim_scale"):
        choose_families("nonsense")


def test_the_last_line_is_one_object_with_the_figures_by_name():
    assert json.loads(as_json([make_figure()])) == {
        "claim_scale": {"value": 1.02, "unit": "ratio", "goal": "<= 1.10", "a": 5.1, "b": 5.0}
    }


def test_figures_of_several_runs_are_kept_and_the_newer_one_counts(tmp_path):
    path = tmp_path / "performance.json"
    keep_results(path, [make_result(make_figure("cps", value=1)), make_result(make_figure("idle", goal=""))])
    newer = make_result(make_figure("cps", value=2), scale=0.5)
    assert list(keep_results(path, [newer])) == ["cps", "idle"]
    assert read_results(path)["cps"] == newer


def test_the_page_says_what_was_met_and_missed_and_what_was_measured_small():
    results = [
        make_result(make_figure("good")),
        make_result(make_figure("bad", value=1.5)),
        make_result(make_figure("small", goal="", unit="queries/s"), scale=0.01),
    ]
    page = write_page({result.figure.name: result for result in results})
    assert "| good | 1.02 | <= 1.10 | met | 5.1 | 5 |" in page
    assert "| bad | 1.5 | <= 1.10 | missed |" in page
    assert "| small | 1.02 queries/s |  | stated |" in page
    assert "At 0.01 of the real size" in page
    assert "- 2026-03-04, 2 processors: good, bad, small" in page


def test_the_chart_is_drawn_from_met_and_missed_figures(tmp_path):
    chart = pytest.importorskip("bench.chart", reason="matplotlib comes with bench/requirements.txt")
    figures = [make_figure(), make_figure("missed", value=9), make_figure("more", value=3, goal=">= 2")]
    assert [chart.rate(figure) for figure in figures] == pytest.approx([1.1 / 1.02, 1.1 / 9, 1.5])
    chart.draw_chart({figure.name: make_result(figure) for figure in figures}, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 1000
