"""Every page as each role, at both widths: what is offered, what the browser and axe-core have against it."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from surveycalls.tests.browser.conftest import NARROW, WIDE

PASSWORD = "a-long-way-to-the-library"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]

LISTS = [
    "/admin/campaigns/campaign/",
    "/admin/contacts/contact/",
    "/admin/contacts/contactimport/",
    "/admin/contacts/donotcallentry/",
    "/admin/calls/callattempt/",
]
OPERATION = [
    "/admin/django_q/schedule/",
    "/admin/django_q/failure/",
    "/admin/auth/user/",
    "/admin/surveycalls/auditentry/",
]
FORMS = [
    "/admin/campaigns/campaign/add/",
    "/admin/contacts/contact/add/",
    "/admin/contacts/contactimport/add/",
    "/admin/contacts/donotcallimport/add/",
    "/admin/contacts/donotcallentry/add/",
    "/admin/auth/user/add/",
]


def find_row(operator, path):
    """The address of the first row's page."""
    operator.open(path)
    return operator.page.locator("#result_list a[href*='/change/']").first.get_attribute("href")


def list_pages(operator):
    rows = [find_row(operator, path) for path in ("campaigns", "contacts", "calls")]
    campaign = rows[0].partition("?")[0]
    more = [campaign.replace("/change/", f"/{page}/") for page in ("forecast", "results", "rates", "history")]
    return ["/admin/", *LISTS, *OPERATION, *FORMS, *rows, *more, "/admin/calls/providerconfig/"]


def find_violations(operator):
    found = Axe().run(operator.page, options={"runOnly": WCAG, "resultTypes": ["violations"]}).response["violations"]
    return [f"{one['id']}: {node['target']} {node['html'][:150]}" for one in found for node in one["nodes"]]


def test_every_page_can_be_used_by_everybody(make_operator):
    operator = make_operator()
    problems = []
    for path in list_pages(operator):
        operator.open(path)
        problems += [f"{path} {violation}" for violation in find_violations(operator)]
    assert problems == []


def test_every_page_fits_a_phone_and_what_is_opened_most_can_be_read_in_the_dark(make_operator):
    operator = make_operator(size=NARROW, is_dark=True)
    problems = []
    for path in list_pages(operator):
        operator.open(path)
        if not operator.fits():
            problems.append(f"{path} scrolls sideways")
        if path in ("/admin/", *LISTS):
            problems += [f"{path} {violation}" for violation in find_violations(operator)]
    assert problems == []


def test_every_page_fits_a_phone_in_italian_too(make_operator):
    operator = make_operator(size=NARROW)
    paths = list_pages(operator)
    operator.speak("it")
    problems = []
    for path in paths:
        operator.open(path)
        assert operator.page.locator("html").get_attribute("lang") == "it"
        if not operator.fits():
            problems.append(f"{path} scrolls sideways")
    assert problems == []


LONG = "n" * 190
HIDDEN_BY_THE_BAR = """() => {
    const field = document.activeElement, bar = document.getElementById("submit-row");
    const isBelow = field.getBoundingClientRect().bottom > bar.getBoundingClientRect().top;
    return isBelow && !bar.contains(field) && field.id;
}"""


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["desk", "phone"])
def test_a_name_without_spaces_breaks_and_pushes_nothing_out_of_sight(make_operator, size):
    operator = make_operator(size=size)
    page = operator.open("/admin/campaigns/campaign/add/")
    page.locator("#id_name").fill(LONG)
    page.get_by_role("button", name="Save and continue editing").click()
    operator.see("was added successfully")
    for path in (page.url, page.url.replace("/change/", "/forecast/"), "/admin/", "campaigns"):
        operator.open(path)
        assert operator.fits(), path
    table = page.locator("#result_list")
    assert table.evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")


