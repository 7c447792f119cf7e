"""The pages of imports, and the job behind them."""

import csv
import re
import time
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.utils import timezone
from django_q.models import OrmQ

from calls.tests.threads import in_thread
from campaigns import lifecycle
from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts import import_admin, import_forms, import_pages, importing, tasks, uploads
from contacts.models import (
    Contact,
    ContactImport,
    ContactState,
    DoNotCallEntry,
    ImportedNumber,
    ImportPiece,
    ImportStatus,
)
from contacts.rows import ContactRows
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory, make_number

LIST = "/admin/contacts/contactimport/"
MESSY = "Mobile;Consent;Note\n+1 202 555 0123;yes;=1+1\n12;no;short\n+1 202 555 0124;maybe;\n+12025550123;no;again\n"

pytestmark = pytest.mark.django_db(transaction=True)


def upload(client, campaign, content, name="people.csv"):
    if isinstance(content, str):
        content = content.encode()
    data = {"campaign": str(campaign.pk), "file": SimpleUploadedFile(name, content)}
    return client.post(f"{LIST}add/", data)


def upload_messy(client):
    response = upload(client, CampaignFactory(), MESSY)
    record = ContactImport.objects.get()
    assert response.headers["Location"] == page_of(record)
    return record


def page_of(record):
    return f"{LIST}{record.pk}/change/"


def start(client, record, **columns):
    chosen = {column: str(index) for column, index in record.columns.items()} | columns
    return client.post(page_of(record), {"step": "start", **chosen})


def work(record):
    """What the cluster does until no job is left; returns the record as it is then."""
    while jobs := [job for job in OrmQ.objects.all() if job.func() == "contacts.tasks.run_import"]:
        (pk,) = jobs[0].task["args"]
        jobs[0].delete()
        tasks.run_import(pk)
    record.refresh_from_db()
    return record


def make_csv(count):
    return "phone_number\n" + "".join(f"{make_number(n)}\n" for n in range(count))


def test_the_campaigns_page_leads_to_the_upload(admin_client):
    campaign = CampaignFactory()
    response = admin_client.get(f"/admin/campaigns/campaign/{campaign.pk}/import_contacts/", follow=True)
    assert response.redirect_chain[-1][0] == f"{LIST}add/?campaign={campaign.pk}"
    assert campaign.name in response.content.decode()


@pytest.mark.parametrize("url", [f"{LIST}add/", "/admin/contacts/contact/add/"])
@pytest.mark.parametrize("campaign", ["abc", "", "01a0b1c2-0000-7000-8000-000000000000"])
def test_an_address_with_an_unknown_campaign_gives_the_form_without_one(admin_client, url, campaign):
    page = admin_client.get(f"{url}?campaign={campaign}")
    assert page.status_code == 200
    assert f'value="{campaign or "-"}"' not in page.content.decode()


def test_the_name_of_a_file_is_written_as_it_is(admin_client):
    page = admin_client.get(page_of(upload_messy(admin_client))).content.decode()
    assert "people.csv" in page and "People.csv" not in page


def test_an_upload_shows_what_would_become_of_it_and_imports_nothing_yet(admin_client, admin_user):
    record = upload_messy(admin_client)
    page = admin_client.get(page_of(record)).content.decode()
    assert (record.status, record.format, record.rows_in_file) == (ImportStatus.PREPARED, "CSV, UTF-8, semicolons", 4)
    assert record.columns == {"phone_number": 0, "has_prior_consent": 1}
    assert record.created_by == admin_user
    assert "The first 4 rows" in page
    assert "3 of them would be refused" in page
    assert "Line 2 has the same number." in page
    assert "+12025550123" in page
    assert "It has no country code" in page
    assert not Contact.objects.exists()


