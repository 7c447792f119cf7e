from collections import Counter
from datetime import UTC, date, datetime, time, timedelta

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from calls.tests.factories import CallAttemptFactory
from calls.tests.phone_network import wait_until
from calls.tests.threads import count_waiting, in_thread
from campaigns import lifecycle
from campaigns.admin import CONTACT_COLOURS, CONTACT_STATES, describe_moved
from campaigns.forms import CampaignForm
from campaigns.lifecycle import Moved
from campaigns.models import Campaign, CampaignStatus
from campaigns.progress import ATTEMPTS, count_progress
from campaigns.tests.factories import AskingCampaignFactory, CampaignFactory
from campaigns.windows import known_zones
from contacts import rearming
from contacts.models import ContactImport, ContactState, ImportPiece, ImportRefusal
from contacts.tests.factories import ContactFactory

LIST = "/admin/campaigns/campaign/"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def page_of(campaign, what="change"):
    return f"{LIST}{campaign.pk}/{what}/"


def press(client, campaign, button):
    """Press a button of the campaign's page and confirm; returns the page that follows."""
    response = client.post(page_of(campaign, button), {"_form_submitted": "True"})
    assert response.headers["HX-Redirect"] == page_of(campaign)
    return client.get(page_of(campaign)).content.decode()


def fill_dialog(client, campaign, button):
    """What the dialog of a button sends."""
    form = client.get(page_of(campaign, button)).context["form"]
    return {field.html_name: field.value() for field in form}


def choose(client, action, *campaigns, **data):
    data |= {"action": action, "_selected_action": [campaign.pk for campaign in campaigns]}
    return client.post(LIST, data, follow=True)


def count_queries(client, url):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


def form_of(campaign, **changes):
    fields = {
        "name": campaign.name,
        "language": "en",
        "intro_script": campaign.intro_script,
        "machine_detection": campaign.machine_detection,
        "weekdays": campaign.weekdays,
        "time_zone": campaign.time_zone,
        "max_attempts": campaign.max_attempts,
        "retry_interval_minutes": campaign.retry_interval_minutes,
        "questions-TOTAL_FORMS": 0,
        "questions-INITIAL_FORMS": 0,
    }
    return fields | changes


def status_of(campaign):
    return Campaign.objects.values_list("status", flat=True).get(pk=campaign.pk)


def test_the_list_counts_contacts_by_state_and_links_to_them(admin_client):
    campaign = CampaignFactory()
    ContactFactory.create_batch(3, campaign=campaign)
    CallAttemptFactory(contact=ContactFactory(campaign=campaign, state="completed", next_attempt_at=None))
    page = admin_client.get(LIST).content.decode()
    contacts = f"/admin/contacts/contact/?campaign__id__exact={campaign.pk}"
    assert f'<a href="{contacts}" class="text-link">4</a>' in page
    assert f'<a href="{contacts}&amp;state__exact=pending" class="text-link">3</a>' in page
    assert f'<a href="{contacts}&amp;state__exact=completed" class="text-link">1</a>' in page
    assert f'<a href="/admin/calls/callattempt/?campaign__id__exact={campaign.pk}" class="text-link">1</a>' in page


def test_the_links_of_the_counts_lead_to_those_contacts(admin_client):
    campaign = CampaignFactory()
    ContactFactory(campaign=campaign, external_contact_id="waits")
    ContactFactory(campaign=campaign, external_contact_id="took-part", state="completed", next_attempt_at=None)
    ContactFactory(external_contact_id="elsewhere")
    url = f"/admin/contacts/contact/?campaign__id__exact={campaign.pk}&state__exact=pending"
    page = admin_client.get(url).content.decode()
    assert "waits" in page
    assert "took-part" not in page
    assert "elsewhere</a>" not in page


def test_the_list_takes_the_same_number_of_queries_for_many_campaigns(admin_client):
    def add_campaigns(count):
        for _ in range(count):
            campaign = CampaignFactory()
            ContactFactory.create_batch(2, campaign=campaign)

    add_campaigns(2)
    admin_client.get(LIST)
    few = count_queries(admin_client, LIST)
    add_campaigns(18)
    assert count_queries(admin_client, LIST) == few
    assert few <= 8


def test_the_page_takes_the_same_number_of_queries_for_many_contacts_in_many_zones(admin_client):
    campaign = CampaignFactory()
    CallAttemptFactory(contact=ContactFactory(campaign=campaign))
    admin_client.get(page_of(campaign))  # fills the cache of content types
    few = count_queries(admin_client, page_of(campaign))
    for zone in sorted(known_zones())[:20]:
        CallAttemptFactory(contact=ContactFactory(campaign=campaign, calling_zone=zone))
    assert count_queries(admin_client, page_of(campaign)) == few


def test_progress_is_counted_in_two_queries(django_assert_num_queries):
    campaigns = CampaignFactory.create_batch(3)
    ContactFactory.create_batch(2, campaign=campaigns[0])
    contact = ContactFactory(campaign=campaigns[1], state="refused", next_attempt_at=None)
    CallAttemptFactory.create(contact=contact, attempt_number=1)
    CallAttemptFactory.create(contact=contact, attempt_number=2)
    with django_assert_num_queries(2):
        progress = count_progress([campaign.pk for campaign in campaigns])
    expected = [{"pending": 2}, {"refused": 1, ATTEMPTS: 2}, {}]
    assert [progress[campaign.pk] for campaign in campaigns] == [Counter(counts) for counts in expected]


