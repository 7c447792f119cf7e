"""The download of a campaign's results: one row for each contact, every answer, and what the codes mean."""

import csv
import re
import tracemalloc
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO

import openpyxl
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from calls import survey_data
from calls.erasure import anonymise
from calls.models import Answer
from calls.survey_data import list_columns, list_rows, name_questions
from calls.tests.factories import CallAttemptFactory
from campaigns.questions import freeze_questions
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.models import Contact, ContactState
from contacts.spreadsheets import write_csv
from contacts.tests.factories import ContactFactory, make_number
from surveycalls.models import AuditEntry

AT = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def export_of(campaign, file="results.csv"):
    return reverse("admin:campaigns_campaign_export", args=[campaign.pk, file])


def download(client, url):
    response = client.get(url)
    assert response.status_code == 200
    return b"".join(response.streaming_content)


def read_rows(client, campaign):
    return list(csv.DictReader(StringIO(download(client, export_of(campaign)).decode("utf-8-sig"))))


def read_sheets(content):
    book = openpyxl.load_workbook(BytesIO(content))
    return {sheet.title: [tuple(cell.value for cell in row) for row in sheet.iter_rows()] for sheet in book}


def answer(attempt, question, value, *, version=1, is_current=True):
    return Answer.objects.create(
        contact=attempt.contact,
        attempt=attempt,
        question=question,
        version=question.versions.get(number=version),
        means="keys" if value else "nothing",
        raw=value,
        value=value,
        is_current=is_current,
        answered_at=AT,
    )


@pytest.fixture
def campaign():
    """With a question of each type, asked as they are."""
    campaign = CampaignFactory(language="en", intro_script_other="Buongiorno.")
    make = {"campaign": campaign, "lowest": None, "highest": None}
    QuestionFactory(campaign=campaign, position=1, text_it="Quanto è soddisfatto?")
    QuestionFactory(**make, position=2, type="numeric", text_en="How old are you?", is_required=False)
    QuestionFactory(**make, position=3, type="yes_no", text_en="Do you read?")
    choices = {"choices_en": ["By bus", "On foot"], "choices_it": ["In autobus", "A piedi"]}
    QuestionFactory(**make, position=4, type="single_choice", text_en="How do you come?", **choices)
    QuestionFactory(**make, position=5, type="free_text", text_en="What do you miss?")
    freeze_questions(campaign)
    return campaign


def complete(campaign, values=(), **about):
    """A contact that has completed in its second call, and what it answered."""
    about = {"state": "completed", "last_outcome": "completed", "attempts_count": 2} | about
    contact = ContactFactory(campaign=campaign, next_attempt_at=None, **about)
    CallAttemptFactory(contact=contact, claimed_at=AT - timedelta(hours=2))
    attempt = CallAttemptFactory(
        contact=contact,
        attempt_number=2,
        claimed_at=AT,
        started_at=AT,
        answered_at=AT,
        consented_at=AT + timedelta(seconds=10),
        outcome="completed",
        decided_at=AT + timedelta(seconds=70),
    )
    for question, value in zip(campaign.questions.all(), values, strict=False):
        answer(attempt, question, value)
    return contact


def test_a_row_has_the_contact_what_became_of_it_and_every_answer(admin_client, campaign, settings):
    settings.TIME_ZONE = "Europe/Rome"
    contact = complete(
        campaign,
        ["5", "42", "yes", "2", "More chairs"],
        external_contact_id="V-1",
        phone_number="+12025550123",
        preferred_language="it",
    )
    [row] = read_rows(admin_client, campaign)
    assert row == {
        "campaign_id": str(campaign.pk),
        "contact_id": str(contact.pk),
        "external_contact_id": "V-1",
        "phone_number": "+12025550123",
        "state": "completed",
        "outcome": "completed",
        "disposition": "complete",
        "aapor_code": "1.1",
        "attempt_count": "2",
        "first_attempt_at": "2026-07-01T12:30:00+02:00",
        "last_attempt_at": "2026-07-01T14:30:00+02:00",
        "consented_at": "2026-07-01T14:30:10+02:00",
        "completed_at": "2026-07-01T14:31:10+02:00",
        "language": "it",
        "q1": "5",
        "q1_version": "1",
        "q2": "42",
        "q2_version": "1",
        "q3": "yes",
        "q3_version": "1",
        "q4": "2",
        "q4_label": "On foot",
        "q4_version": "1",
        "q5": "More chairs",
        "q5_version": "1",
    }


