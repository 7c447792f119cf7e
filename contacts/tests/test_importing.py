import gc
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from random import Random

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.core.validators import validate_email
from django.db import connection, transaction
from django.utils.translation import override

from calls.tests.phone_network import wait_until
from calls.tests.threads import count_waiting, in_thread
from campaigns import lifecycle
from campaigns.lifecycle import CampaignIsCancelled
from campaigns.models import CampaignStatus
from campaigns.tests.factories import AskingCampaignFactory, CampaignFactory
from contacts import importing
from contacts.exclusion import add_numbers_to_do_not_call, exclude_numbers, write_entries
from contacts.importing import ImportStopped, import_contacts
from contacts.loading import make_contact_id
from contacts.models import (
    Contact,
    ContactImport,
    ContactState,
    DoNotCallEntry,
    DoNotCallSource,
    ImportedNumber,
    ImportStatus,
)
from contacts.rows import _PLAIN_EMAIL
from contacts.sheets import UnusableFile
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory, make_number

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
DEMO_FILE = Path(importing.__file__).with_name("demo_contacts.csv")

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign():
    return CampaignFactory()


@dataclass
class Report:
    record: ContactImport

    def __getattr__(self, name):
        return getattr(self.record, name)

    @property
    def refused(self):
        refusals = list(self.record.refusals.all())
        assert len(refusals) == self.record.refused
        return refusals


def import_file(campaign, file, **options):
    return Report(import_contacts(campaign, file, now=NOW, **options))


def import_text(campaign, text):
    return import_file(campaign, BytesIO(text.encode()))


def import_row(campaign, header, row):
    return import_text(campaign, f"{header}\n{row}\n")


def test_a_row_becomes_a_contact_that_is_due_now(campaign):
    report = import_text(
        campaign,
        "phone_number,external_contact_id,email,preferred_language,has_prior_consent,do_not_call,time_zone\n"
        "+1 202 555 0123,A-1,ann@example.org,it,yes,no,Europe/Rome\n",
    )
    contact = Contact.objects.get()
    assert (report.imported, report.excluded, report.refused, report.duplicates) == (1, 0, [], 0)
    assert contact.campaign == campaign
    assert contact.phone_number == "+12025550123"
    assert contact.external_contact_id == "A-1"
    assert contact.email == "ann@example.org"
    assert contact.preferred_language == "it"
    assert contact.has_prior_consent
    assert contact.calling_zone == "Europe/Rome"
    assert (contact.state, contact.next_attempt_at) == (ContactState.PENDING, NOW)


def test_a_number_is_all_that_a_row_needs(campaign):
    import_row(campaign, "phone_number", "+12025550123")
    contact = Contact.objects.get()
    assert (contact.preferred_language, contact.has_prior_consent, contact.do_not_call) == ("auto", False, False)


def test_without_a_time_zone_the_zones_are_those_of_the_number(campaign):
    import_row(campaign, "phone_number,time_zone", "+61855500011,")
    assert Contact.objects.get().calling_zone == "Australia/Adelaide Australia/Perth"


