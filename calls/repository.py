"""CallAttemptRepository: how attempts are created, found and ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import connection, models
from django.db.models import Count, Exists, Max, OuterRef

from calls.statements import Columns, Statement
from calls.states import AttemptStatus, statuses_before
from campaigns.models import Campaign, CampaignStatus
from contacts.models import CallOutcome, Contact, DoNotCallEntry

if TYPE_CHECKING:
    from calls.models import CallAttempt


# No instants that are always there: each takes as long to read as all the others together.
_HEARD_COLUMNS = Columns(
    *("id", "contact_id", "campaign_id", "attempt_number", "call_id", "status", "outcome"),
    *("played_at", "provider_call_id"),
)
_READ_HEARD = Statement("read_heard", "text", f"SELECT {_HEARD_COLUMNS} FROM calls_callattempt WHERE call_id = $1")

# Whether an attempt is of the provider's call $1: it is, or has none yet and no other attempt has this one.
# The index on provider_call_id has none of those without one, which must be said here for it to be used.
_IS_OF_CALL = """
    (provider_call_id = $1 OR provider_call_id = '' AND NOT EXISTS (
        SELECT 1 FROM calls_callattempt AS other WHERE other.provider_call_id = $1 AND other.provider_call_id <> ''))
"""
_ADVANCE_HEARD = Statement(
    "advance_heard",
    "text, text, text, text[], text, timestamptz, jsonb, timestamptz",
    f"""
    UPDATE calls_callattempt
    SET provider_call_id = $1, status = $3, provider_raw_status = $5, check_at = $6, metadata = metadata || $7,
        answered_at = COALESCE($8, answered_at)
    WHERE call_id = $2 AND status = ANY ($4) AND {_IS_OF_CALL}
    """,
)
_END_OPEN = Statement(
    "end_open",
    "text, uuid, text, timestamptz, timestamptz, text, text, text, jsonb, boolean",
    f"""
    UPDATE calls_callattempt
    SET status = 'ended', outcome = $3, ended_at = $4, check_at = COALESCE($5, check_at),
        provider_call_id = COALESCE($1, provider_call_id), provider_raw_status = COALESCE($6, provider_raw_status),
        error_code = COALESCE($7, error_code), error_message = COALESCE($8, error_message),
        metadata = metadata || $9
    WHERE id = $2 AND status <> 'ended' AND ($10 IS NULL OR $10 = (played_at IS NOT NULL))
        AND ($1 IS NULL OR {_IS_OF_CALL})
    """,
)


class CallAttemptQuerySet(models.QuerySet["CallAttempt"]):
    """No filter here joins another table.

    An update with a join looks for its rows in a subquery, and PostgreSQL does not ask that again about a row
    which it had to wait for: it would overwrite what somebody else has just written.
    """

    def open(self) -> Self:
        """On a line, or about to be."""
        return self.exclude(status=AttemptStatus.ENDED)

    def silent(self, now: datetime) -> Self:
        """Open, and nothing was heard of them for longer than they may be silent."""
        return self.open().filter(check_at__lte=now)

    def claimed(self) -> Self:
        """Not sent; after their deadline they never will be."""
        return self.filter(status=AttemptStatus.CLAIMED)

    def for_running_campaigns(self) -> Self:
        return self.filter(campaign__in=Campaign.objects.filter(status=CampaignStatus.RUNNING))

    def callable(self) -> Self:
        """Whose number nobody has put on the do-not-call list since they were claimed."""
        listed = DoNotCallEntry.objects.filter(phone_number=OuterRef("phone_number"))
        return self.filter(~Exists(listed), contact__in=Contact.objects.filter(do_not_call=False))

    def find_by_call_id(self, call_id: str) -> CallAttempt | None:
        return self.filter(call_id=call_id).first()

    def of_contact(self, contact: Contact) -> Self:
        """The contact's attempts, first one first."""
        return self.filter(contact=contact).order_by("id")

    def count_open_by_campaign(self) -> tuple[dict[UUID, int], dict[UUID, datetime]]:
        """How many each campaign has open, and the latest start among them."""
        rows = list(self.open().order_by().values_list("campaign").annotate(calls=Count("pk"), newest=Max("start_at")))
        return {pk: calls for pk, calls, _ in rows}, {pk: newest for pk, _, newest in rows}

    def advance(self, attempt: CallAttempt, status: AttemptStatus, **fields: Any) -> bool:
        """Move the attempt forward to ``status``; False when it is already there or further."""
        rows = self.filter(pk=attempt.pk, status__in=statuses_before(status))
        return bool(rows.update(status=status, **fields))


