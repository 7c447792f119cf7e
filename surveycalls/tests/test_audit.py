"""Who did what, when and from where is written down, and stays as it was written."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import InternalError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext

from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import AskingCampaignFactory, CampaignFactory
from contacts.exclusion import add_to_do_not_call
from contacts.models import Contact, ContactImport, DoNotCallEntry
from contacts.tests.factories import ContactFactory
from surveycalls.models import AuditAction, AuditEntry

PAGE = "/admin/surveycalls/auditentry/"
NUMBER = "+390236726012"
ADDRESS = "203.0.113.7"

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client):
    """An admin's browser, whose sign-in is not in the audit any more as far as tests look."""
    user = User.objects.create_user("an-admin", password="the-password", is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    client.force_login(user)
    client.defaults["REMOTE_ADDR"] = ADDRESS
    return client


def read_last():
    entry = AuditEntry.objects.first()
    assert (entry.user_name, entry.address) == ("an-admin", ADDRESS)
    return entry


def post(client, url, **fields):
    response = client.post(f"/admin/{url}", fields)
    assert response.status_code in (200, 302), response.content
    return response


# What is written


def test_what_is_added_changed_and_deleted(operator):
    url = "auth/user/add/"
    post(operator, url, username="new", password1="a-long-one-1x", password2="a-long-one-1x", usable_password="true")
    added = read_last()
    assert (added.action, added.object_type, added.object_name) == (AuditAction.ADDED, "user", "new")
    post(operator, f"auth/user/{added.object_id}/change/", username="newer", is_staff="on")
    changed = read_last()
    assert (changed.action, changed.object_name) == (AuditAction.CHANGED, "newer")
    assert "Username" in changed.message
    contact = ContactFactory()
    post(operator, f"contacts/contact/{contact.pk}/delete/", post="yes")
    deleted = read_last()
    assert (deleted.action, deleted.object_type, deleted.object_id) == ("deleted", "contact", str(contact.pk))


def test_what_is_deleted_from_a_list_is_written_one_by_one(operator):
    contacts = ContactFactory.create_batch(3)
    chosen = {"action": "delete_selected", "_selected_action": [contact.pk for contact in contacts], "post": "yes"}
    post(operator, "contacts/contact/", **chosen)
    entries = AuditEntry.objects.filter(action=AuditAction.DELETED, user_name="an-admin", address=ADDRESS)
    assert {entry.object_id for entry in entries} == {str(contact.pk) for contact in contacts}
    assert not Contact.objects.exists()


def test_who_is_put_on_the_do_not_call_list_from_the_contacts_is_written_one_by_one(operator):
    add_to_do_not_call(ContactFactory().phone_number)
    new = ContactFactory.create_batch(2)
    pks = list(Contact.objects.values_list("pk", flat=True))
    for _ in range(2):
        post(operator, "contacts/contact/", action="exclude_selected", _selected_action=pks, confirmed="yes")
    entries = AuditEntry.objects.filter(action=AuditAction.ADDED, object_type="do-not-call entry", object_name="")
    added = DoNotCallEntry.objects.filter(phone_number__in=[contact.phone_number for contact in new])
    assert sorted(entry.object_id for entry in entries) == sorted(str(entry.pk) for entry in added)
    assert {(entry.user_name, entry.address, entry.message) for entry in entries} == {("an-admin", ADDRESS, "Added.")}


STEPS = {
    "activate": (CampaignStatus.DRAFT, "Status: running."),
    "pause": (CampaignStatus.RUNNING, "Status: paused."),
    "resume": (CampaignStatus.PAUSED, "Status: running."),
    "complete": (CampaignStatus.RUNNING, "Status: completed."),
    "cancel": (CampaignStatus.RUNNING, "Status: cancelled."),
}


@pytest.mark.parametrize("step", STEPS)
def test_steps_of_a_campaign(operator, step):
    status, message = STEPS[step]
    campaign = AskingCampaignFactory(status=status, name="Spring survey")
    ContactFactory(campaign=campaign)
    post(operator, f"campaigns/campaign/{campaign.pk}/{step}/", _form_submitted="True")
    entry = read_last()
    assert (entry.action, entry.message, entry.object_name) == (AuditAction.STATUS, message, "Spring survey")


def test_the_steps_of_an_import(operator):
    campaign = CampaignFactory()
    file = SimpleUploadedFile("people.csv", b"phone_number\n+12025550123\n")
    page = post(operator, "contacts/contactimport/add/", campaign=str(campaign.pk), file=file).headers["Location"]
    assert (read_last().action, read_last().object_name) == (AuditAction.IMPORTED, "people.csv")
    for step, message in (("start", "Started."), ("cancel", "Cancelled.")):
        operator.post(page, {"step": step, "phone_number": "0"})
        assert (read_last().action, read_last().message) == (AuditAction.IMPORTED, message)
    assert ContactImport.objects.get().status == "cancelled"


@pytest.mark.parametrize("status", ["completed", "cancelled", "failed"])
def test_an_import_that_is_over_is_not_cancelled_again(operator, status):
    record = ContactImport.objects.create(campaign=CampaignFactory(), status=status)
    operator.post(f"/admin/contacts/contactimport/{record.pk}/change/", {"step": "cancel"})
    assert not AuditEntry.objects.filter(action=AuditAction.IMPORTED).exists()


@pytest.mark.parametrize("kind", ["contactimport", "donotcallimport"])
def test_refused_rows_that_are_taken_home(operator, kind):
    campaign = CampaignFactory() if kind == "contactimport" else None
    record = ContactImport.objects.create(campaign=campaign, status="completed", file_name="people.csv")
    assert operator.get(f"/admin/contacts/{kind}/{record.pk}/refused/").status_code == 200
    last = read_last()
    assert (last.action, last.object_name, last.message) == (
        AuditAction.EXPORTED,
        "people.csv",
        "Refused rows exported.",
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("contacts/contact/export/{}/", "Contacts exported."),
        ("calls/callattempt/export/{}/", "Calls exported."),
        ("contacts/donotcallentry/export/", "Do-not-call list exported."),
    ],
)
def test_exports(operator, url, message):
    assert operator.get(f"/admin/{url.format(CampaignFactory().pk)}").status_code == 200
    assert (read_last().action, read_last().message) == (AuditAction.EXPORTED, message)


