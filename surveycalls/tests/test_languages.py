"""Every text that a person reads goes through gettext, and the Italian catalogues have all of them."""

import ast
import gettext
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from django.template.loader import render_to_string
from django.utils import translation

from calls.models import ProviderConfig
from calls.tests.factories import CallAttemptFactory
from campaigns.models import Campaign
from campaigns.tests.factories import AskingCampaignFactory, CampaignFactory
from contacts.models import ContactImport
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory
from surveycalls.models import AuditEntry
from surveycalls.tests.processes import ROOT, is_demanded

APPS = ("campaigns", "contacts", "calls", "surveycalls")
PLACE = "locale/it/LC_MESSAGES"
OPEN, CLOSE = "⟦", "⟧"

# What is the same in every language: names of ours and of standards, and what people have written.
UNTRANSLATED = re.compile(
    r"surveycalls|Django|CSV|XLSX|CA[0-9a-f]+|call-\w+"
    r"|English|Italiano|British English|italiano|EN-GB|en-gb|esc|it\b|UTC|IANA"
    r"|[A-Z][a-z]+/[A-Z][A-Za-z_]+|\S+@\S+|[\w.-]+\.(?:csv|py|tasks\S*)|operator|viewer|campaign_manager|admin"
    r"|[0-9a-f]{8}-[0-9a-f-]{27}|/\S+|\+?[0-9][\w:.+-]*|twilio|Ω\w*",
)
NAMED_BY_LIBRARIES = {
    "time_zone",
    "calling_zone",
    "country",
    "default_country",
    "holidays_of",
    "permissions",
    "user_permissions",
    "starts_at_2",
}
WITHOUT_END = {"input", "img", "br", "link", "meta", "hr"}
READ_ALOUD = ("aria-label", "title", "placeholder", "alt")


class Texts(HTMLParser):
    """What a page says outside of the marks of translation; ``found`` has each piece once."""

    def __init__(self):
        super().__init__()
        self.found = set()
        self._depth = 0
        self._hidden = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        for name in READ_ALOUD:
            self._look(attributes.get(name) or "", Depth())
        is_icon = "material-symbols" in (attributes.get("class") or "")
        is_of_libraries = tag == "select" and attributes.get("name") in NAMED_BY_LIBRARIES
        is_hidden = self._hidden or is_icon or is_of_libraries or tag in ("script", "style", "svg", "head")
        if is_hidden and tag not in WITHOUT_END:
            self._hidden.append(tag)

    def handle_endtag(self, tag):
        if self._hidden and tag in self._hidden:
            while self._hidden.pop() != tag:
                pass

    def handle_data(self, data):
        if not self._hidden:
            self._look(data, self)

    def _look(self, text, depth):
        outside = ""
        for character in text:
            depth._depth += {OPEN: 1, CLOSE: -1}.get(character, 0)
            outside += character if depth._depth == 0 else " "
        for piece in re.split(r"\s{2,}|[⟧\n]", UNTRANSLATED.sub(" ", outside)):
            if re.search(r"[A-Za-z]{2}", piece):
                self.found.add(piece.strip())


class Depth:
    _depth = 0


@pytest.fixture
def marked(monkeypatch):
    """A language in which every text of a catalogue stands in brackets."""
    for name in ("gettext", "ngettext", "pgettext", "npgettext"):
        find = getattr(translation._trans, name)
        monkeypatch.setattr(translation._trans, name, lambda *texts, find=find: f"{OPEN}{find(*texts)}{CLOSE}")


@pytest.fixture
def world():
    """Something on every page; named so that nothing of it looks like an English text."""
    campaign = CampaignFactory(name="Ω1", description="", intro_script="Ω", status="running")
    contact = ContactFactory(campaign=campaign, external_contact_id="")
    attempt = CallAttemptFactory(contact=contact)
    DoNotCallEntryFactory(reason="")
    draft = CampaignFactory(name="Ω2", description="", intro_script="", status="draft")
    record = ContactImport.objects.create(
        campaign=campaign, file_name="Ω.csv", status="completed", rows=2, imported=1, refused=1
    )
    return {
        "campaign": campaign.pk,
        "draft": draft.pk,
        "contact": contact.pk,
        "attempt": attempt.pk,
        "import": record.pk,
        "provider": ProviderConfig.objects.get().pk,
    }


