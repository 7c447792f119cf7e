"""When a contact is tried again, and what a change of the campaign's rules does to those who wait."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from campaigns.counting import count_some
from campaigns.lifecycle import Moved
from campaigns.models import Campaign, CampaignStatus
from campaigns.retries import find_next_try
from contacts.models import Contact, ContactState, Rearming
from contacts.waiting import announce_given_up, announce_waiting

CHUNK_SIZE = 1000

# So long whoever has saved an edit waits for it at most; a larger campaign is left to the cluster.
SECONDS_AFTER_AN_EDIT = 1.0
# A job that is over soon lets the cluster stop soon; the next one goes on.
SLICE_SECONDS = 20.0

TASK = "contacts.tasks.rearm_contacts"

BEGINNING = UUID(int=0)


def next_attempt_after(campaign: Campaign, contact: Contact, ended_at: datetime) -> datetime:
    """When to try again whoever was not reached by an attempt that ended then: in the first opening after the interval.

    The interval follows from the contact's last outcome and how often it was tried. Without any opening it is the
    interval's end: whoever claims checks the window.
    """
    delays = campaign.delays_after(contact.last_outcome)
    zones = campaign.zones_of(contact.calling_zone)
    instant = find_next_try(delays, tries=contact.attempts_count, ended_at=ended_at, zones=zones)
    return campaign.next_opening_for(contact.calling_zone, instant) or instant


def rearm_contacts(campaign: Campaign, *, now: datetime, before: Campaign | None = None) -> Moved:
    """Apply the campaign's present rules to its contacts; returns who is rung at another time than ``before``.

    To be called in the transaction in which its number of attempts, hours, days, retry intervals or zone were
    changed and saved. In it are looked at no more than a chunk, since claims pass over whoever is locked; after its
    commit all are gone through (`Rearming`) if it concerns anybody, for a second here and further by the cluster. Until
    then claims go by the new hours and number of attempts all the same.
    """
    transaction.on_commit(lambda: _follow(campaign, before, now), robust=True)
    moved = 0
    if _is_anybody_concerned(campaign, before):
        Rearming.objects.update_or_create(campaign=campaign, defaults={"done_to": BEGINNING})
        first = _read_first(campaign)
        moved = _rearm_chunk(campaign, _find_rearmable(campaign).filter(pk__in=first[:CHUNK_SIZE]), now)
        if len(first) > CHUNK_SIZE:
            return Moved(contacts=moved, is_all=False)
    return Moved(contacts=moved + (_count_shifted(campaign, before, now) if before else 0))


def _read_first(campaign: Campaign) -> list[UUID]:
    """The ids of a chunk of the campaign's contacts and of one more, if there are so many.

    Its campaign is written as a range, and stands in the order, so that it is an order of contact_of_campaign alone.
    By the id alone a planner may go through the contacts of all campaigns before it.
    """
    ids = Contact.objects.filter(campaign__gte=campaign, campaign__lte=campaign).order_by("campaign_id", "pk")
    return list(ids.values_list("pk", flat=True)[: CHUNK_SIZE + 1])


def _follow(campaign: Campaign, before: Campaign | None, now: datetime) -> None:
    """Go on after the commit. A call may have begun and ended by the former rules since these were asked about."""
    if _is_anybody_concerned(campaign, before):
        Rearming.objects.get_or_create(campaign=campaign, defaults={"done_to": BEGINNING})
        _go_on([campaign.pk], now, SECONDS_AFTER_AN_EDIT)


def rearm_for_a_while() -> str:
    """What the job does."""
    campaigns = Rearming.objects.values_list("pk", flat=True)
    return "all" if _go_on(campaigns, timezone.now(), SLICE_SECONDS) else "to be continued"


def _go_on(campaigns: Iterable[UUID], now: datetime, seconds: float) -> bool:
    """Go through the contacts of campaigns whose rules have changed; False when the time did not suffice.

    Then the cluster is asked for more. Each chunk is one transaction: whoever is killed has done it or has not.
    """
    end = time.monotonic() + seconds
    for campaign_id in campaigns:
        while _rearm_next(campaign_id, now):
            if time.monotonic() >= end:
                async_task(TASK, group="rearm")
                return False
    return True


@transaction.atomic
def _rearm_next(campaign_id: UUID, now: datetime) -> bool:
    """Go through the next chunk of a campaign; False when it is at its end, or somebody else is at it."""
    current = Rearming.objects.select_for_update(skip_locked=True).filter(pk=campaign_id).first()
    if current is None:
        return False
    campaign = current.campaign  # read later than the lock, which an edit has until its rules can be seen
    ahead = campaign.contacts.filter(pk__gt=current.done_to).order_by("pk")
    ids = list(ahead.values_list("pk", flat=True)[:CHUNK_SIZE])
    # Who is in a call as well: one that is just being ended may go by the old rules still, and its lock is waited for.
    contacts = _find_rearmable(campaign) | campaign.contacts.in_progress()
    _rearm_chunk(campaign, contacts.filter(pk__in=ids), now)
    if len(ids) < CHUNK_SIZE:
        current.delete()
        return False
    current.done_to = ids[-1]
    current.save(update_fields=["done_to"])
    return True


def _is_anybody_concerned(campaign: Campaign, before: Campaign | None) -> bool:
    """Whether somebody may wait by other rules than the present ones, told without a look at all who wait.

    Those who were tried may, and so may those who are in a call. Whoever is pending is concerned by nothing but the
    number of attempts, and in a draft not even by that: nobody of it was tried.
    """
    if Rearming.objects.filter(campaign=campaign).exists():
        return True
    if campaign.status == CampaignStatus.DRAFT:
        return False
    is_number_the_same = before is not None and before.max_attempts == campaign.max_attempts
    return not is_number_the_same or any(
        _is_anybody(campaign, state) for state in (ContactState.NOT_REACHED, ContactState.IN_PROGRESS)
    )


def _is_anybody(campaign: Campaign, state: ContactState) -> bool:
    """Whether anybody is in the state: asked as for the last of those from it to it, one probe of contact_state.

    For exists() a planner that believes in many of them reads the table until it meets one.
    """
    found = campaign.contacts.filter(state__gte=state, state__lte=state).aggregate(last=Max("state"))
    return found["last"] is not None


def _find_rearmable(campaign: Campaign) -> QuerySet[Contact]:
    tried = Q(state=ContactState.NOT_REACHED)
    # Who is due without a call behind it waits for no interval; only the number of attempts concerns it.
    pending = Q(state=ContactState.PENDING) & (Q(next_attempt_at=None) | Q(attempts_count__gte=campaign.max_attempts))
    return campaign.contacts.filter(tried | pending, do_not_call=False, number_rejected=False, erased_at=None)


def _count_shifted(campaign: Campaign, before: Campaign, now: datetime) -> int:
    """How many are due as before, and are rung when their zones open: at another time now."""
    waiting = campaign.contacts.waiting()
    shifted = [
        zone
        for _, zone in Contact.objects.find_waiting_zones([campaign.pk])
        if campaign.next_opening_for(zone, now) != before.next_opening_for(zone, now)
    ]
    due = Q(state=ContactState.PENDING, attempts_count__lt=campaign.max_attempts)
    return count_some(waiting.filter(due, calling_zone__in=shifted)) if shifted else 0


def next_attempt_of(campaign: Campaign, contact: Contact, now: datetime) -> datetime | None:
    """When a contact that is pending or not reached is to be rung by the campaign's rules; None for never again."""
    if contact.number_rejected or contact.attempts_count >= campaign.max_attempts:
        return None
    if contact.state == ContactState.PENDING:
        return contact.next_attempt_at or now
    return next_attempt_after(campaign, contact, contact.last_attempt_at or now)


def _rearm_chunk(campaign: Campaign, contacts: QuerySet[Contact], now: datetime) -> int:
    # The lock waits for calls that are just being ended or claimed, and looks at the conditions again.
    locked = contacts.order_by("pk").select_for_update(of=("self",), no_key=True)
    idle = [contact for contact in locked if contact.state != ContactState.IN_PROGRESS]
    planned = [(contact, next_attempt_of(campaign, contact, now)) for contact in idle]
    moved = {contact.pk: instant for contact, instant in planned if instant != contact.next_attempt_at}
    if moved:
        set_next_attempts(moved, now)
        announce_waiting()
    return len(moved)


def set_next_attempts(instants: Mapping[UUID, datetime | None], now: datetime) -> None:
    """Of contacts that are locked. One UPDATE from two arrays: bulk_update() takes several times as long for it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE contacts_contact SET next_attempt_at = moved.instant, updated_at = %s
            FROM unnest(%s::uuid[], %s::timestamptz[]) AS moved (id, instant)
            WHERE contacts_contact.id = moved.id
            """,
            [now, list(instants), list(instants.values())],
        )
    announce_given_up([contact for contact, instant in instants.items() if instant is None], now)