def test_the_page_of_a_draft_says_what_is_missing(admin_client):
    page = admin_client.get(page_of(CampaignFactory(status="draft", intro_script=""))).content.decode()
    assert "It has no contacts: import some." in page
    assert "It has no intro script" in page


def test_the_page_of_a_running_campaign_shows_no_such_list(admin_client):
    assert "It cannot start to call yet" not in admin_client.get(page_of(CampaignFactory())).content.decode()


def test_the_page_and_the_activation_say_how_many_can_never_be_called(admin_client):
    hours = {"allowed_call_start": time(9), "allowed_call_end": time(17)}
    campaign = AskingCampaignFactory(status="draft", **hours)
    ContactFactory(campaign=campaign)
    ContactFactory(campaign=campaign, calling_zone="Europe/Rome Pacific/Auckland")
    warning = "1 contact can never be rung in these hours"
    assert f"<li>• {warning}" in admin_client.get(page_of(campaign)).content.decode()
    page = press(admin_client, campaign, "activate")
    assert f"<strong>{campaign}:</strong><ul><li>{warning}" in page
    assert f"<li>• {warning}" in page
    Campaign.objects.update(status="completed")
    assert f"<li>• {warning}" in admin_client.get(page_of(campaign)).content.decode()


def test_a_state_of_contacts_can_not_vanish_from_the_page(admin_client):
    assert {*CONTACT_COLOURS} == {*CONTACT_STATES} == {*ContactState}
    page = admin_client.get(page_of(CampaignFactory())).content.decode()
    assert all(f"</span>{title}" in page for title in CONTACT_STATES.values())


def test_the_script_of_a_running_campaign_can_not_be_blanked(admin_client):
    campaign = CampaignFactory(status="running")
    ContactFactory(campaign=campaign)
    response = admin_client.post(page_of(campaign), form_of(campaign, intro_script=" "))
    form = response.context["adminform"].form
    assert form.errors == {"intro_script": ["It has no intro script: write what is said first."]}
    campaign.refresh_from_db()
    assert campaign.intro_script.strip()


def test_the_script_of_a_paused_campaign_can_be_blanked(admin_client):
    campaign = CampaignFactory(status="paused")
    assert admin_client.post(page_of(campaign), form_of(campaign, intro_script="")).status_code == 302


def test_a_message_for_machines_is_asked_for_beside_its_field(admin_client):
    campaign = CampaignFactory(status="draft", machine_detection="leave_message", intro_script_other="Buongiorno.")
    form = admin_client.get(page_of(campaign)).context["adminform"].form
    assert "There is no message for answering machines in English" in form["machine_message"].help_text
    assert "There is no message for answering machines in Italian" in form["machine_message_other"].help_text


def test_a_running_campaign_can_not_be_left_without_what_it_is_to_leave(admin_client):
    campaign = CampaignFactory(status="running")
    ContactFactory(campaign=campaign)
    data = form_of(campaign, machine_detection="leave_message")
    form = admin_client.post(page_of(campaign), data).context["adminform"].form
    assert form.errors.keys() == {"machine_message"}
    assert admin_client.post(page_of(campaign), data | {"machine_message": "We try again."}).status_code == 302
    campaign.refresh_from_db()
    assert (campaign.machine_detection, campaign.machine_message) == ("leave_message", "We try again.")


def test_an_edit_of_what_machines_are_told_is_in_the_history_in_words(admin_client):
    campaign = CampaignFactory()
    data = form_of(campaign, machine_detection="hang_up", machine_message="Unused.")
    admin_client.post(page_of(campaign), data, follow=True)
    told = "Changed Answering machines (Off: asked like people → Hang up) and Message for answering machines"
    assert told in LogEntry.objects.get().get_change_message()


def test_an_edit_of_somebody_else_of_a_choice_is_told_by_its_label(admin_client):
    campaign = CampaignFactory()
    form = CampaignForm(instance=campaign)
    Campaign.objects.update(machine_detection="hang_up")
    data = form_of(campaign, machine_detection="leave_message", machine_message="We try again.")
    with transaction.atomic():
        late = CampaignForm(data | {"seen": form["seen"].value()}, instance=campaign)
        assert "meanwhile, to: Hang up." in str(late.errors["machine_detection"])


@pytest.mark.parametrize("word", ["", "answer"])
def test_a_form_takes_no_other_treatment_of_machines(word):
    campaign = CampaignFactory()
    with transaction.atomic():
        assert CampaignForm(form_of(campaign, machine_detection=word), instance=campaign).errors["machine_detection"]


