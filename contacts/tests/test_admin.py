import re
from uuid import uuid4

import pytest
import time_machine
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from calls.tests.factories import CallAttemptFactory
from calls.tests.threads import in_thread
from campaigns.tests.factories import CampaignFactory
from contacts.admin import describe_exclusion
from contacts.exclusion import add_to_do_not_call, remove_from_do_not_call
from contacts.models import Contact, ContactState, DoNotCallEntry
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

CONTACTS = "/admin/contacts/contact/"
ENTRIES = "/admin/contacts/donotcallentry/"
NUMBER = "+12025550123"

pytestmark = pytest.mark.django_db


def page_of(row, what="change"):
    return f"/admin/contacts/{row._meta.model_name}/{row.pk}/{what}/"


def get(client, url):
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def count_queries(client, url):
    client.get(url)  # fills the cache of content types
    with CaptureQueriesContext(connection) as queries:
        get(client, url)
    return len(queries)


@transaction.atomic
def list_free_contacts():
    return list(Contact.objects.select_for_update(skip_locked=True))


def choose(client, action, *contacts, **data):
    data |= {"action": action, "_selected_action": [contact.pk for contact in contacts]}
    return client.post(CONTACTS, data, follow=True).content.decode()


def form_of(**changes):
    """What the contact's page sends."""
    return {"preferred_language": "auto", "external_contact_id": "", "email": ""} | changes


def add(client, campaign, **changes):
    return client.post(f"{CONTACTS}add/", form_of(campaign=campaign.pk, phone_number=NUMBER) | changes)


def test_the_list_and_the_page_open(admin_client):
    contact = ContactFactory(external_contact_id="person-17", state="not_reached", last_outcome="busy")
    page = get(admin_client, CONTACTS)
    assert "person-17" in page
    assert "Not Reached" in page
    assert contact.phone_number in get(admin_client, page_of(contact))


def test_the_list_takes_the_same_number_of_queries_for_many_contacts(admin_client):
    for _ in range(2):
        CallAttemptFactory(contact=ContactFactory())
    few = count_queries(admin_client, CONTACTS)
    for _ in range(18):
        CallAttemptFactory(contact=ContactFactory())
    assert count_queries(admin_client, CONTACTS) == few


def test_the_page_takes_the_same_number_of_queries_for_many_calls(admin_client):
    contact = ContactFactory()
    CallAttemptFactory(contact=contact, attempt_number=1)
    few = count_queries(admin_client, page_of(contact))
    for number in range(2, 6):
        CallAttemptFactory(contact=contact, attempt_number=number)
    assert count_queries(admin_client, page_of(contact)) == few


@pytest.mark.parametrize(
    "search",
    [NUMBER, "+1 202-555-0123", "+1 (202) 555 0123", "001 202 555 0123", "(202) 555-0123", "person-17"],
)
def test_a_contact_is_found_however_its_number_is_written(admin_client, search):
    CampaignFactory(default_country="US")
    ContactFactory(phone_number=NUMBER, external_contact_id="person-17")
    ContactFactory(external_contact_id="someone-else")
    response = admin_client.get(CONTACTS, {"q": search})
    assert [contact.phone_number for contact in response.context["cl"].result_list] == [NUMBER]


def test_an_e_mail_is_found_in_the_campaign_that_is_chosen(admin_client):
    contact = ContactFactory(phone_number=NUMBER, email="someone@example.org")
    ContactFactory(campaign=contact.campaign, email="else@example.org")
    chosen = {"q": "Someone@example.org", "campaign__id__exact": contact.campaign_id}
    found = admin_client.get(CONTACTS, chosen).context["cl"].result_list
    assert list(found) == [contact]
    everywhere = admin_client.get(CONTACTS, {"q": "Someone@example.org"})
    assert not everywhere.context["cl"].result_list
    assert "choose a campaign as well" in everywhere.content.decode()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("due", {"due"}),
        ("waiting", {"due", "later"}),
        ("never", {"over"}),
        ("nonsense", {"due", "later", "over", "talks"}),
    ],
)
def test_contacts_can_be_filtered_by_their_next_call(admin_client, value, found):
    ContactFactory(external_contact_id="due")
    ContactFactory(external_contact_id="later", next_attempt_at="2100-01-01T00:00Z")
    ContactFactory(external_contact_id="over", state="completed", next_attempt_at=None)
    ContactFactory(external_contact_id="talks", state="in_progress", next_attempt_at=None)
    response = admin_client.get(CONTACTS, {"next": value})
    assert {contact.external_contact_id for contact in response.context["cl"].result_list} == found


