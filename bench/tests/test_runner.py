"""What the runner makes of figures; none is measured here."""

import json
import re
from datetime import date
from importlib import import_module

import pytest
from rich.console import Console

from bench import __main__ as runner
from bench.__main__ import main
from bench.families import FAMILIES, UnknownFamily, choose_families
from bench.figures import Figure, compare
from bench.interruption import Interrupted
from bench.reasons import REASONS
from bench.report import as_json, print_figures, write_page
from bench.results import Result, keep_results, read_results
from bench.world import ROOT

# The names under which the figures were ordered, and those of figures that are printed.
ORDERED = [
    "claim_scale",
    "claim_adversarial",
    "claim_bloat",
    "claim_limit",
    "dispatch_limit",
    "dispatch_peers",
    "utilisation",
    "cps",
    "callbacks",
    "import",
    "recovery",
    "memory",
    "idle",
]
PRINTED = {
    "claim_scale_p99": "claim_scale",
    "claim_limit_4_processes": "claim_limit",
    "dispatch_peers_procrastinate": "dispatch_peers",
    "dispatch_peers_django_q2": "dispatch_peers",
    "utilisation_30s": "utilisation",
    "utilisation_qcluster_5s": "utilisation",
    "cps_1.5": "cps",
    "cps_violations": "cps",
    "cps_three_schedulers_violations": "cps",
    "callbacks_disordered": "callbacks",
    "import_memory": "import",
    "recovery_database_seconds": "recovery",
    "memory_soak": "memory_soak",
    "idle_scheduler": "idle",
    "idle_cluster": "idle",
}


def make_figure(name="claim_scale", **values):
    usual = {"value": 1.02, "unit": "ratio", "goal": "<= 1.10", "a": 5.1, "b": 5.0, "how": "many / few"}
    return Figure(name=name, **(usual | values))


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
    assert compare("x", [1, 2, 90], [4, 4, 1], goal="", how="").value == 0.5


@pytest.mark.parametrize("name", ORDERED)
def test_only_takes_each_name_under_which_figures_were_ordered_and_nothing_else_with_it(name):
    assert choose_families([name]) == [name]


@pytest.mark.parametrize(("figure", "family"), PRINTED.items())
def test_only_takes_the_name_of_a_figure_and_measures_its_family(figure, family):
    assert choose_families([figure]) == [family]


def test_only_takes_modules_and_several_names():
    assert choose_families(["dispatch"]) == ["dispatch_limit", "dispatch_peers"]
    assert choose_families(["claims"]) == ["claim_scale", "claim_adversarial", "claim_bloat", "claim_limit"]
    assert choose_families(["idle", "cps"]) == ["cps", "idle"]


def test_without_a_name_all_are_measured_less_those_left_out():
    assert choose_families() == list(FAMILIES)
    assert set(FAMILIES) - set(choose_families(without=["memory_soak", "claims"])) == {
        "memory_soak",
        *choose_families(["claims"]),
    }


@pytest.mark.parametrize("name", ["nonsense", "claim", "", "cps1"])
def test_another_name_is_refused_with_the_list_of_all(name):
    with pytest.raises(UnknownFamily, match="claim_scale"):
        choose_families([name])
    assert main(["--only", name]) == 2


def test_to_leave_out_what_alone_was_to_be_measured_is_refused(capsys):
    assert main(["--only", "idle", "--without", "idle"]) == 2
    assert "nothing is left to measure" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "target", "arguments"),
    [
        ("bench", "bench", ["--scale", "0"]),
        ("bench.faults", "faults", ["--runs", "0"]),
        ("bench.faults", "faults", ["--runs", "-5"]),
        ("bench.faults", "faults", ["--seed", "3", "-1"]),
        ("bench.faults.mutants", "faults-mutants", ["--only", "none"]),
        ("bench.hosts", "hosts", ["--seconds", "0"]),
        ("bench.hosts", "hosts", ["--seconds", "inf"]),
        ("bench.hosts", "hosts", ["--silence", "0"]),
        ("bench.hosts", "hosts", ["--seed", "-1"]),
        ("bench.cost", "cost", ["--contacts", "0"]),
        ("bench.cost", "cost", ["--seed", "-1"]),
    ],
)
def test_a_value_that_nothing_could_be_done_with_is_refused_at_once_by_name(
    monkeypatch, capsys, module, target, arguments
):
    program = import_module(f"{module}.__main__" if module in ("bench", "bench.faults") else module)
    monkeypatch.setattr("sys.argv", [target, *arguments])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"usage: make {target} ")
    assert f"make {target}: error: " in errors and arguments[0] in errors.splitlines()[-1]