def test_who_was_never_called_has_a_row_too(admin_client, campaign):
    ContactFactory(campaign=campaign, preferred_language="auto")
    [row] = read_rows(admin_client, campaign)
    filled = {name for name, value in row.items() if value}
    assert filled == {
        *(
            "campaign_id",
            "contact_id",
            "phone_number",
            "state",
            "disposition",
            "aapor_code",
            "attempt_count",
            "language",
        )
    }
    assert (row["disposition"], row["attempt_count"], row["language"]) == ("not_attempted", "0", "en")


def test_what_was_passed_over_is_told_from_what_was_not_answered(admin_client, campaign):
    complete(campaign, ["3", "", "no", ""])
    [row] = read_rows(admin_client, campaign)
    assert (row["q2"], row["q4"], row["q4_label"], row["q5"]) == ("(skipped)", "(skipped)", "", "")
    assert (row["q4_version"], row["q5_version"]) == ("1", "")


def test_what_was_said_never_looks_like_what_was_passed_over(admin_client, campaign):
    told = complete(campaign, ["3", "7", "no", "1", "skipped"])
    silent = complete(campaign, ["3", "7", "no", "1", ""])
    rows = {row["contact_id"]: row["q5"] for row in read_rows(admin_client, campaign)}
    assert (rows[str(told.pk)], rows[str(silent.pk)]) == ("skipped", "(skipped)")


def test_what_an_erased_person_passed_over_is_told_from_words_that_are_gone(admin_client, campaign):
    contacts = complete(campaign, ["3", "", "no", "1", "I am Zoë"]), complete(campaign, ["3", "", "no", "1", ""])
    with transaction.atomic():
        anonymise(contacts, now=AT)
    rows = {row["contact_id"]: row for row in read_rows(admin_client, campaign)}
    assert [(rows[str(one.pk)]["q2"], rows[str(one.pk)]["q5"]) for one in contacts] == [
        ("(skipped)", ""),
        ("(skipped)", "(skipped)"),
    ]


def test_only_the_last_answer_counts(admin_client, campaign):
    contact = complete(campaign)
    first, question = contact.attempts.first(), campaign.questions.first()
    answer(first, question, "1", is_current=False)
    answer(first, question, "2")
    [row] = read_rows(admin_client, campaign)
    assert row["q1"] == "2"


def test_a_call_that_never_rang_was_no_attempt(admin_client, campaign):
    contact = ContactFactory(campaign=campaign)
    CallAttemptFactory(contact=contact, given_back=True, outcome="failed")
    [row] = read_rows(admin_client, campaign)
    assert (row["first_attempt_at"], row["last_attempt_at"]) == ("", "")


def test_a_choice_has_the_label_of_the_version_that_was_answered(admin_client, campaign):
    before, after = complete(campaign, ["1", "1", "yes", "1"]), complete(campaign)
    question = campaign.questions.get(position=4)
    question.choices_en = ["By tram", "By bus", "On foot"]
    question.choices_it = ["In tram", "In autobus", "A piedi"]
    question.save()
    freeze_questions(campaign)
    answer(after.attempts.first(), question, "1", version=2)
    rows = {row["contact_id"]: row for row in read_rows(admin_client, campaign)}
    told = [(rows[str(one.pk)]["q4_label"], rows[str(one.pk)]["q4_version"]) for one in (before, after)]
    assert told == [("By bus", "1"), ("By tram", "2")]


def test_labels_are_in_the_campaigns_own_language_whatever_was_spoken(admin_client, campaign):
    campaign.language = "it"
    campaign.save()
    complete(campaign, ["1", "1", "yes", "2"], preferred_language="en")
    [row] = read_rows(admin_client, campaign)
    assert (row["q4_label"], row["language"]) == ("A piedi", "en")


def test_a_choice_has_a_label_in_another_language_if_the_campaign_has_none_in_its_own(admin_client, campaign):
    campaign.questions.get(position=4).versions.update(choices_en=[])
    complete(campaign, ["1", "1", "yes", "2"])
    assert read_rows(admin_client, campaign)[0]["q4_label"] == "A piedi"


