"""Lanes: the contacts of one campaign in one calling zone, which open and close together.

A campaign's contacts are never read as a whole. What a claim costs follows from the number of lanes with
somebody waiting, not from how many wait in them or how many of them are asleep in closed zones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from calls.pacing import LAST_CALL
from campaigns.models import Campaign
from campaigns.windows import CallingHours, is_open, next_opening
from contacts.arrays import write_array
from contacts.models import Contact

# Where a lane begins: before every contact.
_BEGINNING = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


@dataclass(kw_only=True)
class Lane:
    """``resume_at`` is the place (due at, contact) of the last one who was claimed with all before him."""

    campaign: Campaign
    calling_zone: str
    is_open: bool
    heads: list[tuple[UUID, str, datetime]] = field(default_factory=list)  # (contact, number, due at)
    resume_at: tuple[datetime, UUID] = _BEGINNING

    def resume_after(self, claimed: set[UUID]) -> None:
        """Begin to read, next time, behind those who were claimed. Nobody who was not claimed is passed over."""
        for contact, _, due_at in self.heads:
            if contact not in claimed:
                break
            self.resume_at = (due_at, contact)


class Openings:
    """What is open at one instant, worked out once for all campaigns with the same hours."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._last = now + LAST_CALL + longest_way()
        self._open: dict[tuple[CallingHours, tuple[str, ...], tuple[datetime, ...]], bool] = {}
        self._next: dict[tuple[CallingHours, tuple[str, ...]], datetime | None] = {}

    def is_open(self, campaign: Campaign, calling_zone: str) -> bool:
        """Now, and still when the last call that is claimed now may reach the provider."""
        return self.is_open_at(campaign, calling_zone, self.now, self._last)

    def is_open_at(self, campaign: Campaign, calling_zone: str, *instants: datetime) -> bool:
        """At all of these instants."""
        if campaign.ends_at is not None and campaign.ends_at <= max(instants):
            return False
        key = hours, zones, _ = campaign.hours, tuple(campaign.zones_of(calling_zone)), instants
        if key not in self._open:
            self._open[key] = all(is_open(hours, zones, instant) for instant in instants)
        return self._open[key]

    def next_opening(self, campaign: Campaign, calling_zone: str) -> datetime | None:
        key = hours, zones = campaign.hours, tuple(campaign.zones_of(calling_zone))
        if key not in self._next:
            self._next[key] = next_opening(hours, zones, self.now)
        return campaign.unless_ended(self._next[key])


def find_lanes(campaigns: Sequence[Campaign], openings: Openings) -> list[Lane]:
    """Every lane of the campaigns in which somebody waits."""
    by_id = {campaign.pk: campaign for campaign in campaigns}
    lanes = Contact.objects.find_waiting_zones(by_id)
    return [
        Lane(campaign=by_id[pk], calling_zone=zone, is_open=openings.is_open(by_id[pk], zone)) for pk, zone in lanes
    ]


def send_deadline() -> timedelta:
    """How long after its claim a call may be sent."""
    return timedelta(seconds=settings.CALL_SEND_DEADLINE_SECONDS)


def longest_way() -> timedelta:
    """How long after it was sent a call may reach the provider."""
    return timedelta(seconds=settings.TWILIO_CONNECT_TIMEOUT_SECONDS)


def read_heads(lanes: Sequence[Lane], wanted: int, *, besides: Sequence[str]) -> None:
    """Set the ``wanted`` contacts of each campaign that come first in these lanes, from where each resumes, due or not.

    Those of the numbers ``besides`` are left out.

    The numbers are those in calls. They are as few as the lines, so few rows are passed over. To look for them here
    would be to trust the planner with an index that may be full of the dead entries of calls that have ended.
    """
    sql = """
        SELECT position, id, phone_number, next_attempt_at
        FROM (
            SELECT lane.position, head.*,
                row_number() OVER (PARTITION BY lane.campaign_id ORDER BY head.next_attempt_at, head.id) AS place
            FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::uuid[])
                WITH ORDINALITY AS lane(campaign_id, zone, resume_at, resume_id, position)
            CROSS JOIN LATERAL (
                SELECT contact.id, contact.phone_number, contact.next_attempt_at
                FROM contacts_contact contact
                WHERE contact.campaign_id = lane.campaign_id AND contact.calling_zone = lane.zone
                  AND contact.next_attempt_at IS NOT NULL
                  AND (contact.next_attempt_at, contact.id) >= (lane.resume_at, lane.resume_id)
                  AND contact.phone_number <> ALL (%s::text[])
                ORDER BY contact.next_attempt_at, contact.id
                LIMIT %s
            ) AS head
        ) AS first
        WHERE place <= %s
        ORDER BY place
    """
    places = [
        write_array(lane.campaign.pk for lane in lanes),
        [lane.calling_zone for lane in lanes],
        write_array(lane.resume_at[0] for lane in lanes),
        write_array(lane.resume_at[1] for lane in lanes),
    ]
    for lane in lanes:
        lane.heads = []
    with connection.cursor() as cursor:
        cursor.execute(sql, [*places, list(besides), wanted, wanted])
        for position, *head in cursor.fetchall():
            lanes[position - 1].heads.append(tuple(head))


def find_next_change(lanes: Sequence[Lane], openings: Openings, now: datetime) -> datetime | None:
    """The first instant at which somebody becomes due in an open window, or a window opens."""
    due = [lane.heads[0][2] for lane in lanes if lane.heads]
    next_openings = [openings.next_opening(lane.campaign, lane.calling_zone) for lane in lanes if not lane.is_open]
    return min((instant for instant in due + next_openings if instant and instant > now), default=None)