def test_a_new_campaign_is_a_draft_of_the_operator_who_made_it(admin_client, admin_user):
    page = admin_client.get(f"{LIST}add/")
    assert page.status_code == 200
    data = form_of(CampaignFactory.build(), allowed_call_start="09:00", allowed_call_end="18:30", weekdays=[1, 3])
    response = admin_client.post(f"{LIST}add/", data)
    assert response.status_code == 302
    campaign = Campaign.objects.get()
    assert (campaign.status, campaign.created_by) == (CampaignStatus.DRAFT, admin_user)
    assert (campaign.allowed_call_start, campaign.allowed_call_end) == (time(9), time(18, 30))
    assert campaign.weekdays == [1, 3]


def test_hours_of_weekdays_closed_days_and_intervals_are_kept_in_one_spelling_and_shown_again(admin_client):
    campaign = CampaignFactory(status="draft")
    written = {
        "weekday_hours_6": "10-13; 15-18",
        "blocked_dates": "24/12/2026\n25.12.2026",
        "holidays_of": "DE-BY",
        "retry_busy": "5m, 2 hours, tomorrow",
    }
    data = form_of(campaign, **written)
    assert admin_client.post(page_of(campaign), data).status_code == 302
    campaign.refresh_from_db()
    assert campaign.weekday_hours == ["", "", "", "", "", "10:00-13:00, 15:00-18:00", ""]
    assert campaign.blocked_dates == [date(2026, 12, 24), date(2026, 12, 25)]
    assert (campaign.holidays_of, campaign.retry_busy) == ("DE-BY", "5 min, 2 h, next day")
    form = admin_client.get(page_of(campaign)).context["adminform"].form
    assert form["weekday_hours"].value() == campaign.weekday_hours
    assert "2026-12-24 to 2026-12-25" in str(form["blocked_dates"])
    # What comes back as it was is no edit.
    shown = written | {"blocked_dates": "2026-12-24 to 2026-12-25", "retry_busy": "5 min, 2 h, next day"}
    shown["weekday_hours_6"] = "10:00-13:00, 15:00-18:00"
    changed = CampaignForm({**form_of(campaign), **shown}, instance=campaign).changed_data
    assert not {"weekday_hours", "blocked_dates", "holidays_of", "retry_busy"}.intersection(changed)


@pytest.mark.parametrize(
    ("written", "kept"), [("+1 (202) 555-0123", "+12025550123"), ("+39.06\u00a0123 4567", "+39061234567"), (" ", "")]
)
def test_the_number_shown_is_taken_in_the_spelling_of_people(admin_client, written, kept):
    campaign = CampaignFactory(status="draft", caller_id=kept)
    assert CampaignForm(form_of(campaign, caller_id=written), instance=campaign).is_valid()
    assert "caller_id" not in CampaignForm(form_of(campaign, caller_id=written), instance=campaign).changed_data
    assert admin_client.post(page_of(campaign), form_of(campaign, caller_id=written)).status_code == 302
    campaign.refresh_from_db()
    assert campaign.caller_id == kept


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"weekdays": []}, "This field is required."),
        ({"time_zone": "Rome"}, "Select a valid choice. Rome is not one of the available choices."),
        ({"max_attempts": 6}, "less than or equal to 5"),
        ({"allowed_call_start": "18:00", "allowed_call_end": "09:00"}, "Calling hours need a start before their end"),
        ({"allowed_call_start": "18:00"}, "Calling hours need a start before their end"),
        ({"caller_id": "12345"}, "international form"),
        ({"caller_id": "+1 202 CALL US"}, "international form"),
        ({"weekday_hours_6": "13-9"}, "Saturday: &#x27;13-9&#x27; ends before it starts"),
        ({"weekdays": [1], "weekday_hours_6": "9-13"}, "Saturday: tick the day above, or leave its hours empty."),
        ({"blocked_dates": "Easter\nChristmas"}, "&#x27;Christmas&#x27; is no date"),
        ({"holidays_of": "ITA"}, "Select a valid choice. ITA is not one of the available choices."),
        ({"retry_busy": "soon"}, "&#x27;soon&#x27; is no interval"),
    ],
)
def test_what_could_never_work_is_refused_with_a_reason(admin_client, changes, error):
    response = admin_client.post(f"{LIST}add/", form_of(CampaignFactory.build(), **changes))
    assert error in response.content.decode()
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"allowed_call_start": "18:00", "allowed_call_end": "09:00"}, "allowed_call_end"),
        ({"allowed_call_start": "18:00"}, "allowed_call_end"),
        (
            {"starts_at_0": "2026-03-05", "starts_at_1": "9:00", "ends_at_0": "2026-03-04", "ends_at_1": "9:00"},
            "ends_at",
        ),
    ],
)
def test_what_is_wrong_with_two_fields_is_told_beside_one_of_them(changes, field):
    assert list(CampaignForm(form_of(CampaignFactory.build(), **changes)).errors) == [field]


def test_of_the_weekdays_only_the_wrong_ones_are_marked():
    hours = {"weekday_hours_1": "25-26", "weekday_hours_2": "9-12", "weekday_hours_6": "9-12"}
    for changes, wrong in (({}, "1"), ({"weekdays": [1, 2]}, "1"), ({"weekdays": [1, 2], "weekday_hours_1": ""}, "6")):
        field = str(CampaignForm(form_of(CampaignFactory.build(), **hours | changes))["weekday_hours"])
        marked = [line for line in field.split("<label") if 'aria-invalid="true"' in line]
        assert [f"weekday_hours_{wrong}" in line for line in marked] == [True]
        assert field.count("is-wrong") == 1