@pytest.mark.parametrize(
    ("status", "lists"),
    [
        ("draft", ["waiting"]),
        ("scheduled", ["waiting"]),
        ("running", ["due", "waiting"]),
        ("paused", ["waiting"]),
        ("completed", ["waiting"]),
        ("cancelled", ["never"]),
    ],
)
def test_only_whom_a_running_campaign_rings_is_due_now_and_whom_a_cancelled_one_has_never_again(
    admin_client, status, lists
):
    ContactFactory(campaign=CampaignFactory(status=status), external_contact_id="anna")
    assert [
        one for one in ("due", "waiting", "never") if ">anna<" in get(admin_client, f"{CONTACTS}?next={one}")
    ] == lists


@time_machine.travel("2026-03-04T12:00Z", tick=False)
@pytest.mark.parametrize(
    ("campaign", "due_from"),
    [
        ({"status": "running"}, "4 Mar 2026, 11:00"),
        ({"status": "scheduled", "starts_at": "2026-03-06T08:00Z"}, "6 Mar 2026, 08:00"),
        ({"status": "scheduled", "starts_at": "2026-03-03T08:00Z"}, "4 Mar 2026, 11:00"),
        ({"status": "running", "ends_at": "2026-03-04T10:00Z"}, "-"),
        *(({"status": status}, "-") for status in ("draft", "paused", "completed", "cancelled")),
    ],
)
def test_the_list_says_from_when_on_a_campaign_rings_each(admin_client, campaign, due_from):
    ContactFactory(campaign=CampaignFactory(**campaign), next_attempt_at="2026-03-04T11:00Z")
    page = admin_client.get(CONTACTS)
    contact = page.context["cl"].result_list[0]
    assert page.context["cl"].model_admin.show_next_attempt(contact) == due_from


@time_machine.travel("2026-03-04T12:00Z", tick=False)
def test_a_new_contact_is_due_at_once_in_the_zones_of_its_number(admin_client):
    campaign = CampaignFactory()
    assert add(admin_client, campaign, phone_number="+1 202-555-0123").status_code == 302
    contact = Contact.objects.get()
    assert (contact.phone_number, contact.state) == (NUMBER, "pending")
    assert contact.calling_zone == "America/New_York"
    assert contact.next_attempt_at.isoformat() == "2026-03-04T12:00:00+00:00"


def test_a_number_without_a_country_is_read_in_that_of_its_campaign(admin_client):
    add(admin_client, CampaignFactory(default_country="US"), phone_number="(202) 555-0123")
    assert Contact.objects.get().phone_number == NUMBER


def test_a_new_contact_on_the_do_not_call_list_is_excluded(admin_client):
    DoNotCallEntryFactory(phone_number=NUMBER)
    add(admin_client, CampaignFactory())
    contact = Contact.objects.get()
    assert (contact.state, contact.do_not_call, contact.next_attempt_at) == ("excluded", True, None)


@pytest.mark.parametrize(
    ("campaign", "changes", "error"),
    [
        ({}, {"phone_number": "12345"}, "It has no country code"),
        ({}, {"phone_number": "+1 202-555"}, "It is too short for its country"),
        ({"status": "cancelled"}, {}, "is cancelled; it takes no more contacts."),
        ({}, {"calling_zone": ["Rome"]}, "Rome is not one of the available choices"),
    ],
)
def test_what_can_not_be_called_is_refused_with_a_reason(admin_client, campaign, changes, error):
    response = add(admin_client, CampaignFactory(**campaign), **changes)
    assert error in response.content.decode()
    assert not Contact.objects.exists()


def test_a_number_twice_in_a_campaign_is_refused(admin_client):
    campaign = CampaignFactory()
    other = ContactFactory(campaign=campaign)
    add(admin_client, campaign)
    refusal = "This campaign already has a contact with this number."
    assert refusal in add(admin_client, campaign).content.decode()
    response = admin_client.post(page_of(other), form_of(phone_number=NUMBER))
    assert refusal in response.content.decode()


