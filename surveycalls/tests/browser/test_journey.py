"""What a campaign manager does from the first login on, on a desk's screen and on a phone."""

import contextlib
import csv
import io
import re

import psycopg2
import pytest
from django.conf import settings
from playwright.sync_api import expect

from calls.simulator.people import person_for
from surveycalls.tests.browser.conftest import NARROW, WIDE

# As a spreadsheet of an Italian Windows writes it.
MESSY = """Telefono;Codice;Posta elettronica;Lingua
+1 202 555 0141;a1;anna@example.org;it
001 202-555-0142;a2;;en
(202) 555 0143;a3;;
+12025550141;a4;;
2,02556E+11;a5;;
+12025550144;a6;nobody at example;
+12025550145;Società 7;;it
"""


DEMO_SEED, BUSY = 1, "+12025550128"


def wait_until_imported(operator):
    expect(operator.page.locator("#import-progress")).to_contain_text("Completed", ignore_case=True, timeout=40_000)


def make_campaign(operator, name, **fields):
    page = operator.open("/admin/campaigns/campaign/add/")
    page.get_by_label("Name", exact=False).first.fill(name)
    page.locator("#id_intro_script").fill("Good day. The town library asks for two minutes.")
    page.locator("#id_default_country").select_option("US", force=True)
    page.locator("#id_time_zone").select_option("UTC", force=True)
    for field, value in fields.items():
        page.locator(f"#id_{field}").fill(value)
    add_question(operator, "How satisfied are you with the library?", lowest="1", highest="5")
    page.get_by_role("button", name="Save and continue editing").click()
    operator.see("was added successfully")


def add_question(operator, text, *, number=0, **fields):
    """A scale, which is what a new one is."""
    operator.page.get_by_role("link", name="Add another Question").click()
    for field, value in ({"text_en": text} | fields).items():
        operator.page.locator(f"#id_questions-{number}-{field}").fill(value)


def import_file(operator, content):
    operator.choose("Import contacts")
    operator.upload("people.csv", content)
    operator.page.get_by_role("button", name="Save").first.click()
    expect(operator.page.locator("#columns")).to_be_visible()


def read_rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def ask_database(name, sql, *values):
    """psycopg2 by itself: Django takes its database for forbidden in a thread in which Playwright is at work."""
    own = settings.DATABASES["default"]
    connection = psycopg2.connect(host=own["HOST"], port=own["PORT"] or None, user=own["USER"], dbname=name)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["desk", "phone"])
def test_from_the_login_to_the_results(make_operator, site, size):
    operator = make_operator(size=size)
    name = f"Library {size[0]}"
    make_campaign(operator, name, max_attempts="2", retry_interval_minutes="0", weekday_hours_5="10-13")
    campaign = operator.page.url
    operator.see("It has no contacts: import some.")

    # A messy file: its columns are found, but for one; the rows that cannot be used are told beforehand.
    import_file(operator, MESSY.encode("windows-1252"))
    page = operator.page
    assert page.get_by_label("Phone number").input_value() == "0"
    page.get_by_label("Name in your own system").select_option("1")
    page.get_by_label("E-mail").select_option("2")
    page.get_by_role("button", name="Look again").click()
    operator.see("would be refused; the others are imported all the same")
    assert operator.fits()
    page.get_by_role("button", name=re.compile("Import .* rows")).click()
    wait_until_imported(operator)

    # What was refused comes back with reasons, is mended and loaded again.
    refused = operator.download(re.compile("Download .* as CSV"))
    rows = {row["Codice"]: row for row in read_rows(refused)}
    assert set(rows) == {"a4", "a5", "a6"}
    assert "Line 2 has the same number" in rows["a4"]["refused because"]
    assert "spreadsheet has rounded" in rows["a5"]["refused because"]
    mended = "phone_number,external_contact_id\n+12025550146,a5\n+12025550144,a6\n"
    page.goto(campaign)
    import_file(operator, mended.encode())
    page.get_by_role("button", name=re.compile("Import .* rows")).click()
    wait_until_imported(operator)

    page.goto(campaign)
    operator.choose("Dry run")
    operator.see("6 contacts can be rung, the first at once")
    assert operator.fits()

    # It is started, and its figures move to the end without the page being loaded again.
    page.goto(campaign)
    operator.press("Activate")
    operator.see(f"{name} is running.")
    page.evaluate("window.isTheSamePage = true")
    expect(page.locator("#explanation, .live").first).to_be_visible()
    expect(page.get_by_text(re.compile("Completed at|Nobody is left")).first).to_be_visible(timeout=60_000)
    assert page.evaluate("window.isTheSamePage")
    assert operator.fits()

    # What is taken home is what the database has.
    page.goto(campaign)
    exported = read_rows(operator.download("Download the contacts (CSV)"))
    kept = ask_database(
        site.database,
        "SELECT phone_number, external_contact_id, state FROM contacts_contact JOIN campaigns_campaign AS campaign"
        " ON campaign.id = campaign_id WHERE campaign.name = %s",
        name,
    )
    shown = [(row["phone_number"], row["external_contact_id"], row["state"]) for row in exported]
    assert sorted(shown) == sorted(kept)
    assert ("+12025550145", "Società 7") in [row[:2] for row in kept]
    answered = ask_database(
        site.database,
        "SELECT phone_number, answer.value FROM calls_answer AS answer JOIN contacts_contact AS contact"
        " ON contact.id = contact_id JOIN campaigns_campaign AS campaign ON campaign.id = campaign_id"
        " WHERE is_current AND campaign.name = %s",
        name,
    )
    results = read_rows(operator.download("Download the results (CSV)"))
    assert len(results) == len(kept)
    assert answered and {(row["phone_number"], row["q1"]) for row in results if row["q1"]} == set(answered)
    for link, seen in [("Results", "How satisfied are you with the library?"), ("Outcome rates", "RR1")]:
        page.goto(campaign)
        page.get_by_role("link", name=link, exact=True).click()
        operator.see(seen)
        assert operator.fits()