def test_the_status_can_not_be_written_by_hand(admin_client):
    campaign = CampaignFactory(status="draft")
    admin_client.post(page_of(campaign), form_of(campaign, status="running"))
    assert status_of(campaign) == "draft"


def test_saving_keeps_a_status_that_was_set_in_the_meantime(admin_client, monkeypatch):
    campaign = CampaignFactory(status="running")

    def validate(form):  # the row has been read, and is not written yet
        Campaign.objects.update(status="completed")
        return form.cleaned_data

    monkeypatch.setattr(CampaignForm, "clean", validate)
    response = admin_client.post(page_of(campaign), form_of(campaign, name="Another name"))
    assert response.status_code == 302
    campaign.refresh_from_db()
    assert (campaign.name, campaign.status) == ("Another name", "completed")


def test_another_number_of_attempts_arms_contacts_again(admin_client):
    campaign = CampaignFactory(max_attempts=2)
    contact = ContactFactory(
        campaign=campaign,
        state="not_reached",
        attempts_count=2,
        next_attempt_at=None,
        last_attempt_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    admin_client.post(page_of(campaign), form_of(campaign, max_attempts=3))
    contact.refresh_from_db()
    assert contact.next_attempt_at is not None


@pytest.mark.parametrize(
    ("before", "button", "after"),
    [
        ("draft", "activate", "running"),
        ("completed", "activate", "running"),
        ("running", "pause", "paused"),
        ("paused", "resume", "running"),
        ("paused", "complete", "completed"),
        ("running", "cancel", "cancelled"),
    ],
)
def test_the_buttons_of_the_page_take_a_step_each(admin_client, before, button, after):
    campaign = AskingCampaignFactory(status=before)
    ContactFactory(campaign=campaign)
    page = press(admin_client, campaign, button)
    assert f"{campaign} is {after}." in page
    assert status_of(campaign) == after
    assert LogEntry.objects.get().change_message == f"Status: {after}."


def test_a_button_that_fails_shows_every_reason(admin_client):
    campaign = CampaignFactory(status="draft", intro_script="", weekdays=[])
    page = press(admin_client, campaign, "activate")
    for reason in ("It has no contacts", "It has no intro script", "Its calling hours and weekdays never open"):
        assert f"<li>{reason}" in page
    assert status_of(campaign) == "draft"


@pytest.mark.parametrize("button", ["activate", "pause", "resume", "complete", "cancel"])
def test_opening_the_dialog_of_a_button_changes_nothing(admin_client, button):
    campaign = CampaignFactory(status="running")
    response = admin_client.get(page_of(campaign, button))
    assert 'id="dialog"' in response.content.decode()
    assert status_of(campaign) == "running"


GO_ON = "Calls in progress go on to their end."


@pytest.mark.parametrize(("button", "is_dangerous"), [("pause", False), ("complete", False), ("cancel", True)])
def test_a_dialog_says_what_becomes_of_calls_and_tells_the_step_from_the_way_back(admin_client, button, is_dangerous):
    page = admin_client.get(page_of(CampaignFactory(), button)).content.decode()
    back, submit = page.split('id="dialog-form"')[1].split("openModal = false")[1].split("<button")
    assert GO_ON in page
    assert "No, take me back" in back and "Cancel" not in back
    assert ("bg-red-600" in submit) is is_dangerous


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("draft", ["activate", "cancel"]),
        ("scheduled", ["pause", "cancel"]),
        ("running", ["pause", "complete", "cancel"]),
        ("paused", ["resume", "complete", "cancel"]),
        ("completed", ["activate"]),
        ("cancelled", []),
    ],
)
def test_the_page_has_the_buttons_that_its_status_allows(admin_client, status, buttons):
    campaign = CampaignFactory(status=status)
    page = admin_client.get(page_of(campaign)).content.decode()
    every_button = ["activate", "resume", "pause", "complete", "cancel"]
    assert {one for one in every_button if page_of(campaign, one) in page} == set(buttons)


def test_the_actions_of_the_list_take_each_campaign_for_itself(admin_client):
    ready, empty = AskingCampaignFactory(status="draft"), AskingCampaignFactory(status="draft", name="Empty one")
    ContactFactory(campaign=ready)
    page = choose(admin_client, "activate_selected", ready, empty).content.decode()
    assert f"{ready} is running." in page
    assert "<strong>Empty one stays as it is.</strong><ul><li>It has no contacts" in page
    assert [status_of(ready), status_of(empty)] == ["running", "draft"]


@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        ("running", "pause_selected", "paused"),
        ("paused", "resume_selected", "running"),
        ("running", "complete_selected", "completed"),
    ],
)
def test_the_other_actions_of_the_list(admin_client, before, action, after):
    campaign = AskingCampaignFactory(status=before)
    ContactFactory(campaign=campaign)
    choose(admin_client, action, campaign)
    assert status_of(campaign) == after