def test_zone_email_language_and_consent_can_be_changed(admin_client):
    contact = ContactFactory()
    changes = {
        "phone_number": contact.phone_number,
        "calling_zone": ["Europe/Rome", "Europe/Dublin"],
        "email": "a@b.example",
        "preferred_language": "it",
        "has_prior_consent": "on",
    }
    assert admin_client.post(page_of(contact), form_of(**changes)).status_code == 302
    contact.refresh_from_db()
    assert contact.calling_zone == "Europe/Dublin Europe/Rome"
    assert (contact.email, contact.preferred_language, contact.has_prior_consent) == ("a@b.example", "it", True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("what", "status"), [("change", 302), ("history", 200), ("delete", 302)])
def test_every_page_of_a_contact_takes_a_form_outside_a_transaction_too(admin_client, what, status):
    contact = ContactFactory()
    sent = form_of(phone_number=contact.phone_number, email="a@b.example", post="yes")
    assert admin_client.post(page_of(contact, what), sent).status_code == status


@pytest.mark.django_db(transaction=True)
def test_nobody_can_claim_a_contact_while_it_is_saved(admin_client, monkeypatch):
    contact, seen = ContactFactory(), []
    monkeypatch.setattr(Contact, "full_clean", lambda *args, **kwargs: seen.append(in_thread(list_free_contacts)()))
    admin_client.post(page_of(contact), form_of(phone_number=contact.phone_number, email="a@b.example"))
    assert (seen, list_free_contacts()) == ([[]], [contact])


def test_what_the_scheduler_writes_can_not_be_written_by_hand(admin_client):
    contact = ContactFactory()
    changes = {"state": "completed", "attempts_count": 4, "do_not_call": "on", "next_attempt_at": ""}
    admin_client.post(page_of(contact), form_of(phone_number=contact.phone_number, **changes))
    saved = Contact.objects.get()
    assert (saved.state, saved.attempts_count, saved.do_not_call) == ("pending", 0, False)
    assert saved.next_attempt_at is not None


def test_a_number_can_be_corrected_until_the_first_call(admin_client):
    contact = ContactFactory(calling_zone="Europe/Dublin")
    DoNotCallEntryFactory(phone_number=NUMBER)
    admin_client.post(page_of(contact), form_of(phone_number="+1 202-555-0123", calling_zone=["Europe/Dublin"]))
    contact.refresh_from_db()
    assert contact.phone_number == NUMBER
    assert contact.calling_zone == "America/New_York"
    assert contact.state == "excluded"

    called = CallAttemptFactory().contact
    admin_client.post(page_of(called), form_of(phone_number="+1 202-555-0124"))
    assert not Contact.objects.filter(phone_number="+12025550124").exists()


def test_the_calls_of_a_contact_are_shown_in_order_and_only_shown(admin_client):
    contact = ContactFactory()
    first = CallAttemptFactory(contact=contact, attempt_number=1)
    second = CallAttemptFactory(contact=contact, attempt_number=2, outcome="busy")
    response = admin_client.get(page_of(contact))
    page = response.content.decode()
    assert page.index(str(first.pk)) < page.index(str(second.pk))
    assert response.context["inline_admin_formsets"] == []


def test_a_contact_that_was_called_can_not_be_deleted(admin_client):
    called, fresh = CallAttemptFactory().contact, ContactFactory()
    assert page_of(called, "delete") not in get(admin_client, page_of(called))
    assert page_of(fresh, "delete") in get(admin_client, page_of(fresh))
    assert admin_client.post(page_of(called, "delete"), {"post": "yes"}).status_code == 403
    page = choose(admin_client, "delete_selected", called, fresh)
    assert f"The calls of {called}" in page
    choose(admin_client, "delete_selected", called, fresh, post="yes")
    assert Contact.objects.count() == 2
    choose(admin_client, "delete_selected", fresh, post="yes")
    assert list(Contact.objects.all()) == [called]


def test_contacts_go_on_the_do_not_call_list_after_a_question(admin_client):
    contact = ContactFactory(phone_number=NUMBER)
    elsewhere = ContactFactory(phone_number=NUMBER)
    assert "Put these numbers on the do-not-call list?" in choose(admin_client, "exclude_selected", contact)
    assert not DoNotCallEntry.objects.exists()
    page = choose(admin_client, "exclude_selected", contact, confirmed="yes")
    assert "1 number is on the do-not-call list now; 2 contacts were excluded." in page
    elsewhere.refresh_from_db()
    assert elsewhere.state == "excluded"


