"""Contacts are written to once, or not at all."""

import smtplib
import threading
from datetime import UTC, datetime

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import IntegrityError, transaction

from calls.erasure import Person, erase_person
from calls.events.delivering import hand_out_events
from calls.events.emailing import send_emails_for_a_while
from calls.models import EventEmail, SurveyEvent
from calls.tests.threads import in_thread
from campaigns.models import EmailText, EventType
from campaigns.tests.factories import CampaignFactory
from contacts.models import ContactState
from contacts.tests.factories import ContactFactory

from .conftest import NOON
from .factories import CallAttemptFactory, SurveyEventFactory

ADDRESS = "p1701@example.org"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def server(settings):
    settings.EMAIL_HOST, settings.DEFAULT_FROM_EMAIL = "mail.example.org", "library@example.org"


@pytest.fixture
def break_server(monkeypatch):
    """Have the server answer the next e-mails with an error."""

    def break_server(error):
        def send(self, messages):
            mail.outbox.extend(messages)  # as far as anybody knows
            raise error

        monkeypatch.setattr(EmailBackend, "send_messages", send)

    return break_server


def make_event(event_type=EventType.COMPLETED, languages=("en",), campaign=None, **values):
    campaign = campaign or CampaignFactory(name="Library")
    for language in languages:
        EmailText.objects.get_or_create(
            campaign=campaign,
            event=event_type,
            language=language,
            defaults={"subject": f"{language}: {{campaign}}", "body": "{reference} on {date}, {campaign}"},
        )
    contact = ContactFactory(
        **{
            "campaign": campaign,
            "email": ADDRESS,
            "external_contact_id": "P-1701",
            "state": ContactState.COMPLETED,
            "next_attempt_at": None,
        }
        | values
    )
    return SurveyEventFactory(attempt=CallAttemptFactory(contact=contact), type=event_type, occurred_at=NOON)


def send(clock):
    hand_out_events(now=NOON)
    return send_emails_for_a_while(clock=clock)


def read():
    return EventEmail.objects.values_list("state", "sent_at").get()


def test_who_has_completed_is_written_to_once(clock):
    make_event()
    assert (send(clock), send(clock)) == (1, 0)
    [message] = mail.outbox
    assert (message.to, message.from_email, message.subject) == ([ADDRESS], "library@example.org", "en: Library")
    assert message.body == "P-1701 on 2026-03-04, Library"
    assert read() == ("sent", NOON)


@pytest.mark.parametrize(
    ("languages", "preferred", "language"),
    [
        (("en", "it"), "it", "it"),
        (("en", "it"), "auto", "en"),
        (("it",), "en", "it"),  # the only one that there is
    ],
)
def test_it_is_in_the_language_of_the_contact_or_the_campaign(clock, languages, preferred, language):
    make_event(languages=languages, preferred_language=preferred)
    send(clock)
    assert mail.outbox[0].subject == f"{language}: Library"


@pytest.mark.parametrize(
    "values",
    [
        {"email": ""},
        {"languages": ()},
        {"do_not_call": True},
    ],
)
def test_without_an_address_or_a_text_or_leave_nobody_is_written_to(clock, values):
    make_event(**values)
    assert send(clock) == 0
    assert not EventEmail.objects.exists()


def test_a_text_for_another_event_or_campaign_is_for_nobody_else(clock):
    event = make_event(languages=())
    for campaign, event_type in [(event.contact.campaign, EventType.REFUSED), (CampaignFactory(), event.type)]:
        EmailText.objects.create(campaign=campaign, event=event_type, subject="A", body="B")
    assert send(clock) == 0


def test_who_is_not_reached_for_the_second_time_is_not_written_to_again(clock):
    event = make_event(EventType.NOT_REACHED, state=ContactState.NOT_REACHED)
    send(clock)
    again = CallAttemptFactory(contact=event.contact, attempt_number=2)
    SurveyEventFactory(attempt=again, type=EventType.NOT_REACHED)
    SurveyEvent.objects.all().update(handed_out_at=None)
    assert send(clock) == 0
    assert len(mail.outbox) == 1


