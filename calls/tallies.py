"""How many attempts ended how and when: kept for those that are over, counted for the last ones.

Attempts are numbered in time (uuid7), so the mark is an id: those up to it are in the tallies, those behind it are
few and are counted when somebody asks. Their ids are dated by the machines that claimed them, their tallies by the
database.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, models, transaction

from calls.metrics.counting import GIVEN_BACK
from calls.models import CallAttempt, CampaignTally, SiteTally, TallyMark
from campaigns.models import Campaign
from campaigns.windows import load_zone
from contacts.arrays import write_array
from contacts.models import CallOutcome

QUARTER = timedelta(minutes=15)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# How far behind the database's clock that of a machine may be: what it numbers before the mark is never counted. For
# as long after its end an outcome may be corrected (`outcomes.decide`).
MARGIN = timedelta(minutes=2)

# One transaction each. A job of so many takes a quarter of a minute, and counts more calls than a minute can have.
CHUNK = 1000
CHUNKS_OF_A_JOB = 100

# When the mark is further behind no job moves it on, or it has much to do: whoever asks for tallies helps a little.
BACKLOG = timedelta(minutes=30)
CHUNKS_OF_A_PAGE = 2

# Of those behind the mark so many are counted at most, the newest ones.
MOST_LIVE = 100_000

_ANSWERED = (CallOutcome.COMPLETED.value, CallOutcome.REFUSED.value)
_LAST_OF_ALL = "SELECT * FROM calls_callattempt WHERE id > %s ORDER BY id DESC LIMIT %s"
_LAST_OF_EACH = """
    SELECT attempt.* FROM unnest(%s::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT * FROM calls_callattempt WHERE campaign_id = wanted.id AND id > %s ORDER BY id DESC LIMIT %s
    ) AS attempt