def test_the_question_names_the_first_twenty_and_counts_the_others(admin_client):
    contacts = ContactFactory.create_batch(25)
    page = choose(admin_client, "exclude_selected", *contacts)
    assert page.count("<li>+353") == 20
    assert "and 5 more, 25 together" in page


def test_every_contact_of_a_long_list_can_be_put_on_the_do_not_call_list(admin_client):
    campaign, elsewhere = CampaignFactory(), ContactFactory()
    numbers = [f"+1202555{n:04}" for n in range(1200)]
    Contact.objects.bulk_create(Contact(campaign=campaign, phone_number=number) for number in numbers)
    url = f"{CONTACTS}?campaign__id__exact={campaign.pk}"
    chosen = {"action": ["exclude_selected", ""], "select_across": "1", "index": "0"}
    chosen["_selected_action"] = [contact.pk for contact in campaign.contacts.all()[:100]]
    page = admin_client.post(url, chosen).content.decode()
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    assert len(re.findall('name="_selected_action"', page)) == 1
    assert "and 1,180 more, 1,200 together" in page
    page = admin_client.post(url, sent, follow=True).content.decode()
    assert "1,200 numbers are on the do-not-call list now; 1,200 contacts were excluded." in page
    elsewhere.refresh_from_db()
    assert not elsewhere.do_not_call


@pytest.mark.parametrize(("codename", "may"), [("change_contact", False), ("add_donotcallentry", True)])
def test_only_who_may_add_to_the_do_not_call_list_can_put_contacts_on_it(client, django_user_model, codename, may):
    operator = django_user_model.objects.create_user("operator", is_staff=True)
    operator.user_permissions.set(Permission.objects.filter(codename__in=["view_contact", codename]))
    client.force_login(operator)
    choose(client, "exclude_selected", ContactFactory(), confirmed="yes")
    assert DoNotCallEntry.objects.exists() is may


def test_a_number_goes_on_the_do_not_call_list_however_it_is_written(admin_client):
    ContactFactory(phone_number=NUMBER)
    data = {"phone_number": "+1 202-555-0123", "reason": "Asked by letter"}
    page = admin_client.post(f"{ENTRIES}add/", data, follow=True).content.decode()
    assert "1 number is on the do-not-call list now; 1 contact was excluded." in page
    entry = DoNotCallEntry.objects.get()
    assert (entry.phone_number, entry.reason, entry.source) == (NUMBER, "Asked by letter", "manual")
    assert page_of(entry) in page
    assert Contact.objects.get().state == "excluded"


def test_a_number_is_on_the_do_not_call_list_once(admin_client):
    DoNotCallEntryFactory(phone_number=NUMBER)
    page = admin_client.post(f"{ENTRIES}add/", {"phone_number": "+1 202-555-0123"}).content.decode()
    assert "already exists" in page
    assert "It has no country code" in admin_client.post(f"{ENTRIES}add/", {"phone_number": "12345"}).content.decode()


def test_only_the_reason_of_an_entry_can_be_changed(admin_client):
    entry = DoNotCallEntryFactory(phone_number=NUMBER)
    assert NUMBER in get(admin_client, ENTRIES + "?q=%2B1+202-555-0123")
    admin_client.post(page_of(entry), {"phone_number": "+12025550124", "reason": "By letter"})
    entry.refresh_from_db()
    assert (entry.phone_number, entry.reason) == (NUMBER, "By letter")


@pytest.mark.django_db(transaction=True)
def test_a_number_that_is_taken_off_while_its_reason_is_edited_stays_off(admin_client, monkeypatch):
    entry, removals = DoNotCallEntryFactory(phone_number=NUMBER), []

    def take_off(*_args, **_kwargs):
        removals.append(in_thread(lambda: remove_from_do_not_call([NUMBER], now=timezone.now())))
        removals[0](timeout=0.5)

    monkeypatch.setattr(DoNotCallEntry, "full_clean", take_off)
    assert admin_client.post(page_of(entry), {"reason": "By letter"}).status_code == 302
    removals[0]()
    assert not DoNotCallEntry.objects.exists()
    page = admin_client.post(page_of(entry), {"reason": "By e-mail"}, follow=True).content.decode()
    assert "Perhaps it was deleted?" in page