def test_a_number_without_a_country_is_one_of_the_campaigns_country():
    import_row(CampaignFactory(default_country="GB"), "phone_number", "020 7946 0018")
    assert Contact.objects.get().phone_number == "+442079460018"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffphone_number,email\n+12025550123,ann@example.org\n",
        "phone_number;email\n+12025550123;ann@example.org\n",
        "phone_number,email\r\n+12025550123,ann@example.org\r\n",
        "phone_number,email\r+12025550123,ann@example.org\r",
        " Phone_Number , EMAIL \n +12025550123 , ann@example.org \n",
        '"phone_number","email"\n"+12025550123","ann@example.org"',
        "\n\nphone_number,email\n\n+12025550123,ann@example.org\n,\n",
        "email;phone_number;;\nann@example.org;+12025550123;;\n",
        "phone_number,email,external_contact_id,do_not_call\n+12025550123,ann@example.org\n",
    ],
    ids=[
        "byte order mark",
        "semicolons",
        "Windows line ends",
        "old Mac line ends",
        "spaces and capitals",
        "quotes, no last line end",
        "blank lines",
        "columns without a name",
        "last delimiters left out, as Excel does",
    ],
)
def test_the_usual_kinds_of_csv_are_read(campaign, text):
    report = import_text(campaign, text)
    assert (report.imported, report.refused) == (1, [])
    assert Contact.objects.get().email == "ann@example.org"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: SimpleUploadedFile("contacts.csv", data),
        lambda data: fill(TemporaryUploadedFile("contacts.csv", "text/csv", len(data), None), data),
    ],
    ids=["small upload", "large upload"],
)
def test_an_uploaded_file_is_read_and_left_open(campaign, wrap):
    upload = wrap(b"phone_number\n+12025550123\n")
    assert import_contacts(campaign, upload, now=NOW).imported == 1
    assert not upload.closed


def fill(file, data):
    file.write(data)
    file.seek(0)
    return file


@pytest.mark.parametrize("word", ["yes", "Y", "TRUE", "1", "si", "Sì", "si\u0300", "vero"])
def test_yes_is_understood_in_its_usual_spellings(campaign, word):
    import_row(campaign, "phone_number,has_prior_consent", f"+12025550123,{word}")
    assert Contact.objects.get().has_prior_consent


@pytest.mark.parametrize("word", ["no", "N", "False", "0", "", "falso"])
def test_no_is_understood_in_its_usual_spellings(campaign, word):
    import_row(campaign, "phone_number,has_prior_consent", f"+12025550123,{word}")
    assert not Contact.objects.get().has_prior_consent


@pytest.mark.parametrize(
    ("word", "language"),
    [
        ("it", "it"),
        ("Italiano", "it"),
        ("italian", "it"),
        ("EN", "en"),
        ("inglese", "en"),
        ("English", "en"),
        ("auto", "auto"),
        ("automatica", "auto"),
    ],
)
def test_a_language_is_understood_by_its_code_and_by_its_name(campaign, word, language):
    import_row(campaign, "phone_number,preferred_language", f"+12025550123,{word}")
    assert Contact.objects.get().preferred_language == language


def test_what_is_wrong_is_told_in_the_language_of_whoever_imports(campaign):
    rows = ["12,", "+12025550123,forse", "+12025550124,", "+12025550124,", '"a"b,', "1,2,3"]
    with override("it"):
        report = import_text(campaign, "\n".join(["telefono,consenso", *rows]))
    assert report.language == "it"
    assert {refused.line: refused.reason.partition(";")[0] for refused in report.refused} == {
        2: "Manca il prefisso internazionale",
        3: "Non è né sì né no.",
        5: "La riga 4 ha lo stesso numero.",
        6: "Le virgolette di questa riga non sono in ordine (',' expected after '\"').",
        7: "Ha 3 valori, ma la prima riga nomina 2 colonne",
    }


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("phone_number", "+39 12", "too short"),
        ("phone_number", "", "empty"),
        ("phone_number", "4.93E+11", "spreadsheet"),
        ("email", "ann@", "not an e-mail address"),
        ("email", "ann@example..org", "not an e-mail address"),
        ("email", f"{'x' * 250}@example.org", "longer than 254"),
        ("preferred_language", "klingon", "none of en, it, auto"),
        ("has_prior_consent", "maybe", "neither yes nor no"),
        ("do_not_call", "2", "neither yes nor no"),
        ("time_zone", "Rome", "Rome is not an IANA time zone"),
        ("external_contact_id", "x" * 101, "longer than 100"),
        ("external_contact_id", "a\0b", "control character"),
        ("external_contact_id", '"a\nb"', "closing quote missing"),
    ],
)
def test_a_bad_value_is_refused_with_its_place_and_reason_and_the_rest_is_kept(campaign, column, value, reason):
    row = {"external_contact_id": "bad", "phone_number": "+12025550124"} | {column: value}
    header = ",".join(row)
    report = import_text(campaign, f"{header}\n,+12025550123\n{','.join(row.values())}\n,+12025550125\n")
    [refused] = report.refused
    assert (refused.line, refused.column) == (3, column)
    assert refused.value == value.strip('"')[:100].replace("\0", r"\x00")
    assert reason in refused.reason
    assert report.imported == Contact.objects.count() == 2
    assert not Contact.objects.filter(phone_number="+12025550124").exists()