def test_bytes_that_are_no_text_and_rows_that_cannot_be_read_are_shown_as_what_they_are(admin_client):
    content = 'phone_number,na\udceb,Città\n+12025550123,Zo\udceb,à\n+12025550124,"a"b,\n'
    upload(admin_client, CampaignFactory(), content.encode(errors="surrogateescape"))
    record = ContactImport.objects.get()
    page = admin_client.get(page_of(record)).content.decode()
    assert "The quotes of this row are not in order" in page
    assert record.header[1] == r"na\udceb"
    start(admin_client, record)
    assert (work(record).imported, record.refused) == (1, 1)


def test_a_preview_refuses_the_bytes_that_the_import_refuses(admin_client):
    ids = ["Zoë", "caf\udce8", "a\0b", "x" * 98 + "\0", "x" * 100]
    rows = [f"{make_number(n)},{text}" for n, text in enumerate(ids)]
    content = "\n".join(["phone_number,external_contact_id", *rows])
    upload(admin_client, CampaignFactory(), content.encode(errors="surrogateescape"))
    record = ContactImport.objects.get()
    foreseen = [(row.line, row.reason) for row in uploads.preview(record, record.columns) if hasattr(row, "reason")]
    assert "3 of them would be refused" in admin_client.get(page_of(record)).content.decode()
    start(admin_client, record)
    assert work(record).imported == 2
    assert foreseen == list(record.refusals.values_list("line", "reason"))


def test_a_preview_tells_who_is_new_who_is_known_and_who_is_on_the_do_not_call_list(admin_client):
    campaign = CampaignFactory()
    for n in (1, 3):
        ContactFactory(campaign=campaign, phone_number=make_number(n))
    for n in (2, 3):
        DoNotCallEntryFactory(phone_number=make_number(n))
    rows = [*(f"{make_number(n)}," for n in range(4)), f"{make_number(4)},yes", "12,"]
    upload(admin_client, campaign, "\n".join(["phone_number,do_not_call", *rows]))
    table = import_pages.describe_preview(ContactImport.objects.get(), {"phone_number": 0, "do_not_call": 1})["table"]
    assert [row[-1].split(":")[0] for row in table["rows"]] == [
        "New",
        "The campaign has it",
        "New, but on the do-not-call list",
        "The campaign has it",
        "It is put on the do-not-call list, and is not rung.",
        "Refused",
    ]
    assert "on the do-not-call list" in table["rows"][3][-1]


@pytest.mark.parametrize(
    ("row", "verdict"), [("+12025550123", "Nothing is wrong with it."), ("12", "It would be refused.")]
)
def test_a_preview_of_one_row_speaks_of_one(admin_client, row, verdict):
    upload(admin_client, CampaignFactory(), f"phone_number\n{row}\n")
    assert verdict in admin_client.get(page_of(ContactImport.objects.get())).content.decode()


def test_where_several_columns_may_be_meant_that_is_said_and_they_can_be_told_apart(admin_client):
    upload(admin_client, CampaignFactory(), "Phone,Mobile,Phone,email\n+12025550123,,,\n")
    page = admin_client.get(page_of(ContactImport.objects.get())).content.decode()
    assert "More than one column may be meant: Phone number (Phone, Mobile, Phone)." in page
    assert "Phone (column 1)" in page and "Phone (column 3)" in page and "Mobile (column" not in page


