"""How often one number may be rung, over all campaigns: so many times in any 24 hours, and in any seven days.

Not by the calendar, whose days depend on the zone: whoever keeps to these keeps to every calendar. Counted are the
attempts from their claims on, but for those that never rang.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from calls.statements import Statement
from campaigns.models import Campaign
from contacts.arrays import write_array
from contacts.models import Contact
from contacts.rearming import set_next_attempts

DAY, WEEK = timedelta(hours=24), timedelta(days=7)

# Of the same lane so many more are looked at as soon as one is met: a list that was rung yesterday is rung today, and
# nobody else would be if they were put off as they are met.
LOOKED_AHEAD = 1000

# Of each number the attempt that must have become old enough before another may follow.
_NTH_LAST = """
    SELECT number, nth.claimed_at + interval '{span}' AS until
    FROM unnest($1) AS number CROSS JOIN LATERAL (
        SELECT claimed_at FROM calls_callattempt WHERE phone_number = number AND NOT given_back
        ORDER BY id DESC OFFSET {calls} - 1 LIMIT 1
    ) AS nth
    WHERE {calls} IS NOT NULL
"""
_FIND_CAPPED = Statement(
    "find_capped",
    "text[], timestamptz, integer, integer",
    f"""
    SELECT number, max(until) FROM (
        {_NTH_LAST.format(span="24 hours", calls="$3")} UNION ALL {_NTH_LAST.format(span="168 hours", calls="$4")}
    ) AS capped
    WHERE until > $2 GROUP BY number
    """,
)


class Caps(NamedTuple):
    """None is any number of times."""

    per_day: int | None = None
    per_week: int | None = None

    @property
    def limits(self) -> list[tuple[int, timedelta]]:
        """So many calls in so long a time at most."""
        return [(calls, span) for calls, span in ((self.per_day, DAY), (self.per_week, WEEK)) if calls is not None]


def find_capped(numbers: Iterable[str], caps: Caps, now: datetime) -> dict[str, datetime]:
    """Those of the numbers that were rung as often as they may be, and until when that is so."""
    if caps == Caps():
        return {}
    return dict(_FIND_CAPPED.fetch_all(write_array(numbers), now, *caps))


def write_capped(numbers: str, caps: Caps, now: datetime) -> tuple[str, list[Any]]:
    """SQL, and its values, for what find_capped() tells, of all the numbers that a query gives.

    To look for each of them takes seconds when there are very many; here it is left to the planner whether all calls
    of the week are read instead.
    """
    if not caps.limits:
        return "SELECT NULL AS number, NULL::timestamptz AS until WHERE false", []
    nth_last = "SELECT phone_number, claimed_at + %s AS until FROM call WHERE place = %s"
    sql = f"""
        WITH call AS (
            SELECT phone_number, claimed_at, row_number() OVER (PARTITION BY phone_number ORDER BY id DESC) AS place
            FROM calls_callattempt
            WHERE claimed_at > %s AND NOT given_back AND phone_number IN ({numbers})
        )
        SELECT phone_number AS number, max(until) AS until
        FROM ({" UNION ALL ".join([nth_last] * len(caps.limits))}) AS nth GROUP BY phone_number
    """
    longest = max(span for _, span in caps.limits)
    return sql, [now - longest, *(value for calls, span in caps.limits for value in (span, calls))]


class Waiting(NamedTuple):
    """Somebody who waits; ``due_at`` as far as the campaign's own intervals go."""

    calling_zone: str
    phone_number: str
    due_at: datetime


class NextCall(NamedTuple):
    at: datetime
    is_capped: bool  # the caps are why it is no sooner


def find_next_calls(campaign: Campaign, waiting: Sequence[Waiting], caps: Caps, now: datetime) -> list[NextCall]:
    """When each of these of a campaign may be rung at the earliest. Of those who were put off already the caps are why.

    Who is held by no cap is due when it says, whether anything is open then or not.
    """
    until = find_capped([one.phone_number for one in waiting], caps, now)
    calls = []
    for one in waiting:
        capped = one.phone_number in until
        again = _find_turn(campaign, one.calling_zone, until[one.phone_number]) if capped else one.due_at
        calls.append(NextCall(max(again, one.due_at), capped and again >= one.due_at))
    return calls


def put_off(contacts: Collection[Contact], until: Mapping[str, datetime], caps: Caps, now: datetime) -> None:
    """See that these, who are locked and capped, come up again when they may be rung, and so do those behind them.

    Of each contact its campaign is taken as it is set.
    """
    instants = {
        contact.pk: _find_turn(contact.campaign, contact.calling_zone, until[contact.phone_number])
        for contact in contacts
    }
    for campaign, zone in {(contact.campaign, contact.calling_zone) for contact in contacts}:
        instants |= _look_ahead(campaign, zone, caps, now)
    set_next_attempts(instants, now)


def _look_ahead(campaign: Campaign, calling_zone: str, caps: Caps, now: datetime) -> dict[UUID, datetime]:
    due = Contact.objects.filter(campaign=campaign, calling_zone=calling_zone).due(now)
    first = due.order_by("next_attempt_at", "pk").only("phone_number", "calling_zone")[:LOOKED_AHEAD]
    behind = list(first.select_for_update(skip_locked=True, no_key=True, of=("self",)))
    until = find_capped([contact.phone_number for contact in behind], caps, now)
    return {
        contact.pk: _find_turn(campaign, calling_zone, until[contact.phone_number])
        for contact in behind
        if contact.phone_number in until
    }


def _find_turn(campaign: Campaign, calling_zone: str, until: datetime) -> datetime:
    return campaign.next_opening_for(calling_zone, until) or until
