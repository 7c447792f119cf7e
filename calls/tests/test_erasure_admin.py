"""The page on which a person is erased, and the command."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from calls.models import CallAttempt
from calls.tests.factories import CallAttemptFactory
from contacts.exclusion import add_to_do_not_call, keep_as_hash
from contacts.models import Contact, ContactImport, ContactState, DoNotCallEntry
from contacts.tests.factories import ContactFactory

PAGE = "/admin/contacts/contact/erase/"
NUMBER = "+390236726012"
ENTRIES = "/admin/contacts/donotcallentry/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def key(settings):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"


def make_called(**values):
    contact = ContactFactory(**{"phone_number": NUMBER, "external_contact_id": "P-1701"} | values)
    CallAttemptFactory(contact=contact)
    return contact


def post(client, step="look", **fields):
    data = {"phone_number": NUMBER, "keeps_off": "on", "reason": "Asked by letter."} | fields
    response = client.post(PAGE, {"step": step} | data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_first_it_is_shown_what_there_is_and_nothing_is_erased(admin_client):
    make_called(campaign__name="Spring survey")
    ContactFactory(phone_number=NUMBER, campaign__name="Autumn survey")
    page = post(admin_client)
    assert "2 contacts, 1 call, 0 answers and 0 refused rows of imports." in page
    assert "Spring survey" in page
    assert "Autumn survey" in page
    assert "The number is put on it, as a hash" in page
    assert Contact.objects.filter(erased_at=None).count() == 2


def test_then_it_is_erased(admin_client):
    contact = make_called()
    page = post(admin_client, "erase")
    assert "Erased: 1 contact, 1 call, 0 answers and 0 refused rows of imports." in page
    contact.refresh_from_db()
    assert (contact.phone_number, CallAttempt.objects.get().phone_number) == (None, None)
    assert DoNotCallEntry.objects.get().phone_number is None


def test_a_form_that_its_own_page_has_sent_leaves_that_page_when_it_is_done(admin_client):
    contact = make_called()
    data = {"phone_number": NUMBER, "keeps_off": "on", "reason": "Asked by letter.", "step": "erase"}
    response = admin_client.post(PAGE, data, headers={"HX-Request": "true"})
    assert (response.status_code, response.headers["HX-Redirect"]) == (200, "/admin/contacts/contact/")
    contact.refresh_from_db()
    assert contact.erased_at


@pytest.mark.parametrize(
    "fields",
    [{"phone_number": "+39 02 3672.6012"}, {"phone_number": "02 3672 6012", "country": "IT"}],
)
def test_a_number_is_understood_in_any_spelling(admin_client, fields):
    make_called()
    assert "1 contact, 1 call" in post(admin_client, **fields)


def test_what_there_is_in_italian(admin_client):
    admin_client.cookies["django_language"] = "it"
    make_called()
    ContactFactory(phone_number=NUMBER)
    page = post(admin_client)
    assert "2 contatti, 1 chiamata, 0 risposte e 0 righe rifiutate delle importazioni." in page
    assert "Il numero vi viene aggiunto, come hash" in page
    assert "Dati cancellati: 2 contatti, 1 chiamata, 0 risposte e 0 righe" in post(admin_client, "erase")


def test_a_person_is_found_by_an_external_id(admin_client):
    make_called()
    page = post(admin_client, phone_number="", external_contact_id="P-1701")
    assert f"Erase {NUMBER} for good?" in page
    post(admin_client, "erase", phone_number="", external_contact_id="P-1701")
    assert Contact.objects.get().erased_at


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"phone_number": ""}, "Give a phone number or an external contact id, and not both."),
        ({"external_contact_id": "P-1701"}, "Give a phone number or an external contact id, and not both."),
        ({"phone_number": "02 3672 6012"}, "It has no country code"),
        ({"phone_number": "", "external_contact_id": "P-1"}, "No contact has this external id."),
        ({"reason": ""}, "This field is required."),
        ({"reason": "It was 02 3672 6012"}, "Leave numbers and addresses out"),
        ({"reason": "Wrote from p17@example.org"}, "Leave numbers and addresses out"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_erased(admin_client, fields, problem):
    make_called()
    for step in ("look", "erase"):
        if step == "look" or "P-1" not in fields.values():
            assert problem in post(admin_client, step, **fields)
    assert Contact.objects.get().erased_at is None


def test_an_external_id_that_nobody_has_any_more_is_told_at_the_last_step(admin_client):
    assert "No contact has this external id." in post(admin_client, "erase", phone_number="", external_contact_id="P-1")


def test_without_a_key_it_is_said_who_can_set_one(admin_client, settings):
    settings.DO_NOT_CALL_HASH_KEY = ""
    make_called()
    page = post(admin_client, "erase")
    assert "ask whoever runs it to set the secret key" in page and "DO_NOT_CALL_HASH_KEY" not in page
    assert Contact.objects.get().erased_at is None
    assert "Erased: 1 contact" in post(admin_client, "erase", keeps_off="")


def test_whoever_is_in_a_call_is_not_erased(admin_client):
    contact = ContactFactory(phone_number=NUMBER, state=ContactState.IN_PROGRESS, next_attempt_at=None)
    CallAttemptFactory(contact=contact, ringing=True)
    assert "A call to this person is going on." in post(admin_client, "erase")
    assert Contact.objects.get().phone_number == NUMBER


def test_imports_that_are_in_the_way_are_told_before_and_at_the_last_step_and_what_was_filled_in_stays(admin_client):
    make_called()
    ContactImport.objects.bulk_create(
        ContactImport(campaign=Contact.objects.get().campaign, file_name=f"{n}.csv") for n in range(11)
    )
    for step in ("look", "erase"):
        page = post(admin_client, step)
        assert "An import is not over" in page
        assert re.search(r"(\d+\.csv, ){4}\d+\.csv and 6 other imports\.", page)
        assert f'value="{NUMBER}"' in page and 'value="Asked by letter."' in page
    assert Contact.objects.get().phone_number == NUMBER
    ContactImport.objects.all().delete()
    assert "in the way" not in post(admin_client)


def test_back_leads_to_the_form_as_it_was(admin_client):
    make_called()
    page = post(admin_client, edit="yes", step="")
    assert "Show what there is" in page
    assert f'value="{NUMBER}"' in page


def test_a_contacts_page_leads_to_it_without_its_number_in_the_address(admin_client):
    contact = make_called()
    page = admin_client.get(f"/admin/contacts/contact/{contact.pk}/change/").content.decode()
    assert "Erase this person" in page
    response = admin_client.get(reverse("admin:contacts_contact_erase_this", args=[contact.pk]))
    assert response.headers["Location"] == f"{PAGE}?contact={contact.pk}"
    assert f'value="{NUMBER}"' in admin_client.get(response.headers["Location"]).content.decode()


def test_an_erased_contact_is_shown_and_cannot_be_changed(admin_client):
    contact = make_called()
    post(admin_client, "erase")
    url = f"/admin/contacts/contact/{contact.pk}/change/"
    page = admin_client.get(url).content.decode()
    assert "Erased person" in page
    assert "Erase this person" not in page
    assert admin_client.post(url, {"phone_number": NUMBER}).status_code == 403
    for listed in ("/admin/contacts/contact/", "/admin/calls/callattempt/"):
        assert admin_client.get(listed).status_code == 200


def test_erased_contacts_are_passed_over_when_others_are_put_on_the_list(admin_client):
    erased, other = make_called(), ContactFactory()
    post(admin_client, "erase", keeps_off="")
    data = {"action": "exclude_selected", "_selected_action": [erased.pk, other.pk], "confirmed": "yes"}
    admin_client.post("/admin/contacts/contact/", data)
    assert DoNotCallEntry.objects.get().phone_number == other.phone_number


@pytest.mark.parametrize("what", ["contacts/contact", "calls/callattempt"])
def test_an_erased_person_is_in_exports_without_a_number_or_not_at_all(admin_client, what):
    contact = make_called()
    post(admin_client, "erase")
    response = admin_client.get(f"/admin/{what}/export/{contact.campaign_id}/")
    rows = b"".join(response.streaming_content).decode().splitlines()
    assert len(rows) == (1 if "contacts" in what else 2)
    assert NUMBER[1:] not in "".join(rows)


# The do-not-call list


def test_a_hashed_number_is_found_and_taken_off_by_typing_it(admin_client):
    keep_as_hash([NUMBER])
    entry = DoNotCallEntry.objects.get()
    assert str(entry.pk) not in admin_client.get(ENTRIES, {"q": "+390236726013"}).content.decode()
    assert str(entry.pk) in admin_client.get(ENTRIES, {"q": "+39 02 3672 6012"}).content.decode()
    data = {"action": "remove_selected", "_selected_action": [entry.pk], "confirmed": "yes", "reason": "Wants to."}
    admin_client.post(f"{ENTRIES}?q=%2B39+02+3672+6012", data)
    assert not DoNotCallEntry.objects.exists()


def test_a_hashed_number_is_not_taken_off_by_who_does_not_know_it(admin_client):
    keep_as_hash([NUMBER])
    entry = DoNotCallEntry.objects.get()
    data = {"action": "remove_selected", "_selected_action": [entry.pk], "confirmed": "yes", "reason": "Wants to."}
    for url in (ENTRIES, f"{ENTRIES}?q=%2B390236726013", f"{ENTRIES}{entry.pk}/delete/"):
        page = admin_client.post(url, data, follow=True).content.decode()
        assert "can only be taken off by their number" in page or "No entry" in page or "0 of" in page
    assert DoNotCallEntry.objects.exists()


def test_adding_a_hashed_number_again_names_it_nowhere(admin_client):
    keep_as_hash([NUMBER])
    page = admin_client.post(f"{ENTRIES}add/", {"phone_number": NUMBER, "reason": ""}, follow=True).content.decode()
    assert "1 number is on the do-not-call list now" in page
    assert NUMBER not in page
    assert DoNotCallEntry.objects.get().phone_number is None


def test_the_exported_list_has_only_numbers_that_can_be_read(admin_client):
    keep_as_hash([NUMBER])
    add_to_do_not_call("+12025550123")
    rows = b"".join(admin_client.get(f"{ENTRIES}export/").streaming_content).decode().splitlines()
    assert len(rows) == 2


# The command


def run(*arguments):
    output = StringIO()
    call_command("erase_person", *arguments, "--reason", "Asked by letter.", stdout=output)
    return output.getvalue()


def test_the_command_shows_what_there_is_and_erases_it():
    make_called(campaign__name="Spring survey")
    output = run("--number", "02 3672 6012", "--country", "IT", "--do-not-call", "--yes")
    assert output == (
        "There are 1 contact, 1 call, 0 answers, 0 refused rows. The number stays on the do-not-call list. "
        "Reason: Asked by letter.\n  Spring survey\nErased.\n"
    )
    assert Contact.objects.get().erased_at


@pytest.mark.parametrize(("answer", "erases"), [("yes", True), ("y", False), ("", False)])
def test_the_command_asks_first(monkeypatch, answer, erases):
    make_called()
    monkeypatch.setattr("builtins.input", lambda question: answer)
    if erases:
        run("--external-id", "P-1701", "--no-do-not-call")
    else:
        with pytest.raises(CommandError, match=r"Nothing was erased\."):
            run("--external-id", "P-1701", "--no-do-not-call")
    assert bool(Contact.objects.get().erased_at) is erases


def test_the_command_says_why_it_cannot(settings):
    settings.DO_NOT_CALL_HASH_KEY = ""
    with pytest.raises(CommandError, match="DO_NOT_CALL_HASH_KEY"):
        run("--number", NUMBER, "--do-not-call", "--yes")
    with pytest.raises(CommandError, match="It has no country code"):
        run("--number", "02 3672 6012", "--do-not-call", "--yes")