def test_a_column_is_chosen_by_hand_and_looked_at_again(admin_client):
    upload(admin_client, CampaignFactory(), "who,where,nr\nAnn,x@example.org,+12025550123\n")
    record = ContactImport.objects.get()
    page = admin_client.get(page_of(record)).content.decode()
    assert "The first 1 row" not in page
    assert "No column is known to have the phone numbers." in page
    assert re.search(r'value="cancel"[^>]* formnovalidate>', page)
    look = {"step": "look", "phone_number": "2", "external_contact_id": "0"}
    response = admin_client.post(page_of(record), look)
    assert response.status_code == 302  # to a page that the browser's Back may load again
    assert "Nothing is wrong" in admin_client.get(response.headers["Location"]).content.decode()
    start(admin_client, record, phone_number="2", external_contact_id="0")
    work(record)
    contact = Contact.objects.get()
    assert (contact.phone_number, contact.external_contact_id) == ("+12025550123", "Ann")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "Choose the column that has the phone numbers."),
        ({"phone_number": "1", "email": "1"}, "This column is chosen twice."),
        ({"phone_number": "7"}, "Select a valid choice"),
    ],
)
def test_columns_that_make_no_sense_are_refused(admin_client, columns, message):
    upload(admin_client, CampaignFactory(), "who,nr\nAnn,+12025550123\n")
    record = ContactImport.objects.get()
    response = admin_client.post(page_of(record), {"step": "start", **columns}, follow=True)
    assert response.redirect_chain
    assert message in response.content.decode()
    record.refresh_from_db()
    assert record.status == ImportStatus.PREPARED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "The submitted file is empty."),
        ("phone_number\n", "There is no row below the names of the columns."),
        ("+12025550113,x1\n+12025550114,x2\n", "it has a number: +12025550113. Put a line"),
        (b"%PDF-1.7 ...", "This is a PDF"),
        (b"\x00\x01\x02" * 100, "This is not a text file"),
    ],
)
def test_a_file_of_no_use_is_refused_beside_its_field(admin_client, content, message):
    response = upload(admin_client, CampaignFactory(), content)
    assert message in response.content.decode()
    assert not ContactImport.objects.exists()


def test_a_file_that_is_too_large_is_refused(admin_client, settings):
    settings.IMPORT_MAX_BYTES = 1_000_000
    response = upload(admin_client, CampaignFactory(), make_csv(90_000))
    assert "1 MB are the most" in response.content.decode()
    assert not ImportPiece.objects.exists()


def test_a_cancelled_campaign_takes_no_file(admin_client):
    response = upload(admin_client, CampaignFactory(status=CampaignStatus.CANCELLED), MESSY)
    assert "it takes no more contacts" in response.content.decode()


def test_a_file_is_read_before_the_transaction_of_its_upload(admin_client, monkeypatch):
    within = []

    def inspect(upload, inspect=import_forms.inspect_upload):
        within.append(connection.in_atomic_block)
        return inspect(upload)

    monkeypatch.setattr(import_forms, "inspect_upload", inspect)
    upload_messy(admin_client)
    assert within == [False]


def test_a_campaign_is_paused_while_a_file_for_it_is_stored(admin_client, monkeypatch):
    campaign, paused = CampaignFactory(), []

    def store(*args, store=import_admin.store_upload):
        store(*args)
        pause = in_thread(lambda: lifecycle.pause(Campaign.objects.get(), now=timezone.now()).status)
        paused.append(pause(timeout=2))

    monkeypatch.setattr(import_admin, "store_upload", store)
    upload(admin_client, campaign, MESSY)
    assert paused == [CampaignStatus.PAUSED]
    assert ContactImport.objects.exists()


def test_who_may_not_upload_has_no_file_read(client, monkeypatch):
    monkeypatch.setattr(import_forms, "inspect_upload", None)
    client.force_login(User.objects.create_user("nobody", password="-", is_staff=True))
    assert upload(client, CampaignFactory(), MESSY).status_code == 403


def test_an_import_is_worked_on_and_its_page_tells_to_the_end(admin_client):
    record = upload_messy(admin_client)
    start(admin_client, record)
    record.refresh_from_db()
    assert record.status == ImportStatus.RUNNING
    progress = admin_client.get(f"{LIST}{record.pk}/progress/").content.decode()
    assert 'hx-trigger="every 1s"' in progress
    assert "as soon as a worker" in progress
    record = work(record)
    assert (record.status, record.imported, record.refused, record.duplicates) == (ImportStatus.COMPLETED, 1, 3, 1)
    assert record.ended_at
    assert not ImportPiece.objects.exists()
    assert not ImportedNumber.objects.exists()
    assert record.sample == []
    progress = admin_client.get(f"{LIST}{record.pk}/progress/").content.decode()
    assert "hx-trigger" not in progress
    assert "Line 2 has the same number." in progress
    assert "Download 3 rows" in progress