def test_a_step_of_many_campaigns_is_told_in_one_message_of_each_kind(admin_client):
    running = CampaignFactory.create_batch(18, status="running")
    refused = CampaignFactory.create_batch(3, status="draft")
    done, failed = (choose(admin_client, "pause_selected", *some) for some in (running, refused))
    (news,), (problems,) = (map(str, page.context["messages"]) for page in (done, failed))
    assert news.count(" is paused.</li>") == 18 and "more" not in news
    assert problems.count("stays as it is.") == 3
    (news,) = map(str, choose(admin_client, "resume_selected", *running).context["messages"])
    assert news.count("stays as it is.") == 18
    CampaignFactory.create_batch(5, status="running")
    cancelled = choose(admin_client, "cancel_selected", *Campaign.objects.all(), confirmed="yes")
    (news,) = map(str, cancelled.context["messages"])
    assert news.count(" is cancelled.</li>") == 20
    assert "<li>and 6 more, 26 together</li>" in news


def test_cancelling_from_the_list_asks_first(admin_client):
    campaign = CampaignFactory()
    page = choose(admin_client, "cancel_selected", campaign).content.decode()
    assert f"Cancel these campaigns for ever? {GO_ON}" in page
    assert status_of(campaign) == "running"
    choose(admin_client, "cancel_selected", campaign, confirmed="yes")
    assert status_of(campaign) == "cancelled"


def test_the_names_of_campaigns_are_escaped_in_messages(admin_client):
    campaign = CampaignFactory(status="draft", name="<script>alert(1)</script>")
    page = choose(admin_client, "activate_selected", campaign).content.decode()
    assert "<script>alert(1)" not in page


def test_a_campaign_with_contacts_can_not_be_deleted(admin_client):
    campaign = CampaignFactory()
    assert 'href="' + page_of(campaign, "delete") in admin_client.get(page_of(campaign)).content.decode()
    ContactFactory(campaign=campaign)
    assert 'href="' + page_of(campaign, "delete") not in admin_client.get(page_of(campaign)).content.decode()
    assert admin_client.post(page_of(campaign, "delete"), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in admin_client.get(LIST).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_campaign_that_is_just_getting_contacts_can_not_be_deleted(admin_client):
    campaign = CampaignFactory()
    with transaction.atomic():
        lifecycle.admit_contacts(campaign)
        ContactFactory(campaign=campaign)
        status = in_thread(lambda: admin_client.post(page_of(campaign, "delete"), {"post": "yes"}).status_code)
        wait_until(lambda: count_waiting() == 1)
    assert status() == 403
    assert Campaign.objects.exists()


def test_an_empty_campaign_can_be_deleted(admin_client):
    admin_client.post(page_of(CampaignFactory(), "delete"), {"post": "yes"})
    assert not Campaign.objects.exists()


def test_a_campaign_is_deleted_with_its_imports_and_without_reading_their_files(admin_client):
    campaign = CampaignFactory()
    record = ContactImport.objects.create(campaign=campaign, file_name="people.csv", rows=1, refused=1)
    ImportPiece.objects.create(contact_import=record, number=0, data=b"phone_number")
    ImportRefusal.objects.create(contact_import=record, line=2, reason="It is too short.")
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(page_of(campaign, "delete")).content.decode()
    assert "Import: people.csv" in page
    assert not [query for query in queries if "importpiece" in query["sql"] or "importrefusal" in query["sql"]]
    admin_client.post(page_of(campaign, "delete"), {"post": "yes"})
    assert not Campaign.objects.exists()
    assert not ContactImport.objects.exists()


@pytest.mark.parametrize("what", ["change", "history", "activate"])
def test_an_address_that_names_no_campaign_is_no_error(admin_client, what):
    assert admin_client.get(f"{LIST}no-such-id/{what}/").status_code in (200, 302)


def test_pressing_a_button_of_no_campaign_is_no_error(admin_client):
    assert admin_client.post(f"{LIST}no-such-id/pause/", {"_form_submitted": "True"}).status_code == 404


def test_somebody_who_may_only_look_can_press_nothing(client, django_user_model):
    viewer = django_user_model.objects.create_user("viewer", password="viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_campaign"))
    client.force_login(viewer)
    campaign = CampaignFactory()
    page = client.get(page_of(campaign)).content.decode()
    assert page_of(campaign, "pause") not in page
    assert client.post(page_of(campaign, "pause"), {"_form_submitted": "True"}).status_code == 403
    assert status_of(campaign) == "running"


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "shown"),
    [
        (NOON, NOON + timedelta(days=1), "from 4 Mar 2026, 12:00 until 5 Mar 2026, 12:00"),
        (NOON, None, "from 4 Mar 2026, 12:00"),
        (None, NOON, "until 4 Mar 2026, 12:00"),
        (None, None, "-"),
    ],
)
def test_the_list_has_the_dates_with_their_hours(admin_client, starts_at, ends_at, shown):
    CampaignFactory(starts_at=starts_at, ends_at=ends_at)
    page = admin_client.get(LIST)
    assert f">{shown}<" in page.content.decode().replace("\n", "")


