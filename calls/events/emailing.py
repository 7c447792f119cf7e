"""E-mails to contacts: never twice, so rather not at all than perhaps once more.

What the mail server has certainly not taken is sent later, when a later answer may be another one.
"""

import random
import smtplib
import time
from collections.abc import Collection
from datetime import datetime

import structlog
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.utils.translation import gettext_noop
from django_q.brokers import get_broker
from django_q.tasks import async_task

from calls.clock import Clock
from calls.events.backoff import find_next_try
from calls.events.models import EmailState, EventEmail, SurveyEvent
from calls.events.refusals import REFUSALS, Refusal, is_about_all, is_for_good
from calls.locks import try_lock
from campaigns.emails import fill_in, fill_in_line
from campaigns.mail_server import is_mail_possible
from campaigns.models import EmailText, EventType
from contacts.models import Contact

log = structlog.get_logger(__name__)

TASK = "calls.tasks.send_emails"
# A job that is over soon lets the cluster stop soon; the next one goes on.
SLICE_SECONDS = 20.0
# One worker at a time, or a slow mail server would take them all. A number that no other lock has: with that of the
# do-not-call list nobody could be put on it while e-mails are sent.
EMAIL_LOCK = 7_265_003

# As they are stored; pages translate them.
OVERTAKEN = gettext_noop("There was no address, or no text, any more")
REFUSED = gettext_noop("The mail server refused it")
IMPOSSIBLE = gettext_noop("It cannot be written")
NOT_GIVEN_UP = gettext_noop("The person has answered meanwhile, or is rung again")
NO_SERVER = gettext_noop("There was no mail server")


def plan_emails(events: Collection[SurveyEvent], *, now: datetime) -> None:
    """Those that are wanted: the campaign has a text for it, and the contact an address and nothing against it.

    For the transaction that hands out the events. Without a mail server none is, nor later when there is one.
    """
    if not events or not is_mail_possible():
        return
    campaigns = {event.contact.campaign_id for event in events}
    texts = set(EmailText.objects.filter(campaign__in=campaigns).values_list("campaign", "event"))
    EventEmail.objects.bulk_create(
        [
            EventEmail(contact=event.contact, type=event.type, occurred_at=event.occurred_at, next_try_at=now)
            for event in events
            if (event.contact.campaign_id, event.type) in texts and may_be_written_to(event.contact)
        ],
        ignore_conflicts=True,
    )


def may_be_written_to(contact: Contact) -> bool:
    """Who has asked to be left alone is not written to either."""
    return bool(contact.email) and not contact.do_not_call and contact.erased_at is None


def send_emails_for_a_while(*, clock: Clock) -> int:
    """What is due, one after the other; returns how many were sent.

    While the mail server cannot be reached none is taken up, so all of them go on waiting. Without one they are given
    up: who is thanked months later, when there is one again, wonders.
    """
    if not is_mail_possible():
        EventEmail.objects.filter(state=EmailState.WAITING).update(state=EmailState.FAILED, error=NO_SERVER)
        return 0
    with try_lock(EMAIL_LOCK) as is_only:
        return _send_emails(clock=clock) if is_only and EventEmail.objects.due(clock()).exists() else 0


def _send_emails(*, clock: Clock) -> int:
    end, sent = time.monotonic() + SLICE_SECONDS, 0
    connection = get_connection()
    try:
        connection.open()
        while email := claim_next(now=clock()):
            sent += send(connection, email, now=clock())
            if time.monotonic() >= end:
                _go_on()
                break
    except (OSError, smtplib.SMTPException) as error:
        log.warning("email.server_failed", error=f"{type(error).__name__}")
    finally:
        connection.close()
    return sent


def _go_on() -> None:
    """At once when no other job waits; else the next one by the clock does, lest there are ever more of these."""
    if get_broker().queue_size() == 0:
        async_task(TASK, group="events", save=False)


@transaction.atomic
def claim_next(*, now: datetime) -> EventEmail | None:
    """The one that has been due for longest. From its commit on nobody else sends it."""
    due = EventEmail.objects.due(now).order_by("next_try_at").select_related("contact__campaign")
    email = due.select_for_update(of=("self",), skip_locked=True, no_key=True).first()
    if email:
        email.state, email.error = EmailState.SENDING, ""
        email.save(update_fields=["state", "error"])
    return email


def send(connection: object, email: EventEmail, *, now: datetime) -> bool:
    """Whether the server has taken it.

    Raises what concerns others too: that it takes nothing at the moment, and then this one waits again, or that
    nobody can know what it has taken, and then this one stays unknown.
    """
    contact = email.contact
    text = find_text(contact, email.type)
    if text is None or not may_be_written_to(contact):
        return _fail(email, OVERTAKEN)
    # One person is not told that we missed them, and thanked.
    if email.type == EventType.NOT_REACHED and not contact.is_given_up:
        return _fail(email, NOT_GIVEN_UP)
    values = {
        "campaign": contact.campaign.name,
        "reference": contact.external_contact_id,
        "date": contact.campaign.day_for(contact.calling_zone, email.occurred_at).isoformat(),
    }
    message = EmailMessage(
        fill_in_line(text.subject, values), fill_in(text.body, values), to=[contact.email], connection=connection
    )
    try:
        message.send()
    except REFUSALS as error:
        if is_for_good(error):
            return _fail(email, _describe(error))
        _put_off(email, error, now=now)
        raise
    except ValueError as error:  # Django's, of an address or a subject that no header can have
        return _fail(email, f"{IMPOSSIBLE}: {type(error).__name__}")
    EventEmail.objects.filter(pk=email.pk).update(state=EmailState.SENT, sent_at=now)
    log.info("email.sent", email_id=str(email.pk), type=email.type)
    return True


def find_text(contact: Contact, event: str) -> EmailText | None:
    """In the language that the contact prefers, else the campaign's, else any that there is."""
    texts = {text.language: text for text in EmailText.objects.filter(campaign=contact.campaign_id, event=event)}
    wanted = [contact.preferred_language, contact.campaign.language, *texts]
    return next((texts[language] for language in wanted if language in texts), None)


def _describe(error: Refusal) -> str:
    return f"{REFUSED}: {type(error).__name__}"


def _put_off(email: EventEmail, error: Refusal, *, now: datetime) -> None:
    """It was certainly not sent. What is about all is no try of this one; others are not to wait for it for ever."""
    attempts, next_try_at = email.attempts, now
    if not is_about_all(error):
        attempts += 1
        next_try_at = find_next_try(attempts, chance=random.random(), now=now)
    if next_try_at is None:
        _fail(email, _describe(error))
        return
    EventEmail.objects.filter(pk=email.pk).update(
        state=EmailState.WAITING, attempts=attempts, next_try_at=next_try_at, error=_describe(error)
    )


def _fail(email: EventEmail, error: str) -> bool:
    EventEmail.objects.filter(pk=email.pk).update(state=EmailState.FAILED, error=error)
    log.warning("email.failed", email_id=str(email.pk), error=error)
    return False