def test_refused_rows_are_mended_and_loaded_again(admin_client):
    record = upload_messy(admin_client)
    start(admin_client, record)
    work(record)
    response = admin_client.get(f"{LIST}{record.pk}/refused/")
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(StringIO(text)))
    assert [(row["refused line"], row["refused column"], row["refused value"]) for row in rows] == [
        ("3", "phone_number", "12"),
        ("4", "has_prior_consent", "maybe"),
        ("5", "phone_number", "+12025550123"),
    ]
    assert [(row["Mobile"], row["Consent"], row["Note"]) for row in rows][1] == ("+1 202 555 0124", "maybe", "")
    record.delete()
    upload(admin_client, record.campaign, text.replace("maybe,\r\n", "yes,\r\n"), "refused.csv")
    again = ContactImport.objects.get()
    start(admin_client, again)
    assert (work(again).imported, again.updated, again.refused) == (1, 0, 2)
    assert Contact.objects.get(phone_number="+12025550124").has_prior_consent


def test_a_row_that_is_refused_again_and_again_stays_as_it_was(admin_client):
    campaign, content = CampaignFactory(), "phone_number,external_contact_id\n12,=x1\n12,'=x2\n12,''=x3\n"
    for _ in range(3):
        upload(admin_client, campaign, content, "refused.csv")
        record = ContactImport.objects.latest("pk")
        start(admin_client, record)
        work(record)
        content = take_refused_home(admin_client, record)
    rows = list(csv.DictReader(StringIO(content)))
    assert [len(row) for row in rows] == [6, 6, 6]
    assert [row["external_contact_id"] for row in rows] == ["'=x1", "'=x2", "''=x3"]


def take_refused_home(client, record):
    return b"".join(client.get(f"{LIST}{record.pk}/refused/").streaming_content).decode("utf-8-sig")


def test_a_duplicate_that_is_loaded_again_as_it_is_does_not_win(admin_client):
    campaign = CampaignFactory()
    rows = f"{make_number(0)},anna,\n{make_number(0)},bob,yes\n{make_number(1)},carl,\n"
    upload(admin_client, campaign, f"phone_number,external_contact_id,do_not_call\n{rows}")
    record = ContactImport.objects.get()
    start(admin_client, record)
    assert (work(record).imported, record.duplicates) == (2, 1)
    assert "Duplicates are refused again" in admin_client.get(page_of(record)).content.decode()
    DoNotCallEntry.objects.all().delete()
    text = take_refused_home(admin_client, record)
    for content, counts in [
        (text, (0, 0, 1)),
        (text.replace(f",{make_number(0)},bob", f",{make_number(2)},bob"), (1, 0, 0)),
        (text.replace(f"phone_number,{make_number(0)}", "phone_number,"), (0, 1, 0)),
    ]:
        record.delete()
        upload(admin_client, campaign, content, "refused.csv")
        record = ContactImport.objects.get()
        start(admin_client, record)
        assert (work(record).imported, record.updated, record.refused) == counts
        if record.refused:
            assert "empty its “refused value”" in record.refusals.get().reason
            assert Contact.objects.get(phone_number=make_number(0)).external_contact_id == "anna"
            assert DoNotCallEntry.objects.get().phone_number == make_number(0)  # said so all the same


def test_whoever_was_refused_for_a_missing_plus_is_imported_when_it_is_there(admin_client):
    campaign = CampaignFactory()
    upload(admin_client, campaign, f"phone_number\n{make_number(0)[1:]}\n")
    record = ContactImport.objects.get()
    start(admin_client, record)
    assert work(record).refused == 1
    text = take_refused_home(admin_client, record)
    record.delete()
    upload(admin_client, campaign, text.replace(f",{make_number(0)[1:]}\r", f",{make_number(0)}\r"))
    record = ContactImport.objects.get()
    start(admin_client, record)
    assert work(record).imported == 1


