"""Contacts are written to once, or not at all."""

import smtplib
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import IntegrityError, connection, transaction
from django_q.models import OrmQ
from django_q.tasks import async_task

from calls import outcomes
from calls.erasure import Person, erase_person
from calls.events import emailing
from calls.events.backoff import DELAYS, JITTER, MOST_TRIES
from calls.events.delivering import hand_out_events
from calls.events.emailing import claim_next, send_emails_for_a_while
from calls.models import EventEmail, SurveyEvent
from calls.tests.threads import in_thread
from campaigns.models import EmailText, EventType
from campaigns.tests.factories import CampaignFactory
from contacts.models import CallOutcome, Contact, ContactState
from contacts.tests.factories import ContactFactory

from .conftest import NOON
from .factories import CallAttemptFactory, SurveyEventFactory
from .mail_server import MailServer

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
    ("calling_zone", "campaign_zone", "site_zone", "day"),
    [
        ("Europe/Rome", "America/New_York", "UTC", "2026-03-05"),
        ("America/New_York Europe/Rome", "Europe/Rome", "UTC", "2026-03-04"),  # the first
        ("", "Europe/Rome", "UTC", "2026-03-05"),
        ("", "", "UTC", "2026-03-04"),
        ("", "", "Europe/Rome", "2026-03-05"),
    ],
)
def test_the_day_is_the_one_that_it_was_for_the_contact(clock, settings, calling_zone, campaign_zone, site_zone, day):
    settings.TIME_ZONE = site_zone
    event = make_event(campaign=CampaignFactory(time_zone=campaign_zone), calling_zone=calling_zone)
    SurveyEvent.objects.update(occurred_at=datetime(2026, 3, 4, 23, 30, tzinfo=UTC))
    send(clock)
    assert mail.outbox[0].body == f"P-1701 on {day}, {event.contact.campaign.name}"


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


@pytest.mark.parametrize(
    ("values", "sent"),
    [
        ({"state": ContactState.NOT_REACHED}, 1),
        ({"state": ContactState.PENDING}, 1),
        ({"state": ContactState.COMPLETED}, 0),  # the answers came late
        ({"state": ContactState.REFUSED}, 0),
        ({"state": ContactState.NOT_REACHED, "next_attempt_at": NOON}, 0),  # more tries are allowed
        ({"state": ContactState.IN_PROGRESS}, 0),
    ],
)
def test_that_we_did_not_reach_them_is_only_said_as_long_as_it_is_so(clock, values, sent):
    event = make_event(EventType.NOT_REACHED, state=ContactState.NOT_REACHED)
    hand_out_events(now=NOON)
    Contact.objects.filter(pk=event.contact.pk).update(**values)
    assert send_emails_for_a_while(clock=clock) == sent
    assert len(mail.outbox) == sent
    assert EventEmail.objects.get().error == ("" if sent else "The person has answered meanwhile, or is rung again")


def test_who_answers_late_is_thanked_and_nothing_else(clock):
    campaign = CampaignFactory(max_attempts=1)
    for event_type, subject in [(EventType.NOT_REACHED, "Missed you"), (EventType.COMPLETED, "Thank you")]:
        EmailText.objects.create(campaign=campaign, event=event_type, subject=subject, body="-")
    contact = ContactFactory(
        campaign=campaign, email=ADDRESS, state=ContactState.IN_PROGRESS, attempts_count=1, next_attempt_at=None
    )
    attempt = CallAttemptFactory(contact=contact, answered=True)
    outcomes.end_attempt(attempt, CallOutcome.NO_ANSWER, now=NOON)
    hand_out_events(now=NOON)
    outcomes.decide(attempt, CallOutcome.COMPLETED, now=NOON)
    assert send(clock) == 1
    assert [message.subject for message in mail.outbox] == ["Thank you"]


def test_without_a_mail_server_nobody_is_written_to_nor_when_there_is_one_later(clock, settings):
    make_event()
    settings.EMAIL_HOST = ""
    assert send(clock) == 0
    settings.EMAIL_HOST = "mail.example.org"
    assert send(clock) == 0


def test_what_waits_when_the_mail_server_is_taken_away_is_not_sent_when_there_is_one_again(clock, settings):
    make_event()
    hand_out_events(now=NOON)
    settings.EMAIL_HOST = ""
    assert send(clock) == 0
    settings.EMAIL_HOST = "mail.example.org"
    assert send(clock) == 0
    assert EventEmail.objects.values_list("state", "error").get() == ("failed", "There was no mail server")


def test_a_server_that_cannot_be_reached_keeps_all_waiting(clock, monkeypatch):
    make_event()
    with monkeypatch.context() as away:
        away.setattr(EmailBackend, "open", lambda self: (_ for _ in ()).throw(ConnectionRefusedError()))
        assert send(clock) == 0
        assert read() == ("waiting", None)
    assert send(clock) == 1


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
def test_a_slow_mail_server_has_one_worker_and_a_second_one_is_free_at_once(clock, monkeypatch):
    campaign = CampaignFactory()
    for number in range(3):
        make_event(campaign=campaign, email=f"p{number}@example.org")
    hand_out_events(now=NOON)
    meanwhile = []
    really_open = EmailBackend.open

    def open_slowly(self):
        meanwhile.append(in_thread(lambda: send_emails_for_a_while(clock=clock))())
        return really_open(self)

    monkeypatch.setattr(EmailBackend, "open", open_slowly)
    assert send_emails_for_a_while(clock=clock) == 3
    assert meanwhile == [0]
    assert [message.to[0] for message in mail.outbox] == [f"p{number}@example.org" for number in range(3)]