def test_without_a_mail_server_nobody_is_written_to_nor_when_there_is_one_later(clock, settings):
    make_event()
    settings.EMAIL_HOST = ""
    assert send(clock) == 0
    settings.EMAIL_HOST = "mail.example.org"
    assert send(clock) == 0


def test_a_server_that_cannot_be_reached_keeps_all_waiting(clock, monkeypatch):
    make_event()
    with monkeypatch.context() as away:
        away.setattr(EmailBackend, "open", lambda self: (_ for _ in ()).throw(ConnectionRefusedError()))
        assert send(clock) == 0
        assert read() == ("waiting", None)
    assert send(clock) == 1


@pytest.mark.parametrize(
    "error", [smtplib.SMTPDataError(550, b"No such user"), smtplib.SMTPRecipientsRefused({ADDRESS: (550, b"No")})]
)
def test_what_the_server_refuses_is_failed_and_the_next_goes_on(clock, break_server, error, monkeypatch):
    make_event()
    with monkeypatch.context():
        break_server(error)
        assert send(clock) == 0
    email = EventEmail.objects.get()
    assert (email.state, ADDRESS in email.error) == ("failed", False)
    assert send(clock) == 0


@pytest.mark.parametrize("error", [smtplib.SMTPServerDisconnected(), TimeoutError()])
def test_what_may_have_been_sent_is_unknown_and_not_sent_again(clock, break_server, monkeypatch, error):
    make_event()
    break_server(error)
    assert send(clock) == 0
    monkeypatch.undo()
    assert send(clock) == 0
    assert (read(), len(mail.outbox)) == (("sending", None), 1)


class Killed(BaseException):
    pass


@pytest.mark.django_db(transaction=True)
def test_who_is_killed_while_sending_leaves_it_unknown(clock, break_server, monkeypatch, settings):
    settings.EMAIL_HOST = "mail.example.org"
    make_event()
    with monkeypatch.context():
        break_server(Killed())
        with pytest.raises(Killed):
            send(clock)
    monkeypatch.undo()
    settings.EMAIL_HOST = "mail.example.org"
    assert send(clock) == 0
    assert (read(), len(mail.outbox)) == (("sending", None), 1)


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_at_once_one_sends_it(clock, monkeypatch):
    campaign = CampaignFactory()
    for number in range(10):
        make_event(campaign=campaign, email=f"p{number}@example.org")
    hand_out_events(now=NOON)
    gate = threading.Barrier(2, timeout=10)
    really_open = EmailBackend.open

    def open_together(self):
        gate.wait()
        return really_open(self)

    monkeypatch.setattr(EmailBackend, "open", open_together)
    workers = [in_thread(lambda: send_emails_for_a_while(clock=clock)) for _ in range(2)]
    assert sum(worker() for worker in workers) == 10
    assert sorted(message.to[0] for message in mail.outbox) == [f"p{number}@example.org" for number in range(10)]


def test_who_is_erased_meanwhile_is_not_written_to(clock):
    event = make_event()
    hand_out_events(now=NOON)
    erase_person(
        Person(phone_number=event.contact.phone_number),
        keeps_off=False,
        reason="-",
        now=datetime(2026, 3, 5, tzinfo=UTC),
    )
    assert send_emails_for_a_while(clock=clock) == 0
    assert (mail.outbox, read()) == ([], ("failed", None))


def test_a_contact_has_one_email_of_an_event():
    event = make_event()
    values = {"contact": event.contact, "type": event.type, "occurred_at": NOON}
    EventEmail.objects.create(**values)
    with pytest.raises(IntegrityError, match="event_email_is_sent_once"), transaction.atomic():
        EventEmail.objects.create(**values)
