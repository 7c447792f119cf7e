"""E-mails to contacts: never twice, so rather not at all than perhaps once more."""

import smtplib
import time
from collections.abc import Callable, Collection
from datetime import datetime

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.utils.translation import gettext_noop

from calls.events.models import EmailState, EventEmail, SurveyEvent
from campaigns.emails import fill_in, fill_in_line
from campaigns.models import EmailText
from contacts.models import Contact

log = structlog.get_logger(__name__)

SLICE_SECONDS = 20.0

# As they are stored; pages translate them.
OVERTAKEN = gettext_noop("There was no address, or no text, any more")
REFUSED = gettext_noop("The mail server refused it")
IMPOSSIBLE = gettext_noop("It cannot be written")

Clock = Callable[[], datetime]


def is_mail_possible() -> bool:
    return bool(settings.EMAIL_HOST)


def plan_emails(events: Collection[SurveyEvent]) -> None:
    """Those that are wanted: the campaign has a text for it, and the contact an address and nothing against it.

    For the transaction that hands out the events. Without a mail server none is, nor later when there is one.
    """
    if not events or not is_mail_possible():
        return
    campaigns = {event.contact.campaign_id for event in events}
    texts = set(EmailText.objects.filter(campaign__in=campaigns).values_list("campaign", "event"))
    EventEmail.objects.bulk_create(
        [
            EventEmail(contact=event.contact, type=event.type, occurred_at=event.occurred_at)
            for event in events
            if (event.contact.campaign_id, event.type) in texts and may_be_written_to(event.contact)
        ],
        ignore_conflicts=True,
    )


def may_be_written_to(contact: Contact) -> bool:
    """Who has asked to be left alone is not written to either."""
    return bool(contact.email) and not contact.do_not_call and contact.erased_at is None


def send_emails_for_a_while(*, clock: Clock) -> int:
    """What waits, one after the other; returns how many were sent.

    While the mail server cannot be reached none is taken up, so all of them go on waiting.
    """
    if not is_mail_possible() or not EventEmail.objects.filter(state=EmailState.WAITING).exists():
        return 0
    end, sent = time.monotonic() + SLICE_SECONDS, 0
    connection = get_connection()
    try:
        connection.open()
        while time.monotonic() < end and (email := claim_next()):
            sent += send(connection, email, now=clock())
    except (OSError, smtplib.SMTPException) as error:
        log.warning("email.server_failed", error=f"{type(error).__name__}")
    finally:
        connection.close()
    return sent


@transaction.atomic
def claim_next() -> EventEmail | None:
    """From its commit on nobody sends it again."""
    waiting = EventEmail.objects.filter(state=EmailState.WAITING).order_by("pk").select_related("contact__campaign")
    email = waiting.select_for_update(of=("self",), skip_locked=True, no_key=True).first()
    if email:
        email.state = EmailState.SENDING
        email.save(update_fields=["state"])
    return email


def send(connection: object, email: EventEmail, *, now: datetime) -> bool:
    """Whether the server has taken it. When nobody can know it is raised, and the e-mail stays unknown."""
    contact = email.contact
    text = find_text(contact, email.type)
    if text is None or not may_be_written_to(contact):
        return _fail(email, OVERTAKEN)
    values = {
        "campaign": contact.campaign.name,
        "reference": contact.external_contact_id,
        "date": email.occurred_at.date().isoformat(),
    }
    message = EmailMessage(
        fill_in_line(text.subject, values), fill_in(text.body, values), to=[contact.email], connection=connection
    )
    try:
        message.send()
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
        return _fail(email, f"{REFUSED}: {type(error).__name__}")
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


def _fail(email: EventEmail, error: str) -> bool:
    EventEmail.objects.filter(pk=email.pk).update(state=EmailState.FAILED, error=error)
    log.warning("email.failed", email_id=str(email.pk), error=error)
    return False