def test_many_numbers_are_taken_off_with_as_many_statements_as_few(admin_client):
    def take_off(count):
        entries = DoNotCallEntryFactory.create_batch(count)
        for entry in entries:
            ContactFactory(phone_number=entry.phone_number, do_not_call=True, state="excluded", next_attempt_at=None)
        data = {"action": "remove_selected", "_selected_action": [entry.pk for entry in entries]}
        with CaptureQueriesContext(connection) as queries:
            admin_client.post(ENTRIES, data | {"confirmed": "yes", "reason": "By letter"})
        assert not DoNotCallEntry.objects.exists()
        return len(queries)

    take_off(1)  # types of content are looked up once
    assert take_off(2) == take_off(20)
    waiting = Contact.objects.filter(state=ContactState.PENDING, do_not_call=False, next_attempt_at__isnull=False)
    assert waiting.count() == 23


def test_the_do_not_call_list_takes_the_same_number_of_queries_for_many(admin_client):
    DoNotCallEntryFactory.create_batch(2)
    few = count_queries(admin_client, ENTRIES)
    DoNotCallEntryFactory.create_batch(18)
    assert count_queries(admin_client, ENTRIES) == few


@pytest.mark.parametrize("way", ["the entry's page", "the list"])
def test_a_number_is_taken_off_the_do_not_call_list_for_a_reason_and_its_contacts_wait_again(admin_client, way):
    contact = ContactFactory()
    entry = add_to_do_not_call(contact.phone_number)
    page, data = ENTRIES, {"action": "remove_selected", "_selected_action": [entry.pk]}
    if way == "the entry's page":
        page, data = reverse("admin:contacts_donotcallentry_delete", args=[entry.pk]), {}
    assert "Why?" in admin_client.post(page, data).content.decode()
    missing = "Nothing was done: write a reason."
    asked, refused = (admin_client.post(page, data | more) for more in ({}, {"confirmed": "yes", "reason": " "}))
    assert "Why?" in asked.content.decode() and missing not in asked.content.decode()
    assert "Why?" in refused.content.decode() and missing in refused.content.decode()
    assert DoNotCallEntry.objects.exists()
    data |= {"confirmed": "yes", "reason": "A wrong number was entered."}
    assert "1 contact may be rung again" in admin_client.post(page, data, follow=True).content.decode()
    contact.refresh_from_db()
    assert contact.state == ContactState.PENDING
    assert not DoNotCallEntry.objects.exists()
    [record] = LogEntry.objects.filter(action_flag=DELETION)
    assert (record.object_repr, record.change_message) == (
        contact.phone_number,
        "Taken off: A wrong number was entered.",
    )


@pytest.mark.parametrize(
    ("numbers", "contacts", "text"),
    [
        (1, 0, "1 numero è ora nella lista «non chiamare»; 0 contatti sono stati esclusi."),
        (1234, 1, "1.234 numeri sono ora nella lista «non chiamare»; 1 contatto è stato escluso."),
    ],
)
def test_who_was_excluded_is_counted_in_italian(numbers, contacts, text):
    with override("it"):
        assert describe_exclusion(numbers, contacts) == text


@pytest.mark.parametrize(
    ("site", "operator", "line", "told"),
    [
        ("en-gb", "it", "Taken off: {Ann}", "1 contatto può essere chiamato di nuovo."),
        ("it", "en-gb", "Tolto dalla lista: {Ann}", "1 contact may be rung again."),
    ],
)
def test_the_history_is_in_the_language_of_the_site_and_the_answer_in_that_of_the_operator(
    admin_client, settings, site, operator, line, told
):
    settings.LANGUAGE_CODE = site
    admin_client.cookies["django_language"] = operator
    contact = ContactFactory()
    entry = add_to_do_not_call(contact.phone_number)
    data = {"action": "remove_selected", "_selected_action": [entry.pk], "confirmed": "yes", "reason": "{Ann}"}
    page = admin_client.post(ENTRIES, data, follow=True).content.decode()
    assert told in page
    assert LogEntry.objects.get(action_flag=DELETION).get_change_message() == line


@pytest.mark.parametrize("key", [uuid4(), "nonsense"])
def test_an_entry_that_is_not_there_is_not_taken_off(admin_client, key):
    assert admin_client.get(f"{ENTRIES}{key}/delete/").status_code == 404