def test_the_cluster_tells_what_is_wrong_in_the_language_of_whoever_uploaded(admin_client):
    admin_client.cookies["django_language"] = "it"
    record = upload_messy(admin_client)
    start(admin_client, record)
    record = work(record)
    assert (record.language, record.format) == ("it", "CSV, UTF-8, punti e virgola")
    reasons = [refusal.reason for refusal in record.refusals.all()]
    assert reasons[1:] == ["Non è né sì né no.", "La riga 2 ha lo stesso numero."]
    admin_client.cookies["django_language"] = "en-gb"
    page = admin_client.get(page_of(record)).content.decode()
    assert "Download 3 rows" in page
    assert "Non è né sì né no." in page


def test_a_preview_is_in_the_language_of_whoever_looks(admin_client):
    upload(admin_client, CampaignFactory(), 'Telefono,Consenso\n"a"b,\n+12025550124,boh\n')
    record = ContactImport.objects.get()
    assert "It is neither yes nor no." in admin_client.get(page_of(record)).content.decode()
    admin_client.cookies["django_language"] = "it"
    page = admin_client.get(page_of(record)).content.decode()
    for text in (
        "Importa 2 righe",
        "Le prime 2 righe",
        "2 di queste verrebbero rifiutate",
        "Le virgolette di questa riga non sono in ordine",
        "Non è né sì né no.",
    ):
        assert text in page


def test_the_progress_of_an_import_is_drawn_in_every_language(admin_client):
    record = ContactImport.objects.create(
        campaign=CampaignFactory(), status=ImportStatus.RUNNING, rows=1234, imported=1234, rows_in_file=4000
    )
    ContactImport.objects.update(started_at=timezone.now() - timedelta(seconds=110))
    admin_client.cookies["django_language"] = "it"
    page = admin_client.get(f"{LIST}{record.pk}/progress/").content.decode()
    assert "width: 30.9%" in page
    assert 'aria-valuenow="30.9"' in page
    assert "1.234" in page
    assert "Mancano circa 4 minuti." in page


@pytest.mark.parametrize("rows", [0, 2], ids=["not begun", "begun"])
def test_after_a_minute_without_a_worker_it_is_said_that_there_is_none_and_what_to_do(admin_client, rows):
    record = upload_messy(admin_client)
    start(admin_client, record)
    ContactImport.objects.update(rows=rows, imported=rows)
    for minutes, is_told in ((0, False), (1, True)):
        ContactImport.objects.update(updated_at=timezone.now() - timedelta(minutes=minutes))
        page = admin_client.get(f"{LIST}{record.pk}/progress/").content.decode()
        assert ("tell whoever runs the site" in page) is is_told
        assert ("as soon as a worker" in page) is (not is_told and not rows)


def test_what_failed_is_told_in_the_language_of_whoever_uploaded(admin_client, monkeypatch):
    admin_client.cookies["django_language"] = "it"
    record = upload_messy(admin_client)
    start(admin_client, record)
    monkeypatch.setattr(uploads, "carry_on", lambda *_args, **_kwargs: 1 / 0)
    assert work(record).failure.startswith("Si è verificato un errore interno")


def test_what_a_spreadsheet_would_run_is_defused_in_the_refused_rows(admin_client):
    upload(admin_client, CampaignFactory(), 'phone_number,note\n12,"=HYPERLINK(""x"")"\n')
    record = ContactImport.objects.get()
    start(admin_client, record)
    work(record)
    text = b"".join(admin_client.get(f"{LIST}{record.pk}/refused/").streaming_content).decode()
    assert "'=HYPERLINK" in text