@pytest.mark.parametrize("query", ["?status__exact=running", "?q=library", "?o=-1.2", "?starts_at__isnull=True"])
def test_filters_searches_and_orders_of_the_list_open(admin_client, query):
    CampaignFactory(name="Town library")
    assert "Town library" in admin_client.get(LIST + query).content.decode()


@pytest.mark.parametrize(
    "url",
    ["admin:index", "admin:auth_user_changelist", "admin:auth_user_add", "admin:auth_group_changelist",
     "admin:django_q_schedule_changelist", "admin:django_q_success_changelist", "admin:django_q_failure_changelist"],
)  # fmt: skip
def test_the_other_pages_of_the_admin_open(admin_client, url):
    page = admin_client.get(reverse(url))
    assert page.status_code == 200
    assert "Do-not-call list" in page.content.decode()  # the sidebar


def test_a_campaign_is_duplicated_as_a_draft_without_dates_and_contacts(admin_client, admin_user):
    campaign = CampaignFactory(
        status=CampaignStatus.CANCELLED,
        starts_at=datetime(2026, 3, 1, tzinfo=UTC),
        ends_at=datetime(2026, 4, 1, tzinfo=UTC),
        max_attempts=4,
        weekdays=[1, 2],
        allowed_call_start=time(9),
        allowed_call_end=time(17),
        machine_detection="leave_message",
        machine_message="We try again.",
        machine_message_other="Riproviamo.",
    )
    ContactFactory(campaign=campaign)
    response = admin_client.post(page_of(campaign, "duplicate"), fill_dialog(admin_client, campaign, "duplicate"))
    copy = Campaign.objects.exclude(pk=campaign.pk).get()
    assert response.headers["HX-Redirect"] == page_of(copy)
    assert (copy.name, copy.status, copy.created_by) == (f"Copy of {campaign.name}", CampaignStatus.DRAFT, admin_user)
    assert (copy.starts_at, copy.ends_at, copy.contacts.count()) == (None, None, 0)
    same = ["max_attempts", "weekdays", "allowed_call_start", "allowed_call_end", "intro_script", "time_zone"]
    same += ["machine_detection", "machine_message", "machine_message_other"]
    assert [getattr(copy, name) for name in same] == [getattr(campaign, name) for name in same]
    assert copy.created_at > campaign.created_at
    assert (copy.status_changed_at, copy.status_changed_by) == (None, None)
    assert campaign.contacts.count() == 1


def test_a_name_of_the_greatest_length_can_be_duplicated(admin_client):
    campaign = CampaignFactory(name="x" * 200)
    admin_client.post(page_of(campaign, "duplicate"), fill_dialog(admin_client, campaign, "duplicate"))
    assert Campaign.objects.filter(name=f"Copy of {'x' * 192}").exists()


def test_a_double_click_makes_one_copy_and_another_dialog_another(admin_client):
    campaign = CampaignFactory()
    data = fill_dialog(admin_client, campaign, "duplicate")
    first, second = (admin_client.post(page_of(campaign, "duplicate"), data) for _ in range(2))
    copy = Campaign.objects.exclude(pk=campaign.pk).get()
    assert first.headers["HX-Redirect"] == second.headers["HX-Redirect"] == page_of(copy)
    assert LogEntry.objects.count() == 1
    admin_client.post(page_of(campaign, "duplicate"), fill_dialog(admin_client, campaign, "duplicate"))
    assert Campaign.objects.count() == 3


@time_machine.travel(NOON, tick=False)
def test_an_edit_tells_what_was_changed_and_for_how_many_who_wait(admin_client):
    campaign = CampaignFactory(max_attempts=1)
    ContactFactory(campaign=campaign, state=ContactState.NOT_REACHED, attempts_count=1, next_attempt_at=None)
    ContactFactory(campaign=campaign)
    changes = {
        "max_attempts": 3,
        "allowed_call_start": "09:00",
        "allowed_call_end": "18:30",
        "blocked_dates": "2026-12-24",
    }
    data = form_of(campaign, intro_script="A text that is much longer than what is told again of a change.", **changes)
    page = admin_client.post(page_of(campaign), data, follow=True).content.decode()
    told = (
        "Changed: Intro script, Calls from (none → 09:00), Calls until (none → 18:30), Days without calls, "
        "Tries at most (1 → 3). 1 contact is tried at another time than before, or no more."
    )
    assert told in page
    history = LogEntry.objects.get().get_change_message()
    assert "Tries at most (1 → 3)" in history and "much longer" not in history


