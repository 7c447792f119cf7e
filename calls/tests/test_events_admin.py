"""Webhooks, deliveries and e-mails in the admin: who sees what, and who has what sent again."""

import re

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.models import EventEmail, WebhookDelivery, WebhookSubscription
from campaigns.models import EmailText, EventType
from campaigns.tests.factories import CampaignFactory
from contacts.tests.factories import ContactFactory
from surveycalls.models import AuditEntry

from .conftest import NOON
from .factories import SurveyEventFactory, WebhookDeliveryFactory, WebhookSubscriptionFactory

WEBHOOKS, DELIVERIES = "/admin/calls/webhooksubscription/", "/admin/calls/webhookdelivery/"
EMAILS, TEXTS = "/admin/calls/eventemail/", "/admin/campaigns/emailtext/"
VIEWER, MANAGER, ADMIN = "viewer", "campaign_manager", "admin"
FORM = {"name": "CRM", "url": "https://8.8.8.8/surveys", "events": ["survey.completed"], "is_active": "on"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def log_in(client):
    def log_in(role):
        user = User.objects.create_user(f"a-{role}", password="-", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        return client

    return log_in


def page_of(row, what="change"):
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/{what}/"


def read_seen(client, page):
    return re.search(r'name="seen" value="([^"]*)"', client.get(page).content.decode())[1]


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, False), (ADMIN, True)])
def test_who_adds_a_webhook(log_in, role, may):
    response = log_in(role).post(f"{WEBHOOKS}add/", FORM)
    assert response.status_code == (302 if may else 403)
    found = WebhookSubscription.objects.values_list("url", "events", "sends_phone_number")
    assert list(found) == ([("https://8.8.8.8/surveys", ["survey.completed"], False)] if may else [])


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, False), (ADMIN, True)])
def test_who_reads_the_secret_and_makes_a_new_one(log_in, role, may):
    subscription = WebhookSubscriptionFactory()
    client, secret = log_in(role), subscription.secret
    assert (secret in client.get(page_of(subscription)).content.decode()) == may
    client.post(page_of(subscription, "make_new_secret"), {"_form_submitted": "True"})
    subscription.refresh_from_db()
    assert (subscription.secret != secret) == may
    assert AuditEntry.objects.filter(message="New secret.").exists() == may
    assert not AuditEntry.objects.filter(message__contains="whsec_").exists()


def test_a_new_webhook_is_told_everything_unless_it_is_said_otherwise(log_in):
    page = log_in(ADMIN).get(f"{WEBHOOKS}add/")
    assert page.context["adminform"].form["events"].value() == list(EventType)


def test_an_edit_is_in_the_audit_and_takes_back_no_other(log_in):
    client, subscription = log_in(ADMIN), WebhookSubscriptionFactory()
    page = page_of(subscription)
    form = FORM | {"name": "CRM", "seen": read_seen(client, page)}
    assert client.post(page, form).status_code == 302
    assert "CRM" in AuditEntry.objects.latest("pk").message
    response = client.post(page, form | {"name": "Other"})
    assert "Somebody else has changed this meanwhile" in response.content.decode()


def test_a_new_address_is_not_waited_with_for_the_former_one(log_in):
    client = log_in(ADMIN)
    waits = {}
    for field, value in [("name", "Other"), ("url", FORM["url"])]:
        subscription = WebhookSubscriptionFactory(url="https://8.8.4.4/", events=FORM["events"], not_before=NOON)
        page = page_of(subscription)
        form = FORM | {"name": subscription.name, "url": subscription.url, "seen": read_seen(client, page)}
        client.post(page, form | {field: value})
        subscription.refresh_from_db()
        waits[field] = subscription.not_before
    assert waits == {"name": NOON, "url": None}


def test_an_address_in_a_private_network_is_refused_beside_the_field(log_in):
    response = log_in(ADMIN).post(f"{WEBHOOKS}add/", FORM | {"url": "https://127.0.0.1/"})
    assert "private network" in response.content.decode()
    assert not WebhookSubscription.objects.exists()


def test_a_webhook_that_was_used_is_not_deleted(log_in):
    used, unused = WebhookDeliveryFactory().subscription, WebhookSubscriptionFactory()
    client = log_in(ADMIN)
    statuses = [client.post(page_of(one, "delete"), {"post": "yes"}).status_code for one in (used, unused)]
    assert (statuses, list(WebhookSubscription.objects.all())) == ([403, 302], [used])


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, True), (ADMIN, True)])
def test_who_has_dead_letters_sent_again(log_in, role, may):
    dead = [WebhookDeliveryFactory(state="dead", attempts=8) for _ in range(2)]
    client = log_in(role)
    client.post(DELIVERIES, {"action": "send_again_selected", "_selected_action": [dead[0].pk]})
    client.post(page_of(dead[1], "send_again"), {"_form_submitted": "True"})
    states = set(WebhookDelivery.objects.values_list("state", "attempts"))
    assert states == {("pending", 0) if may else ("dead", 8)}
    assert AuditEntry.objects.filter(message="Sent again.").count() == (2 if may else 0)