class CallAttemptRepository(models.Manager.from_queryset(CallAttemptQuerySet)):
    def create_attempts(
        self,
        contacts: Iterable[Contact],
        starts: Iterable[datetime],
        deadlines: Iterable[datetime],
        *,
        now: datetime,
    ) -> list[CallAttempt]:
        """One claimed attempt a contact, numbered by its attempts_count.

        It is to start at the instant beside it and is not sent after the deadline beside that; then
        reconciliation looks after it.

        Raises IntegrityError when a contact or its number already has an open attempt.
        """
        return self.bulk_create(
            self.model(
                contact=contact,
                campaign_id=contact.campaign_id,
                phone_number=contact.phone_number,
                attempt_number=contact.attempts_count,
                claimed_at=now,
                start_at=start,
                send_before=deadline,
                check_at=deadline,
            )
            for contact, start, deadline in zip(contacts, starts, deadlines, strict=False)
        )

    def find(self, attempt_id: UUID) -> CallAttempt | None:
        return self.filter(pk=attempt_id).first()

    def move_starts(self, attempts: Sequence[UUID], starts: Sequence[datetime]) -> None:
        """Give each attempt the start beside it."""
        table = connection.ops.quote_name(self.model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE {table} AS attempt SET start_at = moved.start
                FROM unnest(%s::uuid[], %s::timestamptz[]) AS moved (id, start) WHERE attempt.id = moved.id
                """,
                [list(attempts), list(starts)],
            )

    def record_outcome(self, attempt: CallAttempt, outcome: CallOutcome, *, ended_at: datetime, **fields: Any) -> bool:
        """End the attempt; False when it has ended before, because the first outcome stands."""
        return self.advance(attempt, AttemptStatus.ENDED, outcome=outcome, ended_at=ended_at, **fields)

    def record_accepted(self, accepted: Sequence[tuple[UUID, str, str]], *, check_at: datetime) -> int:
        """Store the provider's id of each call (attempt, id, status), and move it on to queued unless it is further.

        One statement, in which each attempt has a condition of its own; returns how many changed. Raises
        IntegrityError when an id belongs to another attempt; then none of them has changed.
        """
        table = connection.ops.quote_name(self.model._meta.db_table)
        sql = f"""
            UPDATE {table} AS attempt SET
                provider_call_id = CASE WHEN provider_call_id = '' THEN accepted.id ELSE provider_call_id END,
                status = CASE WHEN status = ANY(%(before)s) THEN %(queued)s ELSE status END,
                provider_raw_status = CASE WHEN status = ANY(%(before)s) THEN raw ELSE provider_raw_status END,
                check_at = CASE WHEN status = ANY(%(before)s) THEN %(check_at)s ELSE check_at END
            FROM unnest(%(attempts)s::uuid[], %(ids)s::text[], %(raws)s::text[]) AS accepted(attempt, id, raw)
            WHERE attempt.id = accepted.attempt AND (provider_call_id = '' OR status = ANY(%(before)s))
        """
        attempts, ids, raws = zip(*accepted, strict=True)
        parameters = {
            "before": [str(status) for status in statuses_before(AttemptStatus.QUEUED)],
            "queued": str(AttemptStatus.QUEUED),
            "check_at": check_at,
            "attempts": list(attempts),
            "ids": list(ids),
            "raws": list(raws),
        }
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.rowcount

    def read_heard(self, call_id: str) -> CallAttempt | None:
        """The attempt that a report is about, without a lock; lean, because most reports tell nothing new."""
        row = _READ_HEARD.fetch(call_id)
        return row and _HEARD_COLUMNS.make(self.model, row)

    def is_of_call(self, attempt: CallAttempt, provider_call_id: str) -> bool:
        """Whether this is the attempt's call at the provider, or may be because nobody else's it is."""
        if attempt.provider_call_id:
            return attempt.provider_call_id == provider_call_id
        # Without the attempt itself: it may have got the id since it was read.
        return not self.filter(provider_call_id=provider_call_id).exclude(pk=attempt.pk).exists()

    def advance_heard(
        self,
        call_id: str,
        status: AttemptStatus,
        *,
        provider_call_id: str,
        raw_status: str,
        check_at: datetime,
        details: Mapping[str, str],
        answered_at: datetime | None = None,
    ) -> bool:
        """`advance` for a report, in one statement; False also when it is of another call, or of nobody's."""
        before = [earlier.value for earlier in statuses_before(status)]
        values = (raw_status, check_at, json.dumps(dict(details)), answered_at)
        return bool(_ADVANCE_HEARD.count(provider_call_id, call_id, status.value, before, *values))

    def end_open(
        self,
        attempt: CallAttempt,
        outcome: CallOutcome,
        *,
        ended_at: datetime,
        was_played: bool | None = None,
        provider_call_id: str | None = None,
        raw_status: str | None = None,
        check_at: datetime | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
        details: Mapping[str, str] | None = None,
    ) -> bool:
        """`record_outcome` in one lean statement; what is None stays as it is.

        False also when it is of another call than the provider's, and when the outcome was chosen for a script that
        ``was_played`` to its end, or was not, and that is not so any more.
        """
        values = (check_at, raw_status, error_code, error_message, json.dumps(dict(details or {})), was_played)
        return bool(_END_OPEN.count(provider_call_id, attempt.pk, outcome.value, ended_at, *values))
