"""When the turn of those comes who wait: counted, never read one by one."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from calls.caps import Caps, write_capped
from contacts.arrays import write_array


class Turn(NamedTuple):
    """People of one calling zone who were tried equally often and come up within the same quarter of an hour.

    ``first_at`` is when the first of them may be rung again as far as intervals and caps go, ``all_by`` when all of
    them may; both are now for whoever is due, and None for those who are in a call.
    """

    calling_zone: str
    tries: int
    first_at: datetime | None
    all_by: datetime | None
    people: int


def count_turns(campaigns: Collection[UUID], caps: Caps, *, now: datetime) -> dict[UUID, list[Turn]]:
    """Of each campaign those who wait and those who are in a call; reads all of them, so it takes a while.

    Whoever was rung as often as the caps allow, in whichever campaign, has no turn before that is over.
    """
    capped, values = write_capped("SELECT phone_number FROM wanted", caps, now)
    sql = f"""
        WITH wanted AS NOT MATERIALIZED (
            SELECT * FROM contacts_contact WHERE campaign_id = ANY (%s::uuid[]) AND next_attempt_at IS NOT NULL
        ), turn AS (
            SELECT campaign_id, calling_zone, attempts_count, greatest(next_attempt_at, until, %s) AS at
            FROM wanted LEFT JOIN ({capped}) AS capped ON number = phone_number
        )
        SELECT campaign_id, calling_zone, attempts_count, min(at), CASE WHEN at <= %s THEN at ELSE
            date_bin('15 minutes', at - interval '1 microsecond', '1970-01-01Z') + interval '15 minutes' END, count(*)
        FROM turn GROUP BY 1, 2, 3, 5
        UNION ALL
        SELECT campaign_id, calling_zone, attempts_count, NULL, NULL, count(*)
        FROM contacts_contact WHERE campaign_id = ANY (%s::uuid[]) AND state = 'in_progress' GROUP BY 1, 2, 3
    """
    ids = write_array(campaigns)
    turns: dict[UUID, list[Turn]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(sql, [ids, now, *values, now, ids])
        for campaign, *turn in cursor.fetchall():
            turns[campaign].append(Turn(*turn))
    return turns