def test_a_link_alone_sends_nothing_again(log_in):
    dead = WebhookDeliveryFactory(state="dead", attempts=8)
    log_in(ADMIN).get(page_of(dead, "send_again"))
    assert WebhookDelivery.objects.get().state == "dead"


def test_what_is_switched_off_is_not_sent_again(log_in):
    dead = WebhookDeliveryFactory(state="dead", attempts=8, subscription__is_active=False)
    response = log_in(ADMIN).post(page_of(dead, "send_again"), {"_form_submitted": "True"}, follow=True)
    assert response.status_code == 200
    assert WebhookDelivery.objects.get().state == "dead"


def test_deliveries_are_filtered_by_state_and_found_by_event_and_contact(log_in):
    dead, delivered = WebhookDeliveryFactory(state="dead"), WebhookDeliveryFactory(state="delivered")
    client = log_in(MANAGER)

    def find(query):
        listed = client.get(f"{DELIVERIES}?{query}").content.decode()
        return [one for one in (dead, delivered) if page_of(one) in listed]

    assert find("") == [dead, delivered]
    assert find("state__exact=dead") == [dead]
    assert find(f"q={delivered.event.pk}") == [delivered]
    assert find(f"q={dead.event.contact.pk}") == [dead]
    assert find("q=nothing") == []


@pytest.mark.parametrize("url", [WEBHOOKS, DELIVERIES, EMAILS, TEXTS])
def test_a_longer_list_takes_as_few_queries(log_in, url):
    client = log_in(ADMIN)

    def add(count):
        for _ in range(count):
            delivery = WebhookDeliveryFactory(state="dead")
            EventEmail.objects.create(
                contact=delivery.event.contact, type=delivery.event.type, occurred_at=NOON, next_try_at=NOON
            )
            EmailText.objects.create(campaign=delivery.event.contact.campaign, subject="A", body="B")

    def count():
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        return len(queries)

    add(2)
    few = count()
    add(6)
    assert count() == few


def test_the_page_of_a_delivery_shows_what_is_sent_and_how_it_went(log_in):
    contact = ContactFactory(external_contact_id="P-<1701>", state="not_reached", next_attempt_at=None)
    event = SurveyEventFactory(attempt__contact=contact)
    delivery = WebhookDeliveryFactory(event=event, state="dead", attempts=8, last_error="HTTP 500")
    page = log_in(MANAGER).get(page_of(delivery)).content.decode()
    assert "P-&lt;1701&gt;" in page
    assert "HTTP 500" in page


@pytest.mark.parametrize(("url", "host", "is_told"), [(EMAILS, "", True), (TEXTS, "", True), (TEXTS, "mail", False)])
def test_the_lists_of_emails_say_when_there_is_no_mail_server(log_in, settings, url, host, is_told):
    settings.EMAIL_HOST = host
    assert ("EMAIL_HOST" in log_in(MANAGER).get(url).content.decode()) == is_told


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, True), (ADMIN, True)])
def test_who_writes_what_contacts_are_written(log_in, role, may):
    campaign = CampaignFactory(name="Library")
    form = {"campaign": campaign.pk, "event": "survey.completed", "language": "en", "subject": "Thank you"}
    response = log_in(role).post(f"{TEXTS}add/", form | {"body": "For {campaign} <b>"})
    assert response.status_code == (302 if may else 403)
    assert EmailText.objects.exists() == may


def test_a_text_is_shown_as_it_is_read(log_in):
    text = EmailText.objects.create(campaign=CampaignFactory(name="A & B"), subject="{campaign}", body="<i>{reference}")
    page = log_in(VIEWER).get(page_of(text)).content.decode()
    assert "<strong>A &amp; B</strong>" in page
    assert "&lt;i&gt;P-0001" in page


def test_the_day_of_the_preview_is_the_one_in_the_zone_of_the_campaign_whoever_looks(log_in):
    text = EmailText.objects.create(
        campaign=CampaignFactory(time_zone="Pacific/Auckland"), subject="A", body="On {date}."
    )
    client = log_in(VIEWER)
    client.cookies["time_zone"] = "Pacific/Honolulu"
    with time_machine.travel("2026-03-04T12:00:00Z", tick=False):
        page = client.get(page_of(text)).content.decode()
    assert "On 2026-03-05." in page


def test_a_text_with_an_unknown_word_is_refused(log_in):
    form = {"campaign": CampaignFactory().pk, "event": "survey.completed", "language": "en", "subject": "A"}
    page = log_in(MANAGER).post(f"{TEXTS}add/", form | {"body": "Dear {name}"}).content.decode()
    assert "{name} stands for nothing" in page
