"""The pictures of README.md and docs/operators.md: `make screenshots` takes them, of a site that is calling."""

import os
import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from surveycalls.tests.browser.conftest import NARROW
from surveycalls.tests.processes import ROOT, make_environment

DIRECTORY = os.environ.get("SCREENSHOTS", "")
PASSWORD = "a-long-way-to-the-library"
LIBRARY = "Town library: new opening hours"

# As a spreadsheet of an Italian Windows writes it, with what goes wrong in such files.
VISITORS = """Codice;Città;Cellulare;Posta elettronica;Lingua
V-01;Cork;020 910 9001;visitor01@example.org;it
V-02;Forlì;+353 20 910 9002;visitor02@example.org;en
V-03;Cork;00353 20 910 9003;visitor03 at example;en
V-04;Cork;(020) 910-9004;;auto
V-05;Roma;3,53209E+11;visitor05@example.org;it
V-06;Cork;+353209109002;visitor06@example.org;it
V-07;Forlì;020 910 9007;visitor07@example.org;it
"""

pytestmark = pytest.mark.skipif(not DIRECTORY, reason="takes pictures: set SCREENSHOTS to a directory for them")


@pytest.fixture(scope="module")
def full_site(site):
    code = f"from surveycalls.tests.browser.past import fill; fill({PASSWORD!r})"
    # The operators' zone, in which the past is told.
    environment = make_environment(DATABASE_NAME=site.database, TIME_ZONE="Europe/Rome")
    subprocess.run([sys.executable, "manage.py", "shell", "-c", code], cwd=ROOT, env=environment, check=True)
    return site


def take(operator, name, *, height=None):
    """docs/pictures/NAME.png, from the top of the page, as high as the window or as given."""
    page = operator.page
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    size = page.viewport_size
    page.set_viewport_size({**size, "height": height or size["height"]})
    operator.shoot(name)
    page.set_viewport_size(size)


def wait_for_calls(page):
    """Until calls have been going on for a minute."""
    expect(page.locator(".fig-big").first).to_have_text(re.compile(r"^\s*([7-9]|1\d)\b"), timeout=60_000)
    expect(page.get_by_text(re.compile(r"in the last minute\s+[1-9]"))).to_be_visible(timeout=90_000)


def open_campaign(page, name):
    page.get_by_role("link", name=name).first.click()
    expect(page.get_by_role("heading", name=name, level=2)).to_be_visible()


def test_pictures_of_a_desk(full_site, make_operator):
    operator = make_operator("manager", PASSWORD)
    page = operator.page
    wait_for_calls(page)
    take(operator, "home", height=1040)
    open_campaign(page, LIBRARY)
    take(operator, "campaign", height=930)

    operator.choose("Results")
    expect(page.get_by_text("Completed surveys").first).to_be_visible()
    take(operator, "results", height=1250)
    page.go_back()
    page.get_by_role("link", name="Outcome rates").first.click()
    expect(page.get_by_text("RR1").first).to_be_visible()
    take(operator, "rates", height=1250)

    operator.open("/admin/contacts/contact/?q=DEMO-020")
    page.get_by_role("link", name="+").locator("visible=true").first.click()
    expect(page.locator("#story")).to_be_visible()
    take(operator, "contact", height=1000)

    operator.open("campaigns")
    open_campaign(page, "Christmas market")
    operator.choose("Dry run")
    expect(page.locator("#summary")).to_be_visible()
    take(operator, "dry-run", height=740)
    page.go_back()
    operator.choose("Import contacts")
    operator.upload("visitors.csv", VISITORS.encode("windows-1252"))
    page.get_by_role("button", name="Save").first.click()
    page.get_by_label("E-mail").select_option(label="Posta elettronica")
    page.get_by_role("button", name="Look again").click()
    operator.see("visitor03 at example")
    take(operator, "import", height=960)


def test_pictures_of_a_phone(full_site, make_operator):
    operator = make_operator("manager", PASSWORD, size=NARROW)
    wait_for_calls(operator.page)
    take(operator, "home-phone")
    open_campaign(operator.page, LIBRARY)
    take(operator, "campaign-phone")