def test_a_phone_shows_a_row_as_a_card_without_what_is_empty(make_operator):
    operator = make_operator(size=NARROW)
    operator.open("campaigns")
    shown = operator.page.locator("#result_list td").filter(visible=True).all_inner_texts()
    assert "-" not in [text.strip() for text in shown]
    heights = operator.page.locator("tr.data-row").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert max(heights) < 300


def test_what_has_the_focus_is_not_behind_the_bar_of_buttons(operator):
    page = operator.open("/admin/campaigns/campaign/add/")
    hidden = []
    for _ in range(45):
        page.keyboard.press("Tab")
        hidden.append(page.evaluate(HIDDEN_BY_THE_BAR))
    assert [field for field in hidden if field] == []


def test_fields_beside_each_other_begin_at_the_same_height(operator):
    page = operator.open("/admin/campaigns/campaign/add/")
    rows = page.locator(".field-row.grid").all()
    top_of = "field => field.getBoundingClientRect().top"
    tops = [[field.evaluate(top_of) for field in row.locator(".field-line > .grow").all()] for row in rows]
    assert len(tops) >= 5
    assert [row for row in tops if len(set(row)) > 1] == []


def test_the_first_page_before_anybody_is_signed_in_can_be_used_by_everybody(make_operator):
    operator = make_operator()
    operator.open("/admin/")
    operator.page.context.clear_cookies()
    operator.open("/admin/")
    expect(operator.page.get_by_label("Username")).to_be_visible()
    assert find_violations(operator) == []


def test_each_step_between_pages_can_be_used_by_everybody(make_operator):
    """The dialog of a button, a file before and after its import, what is asked before much is done, a lock-out."""
    operator = make_operator()
    page, problems = operator.page, []

    def check(step):
        problems.extend(f"{step}: {violation}" for violation in find_violations(operator))
        assert operator.fits(), step

    operator.open(find_row(operator, "campaigns"))
    operator.choose("Duplicate")
    expect(page.get_by_role("dialog")).to_be_visible()
    check("dialog")

    operator.open("/admin/contacts/donotcallimport/add/")
    page.get_by_role("button", name="Save", exact=True).click()
    check("form with errors")
    operator.upload("list.csv", b"phone_number\n+12025550103\n12\n")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#columns")).to_be_visible()
    check("preview")
    page.get_by_role("button", name="Import 2 rows").click()
    expect(page.get_by_role("link", name="Download 1 row as CSV")).to_be_visible(timeout=40_000)
    check("import with refused rows")

    operator.open("do-not-call list")
    page.locator("#result_list tbody input[type=checkbox]").first.check(force=True)
    page.locator("select[name=action]").select_option("remove_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#reason")).to_be_visible()
    check("confirmation")

    operator.open("/admin/contacts/contact/erase/")
    check("erasure")
    page.get_by_label("Phone number").fill("+12025550103")
    page.get_by_label("Reason").fill("Asked by letter.")
    page.get_by_role("button", name="Show what there is").click()
    expect(page.get_by_role("button", name="Erase for good")).to_be_visible()
    check("erasure before it is confirmed")
    page.get_by_role("button", name="Erase for good").click()
    operator.see("Erased: ")

    operator.allowed = {403, 404, 429}
    operator.open("/admin/nowhere/")
    expect(page.get_by_role("link", name="Home")).to_be_visible()
    check("missing page")
    operator.open("/admin/campaigns/campaign/add/")
    page.context.clear_cookies()
    page.locator("#id_name").fill("Autumn")
    page.get_by_role("button", name="Save", exact=True).click()
    operator.see("Nothing was saved")
    check("form without cookies")
    page.get_by_role("link", name="To the page before").click()
    expect(page.get_by_label("Username")).to_be_visible()

    operator.open("/admin/")
    for _ in range(5):
        page.get_by_label("Username").fill("nobody")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Too many attempts")).to_be_visible()
    check("locked out")
    assert problems == []