@time_machine.travel(NOON, tick=False)
def test_an_operator_who_reads_italian_writes_and_reads_it_and_the_history_is_in_the_language_of_the_deployment(
    italian_client, settings
):
    campaign = AskingCampaignFactory(
        blocked_dates=[date(2026, 12, 24), date(2026, 12, 25)], retry_failed="2 d, next day"
    )
    ContactFactory(campaign=campaign)
    form = italian_client.get(page_of(campaign)).context["adminform"].form
    shown = {"blocked_dates": "2026-12-24 al 2026-12-25", "retry_failed": "2 g, giorno dopo"}
    assert {name: form[name].field.prepare_value(form[name].initial) for name in shown} == shown
    data = form_of(
        campaign, **shown, retry_busy="5 minuti, domani", allowed_call_start="09:00", allowed_call_end="18:30"
    )
    page = italian_client.post(page_of(campaign), data, follow=True).content.decode()
    told = (
        "Modifiche: Chiamate dalle (vuoto → 09:00), Chiamate fino alle (vuoto → 18:30), "
        "Dopo occupato (vuoto → 5 min, giorno dopo). Per chi è in attesa non cambia"
    )
    assert told in page
    assert "After busy (none → 5 min, next day)" in LogEntry.objects.get().get_change_message()
    campaign.refresh_from_db()
    assert (campaign.retry_busy, campaign.retry_failed) == ("5 min, next day", "2 d, next day")
    assert f"{campaign} è in pausa." in press(italian_client, campaign, "pause")
    assert LogEntry.objects.filter(change_message="Status: paused.").exists()
    settings.LANGUAGE_CODE = "it"
    press(italian_client, campaign, "resume")
    assert LogEntry.objects.filter(change_message="Stato: in corso.").exists()


@time_machine.travel(NOON, tick=False)
@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("18:00", "18:30", "3 contacts are tried at another time than before, or no more."),
        ("11:00", "18:00", "Nobody who waits is tried at another time for it."),
    ],
)
def test_an_edit_of_the_hours_tells_of_those_who_were_due(admin_client, start, end, told):
    campaign = CampaignFactory()
    ContactFactory.create_batch(3, campaign=campaign)
    data = form_of(campaign, allowed_call_start=start, allowed_call_end=end)
    assert told in admin_client.post(page_of(campaign), data, follow=True).content.decode()


def test_an_edit_of_a_campaign_too_large_to_be_gone_through_at_once_says_that_it_takes_time(admin_client, monkeypatch):
    monkeypatch.setattr(rearming, "CHUNK_SIZE", 1)
    campaign = CampaignFactory()
    ContactFactory.create_batch(2, campaign=campaign, state="not_reached", attempts_count=1, last_attempt_at=NOON)
    page = admin_client.post(page_of(campaign), form_of(campaign, retry_interval_minutes=90), follow=True)
    assert "It takes some minutes until all who wait are tried" in page.content.decode()


@pytest.mark.parametrize(
    ("moved", "told"),
    [
        (1, "1 contact is"),
        (10_000, "10,000 contacts are"),
        (12_000, "More than 10,000 contacts are"),
    ],
)
def test_whoever_is_moved_is_counted_as_far_as_it_is_quick(moved, told):
    assert describe_moved(Moved(moved)) == [f"{told} tried at another time than before, or no more."]


def open_tab(client, campaign):
    """What a page sends that has been open since now."""
    campaign.refresh_from_db()
    form = client.get(page_of(campaign)).context["adminform"].form
    return form_of(campaign, seen=form["seen"].value())


def test_an_edit_does_not_take_back_what_somebody_else_has_saved_since_the_page_was_opened(admin_client):
    campaign = CampaignFactory(max_attempts=3)
    first, second = open_tab(admin_client, campaign), open_tab(admin_client, campaign)
    assert 'name="seen"' in admin_client.get(page_of(campaign)).content.decode()
    assert admin_client.post(page_of(campaign), second | {"max_attempts": 1}).status_code == 302
    typed = first | {"description": "What only the first tab has."}
    refused = admin_client.post(page_of(campaign), typed)
    form = refused.context["adminform"].form
    problem = "Somebody else has changed this meanwhile, to: 1. To keep what stands here instead, save again."
    assert form.errors == {"max_attempts": [problem]}
    assert "What only the first tab has." in refused.content.decode()
    campaign.refresh_from_db()
    assert (campaign.max_attempts, campaign.description) == (1, "")
    assert admin_client.post(page_of(campaign), typed | {"seen": form["seen"].value()}).status_code == 302
    campaign.refresh_from_db()
    assert (campaign.max_attempts, campaign.description) == (3, "What only the first tab has.")


def test_what_was_changed_after_the_refusal_is_told_again(admin_client):
    campaign = CampaignFactory(intro_script="One.", description="")
    typed = open_tab(admin_client, campaign) | {"name": "Spring"}
    Campaign.objects.update(intro_script="Two.", description="A text that is too long to be told beside its field.")
    form = admin_client.post(page_of(campaign), typed).context["adminform"].form
    assert form.errors.keys() == {"intro_script", "description"}
    assert form.errors["description"] == [
        "Somebody else has changed this meanwhile. To keep what stands here instead, save again."
    ]
    Campaign.objects.update(intro_script="Three.")
    form = admin_client.post(page_of(campaign), typed | {"seen": form["seen"].value()}).context["adminform"].form
    assert form.errors.keys() == {"intro_script"}


def test_what_both_have_changed_to_the_same_and_steps_of_the_campaign_are_in_nobodys_way(admin_client):
    campaign = CampaignFactory(max_attempts=3)
    tab = open_tab(admin_client, campaign)
    Campaign.objects.update(max_attempts=2)
    press(admin_client, campaign, "pause")
    assert admin_client.post(page_of(campaign), tab | {"max_attempts": 2, "name": "Spring"}).status_code == 302
    campaign.refresh_from_db()
    assert (campaign.name, campaign.max_attempts, campaign.status) == ("Spring", 2, "paused")


