from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils.translation import override

from campaigns.models import CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts import importing
from contacts.management.commands import import_contacts as command
from contacts.models import Contact

pytestmark = pytest.mark.django_db


@pytest.fixture
def write_file(tmp_path):
    def write(content):
        path = tmp_path / "contacts.csv"
        path.write_bytes(content)
        return path

    return write


def run(campaign, path):
    """What the command printed."""
    output = StringIO()
    call_command("import_contacts", str(campaign), str(path), stdout=output)
    return output.getvalue()


def test_it_speaks_english_wherever_the_site_is(write_file):
    with override("it"):
        lines = run(CampaignFactory().pk, write_file(b"phone_number\n+12025550123\n+39 12\n")).splitlines()
    assert "It is too short for its country" in lines[0]
    assert lines[1].startswith("1 imported")


def test_a_campaign_is_found_by_its_id(write_file):
    campaign = CampaignFactory()
    run(campaign.pk, write_file(b"phone_number\n+12025550123\n"))
    assert Contact.objects.get().campaign == campaign


def test_a_campaign_is_found_by_its_name(write_file):
    campaign = CampaignFactory(name="Library survey")
    run("Library survey", write_file(b"phone_number\n+12025550123\n"))
    assert Contact.objects.get().campaign == campaign


@pytest.mark.parametrize("name", ["Unheard of", uuid4()])
def test_a_campaign_that_does_not_exist_is_an_error(write_file, name):
    with pytest.raises(CommandError, match="There is no campaign"):
        run(name, write_file(b"phone_number\n"))


def test_a_name_that_several_campaigns_have_is_an_error(write_file):
    CampaignFactory.create_batch(2, name="Library survey")
    with pytest.raises(CommandError, match="Several campaigns are named 'Library survey'; give the id"):
        run("Library survey", write_file(b"phone_number\n"))


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CommandError, match=r"nowhere\.csv cannot be read: No such file"):
        run(CampaignFactory().pk, tmp_path / "nowhere.csv")


def test_a_directory_is_an_error(tmp_path):
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        run(CampaignFactory().pk, tmp_path)


def test_a_file_that_is_not_text_is_an_error(write_file):
    with pytest.raises(CommandError, match="archive is damaged"):
        run(CampaignFactory().pk, write_file(b"PK\x03\x04\xff\xfe\x00"))


def test_a_campaign_that_has_ended_is_an_error(write_file):
    campaign = CampaignFactory(status=CampaignStatus.CANCELLED)
    with pytest.raises(CommandError, match="is cancelled"):
        run(campaign.pk, write_file(b"phone_number\n+12025550123\n"))


def test_an_import_that_is_cancelled_in_the_admin_ends_with_a_word(write_file, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_SIZE", 1)
    monkeypatch.setattr(command.Command, "_show_progress", lambda self, record: importing.cancel_import(record.pk))
    path = write_file(b"phone_number\n+12025550123\n+12025550124\n")
    with pytest.raises(CommandError, match="The import was cancelled"):
        run(CampaignFactory().pk, path)
    assert Contact.objects.count() == 1


def test_bad_rows_and_the_summary_are_printed(write_file):
    path = write_file(b"phone_number,name\n+12025550123,Ann\n12,Bob\n+12025550123,Ann\n+12025550124,C,D\n")
    assert run(CampaignFactory(default_country="US").pk, path).splitlines() == [
        "line 3, phone_number '12': It is too short for its country; a digit or the area code is missing.",
        "line 4, phone_number '+12025550123': Line 2 has the same number.",
        "line 5: It has 3 values, but the first line names 2 columns; is a value with the delimiter in it not "
        "in quotes?",
        "Columns that were ignored: name.",
        "1 imported (0 of them on the do-not-call list), 0 updated, 0 unchanged, 3 refused (1 of them duplicates).",
    ]


def test_it_fails_when_nothing_could_be_imported(write_file):
    with pytest.raises(CommandError, match="Nothing was imported"):
        run(CampaignFactory().pk, write_file(b"phone_number\n12\n"))


def test_it_succeeds_when_all_contacts_are_there_already(write_file):
    campaign = CampaignFactory()
    path = write_file(b"phone_number\n+12025550123\n")
    run(campaign.pk, path)
    assert "0 imported (0 of them on the do-not-call list), 0 updated, 1 unchanged" in run(campaign.pk, path)


def test_a_long_file_shows_its_progress(write_file, monkeypatch):
    monkeypatch.setattr(command, "PROGRESS_ROWS", 2)
    errors = StringIO()
    path = write_file(b"phone_number\n+12025550123\n+12025550124\n")
    call_command("import_contacts", str(CampaignFactory().pk), str(path), stdout=StringIO(), stderr=errors)
    assert errors.getvalue() == "2 rows read\n"