def test_whoever_is_taken_off_the_do_not_call_list_is_not_named(operator):
    entry = add_to_do_not_call(NUMBER)
    url = f"contacts/donotcallentry/{entry.pk}/delete/"
    post(operator, url, confirmed="yes", reason=f"It was {NUMBER}, by mistake.")
    last = read_last()
    assert (last.action, last.object_name) == (AuditAction.DELETED, "")
    assert last.message == "Taken off: It was +390*******12, by mistake."


def test_an_erasure_is_written_and_names_nobody(operator):
    ContactFactory(phone_number=NUMBER)
    post(operator, "contacts/contact/erase/", step="erase", phone_number=NUMBER, reason="Asked by letter.")
    last = read_last()
    assert last.action == AuditAction.ERASED
    assert last.message.startswith("1 contact, 0 calls, 0 answers, 0 refused rows.")


def test_an_erasure_by_a_command_has_neither_user_nor_address():
    arguments = ["--number", NUMBER, "--no-do-not-call", "--reason", "So.", "--yes"]
    call_command("erase_person", *arguments, stdout=StringIO())
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.user_name, entry.address) == (AuditAction.ERASED, "", "")


def test_sign_ins_and_sign_outs(client):
    User.objects.create_user("an-admin", password="the-password", is_staff=True)
    client.defaults["REMOTE_ADDR"] = ADDRESS
    for password in ("a-guess", "the-password"):
        client.post("/admin/login/", {"username": "an-admin", "password": password})
    client.post("/admin/logout/")
    entries = AuditEntry.objects.order_by("id").values_list("action", "user_name", "address")
    actions = (AuditAction.SIGN_IN_FAILED, AuditAction.SIGNED_IN, AuditAction.SIGNED_OUT)
    assert list(entries) == [(action, "an-admin", ADDRESS) for action in actions]


def test_refused_access(operator):
    assert operator.post("/admin/django_q/schedule/add/").status_code == 403
    assert (read_last().action, read_last().message) == (AuditAction.REFUSED, "POST /admin/django_q/schedule/add/")


def test_what_is_not_done_after_all_is_not_written(operator):
    campaign = CampaignFactory(status=CampaignStatus.DRAFT)  # without contacts it is not activated
    before = AuditEntry.objects.count()
    post(operator, f"campaigns/campaign/{campaign.pk}/activate/", _form_submitted="True")
    assert Campaign.objects.get().status == CampaignStatus.DRAFT
    assert AuditEntry.objects.count() == before


def test_behind_a_proxy_the_audit_and_the_lock_outs_have_the_address_that_it_saw(client, settings):
    settings.BEHIND_PROXY = True
    data = {"username": "an-admin", "password": "a-guess"}
    client.post("/admin/login/", data, HTTP_X_FORWARDED_FOR=f"198.51.100.1, {ADDRESS}")
    assert AuditEntry.objects.get().address == ADDRESS
    assert AccessAttempt.objects.get().ip_address == ADDRESS


# That it stays