def test_a_long_import_goes_on_in_further_jobs_and_keeps_its_place(admin_client, monkeypatch):
    monkeypatch.setattr(uploads, "SLICE_SECONDS", 0)
    monkeypatch.setattr(importing, "CHUNK_SIZE", 10)
    upload(admin_client, CampaignFactory(), make_csv(35))
    record = ContactImport.objects.get()
    start(admin_client, record)
    assert (work(record).imported, record.rows, record.line) == (35, 35, 36)
    assert Contact.objects.count() == 35


def test_an_import_keeps_its_place_also_behind_a_stray_quote(admin_client, monkeypatch):
    monkeypatch.setattr(uploads, "SLICE_SECONDS", 0)
    monkeypatch.setattr(importing, "CHUNK_SIZE", 2)
    lines = make_csv(9).splitlines()
    lines[3] += ',"stray'
    upload(admin_client, CampaignFactory(), "\n".join(["phone_number,note", *lines[1:]]))
    record = ContactImport.objects.get()
    page = admin_client.get(page_of(record)).content.decode()
    assert "A quote is opened in this line" in page
    start(admin_client, record)
    assert (work(record).imported, record.refused, record.rows_in_file, record.line) == (8, 1, 9, 10)
    refused = b"".join(admin_client.get(f"{LIST}{record.pk}/refused/").streaming_content).decode()
    assert f'{make_number(2)},"""stray"' in refused


def test_the_time_to_come_to_the_first_new_row_is_no_part_of_a_job(admin_client, monkeypatch):
    monkeypatch.setattr(uploads, "SLICE_SECONDS", 0.3)
    monkeypatch.setattr(importing, "CHUNK_SIZE", 10)
    upload(admin_client, CampaignFactory(), make_csv(35))
    record = ContactImport.objects.get()
    start(admin_client, record)
    monkeypatch.setattr(uploads, "rows_of", lambda *args, rows_of=uploads.rows_of: [time.sleep(0.5), rows_of(*args)][1])
    assert tasks.run_import(str(record.pk)) == "completed, 35 rows"


