"""What is kept no longer than RETENTION_DAYS: the people of campaigns that are over, and what else tells of people."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple
from uuid import UUID

import structlog
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django_q.tasks import async_task

from calls.erasure import anonymise, people_erased
from campaigns.counting import say_count
from campaigns.history import in_language_of_the_record
from campaigns.models import Campaign, CampaignStatus
from contacts.models import Contact, ContactState, ImportRefusal

log = structlog.get_logger(__name__)

# A job that is over soon lets the cluster stop soon; the next one goes on.
SLICE_SECONDS = 20.0
CHUNK_SIZE = 1000

TASK = "calls.tasks.erase_expired"


class Expired(NamedTuple):
    contacts: int = 0
    calls: int = 0
    refused_rows: int = 0
    sign_ins: int = 0
    is_all: bool = True

    def __str__(self) -> str:
        text = _("%(contacts)s contacts, %(calls)s calls, %(rows)s refused rows and %(sign_ins)s records of sign-ins")
        return text % {
            "contacts": say_count(self.contacts),
            "calls": say_count(self.calls),
            "rows": say_count(self.refused_rows),
            "sign_ins": say_count(self.sign_ins),
        }


def erase_for_a_while(*, now: datetime) -> str:
    """What the daily job does: erase what has expired, and ask for the next job if that was not all."""
    days = settings.RETENTION_DAYS
    if days is None:
        with in_language_of_the_record():
            return _("Everything is kept: RETENTION_DAYS is not set.")
    end = time.monotonic() + SLICE_SECONDS
    expired = erase_expired(now - timedelta(days=days), now=now, is_over=lambda: time.monotonic() >= end)
    if not expired.is_all:
        async_task(TASK, group="retention")
    with in_language_of_the_record():
        return _("%(records)s erased") % {"records": expired}


def erase_expired(before: datetime, *, now: datetime, is_over: Callable[[], bool] = lambda: False) -> Expired:
    """Erase who is in no campaign since then, chunk by chunk until it ``is_over``; do-not-call entries stay.

    A campaign has ended when it is completed or cancelled, and the end is when its row was last written: with its last
    step, or with an edit after that. A contact that was written later, by an import or the end of a call, stays.

    Each chunk is one transaction, with the line of it in the audit: whoever is killed has erased it or has not, and the
    next run goes on.
    """
    contacts = calls = rows = 0
    is_all = True
    for campaign_id, chunk in _read_chunks(before):
        if is_over():
            is_all = False
            break
        erased, ended_calls = _erase_chunk(campaign_id, chunk, before, now)
        contacts, calls = contacts + erased, calls + ended_calls
    while is_all and (deleted := _delete_refused_rows(before)):
        rows += deleted
        is_all = not is_over()
    sign_ins = _delete_sign_ins(before)
    expired = Expired(contacts, calls, rows, sign_ins, is_all)
    if any(expired[:4]):
        log.info("retention.erased", contacts=contacts, calls=calls, refused_rows=rows, sign_ins=sign_ins)
    return expired


def _over(before: datetime) -> dict[str, object]:
    return {"status__in": [CampaignStatus.COMPLETED, CampaignStatus.CANCELLED], "updated_at__lt": before}


def _read_chunks(before: datetime) -> Iterator[tuple[UUID, list[UUID]]]:
    """The contacts of one campaign after the other, through a cursor of the server: a campaign may have millions."""
    for campaign_id in list(Campaign.objects.filter(**_over(before)).order_by("pk").values_list("pk", flat=True)):
        known = Contact.objects.filter(campaign=campaign_id, erased_at=None, updated_at__lt=before)
        idle = known.exclude(state=ContactState.IN_PROGRESS).order_by().values_list("pk", flat=True)
        ids = idle.iterator(chunk_size=CHUNK_SIZE)
        while chunk := list(islice(ids, CHUNK_SIZE)):
            yield campaign_id, chunk


@transaction.atomic
def _erase_chunk(campaign_id: UUID, chunk: list[UUID], before: datetime, now: datetime) -> tuple[int, int]:
    """How many contacts and calls; none when the campaign is not over any more."""
    # Locked, so that nobody activates it until the commit.
    if not Campaign.objects.select_for_update(no_key=True).filter(pk=campaign_id, **_over(before)).exists():
        return 0, 0
    contacts = list(Contact.objects.filter(pk__in=chunk, erased_at=None, updated_at__lt=before))
    calls = anonymise(contacts, now=now)
    _announce(Expired(contacts=len(contacts), calls=calls))
    return len(contacts), calls


@transaction.atomic
def _delete_refused_rows(before: datetime) -> int:
    """The next of them; what became of the rows of an import is still counted in its record."""
    old = ImportRefusal.objects.filter(contact_import__ended_at__lt=before).order_by()
    deleted, _models = ImportRefusal.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:CHUNK_SIZE])).delete()
    _announce(Expired(refused_rows=deleted))
    return deleted


@transaction.atomic
def _delete_sign_ins(before: datetime) -> int:
    models = (AccessAttempt, AccessLog, AccessFailureLog)
    deleted = sum(model.objects.filter(attempt_time__lt=before).delete()[0] for model in models)
    _announce(Expired(sign_ins=deleted))
    return deleted


def _announce(expired: Expired) -> None:
    if any(expired[:4]):
        with in_language_of_the_record():
            message = _("By the period of retention: %(records)s.") % {"records": expired}
        people_erased.send(sender=Contact, message=message)
