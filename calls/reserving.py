"""Of the contacts that a claim has chosen: which may be called after all, locked and written down as attempts."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from calls import pacing
from calls.lanes import Openings, longest_way
from calls.models import CallAttempt
from calls.statements import Columns, Statement, write_array
from campaigns.models import Campaign, version_of
from contacts.exclusion import exclude_contacts
from contacts.models import Contact

_CONTACT_COLUMNS = Columns("contact", "id", "campaign_id", "phone_number", "calling_zone", "attempts_count")
_LOCK_DUE = Statement(
    "lock_due",
    "uuid[], timestamptz",
    f"""
    SELECT {_CONTACT_COLUMNS}, {version_of("campaign")},
        EXISTS (SELECT FROM contacts_donotcallentry AS entry WHERE entry.phone_number = contact.phone_number)
    FROM contacts_contact AS contact JOIN campaigns_campaign AS campaign ON campaign.id = contact.campaign_id
    WHERE contact.id = ANY ($1) AND contact.next_attempt_at <= $2
    FOR UPDATE OF contact SKIP LOCKED
    """,
)


def reserve(
    chosen: Sequence[UUID],
    starts: Sequence[datetime],
    *,
    open_calls: Mapping[UUID, int],
    campaigns: Mapping[UUID, Campaign],
    openings: Openings,
) -> list[CallAttempt]:
    """Attempts for the chosen contacts, in their order, but for those that may not be called, however they were chosen.

    Campaigns are taken as they are now: ``campaigns`` are what was known of them, and those that were changed since are
    read anew. Contacts who should not have been waiting at all, because their number is on the do-not-call list or
    their attempts are used up, are taken out for good, so that the next claim does not meet them again.
    """
    callable_contacts = _lock_callable(chosen, campaigns, openings.now)
    deadlines = _find_deadlines({(contact.campaign, contact.calling_zone) for contact in callable_contacts}, openings)
    allowed = []
    calls = Counter(open_calls)
    for contact in callable_contacts:
        limit = contact.campaign.max_concurrent_calls
        has_room = limit is None or calls[contact.campaign_id] < limit
        if has_room and (contact.campaign, contact.calling_zone) in deadlines:
            calls[contact.campaign_id] += 1
            allowed.append(contact)
    send_before = [deadlines[contact.campaign, contact.calling_zone] for contact in allowed]
    return CallAttempt.objects.create_attempts(allowed, starts, send_before, now=openings.now)


def send_deadline() -> timedelta:
    """So long after its claim a call may be sent."""
    return timedelta(seconds=settings.CALL_SEND_DEADLINE_SECONDS)


def _lock_callable(chosen: Sequence[UUID], known: Mapping[UUID, Campaign], now: datetime) -> list[Contact]:
    """In their order, with their campaigns as they are now; whoever is locked by somebody else is left out."""
    found = _lock_due(chosen, now) if chosen else []
    campaigns = _refresh(known, {contact.campaign_id: version for contact, version, _ in found}, now)
    contacts: dict[UUID, Contact] = {}
    listed, used_up = set(), set()
    for contact, _, is_listed in found:
        campaign = campaigns.get(contact.campaign_id)
        if is_listed:
            listed.add(contact.pk)
        elif campaign and contact.attempts_count >= campaign.max_attempts:
            used_up.add(contact.pk)
        elif campaign:
            contact.campaign = campaign
            contacts[contact.pk] = contact
    if listed:
        exclude_contacts(Contact.objects.filter(pk__in=listed))
    if used_up:
        Contact.objects.filter(pk__in=used_up).update(next_attempt_at=None)
    return [contacts[pk] for pk in chosen if pk in contacts]


def _lock_due(chosen: Sequence[UUID], now: datetime) -> list[tuple[Contact, str, bool]]:
    """Those that are due, each with the version of its campaign, and whether its number is on the do-not-call list."""
    rows = map(iter, _LOCK_DUE.fetch_all(write_array(chosen), now))
    return [(_CONTACT_COLUMNS.make(Contact, row), *row) for row in rows]


def _refresh(known: Mapping[UUID, Campaign], versions: Mapping[UUID, str], now: datetime) -> dict[UUID, Campaign]:
    """Those that may ring, as they are now: of those that were changed since they became known a new reading."""
    same = {pk: known[pk] for pk, version in versions.items() if pk in known and known[pk].version == version}
    changed = versions.keys() - same.keys()
    return same | (Campaign.objects.dialling(now).in_bulk(changed) if changed else {})


def _find_deadlines(lanes: Set[tuple[Campaign, str]], openings: Openings) -> dict[tuple[Campaign, str], datetime]:
    """Until when a call of each lane that is open may be sent: no later than it may still ring."""
    usual, last = openings.now + send_deadline(), openings.now + pacing.LAST_CALL
    return {
        (campaign, zone): usual if openings.is_open_at(campaign, zone, usual + longest_way()) else last
        for campaign, zone in lanes
        if openings.is_open(campaign, zone)
    }