def test_an_import_whose_worker_was_killed_is_resumed_without_doubling(admin_client, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_SIZE", 10)
    upload(admin_client, CampaignFactory(), make_csv(35) + make_csv(5).removeprefix("phone_number\n"))
    record = ContactImport.objects.get()
    start(admin_client, record)
    OrmQ.objects.all().delete()  # the job is lost with its worker

    def die(record):
        raise SystemExit

    with pytest.raises(SystemExit), uploads.open_upload(record) as file, uploads.open_sheet(file) as sheet:
        importing.carry_on(ContactImport.objects.get(), ContactRows(sheet, columns=record.columns), show_progress=die)
    assert Contact.objects.count() == 10
    assert tasks.resume_imports() == "0 resumed"
    ContactImport.objects.update(updated_at=timezone.now() - timedelta(minutes=2))
    assert tasks.resume_imports() == "1 resumed"
    assert (work(record).imported, record.duplicates, record.rows) == (35, 5, 40)
    assert record.status == ImportStatus.COMPLETED


def test_of_two_workers_at_one_import_one_is_stopped(admin_client, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_SIZE", 10)
    upload(admin_client, CampaignFactory(), make_csv(25))
    record = ContactImport.objects.get()
    start(admin_client, record)
    keys = iter([record.pk])

    def another(current):
        for pk in keys:
            tasks.run_import(str(pk))

    with uploads.open_upload(record) as file, uploads.open_sheet(file) as sheet:
        rows = ContactRows(sheet, columns=record.columns)
        with pytest.raises(importing.ImportStopped):
            importing.carry_on(ContactImport.objects.get(), rows, show_progress=another)
    record.refresh_from_db()
    assert (record.status, record.imported) == (ImportStatus.COMPLETED, 25)
    assert Contact.objects.count() == 25


def test_a_running_import_is_cancelled_and_what_was_imported_stays(admin_client, monkeypatch):
    monkeypatch.setattr(uploads, "SLICE_SECONDS", 0)
    monkeypatch.setattr(importing, "CHUNK_SIZE", 10)
    upload(admin_client, CampaignFactory(), make_csv(35))
    record = ContactImport.objects.get()
    start(admin_client, record)
    tasks.run_import(str(record.pk))
    admin_client.post(page_of(record), {"step": "cancel"})
    record = work(record)
    assert (record.status, record.imported, Contact.objects.count()) == (ImportStatus.CANCELLED, 10, 10)
    assert not ImportPiece.objects.exists()


def test_an_import_of_a_campaign_that_is_cancelled_meanwhile_fails_and_says_so(admin_client):
    record = upload_messy(admin_client)
    start(admin_client, record)
    type(record.campaign).objects.update(status=CampaignStatus.CANCELLED)
    assert work(record).status == ImportStatus.FAILED
    assert "it takes no more contacts" in admin_client.get(page_of(record)).content.decode()


def test_a_mistake_of_ours_fails_the_import_and_an_outage_does_not(admin_client, monkeypatch):
    record = upload_messy(admin_client)
    start(admin_client, record)
    OrmQ.objects.all().delete()
    errors = [OperationalError("gone"), ZeroDivisionError()]
    monkeypatch.setattr(uploads, "carry_on", lambda *_args, **_kwargs: (_ for _ in ()).throw(errors.pop(0)))
    with pytest.raises(OperationalError):
        tasks.run_import(str(record.pk))
    record.refresh_from_db()
    assert record.status == ImportStatus.RUNNING
    tasks.run_import(str(record.pk))
    record.refresh_from_db()
    assert (record.status, "on our side" in record.failure) == (ImportStatus.FAILED, True)


def test_an_import_of_the_command_line_is_left_to_its_process_until_that_is_surely_dead(admin_client):
    record = ContactImport.objects.create(campaign=CampaignFactory(), status=ImportStatus.RUNNING)
    ContactImport.objects.update(updated_at=timezone.now() - timedelta(minutes=5))
    assert tasks.resume_imports() == "0 resumed"
    record.refresh_from_db()
    assert record.status == ImportStatus.RUNNING
    ContactImport.objects.update(updated_at=timezone.now() - timedelta(hours=2))
    tasks.resume_imports()
    record.refresh_from_db()
    assert (record.status, "command" in record.failure) == (ImportStatus.FAILED, True)


def test_an_upload_that_nobody_starts_is_thrown_away_after_a_week(admin_client):
    record = upload_messy(admin_client)
    tasks.resume_imports()
    assert ImportPiece.objects.exists()
    ContactImport.objects.update(created_at=timezone.now() - timedelta(days=8))
    tasks.resume_imports()
    record.refresh_from_db()
    assert (record.status, ImportPiece.objects.exists()) == (ImportStatus.CANCELLED, False)


def test_who_may_only_look_neither_uploads_nor_starts_nor_cancels(admin_client, client):
    record = upload_messy(admin_client)
    user = User.objects.create_user("viewer", password="-", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_contactimport"))
    client.force_login(user)
    assert client.get(page_of(record)).status_code == 200
    assert "Which column" not in client.get(page_of(record)).content.decode()
    assert client.get(f"{LIST}add/").status_code == 403
    assert start(client, record).status_code == 403
    assert client.post(page_of(record), {"step": "cancel"}).status_code == 403


def test_who_may_not_even_look_sees_nothing(admin_client, client):
    record = upload_messy(admin_client)
    client.force_login(User.objects.create_user("nobody", password="-", is_staff=True))
    for url in (page_of(record), f"{LIST}{record.pk}/progress/", f"{LIST}{record.pk}/refused/"):
        assert client.get(url).status_code == 403


# The do-not-call list

NUMBERS = "/admin/contacts/donotcallimport/"


def upload_numbers(client, content, **data):
    data |= {"file": SimpleUploadedFile("no.csv", content.encode())}
    response = client.post(f"{NUMBERS}add/", data)
    record = ContactImport.objects.get()
    assert response.headers["Location"] == f"{NUMBERS}{record.pk}/change/"
    return record


def start_numbers(client, record):
    chosen = {column: str(index) for column, index in record.columns.items()}
    return client.post(f"{NUMBERS}{record.pk}/change/", {"step": "start", **chosen})


def test_the_do_not_call_list_leads_to_its_import(admin_client):
    response = admin_client.get("/admin/contacts/donotcallentry/import_numbers/")
    assert response.headers["Location"] == f"{NUMBERS}add/"


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("/admin/", NUMBERS),
        ("/admin/contacts/donotcallentry/", "/admin/contacts/donotcallentry/list_imports/"),
        (LIST, f"{LIST}list_imports_of_numbers/"),
    ],
)
def test_imports_of_the_do_not_call_list_are_found_by_whoever_may_see_them(admin_client, client, page, link):
    assert f'href="{link}"' in admin_client.get(page).content.decode()
    if link != NUMBERS:
        assert admin_client.get(link).headers["Location"] == NUMBERS
    user = User.objects.create_user("viewer", password="-", is_staff=True)
    names = ["view_contactimport", "view_donotcallentry"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    assert f'href="{link}"' not in client.get(page).content.decode()


def test_numbers_are_imported_into_the_do_not_call_list_with_their_reasons(admin_client):
    known = DoNotCallEntryFactory(phone_number="+12025550124", reason="before")
    contact = ContactFactory(phone_number="+12025550123")
    record = upload_numbers(
        admin_client,
        "Phone;Reason;Name\n(202) 555-0123;said no;Ann\n+12025550124;again;Ben\n12;;\n+12025550123;twice;\n",
        default_country="US",
    )
    assert record.columns == {"phone_number": 0, "reason": 1}
    page = admin_client.get(f"{NUMBERS}{record.pk}/change/").content.decode()
    assert "For the do-not-call list." in page
    assert "said no" in page
    assert "It is put on the list." in page and "It is on the list already." in page
    assert not DoNotCallEntry.objects.filter(phone_number="+12025550123").exists()
    start_numbers(admin_client, record)
    record = work(record)
    assert (record.imported, record.unchanged, record.refused, record.duplicates, record.excluded) == (1, 1, 2, 1, 1)
    entry = DoNotCallEntry.objects.get(phone_number="+12025550123")
    known.refresh_from_db()
    contact.refresh_from_db()
    assert (entry.reason, entry.source, known.reason) == ("said no", "import", "before")
    assert (contact.state, contact.next_attempt_at) == (ContactState.EXCLUDED, None)
    assert "The do-not-call list" in admin_client.get(f"{NUMBERS}{record.pk}/progress/").content.decode()
    refused = admin_client.get(f"{NUMBERS}{record.pk}/refused/")
    assert b"It is too short" in b"".join(refused.streaming_content)


def test_a_list_that_was_exported_is_imported_again_unchanged(admin_client):
    DoNotCallEntryFactory.create_batch(3, reason="=said no")
    before = list(DoNotCallEntry.objects.order_by("pk").values())
    exported = b"".join(admin_client.get("/admin/contacts/donotcallentry/export/").streaming_content)
    record = upload_numbers(admin_client, exported.decode())
    start_numbers(admin_client, record)
    assert (work(record).unchanged, record.refused) == (3, 0)
    assert list(DoNotCallEntry.objects.order_by("pk").values()) == before


def test_each_kind_of_import_is_on_its_own_list(admin_client):
    record = upload_messy(admin_client)
    assert admin_client.get(f"{NUMBERS}{record.pk}/change/").status_code == 404
    assert str(record.pk) in admin_client.get(LIST).content.decode()
    assert str(record.pk) not in admin_client.get(NUMBERS).content.decode()