def test_questions_that_are_asked_no_more_come_last_if_they_have_answers(admin_client, campaign):
    complete(campaign, ["3", "7"])
    for position in (1, 3):
        campaign.questions.filter(position=position).update(is_withdrawn=True)
    first = f"withdrawn_{campaign.questions.get(position=1).pk.hex[-8:]}"
    [row] = read_rows(admin_client, campaign)
    assert [name for name in row if re.fullmatch(r"q\d|withdrawn_[0-9a-f]{8}", name)] == ["q1", "q2", "q3", first]
    assert (row["q1"], row[first]) == ("7", "3")
    campaign.questions.filter(position=2).update(is_withdrawn=True)
    [row] = read_rows(admin_client, campaign)
    assert row[first] == "3"


def test_a_draft_has_the_columns_of_its_questions(admin_client):
    campaign = CampaignFactory(status="draft")
    QuestionFactory(campaign=campaign)
    ContactFactory(campaign=campaign)
    [row] = read_rows(admin_client, campaign)
    assert (row["q1"], row["q1_version"]) == ("", "")


def test_nobody_else_can_make_a_spreadsheet_run_a_formula(admin_client, campaign):
    complete(campaign, ["1", "1", "no", "1", "=1+1"], external_contact_id="@risky")
    [row] = read_rows(admin_client, campaign)
    assert (row["external_contact_id"], row["q5"]) == ("'@risky", "'=1+1")


def test_an_erased_person_keeps_a_row_without_who_it_was_and_without_own_words(admin_client, campaign):
    contact = complete(campaign, ["5", "42", "yes", "1", "I am Zoë"], external_contact_id="V-1")
    with transaction.atomic():
        anonymise([contact], now=AT)
    [row] = read_rows(admin_client, campaign)
    assert row["contact_id"] == str(contact.pk)
    assert (row["phone_number"], row["external_contact_id"], row["q1"], row["q5"]) == ("", "", "5", "")


def test_a_workbook_has_the_same_with_numbers_as_numbers(admin_client, campaign):
    complete(campaign, ["5", "42", "yes", "2", "More chairs"], phone_number="+12025550123")
    sheets = read_sheets(download(admin_client, export_of(campaign, "results.xlsx")))
    header, row = sheets["Results"]
    found = dict(zip(header, row, strict=True))
    assert {**found, "first_attempt_at": "", "last_attempt_at": "", "consented_at": "", "completed_at": ""} == {
        "campaign_id": str(campaign.pk),
        "contact_id": str(campaign.contacts.get().pk),
        "external_contact_id": None,
        "phone_number": "+12025550123",
        **{"state": "completed", "outcome": "completed", "disposition": "complete", "aapor_code": "1.1"},
        **{"attempt_count": 2, "first_attempt_at": "", "last_attempt_at": "", "consented_at": "", "completed_at": ""},
        **{"language": "en", "q1": 5, "q1_version": 1, "q2": 42, "q2_version": 1, "q3": "yes", "q3_version": 1},
        **{"q4": 2, "q4_label": "On foot", "q4_version": 1, "q5": "More chairs", "q5_version": 1},
    }
    assert datetime.fromisoformat(found["completed_at"]) == AT + timedelta(seconds=70)


# All of them, and each once


people = st.lists(
    st.tuples(st.sampled_from(ContactState.values), st.booleans(), st.integers(0, 3)), min_size=1, max_size=20
)


@settings(max_examples=settings.default.max_examples // 4)
@given(people=people, chunk_size=st.integers(1, 7))
def test_no_contact_is_missing_and_none_is_there_twice(people, chunk_size):
    """In whatever state, erased or not, with however many calls, and wherever a chunk ends."""
    with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey_data, "CHUNK_SIZE", chunk_size)
        campaign, other = CampaignFactory(), CampaignFactory()
        ContactFactory.create_batch(2, campaign=other)
        contacts = Contact.objects.bulk_create(
            Contact(
                campaign=campaign,
                phone_number=None if is_erased and is_over else make_number(place),
                erased_at=AT if is_erased and is_over else None,
                state=state,
            )
            for place, (state, is_erased, _) in enumerate(people)
            for is_over in [state not in ("pending", "in_progress")]
        )
        for contact, (*_, attempts) in zip(contacts, people, strict=True):
            for number in range(attempts):
                CallAttemptFactory(contact=contact, attempt_number=number, provider_call_id="")
        asked = name_questions(campaign)
        rows = [dict(zip(list_columns(asked), row, strict=True)) for row in list_rows(campaign, asked)]
        assert [row["contact_id"] for row in rows] == sorted(str(contact.pk) for contact in contacts)
        assert {row["contact_id"]: row["state"] for row in rows} == {str(one.pk): one.state for one in contacts}
        transaction.set_rollback(True)


