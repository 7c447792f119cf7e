"""What the suite makes of its runs."""

import json
import sys
import time
from collections import Counter
from types import SimpleNamespace

import pytest
import requests
from django.db import OperationalError

from bench.faults import __main__ as suite
from bench.faults import run
from bench.faults.__main__ import OFTEN, count_traps, sum_up
from bench.faults.arena import STOP_SECONDS, Arena
from bench.faults.history import EvidenceError
from bench.interruption import Interrupted
from calls.demo.processes import Child


class EmptyArena:
    """No process is in it, and no run leaves anything."""

    def __init__(self, directory):
        self.directory = directory
        self.traps_set = self.traps_sprung = Counter()
        self.world = SimpleNamespace(postgres=SimpleNamespace(url=lambda _: "postgres://127.0.0.1:9/nobody"))
        self.broken_off = 0

    def __enter__(self):
        (self.directory / "logs").mkdir(parents=True)
        return self

    def __exit__(self, *exc_info):
        pass

    def break_off(self):
        self.broken_off += 1


@pytest.mark.parametrize(
    "error",
    [EvidenceError("too little"), requests.ConnectionError("gone"), OperationalError("down"), TimeoutError("late")],
)
def test_a_run_that_breaks_off_is_an_error_and_the_others_are_still_made(monkeypatch, tmp_path, capsys, error):
    arenas, made = [], []
    monkeypatch.setattr(suite, "Arena", lambda directory: arenas.append(EmptyArena(directory)) or arenas[0])

    def break_off(plan, arena):
        made.append(plan.seed)
        raise error

    monkeypatch.setattr(suite, "end_at_signals", lambda: None)
    monkeypatch.setattr(run, "carry_out", break_off)
    monkeypatch.setattr(sys, "argv", ["faults", "--runs", "2", "--seed", "5", "--directory", str(tmp_path)])
    assert suite.main() == 1
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (made, arenas[0].broken_off) == ([5, 6], 2)
    assert (summary["errors"], summary["clean"], summary["failing_seeds"]) == (2, 0, [5, 6])
    assert f"{type(error).__name__}: {error}" in (tmp_path / "seed-5" / "report.txt").read_text()


def test_an_interrupted_suite_sums_up_the_runs_that_were_over(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(suite, "Arena", EmptyArena)
    monkeypatch.setattr(suite, "end_at_signals", lambda: None)

    def run_or_end(arena, seed, directory):
        if seed == 6:
            raise Interrupted(130)
        return {"seed": seed, "violations": [], "figures": {"calls": 3}, "error": "", "seconds": 1.0, "clean": True}

    monkeypatch.setattr(suite, "_run", run_or_end)
    monkeypatch.setattr(sys, "argv", ["faults", "--seed", "5", "--directory", str(tmp_path)])
    assert suite.main() == 130
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["interrupted"], summary["runs"], summary["calls"]) == (True, 1, 3)


def test_what_was_still_to_happen_beside_an_interrupted_run_does_not_happen_after_it(tmp_path):
    arena, happened = Arena(tmp_path / "arena"), []
    arena.world = SimpleNamespace(__exit__=lambda *_: None)
    arena._do_beside(0.2, lambda: happened.append("the database is started"))
    arena.__exit__()
    time.sleep(0.4)
    assert not happened


def test_a_run_after_one_that_broke_off_begins_when_the_provider_is_back(tmp_path):
    arena, asked_at = Arena(tmp_path / "arena"), []
    arena._traps.mkdir(parents=True)
    arena.world = SimpleNamespace(control_network=lambda *_: asked_at.append(time.monotonic()))
    arena._outage_ends = ends = time.monotonic() + 0.3
    arena.begin()
    assert asked_at[0] >= ends


def test_another_process_with_the_number_of_one_that_was_told_to_end_is_not_taken_for_it(tmp_path):
    arena, killed = Arena(tmp_path / "arena"), []
    arena.world = SimpleNamespace(children=SimpleNamespace(kill=killed.append))
    old, new = (Child(name=name, process=FakeProcess(), log=tmp_path) for name in ("cluster.1", "cluster.2"))
    arena._children = {"cluster": old}
    arena.terminate("cluster", 0)
    arena.kill("cluster", 60)
    arena._children = {"cluster": new}
    arena._terminated = {child: at - STOP_SECONDS - 1 for child, at in arena._terminated.items()}
    arena._replace_the_dead()
    assert killed == [old]


class FakeProcess:
    pid = 2_000_000_000

    def terminate(self):
        pass

    def poll(self):
        return None


def test_a_directory_that_another_suite_is_at_work_in_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["faults", "--directory", str(tmp_path)])
    with suite._lock(tmp_path), pytest.raises(SystemExit) as exit_:
        suite.main()
    assert exit_.value.code == 2
    assert "another suite is at work there" in capsys.readouterr().err


def test_a_suite_that_is_interrupted_before_its_first_run_sums_up_none():
    assert (sum_up([])["runs"], sum_up([])["first_seed"]) == (0, None)


def test_a_point_that_is_often_set_and_never_reached_is_a_hole():
    set_ = Counter({"scheduler.before_record": OFTEN, "web.report_ack": OFTEN - 1, "scheduler.before_lock": OFTEN})
    traps = count_traps(set_, Counter({"scheduler.before_lock": 1}))
    assert traps["never_reached"] == ["scheduler.before_record", "web.report_ack"]
    assert traps["unreachable"] == ["scheduler.before_record"]