def test_a_question_is_removed_on_the_page(make_operator):
    operator = make_operator()
    make_campaign(operator, "Library without questions")
    operator.page.get_by_title("Delete").locator("visible=true").first.click()
    operator.page.get_by_role("button", name="Save and continue editing").click()
    operator.see("It asks nothing: write at least one question.")


def test_questions_show_what_their_type_has_and_are_dragged_into_their_order(make_operator):
    operator = make_operator()
    make_campaign(operator, "Library with two questions")
    page = operator.page
    add_question(operator, "May we ask you again?", number=1)
    lowest, choices = page.locator("#id_questions-1-lowest"), page.locator("#id_questions-1-choices_en")
    expect(lowest).to_be_visible()
    expect(choices).to_be_hidden()
    page.locator("#id_questions-1-type").select_option("single_choice")
    expect(lowest).to_be_hidden()
    expect(choices).to_be_visible()
    page.locator("#id_questions-1-type").select_option("yes_no")
    expect(lowest).to_be_hidden()
    expect(choices).to_be_hidden()
    page.get_by_role("button", name="Save and continue editing").click()
    operator.see("was changed successfully")
    expect(page.locator("#id_questions-0-lowest")).to_be_visible()
    expect(page.locator("#id_questions-1-lowest")).to_be_hidden()
    drag_up(page, page.locator("#questions-data .cursor-move"))
    expect(page.locator("#id_questions-0-position")).to_have_value("2")
    expect(page.locator("#id_questions-1-position")).to_have_value("1")
    page.get_by_role("button", name="Save and continue editing").click()
    operator.see("was changed successfully")
    expect(page.locator("#id_questions-0-text_en")).to_have_value("May we ask you again?")
    expect(page.locator("#id_questions-0-position")).to_have_value("1")


def drag_up(page, handles):
    """The second row before the first."""
    handles.nth(0).scroll_into_view_if_needed()
    handles.nth(1).hover()
    first = handles.nth(0).bounding_box()
    page.mouse.down()
    page.mouse.move(first["x"] + 5, first["y"] + 40, steps=5)
    page.mouse.move(first["x"] + 5, first["y"] + 5, steps=10)
    page.mouse.up()


def read_explanation(operator):
    return operator.page.locator("#explanation")


