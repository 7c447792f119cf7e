"""What the seeds draw."""

import inspect
import os
import subprocess
import sys

import pytest

from bench.faults.arena import Arena
from bench.faults.operators import Operators
from bench.faults.plan import PROCESSES, make_plan
from bench.faults.points import ACKS, POINTS
from bench.faults.strangers import Strangers
from surveycalls.tests.processes import ROOT

EVENTS = [event for seed in range(400) for event in make_plan(seed).events]


def drawn(action):
    return [event.values for event in EVENTS if event.action == action]


def test_the_same_seed_draws_the_same_plan_in_every_process():
    code = "from bench.faults.plan import make_plan; print(repr(make_plan(7)))"
    plans = {
        subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    }
    assert plans == {f"{make_plan(7)!r}\n".encode()}


def test_another_seed_draws_another_plan():
    assert make_plan(7) != make_plan(8)


@pytest.mark.parametrize("action", ["kill", "freeze", "terminate"])
def test_every_process_is_killed_frozen_and_told_to_end(action):
    assert {values["process"] for values in drawn(action)} == set(PROCESSES)


def test_the_cluster_and_the_site_lose_their_parents():
    assert {values["process"] for values in drawn("kill_parent")} == {"cluster", "web"}


def test_the_cluster_and_the_site_lose_one_of_those_that_they_have_forked():
    assert {values["process"] for values in drawn("kill_member")} == {"cluster", "web"}


def test_a_trap_is_set_at_every_point_of_every_role():
    assert {(values["role"], values["point"]) for values in drawn("set_trap")} == {
        (role, point) for role, points in POINTS.items() for point in points
    }


def test_a_process_is_caught_in_every_way():
    orders = {(values["order"], values["point"] in ACKS) for values in drawn("set_trap")}
    ways = ("kill", "kill_group", "freeze", "linger", "terminate")
    assert orders == {("lose", True), *((way, False) for way in ways)}


@pytest.mark.parametrize("action", ["restart_database", "terminate_backends", "use_up_connections", "outage"])
def test_the_database_and_the_provider_are_taken_away(action):
    assert drawn(action)


@pytest.mark.parametrize(
    "kind",
    [
        *("refuse", "reset", "reset_after_placing", "hang", "hang_after_placing", "slow"),
        *("server_error", "server_error_after_placing", "rate_limited", "wrong_json", "same_sid", "unauthorized"),
        *("lookup_lag", "lookup_error", "callback_before_response"),
        *("callback_lost", "callback_doubled", "callback_late", "callback_reordered"),
    ],
)
def test_the_provider_misbehaves_in_every_way(kind):
    assert [values for values in drawn("misbehave") if values["kind"] == kind]


@pytest.mark.parametrize("action", ["forge", "misdirect", "contradict", "ring_again"])
def test_strangers_do_what_they_should_not(action):
    assert drawn(action)


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "do_not_call", "limits", "rules", "pace"])
def test_operators_do_everything(action):
    assert drawn(action)


def test_half_of_the_backends_or_so_are_chosen_by_the_plan():
    chosen = [one for values in drawn("terminate_backends") for one in values["chosen"]]
    assert 0.4 < sum(chosen) / len(chosen) < 0.8


def test_every_event_is_something_that_somebody_can_do():
    for event in EVENTS:
        doer = next(one for one in (Arena, Operators, Strangers) if hasattr(one, event.action))
        inspect.signature(getattr(doer, event.action)).bind(doer, **event.values)


def test_the_clocks_change_in_the_middle_of_many_a_run():
    near = [make_plan(seed).starts_at.minute == 59 for seed in range(400)]
    assert 0.2 < sum(near) / len(near) < 0.9