def test_a_long_export_asks_the_same_for_every_chunk_and_takes_no_more_memory(campaign):
    Contact.objects.bulk_create(Contact(campaign=campaign, phone_number=make_number(n)) for n in range(6_000))
    asked = name_questions(campaign)

    def measure(rows):
        tracemalloc.start()
        export = write_csv(list_columns(asked), list_rows(campaign, asked))
        with CaptureQueriesContext(connection) as queries:
            for _ in range(rows):
                next(export)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return len(queries), peak

    measure(10)
    (few, short), (many, long) = measure(1_500), measure(6_000)
    assert (few, many) == (8, 24)  # four for each chunk of a thousand
    assert long < 1.5 * short


def edit(question, **values):
    """Store it and ask it like that from now on."""
    for name, value in values.items():
        setattr(question, name, value)
    question.save()
    freeze_questions(question.campaign)


def test_an_edit_and_a_new_answer_during_a_download_are_in_it(campaign, monkeypatch):
    monkeypatch.setattr(survey_data, "CHUNK_SIZE", 1)
    complete(campaign, ["1"])
    after, last = complete(campaign), complete(campaign, ["2"])
    columns = list_columns(asked := name_questions(campaign))
    export = list_rows(campaign, asked)
    rows = [next(export)]
    choice = campaign.questions.get(position=4)
    edit(choice, choices_en=["By tram", "By bus"], choices_it=["In tram", "In autobus"])
    number = campaign.questions.get(position=2)
    edit(number, type="single_choice", choices_en=["Young", "Old"])
    added = QuestionFactory(campaign=campaign, position=6)
    freeze_questions(campaign)
    for question, version in ((choice, 2), (number, 2), (added, 1)):
        answer(after.attempts.first(), question, "1", version=version)
    rows = [dict(zip(columns, row, strict=True)) for row in [*rows, *export]]
    assert [row["q1"] for row in rows] == [1, None, 2]
    assert rows[2]["contact_id"] == str(last.pk)
    told = [rows[1][name] for name in ("q4", "q4_label", "q4_version", "q2", "q2_version")]
    assert told == [1, "By tram", 2, 1, 2]


def test_a_number_that_was_no_choice_has_no_label_though_its_question_once_had_choices(campaign):
    contact, other = complete(campaign, ["1", "1", "yes", "2"]), complete(campaign)
    question = campaign.questions.get(position=4)
    edit(question, type="numeric", choices_en=[], choices_it=[])
    answer(other.attempts.first(), question, "2", version=2)
    asked = name_questions(campaign)
    rows = {
        row["contact_id"]: row
        for row in (dict(zip(list_columns(asked), row, strict=True)) for row in list_rows(campaign, asked))
    }
    assert [(rows[str(one.pk)]["q4"], rows[str(one.pk)]["q4_label"]) for one in (contact, other)] == [
        (2, "On foot"),
        (2, ""),
    ]


# The codebook


def test_the_codebook_explains_every_column(admin_client, campaign):
    complete(campaign)
    sheets = read_sheets(download(admin_client, export_of(campaign, "codebook.xlsx")))
    header, *rows = sheets["Columns"]
    assert header == ("column", "meaning")
    assert [column for column, _ in rows] == list(read_rows(admin_client, campaign)[0])
    assert all(meaning for _, meaning in rows)