"""
# Looked up one by one: a join might read all contacts for it.
_ZONE = "(SELECT calling_zone FROM contacts_contact WHERE id = contact_id)"

_COLUMNS = (
    *("claimed_at", "ended_at", "answered_at", "outcome", "given_back", "attempt_number"),
    *("campaign__time_zone", "contact__calling_zone"),
)
_KEYS = {SiteTally: ("began", "outcome")}
_KEYS[CampaignTally] = (*_KEYS[SiteTally], "campaign_id", "attempt_number", "local_hour")
_TYPES = {"began": "timestamptz", "outcome": "text", "campaign_id": "uuid"}


class Count(NamedTuple):
    """Attempts of the quarter that began then and ended in the same way; those of a campaign also by who was rung.

    An empty outcome is still to come.
    """

    began: datetime
    outcome: str
    attempts: int
    answered: int
    campaign: UUID | None = None
    attempt_number: int = 0
    local_hour: int = 0

    @property
    def rang(self) -> bool:
        """Whether they tell anything about people: they are over, and nobody took them back before they rang."""
        return self.outcome not in ("", GIVEN_BACK)


class Counts(NamedTuple):
    """``are_all`` is false when more attempts are behind the mark than are counted there."""

    counts: list[Count]
    are_all: bool


def smallest_id(instant: datetime) -> UUID:
    """Smaller than every uuid7 of this millisecond or a later one, greater than those of earlier ones."""
    return UUID(int=max(0, (instant - EPOCH) // timedelta(milliseconds=1)) << 80)


def find_quarter(instant: datetime) -> datetime:
    """When the quarter of an hour began that it lies in."""
    return instant - (instant - EPOCH) % QUARTER


def count_over(*, now: datetime, chunks: int = CHUNKS_OF_A_JOB) -> int:
    """Count the attempts that are over into the tallies, each exactly once; returns how many.

    Chunk by chunk, with the mark in the same transaction: whoever is killed has counted a chunk or has not. Whoever
    finds the mark locked leaves the work to its holder.
    """
    counted = 0
    for _ in range(chunks):
        attempts = _count_chunk(now)
        counted += attempts
        if attempts < CHUNK:
            break
    return counted


def read_site(since: datetime, *, now: datetime) -> Counts:
    """Of all campaigns together, from the beginning of a quarter on."""
    mark, kept = _read_kept(SiteTally, "tally.began >= %s", [since], now)
    rows = _count_live(_LAST_OF_ALL, [max(mark, smallest_id(since - MARGIN)), MOST_LIVE], [])
    live = [Count(*row) for row in rows if row[0] >= since]
    return Counts(kept + live, sum(attempts for _, _, attempts, _ in rows) < MOST_LIVE)


def read_campaigns(campaigns: Collection[Campaign], *, since: datetime = EPOCH, now: datetime) -> Counts:
    """Of these campaigns, from the beginning of a quarter on."""
    zones = {campaign.pk: campaign.time_zone for campaign in campaigns}
    ids = write_array(zones)
    mark, kept = _read_kept(
        CampaignTally, "tally.campaign_id = ANY (%s::uuid[]) AND tally.began >= %s", [ids, since], now
    )
    most = MOST_LIVE // max(1, len(zones))
    behind = [ids, max(mark, smallest_id(since - MARGIN)), most]
    live, found = [], Counter[UUID]()
    for *counted, zone in _count_live(_LAST_OF_EACH, behind, ["campaign_id", "attempt_number", _ZONE]):
        began, _, attempts, _, campaign, _ = counted
        found[campaign] += attempts
        if began >= since:
            live.append(Count(*counted, find_local_hour(began, zone or zones[campaign])))
    return Counts(kept + live, all(attempts < most for attempts in found.values()))


def find_local_hour(instant: datetime, zones: str) -> int:
    """On the clock of whoever may be in several zones that of the first one; UTC for who has none."""
    zone = next(iter(zones.split()), "UTC")
    return instant.astimezone(load_zone(zone)).hour


def _read_kept(
    tally: type[models.Model], condition: str, values: Sequence[Any], now: datetime
) -> tuple[UUID, list[Count]]:
    """The mark and the tallies in one statement: attempts behind this mark are not in these tallies."""
    columns = ", ".join(f"tally.{name}" for name in ("began", "outcome", "attempts", "answered", *_KEYS[tally][2:]))
    table = tally._meta.db_table
    sql = f"SELECT counted_to, {columns} FROM calls_tallymark AS mark LEFT JOIN {table} AS tally ON {condition}"
    rows = _fetch_all(sql, values)
    if rows[0][0] < smallest_id(now - BACKLOG) and count_over(now=now, chunks=CHUNKS_OF_A_PAGE):
        rows = _fetch_all(sql, values)
    return rows[0][0], [Count(*row[1:]) for row in rows if row[1] is not None]


def _count_live(attempts: str, values: Sequence[Any], keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """When they began, how they ended, how many there are, how many were answered, and the keys."""
    columns = [
        "date_bin('15 minutes', claimed_at, '1970-01-01Z')",
        f"CASE WHEN given_back THEN '{GIVEN_BACK}' ELSE outcome END",
        "count(*)",
        f"count(*) FILTER (WHERE answered_at IS NOT NULL OR outcome IN {_ANSWERED})",
        *keys,
    ]
    groups = [str(place) for place in range(1, len(columns) + 1) if place not in (3, 4)]
    return _fetch_all(f"SELECT {', '.join(columns)} FROM ({attempts}) AS attempt GROUP BY {', '.join(groups)}", values)


def _fetch_all(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def _count_chunk(now: datetime) -> int:
    before = smallest_id(now - MARGIN)
    with transaction.atomic():
        mark = TallyMark.objects.select_for_update(skip_locked=True, no_key=True).first()
        if mark is None:
            return 0
        behind = CallAttempt.objects.filter(id__gt=mark.counted_to, id__lt=before).order_by("id")
        attempts = list(behind.select_related("contact", "campaign").only(*_COLUMNS)[:CHUNK])
        over = list(takewhile(lambda attempt: attempt.ended_at and attempt.ended_at <= now - MARGIN, attempts))
        _add_to_tallies(over)
        if len(attempts) < CHUNK and len(over) == len(attempts):
            mark.counted_to = max(mark.counted_to, before)
        elif over:
            mark.counted_to = over[-1].pk
        mark.save()
    return len(over)


def _add_to_tallies(attempts: Iterable[CallAttempt]) -> None:
    counted, answered = Counter[tuple[Any, ...]](), Counter[tuple[Any, ...]]()
    for attempt in attempts:
        began = find_quarter(attempt.claimed_at)
        local_hour = find_local_hour(began, attempt.contact.calling_zone or attempt.campaign.time_zone)
        outcome = GIVEN_BACK if attempt.given_back else attempt.outcome
        was_answered = attempt.answered_at is not None or attempt.outcome in _ANSWERED
        of_campaign = (attempt.campaign_id, attempt.attempt_number, local_hour)
        for key in ((began, outcome), (began, outcome, *of_campaign)):
            counted[key] += 1
            answered[key] += was_answered
    for tally, keys in _KEYS.items():
        rows = [[*key, count, answered[key]] for key, count in counted.items() if len(key) == len(keys)]
        _add_rows(tally, rows)


def _add_rows(tally: type[models.Model], rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    columns = (*_KEYS[tally], "attempts", "answered")
    arrays = ", ".join(f"%s::{_TYPES.get(name, 'integer')}[]" for name in columns)
    sql = f"""
        INSERT INTO {tally._meta.db_table} AS tally ({", ".join(columns)}) SELECT * FROM unnest({arrays})
        ON CONFLICT ({", ".join(_KEYS[tally])}) DO UPDATE
        SET attempts = tally.attempts + EXCLUDED.attempts, answered = tally.answered + EXCLUDED.answered
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [write_array(values) for values in zip(*rows, strict=True)])
