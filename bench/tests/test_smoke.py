"""Two families as they run, tiny: what they measure is nobody's performance."""

import json

from surveycalls.tests.processes import run_python

MEASURE = """
import json, sys
from importlib import import_module
from bench.families import FAMILIES
from bench.interruption import end_at_signals

if __name__ == "__main__":
    end_at_signals()
    family, constants = sys.argv[1], json.loads(sys.argv[2])
    name, function = FAMILIES[family].split(":")
    module = import_module(f"bench.{name}")
    for constant, value in constants.items():
        setattr(module, constant, value)
    with module.set_up() as ground:
        figures = list(getattr(module, function)(ground, 0.001))
    print(json.dumps({figure.name: [figure.a, figure.b, figure.how, figure.detail] for figure in figures}))
"""


def measure(family, **constants):
    finished = run_python(MEASURE, family, json.dumps(constants), timeout=200)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def test_claims_on_hard_data_meet_those_who_slipped_in_and_take_them_out():
    """With more of them than usual; time itself is not looked at."""
    figures = measure(
        "claim_adversarial", ROUNDS=1, CLAIMS_PER_ROUND=6, CLAIMS_PER_TURN=2, CONTACTS=60_000_000, SLIPPED_SHARE=0.1
    )
    a, b, _, detail = figures["claim_adversarial"]
    assert a > 0 and b > 0
    assert "6 of these claims met" in detail
    assert "60,000 contacts" in detail


def test_the_product_and_the_bare_loop_place_calls_and_its_threads_are_said():
    figures = measure("dispatch_limit", ROUNDS=1, BARE_THREADS=[2])
    a, b, how, detail = figures["dispatch_limit"]
    assert a > 0 and b > 0
    assert how.endswith("a bare loop of requests in 2 threads")
    assert detail.count(" with 2 calls a second") == 1
