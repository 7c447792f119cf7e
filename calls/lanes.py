"""Lanes: the contacts of one campaign in one calling zone, which open and close together.

A campaign's contacts are never read as a whole. What a claim costs follows from the number of lanes with
somebody waiting, not from how many wait in them or how many of them are asleep in closed zones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from calls.pacing import LAST_CALL
from campaigns.models import Campaign


@dataclass(kw_only=True)
class Lane:
    campaign: Campaign
    calling_zone: str
    is_open: bool
    heads: list[tuple[UUID, str, datetime]] = field(default_factory=list)  # (contact, number, due at)


def find_lanes(campaigns: Sequence[Campaign], now: datetime) -> list[Lane]:
    """Every lane of the campaigns in which somebody waits.

    Goes from one calling zone to the next through the index contact_lane, one probe each, so that it costs the
    same whether ten or a million contacts wait in a zone.
    """
    by_id = {campaign.pk: campaign for campaign in campaigns}
    next_zone = """
        SELECT min(contact.calling_zone) FROM contacts_contact contact
        WHERE contact.campaign_id = {campaign} AND contact.next_attempt_at IS NOT NULL {after}
    """
    first = next_zone.format(campaign="wanted.campaign_id", after="")
    following = next_zone.format(campaign="lane.campaign_id", after="AND contact.calling_zone > lane.zone")
    sql = f"""
        WITH RECURSIVE lane(campaign_id, zone) AS (
            SELECT wanted.campaign_id, ({first}) FROM unnest(%s::uuid[]) AS wanted(campaign_id)
            UNION ALL
            SELECT lane.campaign_id, ({following}) FROM lane WHERE lane.zone IS NOT NULL
        )
        SELECT campaign_id, zone FROM lane WHERE zone IS NOT NULL
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(by_id)])
        rows = cursor.fetchall()
    return [Lane(campaign=by_id[pk], calling_zone=zone, is_open=_is_open(by_id[pk], zone, now)) for pk, zone in rows]


def longest_way() -> timedelta:
    """How long after it was sent a call may reach the provider."""
    return timedelta(seconds=settings.TWILIO_CONNECT_TIMEOUT_SECONDS)


def _is_open(campaign: Campaign, calling_zone: str, now: datetime) -> bool:
    """Now, and still when the last call that is claimed now may reach the provider."""
    last = now + LAST_CALL + longest_way()
    return campaign.is_open_for(calling_zone, now) and campaign.is_open_for(calling_zone, last)


def read_heads(lanes: Sequence[Lane], wanted: int) -> None:
    """Fill in the first ``wanted`` contacts of each lane, due or not, whose number is in no call.

    The numbers in calls are as few as the lines, so few rows are passed over.
    """
    sql = """
        SELECT lane.position, head.id, head.phone_number, head.next_attempt_at
        FROM unnest(%s::uuid[], %s::text[]) WITH ORDINALITY AS lane(campaign_id, zone, position)
        CROSS JOIN LATERAL (
            SELECT contact.id, contact.phone_number, contact.next_attempt_at
            FROM contacts_contact contact
            WHERE contact.campaign_id = lane.campaign_id AND contact.calling_zone = lane.zone
              AND contact.next_attempt_at IS NOT NULL
              AND NOT EXISTS (
                  SELECT FROM calls_callattempt attempt
                  WHERE attempt.phone_number = contact.phone_number AND NOT attempt.status = 'ended'
              )
            ORDER BY contact.next_attempt_at, contact.id
            LIMIT %s
        ) head
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [[lane.campaign.pk for lane in lanes], [lane.calling_zone for lane in lanes], wanted])
        for position, *head in cursor.fetchall():
            lanes[position - 1].heads.append(tuple(head))


def find_next_change(lanes: Sequence[Lane], now: datetime) -> datetime | None:
    """The first instant at which somebody becomes due in an open window, or a window opens."""
    due = [lane.heads[0][2] for lane in lanes if lane.heads]
    openings = [lane.campaign.next_opening_for(lane.calling_zone, now) for lane in lanes if not lane.is_open]
    return min((instant for instant in due + openings if instant and instant > now), default=None)
