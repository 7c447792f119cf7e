"""Of the contacts that a claim has chosen: which may be called after all, locked and written down as attempts."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from calls import pacing
from calls.caps import Caps, find_capped, put_off
from calls.lanes import Openings, longest_way, send_deadline
from calls.models import CallAttempt
from calls.statements import Columns, Statement
from campaigns.models import Campaign, version_of
from contacts.arrays import write_array
from contacts.exclusion import exclude_contacts, numbers_kept_as_hashes
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
    FOR NO KEY UPDATE OF contact SKIP LOCKED
    """,
)


class Reservation(NamedTuple):
    """``missed`` are the contacts that somebody else has locked, or had just before.

    ``is_as_known``: no campaign was changed, and no window has closed, since the contacts were chosen.
    """

    attempts: list[CallAttempt]
    missed: Set[UUID]
    is_as_known: bool


def reserve(
    chosen: Sequence[UUID],
    starts: Sequence[datetime],
    *,
    open_calls: Mapping[UUID, int],
    campaigns: Mapping[UUID, Campaign],
    openings: Openings,
    caps: Caps,
) -> Reservation:
    """Attempts for the chosen contacts, in their order, but for those that may not be called, however they were chosen.

    Campaigns are taken as they are now: ``campaigns`` are what was known of them, and those that were changed since are
    read anew. Contacts who should not have been waiting at all, because their number is on the do-not-call list or
    their attempts are used up, are taken out for good, so that the next claim does not meet them again; those whose
    number was rung as often as the ``caps`` allow are put off.
    """
    found = _lock_due(chosen, openings.now) if chosen else []
    versions = {contact.campaign_id: version for contact, version, _ in found}
    current = _refresh(campaigns, versions, openings.now)
    contacts = _put_off(_take_out(found, current), caps, openings.now)
    lanes = {(contact.campaign, contact.calling_zone) for contact in contacts.values()}
    deadlines = _find_deadlines(lanes, openings)
    allowed = []
    calls = Counter(open_calls)
    for contact in (contacts[pk] for pk in chosen if pk in contacts):
        limit = contact.campaign.max_concurrent_calls
        has_room = limit is None or calls[contact.campaign_id] < limit
        if has_room and (contact.campaign, contact.calling_zone) in deadlines:
            calls[contact.campaign_id] += 1
            allowed.append(contact)
    send_before = [deadlines[contact.campaign, contact.calling_zone] for contact in allowed]
    attempts = CallAttempt.objects.create_attempts(allowed, starts, send_before, now=openings.now)
    are_campaigns_as_known = all(current.get(pk) is campaigns.get(pk) for pk in versions)
    return Reservation(
        attempts,
        missed=set(chosen) - {contact.pk for contact, _, _ in found},
        is_as_known=are_campaigns_as_known and len(deadlines) == len(lanes),
    )


def _lock_due(chosen: Sequence[UUID], now: datetime) -> list[tuple[Contact, str, bool]]:
    """Those that are due and locked by nobody, each with the version of its campaign, and whether its number is on the
    do-not-call list.
    """
    rows = map(iter, _LOCK_DUE.fetch_all(write_array(chosen), now))
    return [(_CONTACT_COLUMNS.make(Contact, row), *row) for row in rows]


def _refresh(known: Mapping[UUID, Campaign], versions: Mapping[UUID, str], now: datetime) -> dict[UUID, Campaign]:
    """Those that may ring, as they are now: of those with another version than the known one a new reading."""
    same = {pk: known[pk] for pk, version in versions.items() if pk in known and known[pk].version == version}
    changed = versions.keys() - same.keys()
    return same | (Campaign.objects.dialling(now).in_bulk(changed) if changed else {})


def _take_out(found: Sequence[tuple[Contact, str, bool]], campaigns: Mapping[UUID, Campaign]) -> dict[UUID, Contact]:
    """The contacts that may be rung in their campaigns; takes those out that should not have been waiting."""
    callable_ones = {}
    listed, used_up = [], []
    hashed = numbers_kept_as_hashes(contact.phone_number for contact, _, _ in found)
    for contact, _, is_listed in found:
        campaign = campaigns.get(contact.campaign_id)
        if is_listed or contact.phone_number in hashed:
            listed.append(contact.pk)
        elif campaign and contact.attempts_count >= campaign.max_attempts:
            used_up.append(contact.pk)
        elif campaign:
            contact.campaign = campaign
            callable_ones[contact.pk] = contact
    if listed:
        exclude_contacts(Contact.objects.filter(pk__in=listed))
    if used_up:
        Contact.objects.filter(pk__in=used_up).update(next_attempt_at=None)
    return callable_ones


def _put_off(contacts: dict[UUID, Contact], caps: Caps, now: datetime) -> dict[UUID, Contact]:
    """The contacts that may be rung by the caps; the others come up again later."""
    until = find_capped([contact.phone_number for contact in contacts.values()], caps, now)
    if until:
        put_off([contact for contact in contacts.values() if contact.phone_number in until], until, caps, now)
    return {pk: contact for pk, contact in contacts.items() if contact.phone_number not in until}


def _find_deadlines(lanes: Set[tuple[Campaign, str]], openings: Openings) -> dict[tuple[Campaign, str], datetime]:
    """Until when a call of each lane that is open may be sent: no later than it may still ring."""
    usual, last = openings.now + send_deadline(), openings.now + pacing.LAST_CALL
    return {
        (campaign, zone): usual if openings.is_open_at(campaign, zone, usual + longest_way()) else last
        for campaign, zone in lanes
        if openings.is_open(campaign, zone)
    }
