"""The tables as the judge reads them: with SQL, not through the models of those who are judged."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

import psycopg2

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class CampaignRow:
    id: str
    status: str
    starts_at: datetime | None
    ends_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class ContactRow:
    id: str
    campaign_id: str
    phone_number: str
    state: str
    attempts_count: int
    next_attempt_at: datetime | None
    do_not_call: bool
    number_rejected: bool


@dataclass(frozen=True, kw_only=True)
class AttemptRow:
    id: str
    contact_id: str
    campaign_id: str
    phone_number: str
    call_id: str
    status: str
    outcome: str
    given_back: bool
    claimed_at: datetime
    start_at: datetime
    send_before: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error_code: str

    @property
    def is_open(self) -> bool:
        return self.status != "ended"


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """In the order in which they were given."""

    attempt_id: str
    contact_id: str
    position: int  # of the question
    raw: str  # the keys or the words
    value: str
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The tables at one instant of the database's clock; attempts in the order of their claims."""

    read_at: datetime
    campaigns: Sequence[CampaignRow]
    contacts: Sequence[ContactRow]
    attempts: Sequence[AttemptRow]
    do_not_call: frozenset[str]
    answers: Sequence[AnswerRow] = ()


def read_snapshot(connection: Any) -> Snapshot:
    """From psycopg2's connection, whose transaction should be REPEATABLE READ while anything still happens."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (read_at,) = cursor.fetchone()
        cursor.execute("SELECT phone_number FROM contacts_donotcallentry")
        listed = frozenset(number for (number,) in cursor.fetchall())
        return Snapshot(
            read_at=read_at,
            campaigns=_read_rows(cursor, CampaignRow, "campaigns_campaign", order="id"),
            contacts=_read_rows(cursor, ContactRow, "contacts_contact", order="id"),
            attempts=_read_rows(cursor, AttemptRow, "calls_callattempt", order="claimed_at, start_at, id"),
            do_not_call=listed,
            answers=_read_rows(
                cursor,
                AnswerRow,
                "calls_answer JOIN campaigns_question ON campaigns_question.id = question_id",
                order="calls_answer.id",
            ),
        )


def read_snapshot_from(dsn: str) -> Snapshot:
    """Over a connection of its own."""
    with closing(psycopg2.connect(dsn)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        return read_snapshot(connection)


def _read_rows(cursor: Any, kind: type[Row], table: str, *, order: str) -> list[Row]:
    names = [one.name for one in fields(kind)]
    columns = [f"{name}::text" if name == "id" or name.endswith("_id") else name for name in names]
    cursor.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}")
    return [kind(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
