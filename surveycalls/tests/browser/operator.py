"""Somebody in front of a browser."""

import os
import re
from pathlib import Path

from playwright.sync_api import expect

expect.set_options(timeout=20_000)

LIST = {
    "campaigns": "/admin/campaigns/campaign/",
    "contacts": "/admin/contacts/contact/",
    "calls": "/admin/calls/callattempt/",
    "do-not-call list": "/admin/contacts/donotcallentry/",
    "provider": "/admin/calls/providerconfig/",
    "users": "/admin/auth/user/",
}


class Operator:
    """``problems`` are errors in the console, requests that failed, and answers that tell of a fault."""

    def __init__(self, browser, url, *, size, is_dark):
        self._url = url
        width, height = size
        scheme = "dark" if is_dark else "light"
        self._context = browser.new_context(
            base_url=url, viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="Europe/Rome"
        )
        self.page = self._context.new_page()
        self.problems = []
        self._is_torn = False
        self.allowed = set()  # statuses that a test has asked for
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(f"{self.page.url}: {error}"))
        self.page.on("requestfailed", self._note_failure)
        self.page.on("response", self._note_response)

    def _hear(self, message):
        is_of_status = message.text.startswith("Failed to load resource")  # its response is noted
        if message.type == "error" and not is_of_status:
            self.problems.append(f"{self.page.url}: {message.text}")

    def _note_failure(self, request):
        if request.failure == "net::ERR_NETWORK_CHANGED":
            self._is_torn = True
        # A page that is left gives up what it was still asking for.
        elif request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.url}: {request.failure}")

    def _note_response(self, response):
        if response.status >= 400 and response.status not in self.allowed:
            self.problems.append(f"{response.url}: {response.status}")

    def leave(self):
        self._context.close()

    def sign_in(self, user, password):
        self.page.goto("/admin/")
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page).to_have_url(re.compile(r"/admin/$"))

    def open(self, path):
        """A list by its name, or an address.

        Once more when the machine's network has changed meanwhile, as tests of several hosts change it: the browser
        then breaks off what it was loading.
        """
        self._is_torn = False
        self.page.goto(LIST.get(path, path))
        if self._is_torn:
            self.page.goto(LIST.get(path, path))
        return self.page

    def speak(self, language):
        """From the next page on."""
        self._context.add_cookies([{"name": "django_language", "value": language, "url": self._url}])

    def fits(self):
        """Whether the page does not scroll sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    def see(self, text):
        expect(self.page.get_by_text(text).first).to_be_visible()

    def press(self, name):
        """A button of the page's head that opens a dialog, and the dialog's button of the same name."""
        self.choose(name)
        self.page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()

    def choose(self, name):
        """A button or link of the page's head, which are in a menu on a phone."""
        target = self.page.get_by_role("link", name=name, exact=True)
        menu = self.page.get_by_role("link", name="More actions")
        # One of both, once the page that was asked for is there: is_visible does not wait.
        expect(target.or_(menu).filter(visible=True).first).to_be_visible()
        if not target.is_visible():
            menu.click()
        target.click()

    def shoot(self, name):
        """A picture in the directory that SCREENSHOTS names."""
        self.page.evaluate("document.fonts.ready")
        self.page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png", animations="disabled")

    def upload(self, name, content):
        self.page.set_input_files("input[type=file]", {"name": name, "mimeType": "text/csv", "buffer": content})

    def download(self, name):
        with self.page.expect_download() as waiting:
            self.page.get_by_role("link", name=name).first.click()
        return Path(waiting.value.path()).read_text("utf-8-sig")