@time_machine.travel(NOON, tick=False)
@pytest.mark.parametrize(
    "start", [{"starts_at_0": "2026-03-03", "starts_at_1": "12:00"}, {"starts_at_0": "", "starts_at_1": ""}]
)
def test_an_edit_that_starts_a_scheduled_campaign_is_asked_about_and_told(admin_client, start):
    campaign = CampaignFactory(status="scheduled", starts_at=NOON + timedelta(days=1))
    ContactFactory(campaign=campaign)
    typed = open_tab(admin_client, campaign) | start
    form = admin_client.post(page_of(campaign), typed).context["adminform"].form
    question = "With this it starts to call at once, and not on 5 Mar 2026, 12:00:00. To have it so, save again."
    assert form.errors == {"starts_at": [question]}
    again = typed | {"seen": form["seen"].value()}
    other = again | {"starts_at_0": "2026-03-02", "starts_at_1": "12:00"}
    assert "starts_at" in admin_client.post(page_of(campaign), other).context["adminform"].form.errors
    page = admin_client.post(page_of(campaign), again, follow=True).content.decode()
    assert "It starts now: people are rung as soon as their calling hours allow it." in page
    campaign.refresh_from_db()
    assert campaign.starts_at != NOON + timedelta(days=1)


@time_machine.travel(NOON, tick=False)
@pytest.mark.parametrize(
    ("status", "before", "after"), [("scheduled", 2, 1), ("scheduled", -1, -2), ("paused", 1, -1), ("running", 1, -1)]
)
def test_other_edits_of_the_start_are_asked_nothing(admin_client, status, before, after):
    campaign = CampaignFactory(status=status, starts_at=NOON + timedelta(days=before))
    ContactFactory(campaign=campaign)
    start = {"starts_at_0": f"{NOON + timedelta(days=after):%Y-%m-%d}", "starts_at_1": "12:00"}
    page = admin_client.post(page_of(campaign), form_of(campaign, **start), follow=True).content.decode()
    assert "Changed: First call at" in page and "It starts now" not in page


def test_an_edit_of_what_is_said_tells_nothing_of_those_who_wait(admin_client):
    campaign = CampaignFactory(name="Spring")
    page = admin_client.post(page_of(campaign), form_of(campaign, name="Summer"), follow=True).content.decode()
    assert "Changed: Name (Spring → Summer)." in page
    assert "tried at another time" not in page


def test_what_keeps_a_draft_from_starting_stands_beside_its_field(admin_client):
    campaign = CampaignFactory(status="draft", intro_script="", time_zone="")
    ContactFactory(campaign=campaign, calling_zone="")
    form = admin_client.get(page_of(campaign)).context["adminform"].form
    assert "It has no intro script" in form["intro_script"].help_text
    assert form["intro_script"].help_text.endswith(
        "What is said first: who calls, for whom, why, and how long it will take."
    )
    assert "1 contact has no time zone" in form["time_zone"].help_text
    assert "block" not in form["weekdays"].help_text
    Campaign.objects.update(status="running")
    form = admin_client.get(page_of(campaign)).context["adminform"].form
    assert "It has no intro script" not in form["intro_script"].help_text


def test_whoever_may_not_edit_a_campaign_reads_its_rules_in_words(admin_client):
    campaign = CampaignFactory(
        status="cancelled",
        weekdays=[1, 3],
        weekday_hours=["", "", "09:00-12:00, 15:00-19:00", "", "", "", ""],
        blocked_dates=[date(2026, 12, 24), date(2026, 12, 25), date(2026, 12, 31)],
        holidays_of="IT-BZ",
        retry_busy="5 min, next day",
    )
    page = admin_client.get(page_of(campaign)).content.decode()
    for text in [
        "Monday, Wednesday",
        "Wednesday: 09:00-12:00, 15:00-19:00",
        "2026-12-24 to 2026-12-25; 2026-12-31",
        "Italy: BZ (IT-BZ)",
        "5 min, next day",
        "No calls on holidays of",
    ]:
        assert text in page


def test_a_cancelled_campaign_can_be_read_and_not_be_edited(admin_client):
    campaign = CampaignFactory(status="cancelled", name="Spring")
    page = admin_client.get(page_of(campaign))
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    page = admin_client.post(page_of(campaign), form_of(campaign, name="Summer"), follow=True).content.decode()
    assert "Spring was cancelled meanwhile and stays as it was" in page
    campaign.refresh_from_db()
    assert campaign.name == "Spring"


def test_a_form_that_is_refused_leaves_the_head_of_the_page_as_it_was(admin_client):
    campaign = CampaignFactory(status="scheduled", name="Spring", starts_at=datetime(2099, 3, 1, tzinfo=UTC))
    ContactFactory(campaign=campaign)
    response = admin_client.post(page_of(campaign), form_of(campaign, name="Summer", max_attempts=9))
    assert response.context["adminform"].form.errors.keys() == {"max_attempts"}
    assert response.context["original"].name == "Spring"
    assert "It begins on 1 Mar 2099" in response.content.decode()