PAGES = [
    "",
    "login/",
    "password_change/",
    "campaigns/campaign/",
    "campaigns/campaign/?q=%CE%A93",
    "campaigns/campaign/add/",
    "campaigns/campaign/{campaign}/change/",
    "campaigns/campaign/{draft}/change/",
    "campaigns/campaign/{campaign}/forecast/",
    "campaigns/campaign/{draft}/forecast/",
    "campaigns/campaign/{campaign}/history/",
    "contacts/contact/",
    "contacts/contact/add/",
    "contacts/contact/erase/",
    "contacts/contact/{contact}/change/",
    "contacts/contact/{contact}/history/",
    "contacts/contactimport/",
    "contacts/contactimport/add/",
    "contacts/contactimport/{import}/change/",
    "contacts/donotcallentry/",
    "contacts/donotcallentry/add/",
    "contacts/donotcallimport/add/",
    "calls/callattempt/",
    "calls/callattempt/{attempt}/change/",
    "calls/providerconfig/{provider}/change/",
    "auth/user/",
    "auth/user/add/",
    "surveycalls/auditentry/",
]


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
def test_every_text_of_a_page_can_be_translated(client, admin_client, world, marked, page):
    who = client if page == "login/" else admin_client
    if page == "login/":
        client.logout()
    response = who.get(f"/admin/{page.format(**world)}", follow=True)
    assert response.status_code == 200
    texts = Texts()
    texts.feed(response.content.decode())
    assert sorted(texts.found) == []


@pytest.mark.parametrize("name", ["bad_request", "forbidden", "forged", "missing", "failure", "locked_out"])
def test_every_text_of_an_error_page_can_be_translated(rf, marked, name):
    context = {"back": "/admin/", "username": "Ω", "failure_limit": 5}
    texts = Texts()
    texts.feed(render_to_string(f"surveycalls/{name}.html", context, rf.get("/")))
    assert sorted(texts.found) == []


@pytest.mark.django_db
def test_an_operator_chooses_the_language(admin_client):
    page = admin_client.get("/admin/campaigns/campaign/").content.decode()
    assert '<html lang="en-gb"' in page
    chosen = admin_client.post(
        "/language/setlang/", {"language": "it", "next": "/admin/campaigns/campaign/"}, follow=True
    )
    page = chosen.content.decode()
    assert '<html lang="it"' in page
    assert "Campagne" in page


@pytest.mark.django_db
def test_a_browser_asks_for_it(client):
    page = client.get("/admin/login/", headers={"Accept-Language": "it-IT,it;q=0.9,en;q=0.8"}).content.decode()
    assert "Bentornati su" in page


@pytest.mark.django_db
def test_what_is_written_down_is_in_the_language_of_the_deployment(admin_client, settings):
    campaign = ContactFactory(campaign=AskingCampaignFactory()).campaign
    admin_client.cookies["django_language"] = "it"
    admin_client.post(f"/admin/campaigns/campaign/{campaign.pk}/pause/", {"_form_submitted": "True"})
    assert Campaign.objects.get().status == "paused"
    assert AuditEntry.objects.latest("id").message == "Status: paused."
    settings.LANGUAGE_CODE = "it"
    admin_client.cookies["django_language"] = "en-gb"
    admin_client.post(f"/admin/campaigns/campaign/{campaign.pk}/resume/", {"_form_submitted": "True"})
    assert AuditEntry.objects.latest("id").message == "Stato: in corso."


GETTEXT = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}


def test_no_text_is_hidden_from_the_catalogues_in_an_f_string():
    """xgettext does not look into them."""
    hidden = []
    for path in (path for app in APPS for path in (ROOT / app).rglob("*.py")):
        strings = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.JoinedStr))
        calls = (node for string in strings for node in ast.walk(string) if isinstance(node, ast.Call))
        hidden += [f"{path.relative_to(ROOT)}:{call.lineno}" for call in calls if marks_text(call)]
    assert hidden == []


def marks_text(call):
    return getattr(call.func, "id", "") in GETTEXT and any(isinstance(text, ast.Constant) for text in call.args)


def read_catalogue(path):
    with path.open("rb") as file:
        found = dict(gettext.GNUTranslations(file)._catalog)
    del found[""]
    return found


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The project's texts and catalogues, as `make messages` would have them now."""
    if shutil.which("xgettext") is None:
        if is_demanded("GETTEXT"):
            pytest.fail("REQUIRE_GETTEXT is set, but there is no xgettext (Debian: apt-get install gettext)")
        pytest.skip("needs xgettext (Debian: apt-get install gettext)")
    place = tmp_path_factory.mktemp("messages")
    for app in APPS:
        shutil.copytree(ROOT / app, place / app, ignore=shutil.ignore_patterns("tests", "__pycache__", "*.mo"))
    command = [sys.executable, "-m", "django", "makemessages", "--locale", "it", "--no-wrap", "--no-obsolete"]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    return place


@pytest.mark.parametrize("app", APPS)
def test_the_italian_catalogue_is_complete_and_compiled(fresh, app):
    texts, compiled = fresh / app / PLACE / "django.po", fresh / f"{app}.mo"
    command = ["msgfmt", "--check-format", "--statistics", "-o", compiled, texts]
    result = subprocess.run(command, capture_output=True, text=True)
    assert re.fullmatch(r"\d+ translated messages?\.\n", result.stderr)
    assert read_catalogue(compiled) == read_catalogue(ROOT / app / PLACE / "django.mo")