def test_the_page_says_why_nothing_rings(operator, site):
    """Each sentence that can be provoked from the browser; the others are in calls/tests/test_why.py."""
    make_campaign(operator, "Reasons")
    page, campaign = operator.page, operator.page.url
    expect(read_explanation(operator)).to_have_text("It is a draft, and rings nobody before it is activated.")
    numbers = "".join(f"+1202555{place:04}\n" for place in range(150, 190))
    import_file(operator, f"phone_number\n{numbers}".encode())
    page.get_by_role("button", name=re.compile("Import .* rows")).click()
    wait_until_imported(operator)

    # One line for all: it is in use as soon as the first call has begun.
    operator.open("provider")
    page.get_by_label("Lines").fill("1")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(campaign)
    operator.press("Activate")
    expect(read_explanation(operator)).to_have_text("The only line is in use.")
    operator.open("/admin/")
    expect(page.locator(".fig-campaigns")).to_contain_text("The only line is in use.")

    # A number on the do-not-call list is rung no more, while it runs.
    operator.open("/admin/contacts/donotcallentry/add/")
    page.get_by_label("Phone number").fill("+1 202 555 0189")
    page.get_by_role("button", name="Save", exact=True).click()
    operator.see("+12025550189")
    page.goto(campaign)
    expect(page.get_by_role("link", name="1 Excluded")).to_be_visible()

    operator.press("Pause")
    expect(read_explanation(operator)).to_have_text(
        re.compile(rf"Paused at \d\d:\d\d by {site.user}; it rings nobody until it is resumed.")
    )
    page.locator("#id_retry_no_answer").fill("1 d")
    page.locator("#id_allowed_call_start").fill("03:00")
    page.locator("#id_allowed_call_end").fill("03:01")
    page.get_by_role("button", name="Save and continue editing").click()
    operator.see("Changed: Calls from (none → 03:00)")
    operator.press("Resume")
    expect(read_explanation(operator)).to_contain_text("contacts wait in America/New_York, which opens")

    operator.open("provider")
    operator.choose("Switch dialling off")
    page.get_by_role("dialog").get_by_role("button", name="Switch off").click()
    operator.see("Dialling is off.")
    page.goto(campaign)
    expect(read_explanation(operator)).to_have_text("Dialling is switched off on the provider's page.")
    operator.open("provider")
    operator.choose("Switch dialling on")
    page.get_by_role("dialog").get_by_role("button", name="Switch on").click()
    page.get_by_label("Lines").fill("4")
    page.get_by_role("button", name="Save", exact=True).click()

    page.goto(campaign)
    operator.press("Complete")
    expect(read_explanation(operator)).to_have_text(re.compile("Completed at .*; nobody is called any more."))
    called = ask_database(
        site.database, "SELECT count(*) FROM calls_callattempt WHERE phone_number = %s", "+12025550189"
    )
    assert called == [(0,)]


def test_the_page_says_what_it_waits_for(operator):
    """Nobody can take a call on a line that is busy, at the first try at least."""
    assert person_for(DEMO_SEED, BUSY, 0).reaction == "busy"
    page = operator.page
    make_campaign(operator, "Later", starts_at_0="2099-03-01", starts_at_1="10:00:00")
    import_file(operator, f"phone_number\n{BUSY}\n".encode())
    page.get_by_role("button", name="Import 1 row").click()
    wait_until_imported(operator)
    page.get_by_role("link", name="Later", exact=True).click()
    operator.press("Activate")
    expect(read_explanation(operator)).to_contain_text("It begins on 1 Mar 2099")

    page.locator("#id_starts_at_0").fill("")
    page.locator("#id_starts_at_1").fill("")
    page.locator("#id_retry_busy").fill("2 h")
    page.get_by_role("button", name="Save and continue editing").click()
    operator.see("With this it starts to call at once")
    page.get_by_role("button", name="Save and continue editing").click()
    operator.see("was changed successfully")
    page.evaluate("window.isTheSamePage = true")
    expect(read_explanation(operator)).to_have_text(
        re.compile(r"1 contact waits for the next try, the first (at|on) .*\d\d:\d\d")
    )
    assert page.evaluate("window.isTheSamePage")
    page.reload()
    operator.press("Complete")


def test_a_contact_tells_its_story(operator):
    page = operator.open("contacts")
    page.locator("#result_list tr", has_text="DEMO-001").get_by_role("link").first.click()
    operator.see("A line is taken for it.")
    operator.see("The provider is asked to ring.")


def test_a_campaign_is_paused_by_keyboard_alone(operator):
    page = operator.page
    operator.open("campaigns")
    page.get_by_role("link", name="Outside its calling hours now").focus()
    page.keyboard.press("Enter")
    pause = page.get_by_role("link", name="Pause", exact=True)
    pause.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Pause this campaign?")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Pause", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    pause.focus()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Pause", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    operator.see("Outside its calling hours now is paused.")