def test_an_interrupted_benchmark_prints_what_it_has_measured(monkeypatch, capsys):
    def measure(families, scale):
        yield "cps", [make_figure("cps_1.5")]
        raise Interrupted(130)

    monkeypatch.setattr(runner, "_measure_apart", measure)
    monkeypatch.setattr(runner, "end_at_signals", lambda: None)
    assert main(["--only", "idle", "cps"]) == 130
    *_, said, figures = capsys.readouterr().out.splitlines()
    assert (said, list(json.loads(figures))) == ("Interrupted: idle", ["cps_1.5"])


@pytest.mark.parametrize("path", FAMILIES.values())
def test_each_family_is_where_it_is_looked_for(path):
    module, function = path.split(":")
    assert callable(getattr(import_module(f"bench.{module}"), function))
    assert callable(import_module(f"bench.{module}").set_up)


def test_the_last_line_is_one_object_with_the_figures_by_name():
    assert json.loads(as_json([make_figure()])) == {
        "claim_scale": {"value": 1.02, "unit": "ratio", "goal": "<= 1.10", "a": 5.1, "b": 5.0}
    }


def test_a_terminal_of_80_columns_has_each_figure_on_one_line_and_its_conditions_below():
    console = Console(width=80, record=True)
    long = make_figure("cps_three_schedulers_violations", unit="calls", a=10, b=12_345, detail="Word " * 40)
    print_figures([long, make_figure("memory")], console)
    lines = console.export_text().splitlines()
    (line,) = [line for line in lines if re.match(r"cps_three\S+ +1.02 calls", line)]
    assert line.split()[-5:] == ["<=", "1.10", "met", "10", "12,345"]
    assert max(map(len, lines)) <= 80
    assert lines.index(line) < min(number for number, text in enumerate(lines) if "Word Word Word" in text)


def test_figures_of_several_runs_are_kept_and_the_newer_one_counts(tmp_path):
    path = tmp_path / "performance.json"
    keep_results(path, [make_result(make_figure("cps", value=1)), make_result(make_figure("idle", goal=""))])
    newer = make_result(make_figure("cps", value=2), scale=0.5)
    assert list(keep_results(path, [newer])) == ["cps", "idle"]
    assert read_results(path)["cps"] == newer


def test_the_page_says_what_was_met_and_missed_and_what_was_measured_small():
    results = [
        make_result(make_figure("good", detail="Of 60 claims.")),
        make_result(make_figure("bad_1.5", value=1.5)),
        make_result(make_figure("small", goal="", unit="queries/s"), scale=0.01),
    ]
    page = write_page({result.figure.name: result for result in results})
    assert "| [good](#good) | 1.02 | <= 1.10 | met | 5.1 | 5 | many / few |" in page
    assert "| [bad_1.5](#bad_15) | 1.5 | <= 1.10 | **missed** |" in page
    assert "| [small](#small)* | 1.02 queries/s |  | stated |" in page
    assert "## good\n\nMany / few. Of 60 claims.\n" in page
    assert "## small\n\nMany / few. **At 0.01 of the real size.**\n" in page
    assert "- 2026-03-04, 2 processors: good, bad_1.5, small" in page


@pytest.mark.parametrize(
    ("value", "goal", "rate"),
    [
        (1.02, "<= 1.10", 1.1 / 1.02),
        (9, "<= 1.10", 1.1 / 9),
        (3, ">= 2", 1.5),
        (900, ">= 2", 10),
        (0, ">= 2", 0.1),
        (0, "<= 5", 10),
        (float("inf"), "<= 5", 0.1),
        (0, "<= 0", 1),
        (3, "<= 0", 0.1),
    ],
)
def test_a_figure_knows_how_many_times_better_than_its_goal_it_is(value, goal, rate):
    assert make_figure(value=value, goal=goal).rate == pytest.approx(rate)


def test_the_chart_is_drawn_from_met_and_missed_figures(tmp_path):
    chart = pytest.importorskip("bench.chart", reason="matplotlib comes with bench/requirements.txt")
    figures = [make_figure(), make_figure("missed", value=9), make_figure("more", value=3, goal=">= 2")]
    chart.draw_chart({figure.name: make_result(figure) for figure in figures}, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 1000


def test_the_page_gives_the_reasons_of_what_is_missed_and_of_nothing_else():
    kept = read_results(ROOT / "docs/performance.json")
    page = write_page(kept)
    assert (ROOT / "docs/performance.md").read_text() == page
    missed = [name for name, result in kept.items() if not result.figure.is_met]
    assert [name for name in missed if REASONS.get(name, "?") not in page] == []
    assert page.count("Why it is missed") == len(missed)