def test_line_numbers_are_those_of_the_file_also_after_quoted_line_breaks(campaign):
    report = import_text(
        campaign,
        'address,phone_number\n"1 High Street\nLondon\n\nEngland",+12025550123\n\n,12\n"a\nb",13\n',
    )
    assert [(refused.line, refused.value) for refused in report.refused] == [(7, "12"), (8, "13")]


def test_a_row_with_more_values_than_columns_is_refused(campaign):
    report = import_row(campaign, "external_contact_id,phone_number", "Smith, Ann,+12025550123")
    [refused] = report.refused
    assert (refused.line, refused.column) == (2, "")
    assert "3 values" in refused.reason


def test_a_quote_that_is_never_closed_is_reported(campaign):
    report = import_text(campaign, 'phone_number,note\n+12025550123,fine\n+12025550124,"oh\n+12025550125,read\n')
    assert report.imported == 2
    [refused] = report.refused
    assert (refused.line, refused.cells) == (3, ["+12025550124", '"oh'])
    assert "A quote is opened in this line and not closed" in refused.reason


def test_rows_after_a_stray_quote_are_read_again(campaign):
    report = import_text(campaign, 'phone_number,note\n+12025550123,"a"b\n+12025550124,fine\n')
    assert [(refused.line, refused.cells) for refused in report.refused] == [(2, ["+12025550123", '"a"b'])]
    assert Contact.objects.get().phone_number == "+12025550124"


def test_a_value_that_is_no_text_is_refused_and_the_rest_is_kept(campaign):
    text = "phone_number,external_contact_id\n+12025550123,Zoë\n+12025550124,Zo\udceb\n"
    report = import_file(campaign, BytesIO(text.encode(errors="surrogateescape")))
    [refused] = report.refused
    assert (refused.line, refused.column) == (3, "external_contact_id")
    assert refused.value == "Zo\\udceb"
    assert "UTF-8" in refused.reason
    assert report.imported == 1


def test_foreign_bytes_in_a_column_that_is_ignored_do_no_harm(campaign):
    file = BytesIO("phone_number,name\n+12025550123,Zoë\n".encode("cp1252"))
    assert import_contacts(campaign, file, now=NOW).imported == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"who,email\n+12025550123,\n", "column phone_number; it names: who, email"),
        (b"phone_number,Phone_Number\n", "twice: phone_number"),
    ],
    ids=["empty", "blank", "no numbers", "a column twice"],
)
def test_a_file_whose_header_is_no_use_is_refused_as_a_whole(campaign, content, reason):
    with pytest.raises(UnusableFile, match=reason):
        import_contacts(campaign, BytesIO(content), now=NOW)
    assert not Contact.objects.exists()


def test_columns_of_no_use_are_ignored_and_named(campaign):
    report = import_row(campaign, "phone_number,Name,shoe_size", "+12025550123,Ann,38")
    assert report.ignored_columns == ["Name", "shoe_size"]


def test_of_duplicates_in_the_file_the_first_is_kept(campaign):
    report = import_text(
        campaign,
        "phone_number,external_contact_id\n+12025550123,first\n+12025550124,\n001 202 555 0123,second\n",
    )
    [refused] = report.refused
    assert (report.imported, report.duplicates) == (2, 1)
    assert (refused.line, refused.column, refused.value) == (4, "phone_number", "+12025550123")
    assert refused.reason == "Line 2 has the same number."
    assert Contact.objects.get(phone_number="+12025550123").external_contact_id == "first"


