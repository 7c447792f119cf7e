"""A real browser on a real site: the processes of a demo, with its phone network, over a database of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from playwright.sync_api import sync_playwright

from surveycalls.tests.browser.operator import Operator
from surveycalls.tests.processes import ROOT, is_demanded, make_environment

START_SECONDS, STOP_SECONDS = 90, 30
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WIDE, NARROW = (1440, 900), (390, 844)


class Site:
    """Its address, its database's name, and who may sign in."""

    def __init__(self, process, log, database):
        self.database = database
        self.url = wait_for(log, process, r"site: (http://\S+)/admin/")
        self.password = wait_for(log, process, r"Password: (\S+)")
        self.user = "operator"


def wait_for(log, process, pattern):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(pattern, log.read_text()):
            return found[1]
        time.sleep(0.1)
    pytest.fail(f"the site did not start: {log.read_text()}")


@pytest.fixture(scope="package")
def chromium():
    """Of the package: as long as Playwright is at work in a process, Django takes its database calls for forbidden."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if is_demanded("BROWSER"):
            pytest.fail("REQUIRE_BROWSER is set, but there is no Chromium (Debian: apt-get install chromium)")
        pytest.skip("needs Chromium (Debian: apt-get install chromium), or its path in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(chromium, tmp_path_factory):
    """Its demo campaign has been run to the end by the time that somebody looks, or soon after."""
    log = tmp_path_factory.mktemp("site") / "log"
    name = f"browser_{os.environ.get('PYTEST_XDIST_WORKER', 'tests')}"
    command = [sys.executable, "manage.py", "demo", "--port=0", "--contacts=25", "--lines=4", "--calls-per-second=5"]
    with log.open("w") as output:
        environment = make_environment(DATABASE_NAME=name)
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield Site(process, log, f"demo_{name}")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)


@pytest.fixture
def make_operator(chromium, site):
    """An operator who is signed in. Whatever the browser had to say against a page fails the test at its end."""
    operators = []

    def make(user=site.user, password=site.password, *, size=WIDE, is_dark=False):
        operators.append(Operator(chromium, site.url, size=size, is_dark=is_dark))
        operators[-1].sign_in(user, password)
        return operators[-1]

    yield make
    for operator in operators:
        operator.leave()
    assert [problem for operator in operators for problem in operator.problems] == []


@pytest.fixture
def operator(make_operator):
    return make_operator()