@pytest.mark.django_db(transaction=True)
def test_what_one_worker_sends_no_other_takes(clock):
    """Also when the lock is gone with its connection."""
    make_event()
    hand_out_events(now=NOON)
    with transaction.atomic():
        assert claim_next(now=NOON)
        assert in_thread(lambda: claim_next(now=NOON))() is None
    assert claim_next(now=NOON) is None


@pytest.mark.parametrize(("waiting_jobs", "jobs"), [(0, 1), (1, 1)])
def test_what_takes_longer_than_a_job_is_gone_on_with_when_no_other_job_waits(clock, monkeypatch, waiting_jobs, jobs):
    monkeypatch.setattr(emailing, "SLICE_SECONDS", 0)
    for _ in range(waiting_jobs):
        async_task("calls.tasks.reconcile")
    campaign = CampaignFactory()
    for _ in range(2):
        make_event(campaign=campaign)
    assert send(clock) == 1
    assert OrmQ.objects.count() == jobs
    assert send(clock) == 1


# What the server answers


@pytest.fixture
def mail_server(settings):
    server = MailServer()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
    yield server
    server.close()


def make_events(count=2):
    campaign = CampaignFactory(name="Library")
    for number in range(count):
        make_event(campaign=campaign, email=f"p{number}@example.org")


def list_emails():
    return list(EventEmail.objects.order_by("next_try_at", "pk").values_list("state", "attempts"))


def test_a_mail_server_takes_them_all(clock, mail_server):
    make_events()
    assert send(clock) == 2
    assert mail_server.taken == ["p0@example.org", "p1@example.org"]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("MAIL", "550 5.7.1 Not from there"),  # a wrong EMAIL_FROM
        ("MAIL", "451 4.3.0 Later"),
        ("MAIL", "421 4.3.2 Closing"),
        ("RCPT", "421 4.3.2 Closing"),
        ("DATA", "421 4.3.2 Closing"),
        (".", "421 4.3.2 Closing"),
    ],
)
def test_a_server_that_takes_nothing_from_us_keeps_all_waiting_and_is_asked_once(clock, mail_server, command, answer):
    make_events()
    mail_server.answers = {command: answer}
    assert send(clock) == 0
    assert list_emails() == [("waiting", 0), ("waiting", 0)]
    assert mail_server.commands.count("MAIL") == 1
    assert EventEmail.objects.filter(error__startswith="The mail server refused it: SMTP").count() == 1
    mail_server.answers = {}
    assert send_emails_for_a_while(clock=clock) == 2
    assert sorted(mail_server.taken) == ["p0@example.org", "p1@example.org"]
    assert not EventEmail.objects.exclude(error="").exists()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("RCPT", "450 4.2.0 Greylisted"),
        ("RCPT", "451 4.7.1 Greylisted"),
        ("RCPT", "452 4.2.2 Mailbox full"),
        ("DATA", "451 4.3.0 Later"),
        (".", "451 4.3.0 Later"),
    ],
)
def test_what_is_to_come_later_comes_later_and_holds_up_no_other(clock, mail_server, command, answer):
    make_events()
    mail_server.answers = {command: answer}
    assert send(clock) == 0
    assert list_emails() == [("waiting", 0), ("waiting", 1)]  # the next job tries another first
    assert mail_server.commands.count("MAIL") == 1
    mail_server.answers = {}
    assert send_emails_for_a_while(clock=clock) == 1
    assert mail_server.taken == ["p1@example.org"]
    clock.sleep(DELAYS[0].total_seconds() * (1 + JITTER))
    assert send_emails_for_a_while(clock=clock) == 1
    assert mail_server.taken == ["p1@example.org", "p0@example.org"]


def test_what_is_to_come_later_for_ever_is_failed(clock, mail_server):
    make_events(1)
    mail_server.answers = {"RCPT": "452 4.2.2 Mailbox full"}
    hand_out_events(now=NOON)
    for delay in [*DELAYS, timedelta(days=9)]:
        send_emails_for_a_while(clock=clock)
        clock.sleep(delay.total_seconds() * (1 + JITTER))
    assert send_emails_for_a_while(clock=clock) == 0
    assert EventEmail.objects.values_list("state", "error").get() == (
        "failed",
        "The mail server refused it: SMTPRecipientsRefused",
    )
    assert mail_server.commands.count("RCPT") == MOST_TRIES


@pytest.mark.parametrize(
    ("command", "answer"), [("RCPT", "550 5.1.1 No such user"), (".", "554 5.7.1 Spam"), ("DATA", "554 No")]
)
def test_what_is_refused_for_good_is_failed_and_the_next_is_sent(clock, mail_server, command, answer):
    make_events()
    mail_server.answers = {command: answer}
    assert send(clock) == 0
    assert list_emails() == [("failed", 0), ("failed", 0)]
    assert mail_server.commands.count("MAIL") == 2


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
    values = {"contact": event.contact, "type": event.type, "occurred_at": NOON, "next_try_at": NOON}
    EventEmail.objects.create(**values)
    with pytest.raises(IntegrityError, match="event_email_is_sent_once"), transaction.atomic():
        EventEmail.objects.create(**values)


def test_an_email_is_in_a_known_state():
    event = make_event()
    values = {"contact": event.contact, "type": event.type, "occurred_at": NOON, "next_try_at": NOON}
    with pytest.raises(IntegrityError, match="event_email_state_is_known"), transaction.atomic():
        EventEmail.objects.create(**values, state="pending")


def test_what_is_due_is_found_by_its_index():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "event_email_due" in EventEmail.objects.due(NOON).order_by("next_try_at").explain()