@pytest.mark.parametrize("chunk_size", [1, 2, 1000])
@pytest.mark.parametrize("was_there", [False, True])
def test_duplicates_name_the_first_line_whatever_chunk_it_was_in(campaign, monkeypatch, chunk_size, was_there):
    monkeypatch.setattr(importing, "CHUNK_SIZE", chunk_size)
    if was_there:
        ContactFactory(campaign=campaign, phone_number="+12025550123")
    ContactFactory(phone_number="+12025550123")  # of another campaign
    report = import_text(campaign, "phone_number,email\n+12025550123,a@example.org\n" + 3 * "+12025550123,\n")
    assert (report.imported, report.updated, report.duplicates) == (int(not was_there), int(was_there), 3)
    assert [(refused.line, refused.reason) for refused in report.refused] == [
        (line, "Line 2 has the same number.") for line in (3, 4, 5)
    ]


def test_a_contact_of_an_earlier_import_is_no_duplicate_of_this_one(campaign):
    import_row(campaign, "phone_number,email", "+12025550123,a@example.org")
    report = import_row(campaign, "phone_number,email", "+12025550123,b@example.org")
    assert (report.updated, report.duplicates) == (1, 0)


def test_a_contacts_id_tells_the_import_and_the_line(campaign):
    report = import_text(campaign, "phone_number\n+12025550123\n+12025550124\n")
    ids = list(Contact.objects.order_by("phone_number").values_list("pk", flat=True))
    assert ids == [make_contact_id(report.record.pk, 2), make_contact_id(report.record.pk, 3)]
    assert {made.version for made in ids} == {7}


@pytest.mark.parametrize("text", ["a\\b", 'a"b', "a,b", "{a}", "NULL", "it's", "a\\", "%s", "è", "\\N"])
def test_every_sign_of_a_text_is_kept(campaign, text):
    quoted = text.replace('"', '""')
    import_text(campaign, f'phone_number,external_contact_id\n+12025550124,\n+12025550123,"{quoted}"\n')
    assert list(Contact.objects.order_by("pk").values_list("external_contact_id", flat=True)) == ["", text]


def test_of_a_file_without_a_good_row_nothing_is_imported(campaign):
    report = import_row(campaign, "phone_number", "12")
    assert (report.imported, len(report.refused)) == (0, 1)
    assert not Contact.objects.exists()


def test_an_email_that_is_taken_at_a_glance_is_one_for_django():
    random = Random(1)
    glances = 0
    for _ in range(20_000):
        text = "".join(random.choices(["aB", "9", "-", "_", ".", "@", "@", "example.org"], k=random.randrange(3, 8)))
        if _PLAIN_EMAIL.fullmatch(text):
            validate_email(text)
            glances += 1
    assert glances > 50
    assert not _PLAIN_EMAIL.fullmatch(f"a@{'b' * 64}.org")


def test_a_refused_row_does_not_make_the_next_one_a_duplicate(campaign):
    report = import_text(campaign, "phone_number,email\n+12025550123,ann@\n+12025550123,ann@example.org\n")
    assert (report.imported, report.duplicates, len(report.refused)) == (1, 0, 1)


def test_a_contact_that_the_campaign_has_gets_what_the_row_says_and_keeps_its_history(campaign):
    contact = ContactFactory(
        campaign=campaign,
        phone_number="+12025550123",
        external_contact_id="old",
        email="old@example.org",
        has_prior_consent=True,
        preferred_language="it",
        calling_zone="America/New_York",
        state=ContactState.NOT_REACHED,
        attempts_count=2,
        next_attempt_at=NOW,
        last_outcome="busy",
    )
    header = "phone_number,external_contact_id,email,has_prior_consent,time_zone"
    report = import_row(campaign, header, "+12025550123,new,,no,Europe/Rome")
    before, after = vars(contact), vars(Contact.objects.get())
    changed = {name for name in before if before[name] != after[name] and name != "_state"}
    assert changed == {"external_contact_id", "has_prior_consent", "calling_zone", "updated_at"}
    assert (after["external_contact_id"], after["has_prior_consent"], after["calling_zone"]) == (
        "new",
        False,
        "Europe/Rome",
    )
    assert (report.imported, report.updated, report.unchanged, report.refused) == (0, 1, 0, [])