def test_a_dialog_that_does_not_come_says_why(make_operator, site):
    operator = make_operator()
    page, dialog = operator.page, operator.page.get_by_role("dialog")
    campaign = find_row(operator, "campaigns")

    operator.open(campaign)
    page.context.set_offline(True)
    operator.choose("Duplicate")
    expect(dialog).to_contain_text("The site does not answer")
    assert find_violations(operator) == []
    dialog.get_by_role("button", name="Close", exact=True).last.click()
    expect(dialog).to_be_hidden()
    page.context.set_offline(False)
    operator.problems.clear()

    operator.choose("Duplicate")
    expect(dialog).to_contain_text("Make another campaign like this?")
    page.context.clear_cookies(name="csrftoken")
    operator.allowed = {403}
    dialog.get_by_role("button", name="Duplicate", exact=True).click()
    expect(dialog).to_contain_text("Nothing was saved")
    operator.problems.clear()

    operator.open(campaign)
    page.context.clear_cookies()
    operator.choose("Duplicate")
    expect(page.get_by_label("Username")).to_be_visible()
    page.get_by_label("Username").fill(site.user)
    page.get_by_label("Password").fill(site.password)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(re.escape(campaign.partition("?")[0])))


@pytest.mark.parametrize("is_erased", [True, False])
def test_back_leads_from_an_erasure_to_a_page_that_can_be_shown(operator, is_erased):
    operator.open("contacts")
    page = operator.open("/admin/contacts/contact/erase/")
    page.get_by_label("Phone number").fill("+12025550199")
    page.get_by_label("Reason").fill("Wrote from anna@example.org")
    page.get_by_role("button", name="Show what there is").click()
    operator.see("Leave numbers and addresses out")
    page.get_by_label("Reason").fill("Asked by letter.")
    page.get_by_label("Never ring this number again").set_checked(False, force=True)
    page.get_by_role("button", name="Show what there is").click()
    expect(page.get_by_role("heading", name="Erase +12025550199 for good?")).to_be_focused()
    if is_erased:
        page.get_by_role("button", name="Erase for good").click()
        operator.see("Erased: ")
    else:
        operator.open("/admin/")
    page.go_back()
    expect(page.get_by_role("button", name="Show what there is")).to_be_visible()


def test_each_role_is_offered_what_it_may_do(make_operator):
    admin = make_operator()
    for role in ("viewer", "campaign_manager", "admin"):
        add_user(admin, role)
    campaign = find_row(admin, "campaigns")

    viewer = make_operator("viewer", PASSWORD)
    viewer.open(campaign)
    expect(viewer.page.get_by_role("link", name="Dry run", exact=True)).to_be_visible()
    for name in ("Import contacts", "Duplicate", "Activate", "Pause", "Cancel"):
        expect(viewer.page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    expect(viewer.page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    expect(viewer.page.get_by_role("link", name="Audit", exact=True)).to_have_count(0)
    viewer.allowed = {403}
    viewer.open("/admin/campaigns/campaign/add/")
    viewer.see("You may not do this")

    manager = make_operator("campaign_manager", PASSWORD)
    manager.open("/admin/campaigns/campaign/add/")
    expect(manager.page.get_by_role("button", name="Save", exact=True)).to_be_visible()
    for name in ("Users", "Audit", "Background jobs"):
        expect(manager.page.get_by_role("link", name=name, exact=True)).to_have_count(0)

    operator = make_operator("admin", PASSWORD)
    operator.open("/admin/surveycalls/auditentry/")
    operator.see("viewer")
    operator.see("Refused access")
    expect(operator.page.get_by_role("link", name=re.compile("^Add"))).to_have_count(0)


def add_user(admin, role):
    page = admin.open("/admin/auth/user/add/")
    page.get_by_label("Username").fill(role)
    page.locator("#id_password1").fill(PASSWORD)
    page.locator("#id_password2").fill(PASSWORD)
    expect(page.locator("#id_is_staff")).to_be_checked()
    page.get_by_label(role, exact=True).check()
    page.get_by_role("button", name="Save", exact=True).click()
    admin.see("was added successfully")