def test_the_codebook_has_each_version_of_each_question_with_its_time(admin_client, campaign):
    question = campaign.questions.first()
    question.text_en, question.highest = "How satisfied are you, from 1 to 7?", 7
    question.save()
    freeze_questions(campaign)
    header, *rows = read_sheets(download(admin_client, export_of(campaign, "codebook.xlsx")))["Questions"]
    assert len(rows) == 6
    first, second = (dict(zip(header, row, strict=True)) for row in rows[:2])
    assert (first["column"], first["version"], first["type"]) == ("q1", 1, "scale")
    assert (first["text_en"], first["text_it"]) == ("How satisfied are you, from 1 to 5?", "Quanto è soddisfatto?")
    assert (first["lowest"], first["highest"], second["highest"]) == (1, 5, 7)
    assert first["asked_until"] == second["asked_from"] and second["asked_until"] is None
    assert datetime.fromisoformat(first["asked_from"]) <= datetime.fromisoformat(first["asked_until"])
    assert {row[header.index("question_id")] for row in rows[:2]} == {str(question.pk)}


def test_the_codebook_has_the_codes_of_each_question_with_their_labels(admin_client, campaign):
    _, *rows = read_sheets(download(admin_client, export_of(campaign, "codebook.xlsx")))["Codes"]
    codes = {}
    for column, version, *code in rows:
        codes.setdefault((column, version), []).append(tuple(code))
    skipped = ("(skipped)", None, None)
    assert codes == {
        ("q1", 1): [*((value, None, None) for value in range(1, 6)), skipped],
        ("q2", 1): [skipped],
        ("q3", 1): [("yes", "Yes", "Sì"), ("no", "No", "No"), skipped],
        ("q4", 1): [(1, "By bus", "In autobus"), (2, "On foot", "A piedi"), skipped],
        ("q5", 1): [skipped],
    }


def test_the_codebook_has_the_codes_of_contacts(admin_client, campaign):
    _, *rows = read_sheets(download(admin_client, export_of(campaign, "codebook.xlsx")))["Contact codes"]
    assert ("state", "not_reached", "Not Reached") in rows
    assert ("disposition", "break_off", "Break-off") in rows
    assert ("aapor_code", "2.20", "Non-contact (NC)") in rows


def test_the_codebook_of_a_draft_has_its_questions_as_they_are_written(admin_client):
    campaign = CampaignFactory(status="draft")
    QuestionFactory(campaign=campaign)
    header, row = read_sheets(download(admin_client, export_of(campaign, "codebook.xlsx")))["Questions"]
    assert (row[header.index("column")], row[header.index("version")]) == ("q1", None)


# Who may, and who did


@pytest.mark.parametrize("role", ["viewer", "campaign_manager", "admin"])
@pytest.mark.parametrize("file", ["results.csv", "results.xlsx", "codebook.xlsx"])
def test_every_role_may_download_and_it_is_kept_who_did(client, django_user_model, campaign, role, file):
    user = django_user_model.objects.create_user("somebody", password="-", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    assert download(client, export_of(campaign, file))
    told = "Codebook exported." if file == "codebook.xlsx" else "Results exported."
    assert LogEntry.objects.get().change_message == told
    assert AuditEntry.objects.filter(action="exported").get().user_name == "somebody"


@pytest.mark.parametrize("missing", ["view_campaign", "view_contact", "view_callattempt"])
def test_who_may_not_see_all_of_it_downloads_nothing(client, django_user_model, campaign, missing):
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("somebody", password="-", is_staff=True)
    allowed = {"view_campaign", "view_contact", "view_callattempt"} - {missing}
    user.user_permissions.set(Permission.objects.filter(codename__in=allowed))
    client.force_login(user)
    for file in ("results.csv", "results.xlsx", "codebook.xlsx"):
        assert client.get(export_of(campaign, file)).status_code == 403
    assert not LogEntry.objects.exists()


def test_there_is_nothing_else_to_download(admin_client, campaign):
    assert admin_client.get(export_of(campaign, "passwords.csv")).status_code == 404
    url = export_of(campaign)
    campaign.questions.all().delete()
    campaign.delete()
    assert admin_client.get(url).status_code == 404


def test_the_campaigns_page_offers_them(admin_client, campaign):
    page = admin_client.get(reverse("admin:campaigns_campaign_change", args=[campaign.pk])).content.decode()
    for file in ("results.csv", "results.xlsx", "codebook.xlsx"):
        assert f'href="{export_of(campaign, file)}"' in page
