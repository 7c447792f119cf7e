"""Two hosts over a network that swallows packets, shorter than `make hosts`; needs root and network namespaces."""

import json
import subprocess
import sys

import pytest

from bench import netns
from bench.netns import HostNetwork, NotPermitted
from surveycalls.tests.processes import is_demanded, run

SILENCE = 2.0


def run_hosts(*arguments):
    return run([sys.executable, "-m", "bench.hosts", *arguments], timeout=300)


def list_namespaces():
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout


def test_a_host_cut_off_in_the_middle_of_a_claim_holds_nobody_up_for_long_and_comes_back():
    finished = run_hosts("--seconds", "6", "--scenes", "database", "--silence", str(SILENCE))
    if finished.returncode == 3:
        if is_demanded("HOSTS"):
            pytest.fail(f"REQUIRE_HOSTS is set, but: {finished.stderr}")
        pytest.skip(finished.stderr.strip())
    assert finished.returncode == 0, finished.stdout + finished.stderr
    figures = json.loads(finished.stdout.splitlines()[-1])
    assert (figures["violations"], figures["quiet"]) == ({}, True)
    assert figures["calls_of_host_1"] and figures["calls_of_host_2"]
    assert figures["database_other_host_held_up"] < SILENCE + 3
    assert figures["database_first_call_after"] < 8


def test_without_root_it_says_so_and_nothing_else(monkeypatch):
    monkeypatch.setattr(netns.os, "geteuid", lambda: 1000)
    with pytest.raises(NotPermitted, match=r"^Network namespaces need root"), HostNetwork(2):
        pass


def test_without_iproute2_it_names_the_package(monkeypatch):
    monkeypatch.setattr(netns.os, "geteuid", lambda: 0)
    monkeypatch.setattr(netns.shutil, "which", lambda name: None)
    with pytest.raises(NotPermitted, match="iproute2"), HostNetwork(2):
        pass


def test_a_network_that_breaks_off_half_built_leaves_nothing(monkeypatch):
    try:
        with HostNetwork(1):
            pass
    except NotPermitted as error:
        pytest.skip(str(error))
    before = list_namespaces()

    def refuse(network, *_arguments):
        raise NotPermitted("The kernel makes no network of hosts.")

    monkeypatch.setattr(HostNetwork, "_connect", refuse)
    with pytest.raises(NotPermitted), HostNetwork(2):
        pass
    assert list_namespaces() == before