def test_a_contact_of_which_the_row_says_nothing_new_is_unchanged(campaign):
    contact = ContactFactory(campaign=campaign, phone_number="+12025550123", external_contact_id="A-1")
    report = import_row(campaign, "phone_number,external_contact_id,email", "+12025550123,A-1,")
    assert (report.imported, report.updated, report.unchanged) == (0, 0, 1)
    assert Contact.objects.get().updated_at == contact.updated_at


def test_of_duplicates_in_the_file_the_first_one_updates(campaign):
    ContactFactory(campaign=campaign, phone_number="+12025550123")
    report = import_text(campaign, "phone_number,external_contact_id\n+12025550123,first\n+12025550123,second\n")
    assert (report.updated, report.duplicates) == (1, 1)
    assert Contact.objects.get().external_contact_id == "first"


def test_another_campaigns_contact_is_no_duplicate(campaign):
    ContactFactory(phone_number="+12025550123")
    assert import_row(campaign, "phone_number", "+12025550123").imported == 1


def test_a_number_on_the_do_not_call_list_is_kept_but_never_due(campaign):
    DoNotCallEntryFactory(phone_number="+12025550123")
    report = import_text(campaign, "phone_number\n+12025550123\n+12025550124\n")
    contact = Contact.objects.get(phone_number="+12025550123")
    assert (report.imported, report.excluded) == (2, 1)
    assert contact.do_not_call
    assert (contact.state, contact.next_attempt_at) == (ContactState.EXCLUDED, None)
    assert [contact.phone_number for contact in Contact.objects.due(NOW)] == ["+12025550124"]


def test_a_do_not_call_in_the_file_holds_for_every_campaign(campaign):
    elsewhere = ContactFactory(phone_number="+12025550123")
    report = import_row(campaign, "phone_number,do_not_call", "+12025550123,yes")
    elsewhere.refresh_from_db()
    assert (report.imported, report.excluded) == (1, 1)
    assert DoNotCallEntry.objects.get().source == DoNotCallSource.IMPORT
    assert (elsewhere.do_not_call, elsewhere.state) == (True, ContactState.EXCLUDED)


@pytest.mark.parametrize("chunk_size", [1, 1000])
def test_a_do_not_call_in_a_duplicate_row_counts(campaign, chunk_size, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_SIZE", chunk_size)
    report = import_text(campaign, "phone_number,do_not_call\n+12025550123,no\n+12025550123,yes\n")
    contact = Contact.objects.get()
    assert (report.imported, report.duplicates) == (1, 1)
    assert (contact.do_not_call, contact.state) == (True, ContactState.EXCLUDED)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("phone_number,email,do_not_call", "+12025550123,nonsense,yes"),
        ("phone_number,do_not_call,time_zone", "+12025550123,yes,Rome"),
    ],
)
def test_a_do_not_call_in_a_refused_row_counts(campaign, header, row):
    elsewhere = ContactFactory(phone_number="+12025550123")
    assert import_row(campaign, header, row).imported == 0
    elsewhere.refresh_from_db()
    assert elsewhere.do_not_call
    assert DoNotCallEntry.objects.get().phone_number == "+12025550123"


@pytest.mark.parametrize("row", ["12345,yes,", "+12025550123,perhaps,", "+12025550123,no,nonsense"])
def test_without_a_good_number_and_a_clear_no_a_refused_row_puts_nobody_on_the_list(campaign, row):
    assert len(import_row(campaign, "phone_number,do_not_call,email", row).refused) == 1
    assert not DoNotCallEntry.objects.exists()


