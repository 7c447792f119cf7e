"""Downloads: what is in them, that they import again, and that they do not grow in memory."""

import csv
import tracemalloc
from datetime import UTC, datetime
from io import BytesIO, StringIO

import pytest
from django.contrib.admin.models import LogEntry

from calls.tests.factories import CallAttemptFactory
from campaigns.tests.factories import CampaignFactory
from contacts.exporting import CONTACT_COLUMNS, list_contacts
from contacts.importing import import_contacts
from contacts.models import Contact, ContactState
from contacts.spreadsheets import defuse, restore, write_csv
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory, make_number

AT = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)

pytestmark = pytest.mark.django_db(transaction=True)


def download(client, url):
    response = client.get(url)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    return b"".join(response.streaming_content)


def read(content):
    return list(csv.DictReader(StringIO(content.decode("utf-8-sig"))))


def contacts_of(campaign):
    return f"/admin/contacts/contact/export/{campaign.pk}/"


def test_times_are_in_the_time_zone_of_whoever_downloads_them(admin_client):
    contact = ContactFactory(next_attempt_at=AT)
    admin_client.cookies["time_zone"] = "Asia/Tokyo"
    [row] = read(download(admin_client, contacts_of(contact.campaign)))
    assert row["next_attempt_at"] == "2026-07-01T21:30:00+09:00"


def test_contacts_with_what_became_of_them(admin_client, settings):
    settings.TIME_ZONE = "Europe/Rome"
    campaign = CampaignFactory()
    ContactFactory(
        campaign=campaign,
        phone_number="+12025550123",
        external_contact_id="Zoë",
        has_prior_consent=True,
        calling_zone="America/Detroit America/New_York",
        state=ContactState.NOT_REACHED,
        attempts_count=2,
        last_outcome="busy",
        last_attempt_at=AT,
        next_attempt_at=AT,
    )
    ContactFactory()  # of another campaign
    [row] = read(download(admin_client, contacts_of(campaign)))
    del row["imported_at"]
    assert row == {
        "phone_number": "+12025550123",
        "external_contact_id": "Zoë",
        "email": "",
        "preferred_language": "auto",
        "has_prior_consent": "yes",
        "do_not_call": "no",
        "time_zone": "America/Detroit America/New_York",
        "state": "not_reached",
        "attempts": "2",
        "last_outcome": "busy",
        "last_attempt_at": "2026-07-01T14:30:00+02:00",
        "next_attempt_at": "2026-07-01T14:30:00+02:00",
    }
    assert LogEntry.objects.get().change_message == "Contacts exported."


def test_an_export_is_imported_again_unchanged(admin_client):
    campaign = CampaignFactory()
    ContactFactory.create_batch(3, campaign=campaign, email="a@example.org", calling_zone="Europe/Rome")
    ContactFactory(campaign=campaign, external_contact_id="=1+1", has_prior_consent=True)
    ContactFactory(campaign=campaign, external_contact_id="'-quoted", preferred_language="it")
    before = list(Contact.objects.order_by("pk").values())
    record = import_contacts(campaign, BytesIO(download(admin_client, contacts_of(campaign))), now=AT)
    assert (record.unchanged, record.refused) == (5, 0)
    assert list(Contact.objects.order_by("pk").values()) == before


def test_calls_of_a_campaign(admin_client):
    attempt = CallAttemptFactory(contact__external_contact_id="@risky")
    CallAttemptFactory()
    [row] = read(download(admin_client, f"/admin/calls/callattempt/export/{attempt.campaign_id}/"))
    assert (row["call_id"], row["phone_number"], row["outcome"]) == (
        attempt.call_id,
        attempt.phone_number,
        attempt.outcome,
    )
    assert row["external_contact_id"] == "'@risky"
    assert datetime.fromisoformat(row["ended_at"]).utcoffset() is not None


def test_the_do_not_call_list(admin_client):
    DoNotCallEntryFactory(phone_number="+12025550123", reason="Said no.")
    [row] = read(download(admin_client, "/admin/contacts/donotcallentry/export/"))
    assert (row["phone_number"], row["reason"], row["source"]) == ("+12025550123", "Said no.", "manual")


def test_who_may_not_see_a_list_does_not_download_it(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("nobody", password="-", is_staff=True))
    campaign = CampaignFactory()
    for url in (
        contacts_of(campaign),
        f"/admin/calls/callattempt/export/{campaign.pk}/",
        "/admin/contacts/donotcallentry/export/",
    ):
        assert client.get(url).status_code == 403


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3+cmd", "'-2+3+cmd"),
        ("\tx", "'\tx"),
        ("'=x", "''=x"),
        ("+12025550123", "+12025550123"),
        ("-5.5", "-5.5"),
        ("'twas", "'twas"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_no_spreadsheet_takes_a_cell_for_a_formula_and_an_import_takes_it_back(cell, safe):
    assert defuse(cell) == safe
    assert restore(safe) == cell


def test_a_long_export_takes_no_more_memory_than_a_short_one():
    campaign = CampaignFactory()
    Contact.objects.bulk_create(
        Contact(campaign=campaign, phone_number=make_number(n), next_attempt_at=AT) for n in range(20_000)
    )

    def measure(rows):
        tracemalloc.start()
        export = write_csv([*CONTACT_COLUMNS], list_contacts(campaign))
        for _ in range(rows):
            next(export)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert measure(20_000) < 1.5 * measure(4_000)