@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_database_lets_nobody_change_or_delete_an_entry(change):
    AuditEntry.objects.create(action=AuditAction.ERASED)
    with pytest.raises((InternalError, ProgrammingError), match="neither changed nor deleted"), transaction.atomic():
        if change == "update":
            AuditEntry.objects.update(user_name="another")
        else:
            AuditEntry.objects.all().delete()
    assert AuditEntry.objects.get().user_name == ""


def test_nobody_adds_changes_or_deletes_an_entry_in_the_admin(admin_client):
    entry = AuditEntry.objects.create(action=AuditAction.ERASED)
    assert admin_client.get(f"{PAGE}add/").status_code == 403
    assert admin_client.get(f"{PAGE}{entry.pk}/change/").status_code == 200
    assert admin_client.post(f"{PAGE}{entry.pk}/change/", {"user_name": "x"}).status_code == 403
    assert admin_client.post(f"{PAGE}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    admin_client.post(PAGE, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
    assert AuditEntry.objects.filter(pk=entry.pk).exists()


def test_an_entry_outlives_its_user(operator):
    post(operator, "auth/user/add/", username="new", password1="a-long-one-1x", password2="a-long-one-1x")
    User.objects.all().delete()
    assert AuditEntry.objects.filter(user_name="an-admin", object_name="new").exists()


# The list


def list_messages(client, **query):
    response = client.get(PAGE, query)
    assert response.status_code == 200
    return [entry.message for entry in response.context["cl"].result_list]


@pytest.fixture
def entries(admin_client):
    """Signed in as admin just now; those of the test are a year old."""
    first = datetime(2025, 3, 3, 23, 30, tzinfo=UTC)
    rows = [
        ("one", "an-admin", ADDRESS, AuditAction.EXPORTED, "17", first),
        ("two", "a-viewer", ADDRESS, AuditAction.REFUSED, "", first + timedelta(hours=12)),
        ("three", "an-admin", "203.0.113.8", AuditAction.ERASED, "", first + timedelta(days=1)),
    ]
    for message, user, address, action, key, at in rows:
        AuditEntry.objects.create(message=message, user_name=user, address=address, action=action, object_id=key, at=at)
    User.objects.create_user("an-admin")


@pytest.mark.parametrize(
    ("query", "messages"),
    [
        ({"user": "an-admin"}, ["three", "one"]),
        ({"action__exact": "refused"}, ["two"]),
        ({"at_from": "2025-03-04", "at_to": "2025-03-04"}, ["three", "two"]),
        ({"at_to": "2025-03-03"}, ["one"]),
        ({"q": "203.0.113.8"}, ["three"]),
        ({"q": "a-viewer"}, ["two"]),
        ({"q": "17"}, ["one"]),
    ],
)
def test_entries_are_found_by_user_action_day_address_and_object(admin_client, entries, query, messages):
    assert list_messages(admin_client, **query) == messages


def test_the_days_are_those_of_the_operators(admin_client, entries, settings):
    settings.TIME_ZONE = "Europe/Rome"
    assert list_messages(admin_client, at_from="2025-03-04", at_to="2025-03-04") == ["two", "one"]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_days_at_the_ends_of_the_calendar_are_before_or_after_all(admin_client, entries, settings, zone):
    settings.TIME_ZONE = zone
    assert len(list_messages(admin_client, at_from="0001-01-01", at_to="9999-12-31")) >= 3
    assert list_messages(admin_client, at_from="9999-12-31") == []
    assert list_messages(admin_client, at_to="0001-01-01") == []


@pytest.mark.parametrize(
    "query", [{}, {"user": "an-admin"}, {"action__exact": "refused"}, {"at_to": "2025-03-04"}, {"q": ADDRESS}]
)
def test_the_list_reads_a_page_of_an_index_and_counts_nothing(admin_client, entries, query):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO surveycalls_auditentry (
                at, user_name, address, action, object_type, object_id, object_name, message)
            SELECT timestamptz '2024-01-01' + n * interval '1 minute', 'user-' || n % 100, '192.0.2.' || n % 200,
                (ARRAY['changed', 'refused', 'added', 'erased'])[1 + n % 4], '', n::text, '', ''
            FROM generate_series(1, 20000) AS n
            """
        )
        cursor.execute("ANALYZE surveycalls_auditentry")
    with CaptureQueriesContext(connection) as queries:
        list_messages(admin_client, **query)
    [sql] = [one["sql"] for one in queries if 'FROM "surveycalls_auditentry"' in one["sql"]]
    assert "COUNT(" not in sql
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan" not in plan
    assert "audit_" in plan


def test_only_an_admin_sees_it_in_the_sidebar(operator, client):
    assert PAGE in operator.get("/admin/").content.decode()
    User.objects.get(username="an-admin").groups.set([Group.objects.get(name="campaign_manager")])
    assert PAGE not in client.get("/admin/").content.decode()