def test_a_cancelled_campaign_takes_no_contacts():
    with pytest.raises(CampaignIsCancelled, match="is cancelled; it takes no more contacts"):
        import_row(CampaignFactory(status=CampaignStatus.CANCELLED), "phone_number", "+12025550123")
    assert not Contact.objects.exists()


def test_a_completed_campaign_takes_contacts_for_which_it_can_be_activated_again():
    campaign = AskingCampaignFactory(status=CampaignStatus.COMPLETED)
    import_row(campaign, "phone_number", "+12025550123")
    assert lifecycle.activate(campaign, now=NOW).status == CampaignStatus.RUNNING


def test_a_campaign_that_is_cancelled_during_the_import_takes_no_more(campaign, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_SIZE", 1)

    def cancel(record):
        type(campaign).objects.update(status=CampaignStatus.CANCELLED)

    file = BytesIO(b"phone_number\n+12025550123\n+12025550124\n")
    with pytest.raises(CampaignIsCancelled):
        import_contacts(campaign, file, now=NOW, show_progress=cancel)
    assert Contact.objects.count() == 1


def test_a_long_file_is_written_in_chunks_with_few_queries_each(campaign, django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_SIZE", 2000)
    text = "phone_number\n" + "".join(f"{make_number(n)}\n" for n in range(2500))
    seen = []
    with django_assert_max_num_queries(2 * 20):
        report = import_file(
            campaign, BytesIO(text.encode()), show_progress=lambda record: seen.append((record.rows, record.line))
        )
    assert report.imported == Contact.objects.count() == 2500
    assert seen == [(2000, 2001), (2500, 2501)]
    assert (report.status, ImportedNumber.objects.count()) == (ImportStatus.COMPLETED, 0)


def test_contacts_keep_the_order_of_the_file(campaign):
    numbers = ["+12025550125", "+12025550123", "+12025550124"]
    import_text(campaign, "\n".join(["phone_number", *numbers]))
    assert list(Contact.objects.order_by("pk").values_list("phone_number", flat=True)) == numbers


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_the_same_numbers_at_once_store_each_of_them_once():
    campaign = CampaignFactory()
    lines = [make_number(n) for n in range(1500)]
    reports, start = [], threading.Barrier(2)

    def run(numbers):
        try:
            start.wait()
            reports.append(import_text(campaign, "\n".join(["phone_number", *numbers])))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[numbers]) for numbers in (lines, lines[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Contact.objects.count() == sum(report.imported for report in reports) == 1500
    assert sum(report.unchanged for report in reports) == 1500


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("opted_out", ["", "yes"])
def test_contacts_are_updated_and_excluded_at_once_in_one_direction(opted_out):
    campaign = CampaignFactory()
    numbers = [make_number(n) for n in range(2)]
    import_text(campaign, "\n".join(["phone_number", *numbers]))
    rows = (f"{number},a@example.org,{opted_out}" for number in numbers)
    again = "\n".join(["phone_number,email,do_not_call", *rows])
    with transaction.atomic():
        Contact.objects.select_for_update(no_key=True).get(phone_number=numbers[0])
        excluded = in_thread(lambda: add_numbers_to_do_not_call(numbers))
        wait_until(lambda: count_waiting() == 1)
        updated = in_thread(lambda: import_text(campaign, again).updated)
        wait_until(lambda: count_waiting() == 2)
    assert (excluded(), updated()) == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_who_adds_a_number_is_no_victim_of_an_import_that_adds_it_too():
    campaign, number = CampaignFactory(), make_number(1)
    ContactFactory(campaign=campaign, phone_number=number)
    with transaction.atomic():
        write_entries({number: ""}, source=DoNotCallSource.MANUAL)
        imported = in_thread(lambda: import_text(campaign, f"phone_number,do_not_call\n{number},yes\n").status)
        wait_until(lambda: count_waiting() == 1)
        assert exclude_numbers([number]) == 1
    assert imported() == ImportStatus.COMPLETED


def test_an_import_whose_record_is_gone_stops(campaign, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_SIZE", 1)
    file = BytesIO(b"phone_number\n+12025550123\n+12025550124\n")
    with pytest.raises(ImportStopped):
        import_file(campaign, file, show_progress=lambda record: record.delete())


def test_every_row_of_the_demo_file_is_imported():
    """The demo rings nobody: all its numbers are from ranges that are reserved for fiction.

    United States, Canada: 555-0100 to 555-0199 in every area code (North American Numbering Plan
    Administrator). United Kingdom: 020 7946 0xxx, 0113 to 0118, 0121, 0131, 0141 and 0161 496 0xxx,
    0191 498 0xxx, 028 9649 6xxx, 029 2018 0xxx, 07700 900xxx (Ofcom, numbers for use in TV and radio drama).
    Australia: 02, 03, 07 and 08 followed by 5550 xxxx or 7010 xxxx (ACMA, numbers for creative works).
    Ireland: 020 91x xxxx (ComReg, numbering conditions, drama use). France: 01 99 00, 02 61 91, 03 53 01,
    04 65 71, 05 36 49 and 06 39 98 xx xx (ARCEP, decision 2018-0881, numbers for audiovisual works).
    Germany: 030 23125, 069 90009, 040 66969, 0221 4710, 089 99998 xxx and 0171 39200 xx
    (Bundesnetzagentur, Mitteilung 148/2021). Sweden: 031-390 06 xx, 040-628 04 xx, 08-465 004 xx,
    0980-319 2xx and 070-174 06 05 to 99 (PTS, numbers for books and films). Italy reserves none.
    """
    with DEMO_FILE.open("rb") as file:
        report = import_file(CampaignFactory(time_zone=""), file)
    assert (report.imported, report.refused, report.ignored_columns) == (200, [], [])
    assert report.excluded == 6
    first = Contact.objects.order_by("pk")[:60]
    assert sum(contact.do_not_call for contact in first) == 2
    assert len({contact.calling_zone for contact in first}) >= 10
    assert not Contact.objects.filter(calling_zone="").exists()


def test_threads_take_quick_turns_and_no_garbage_is_looked_for_while_it_works_and_only_then(campaign):
    usual, meanwhile = sys.getswitchinterval(), []
    import_file(
        campaign,
        BytesIO(b"phone_number\n+12025550123\n"),
        show_progress=lambda record: meanwhile.extend([sys.getswitchinterval(), gc.isenabled()]),
    )
    assert meanwhile == [pytest.approx(importing.TURN_SECONDS), False]
    assert (sys.getswitchinterval(), gc.isenabled()) == (usual, True)


def test_threads_take_their_usual_turns_when_an_import_breaks_off(campaign):
    usual = sys.getswitchinterval()
    with pytest.raises(RuntimeError):
        import_file(campaign, BytesIO(b"phone_number\n+12025550123\n"), show_progress=break_off)
    assert (sys.getswitchinterval(), gc.isenabled()) == (usual, True)


def break_off(record):
    raise RuntimeError("broken off")


# On a real second connection


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "rows",
    [
        "{first},a@b.example,\n{last},a@b.example,\n",
        "{last},a@b.example,\n{first},a@b.example,\n",
        "{first},a@b.example,\n{last},,yes\n",
    ],
)
def test_an_import_waits_for_the_first_contact_without_holding_a_later_one(campaign, rows):
    """Like everybody who holds several, or they would wait for each other."""
    first, last = ContactFactory.create_batch(2, campaign=campaign)
    text = "phone_number,email,do_not_call\n" + rows.format(first=first.phone_number, last=last.phone_number)
    with transaction.atomic():
        Contact.objects.select_for_update(no_key=True).get(pk=first.pk)
        result = in_thread(lambda: import_text(campaign, text).status)
        wait_until(lambda: count_waiting() == 1)
        Contact.objects.select_for_update(no_key=True, nowait=True).get(pk=last.pk)
    assert result() == ImportStatus.COMPLETED
    assert Contact.objects.get(pk=first.pk).email == "a@b.example"
