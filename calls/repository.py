"""CallAttemptRepository: how attempts are created, found and ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import UUID

from django.db import connection, models
from uuid_utils.compat import uuid7

from calls.statements import Columns, Statement, run
from calls.states import AttemptStatus, statuses_before
from campaigns.models import Campaign, EventType, version_of
from contacts.arrays import write_array
from contacts.models import CallOutcome, Contact

if TYPE_CHECKING:
    from calls.models import CallAttempt


# No instants that are always there: each takes as long to read as all the others together.
_ATTEMPT_COLUMNS = Columns(
    *("attempt", "id", "contact_id", "campaign_id", "attempt_number", "call_id", "status", "outcome"),
    "provider_call_id",
)
_CONTACT_COLUMNS = Columns("contact", "id", "do_not_call", "number_rejected", "calling_zone", "attempts_count")
# A row's xmin is the transaction that wrote it: while it is the same nothing in the row has changed.
_READ_CALL = Statement(
    "read_call",
    "text",
    f"""
    SELECT {_ATTEMPT_COLUMNS}, {_CONTACT_COLUMNS}, contact.xmin, campaign.id, {version_of("campaign")}
    FROM calls_callattempt AS attempt
    LEFT JOIN contacts_contact AS contact ON contact.id = attempt.contact_id AND attempt.status <> 'ended'
    LEFT JOIN campaigns_campaign AS campaign ON campaign.id = contact.campaign_id
    WHERE attempt.call_id = $1
    """,
)

# Whether an attempt is of the provider's call $1: it is, or has none yet and no other attempt has this one.
# The index on provider_call_id has none of those without one, which must be said here for it to be used.
_IS_OF_CALL = """
    (provider_call_id = $1 OR provider_call_id = '' AND NOT EXISTS (
        SELECT 1 FROM calls_callattempt AS other WHERE other.provider_call_id = $1 AND other.provider_call_id <> ''))
"""
_ADVANCE = Statement(
    "advance",
    "text, text, text, text[], text, timestamptz, jsonb, timestamptz, text, jsonb",
    f"""
    WITH moved AS (
        UPDATE calls_callattempt
        SET provider_call_id = COALESCE($1, provider_call_id), status = $3,
            provider_raw_status = COALESCE($5, provider_raw_status), check_at = $6, metadata = metadata || $7,
            answered_at = COALESCE($8, answered_at), error_message = COALESCE($9, error_message), heard = heard || $10
        WHERE call_id = $2 AND status = ANY ($4) AND ($1 IS NULL OR {_IS_OF_CALL})
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM moved), status = ANY ($4), $1 IS NULL OR {_IS_OF_CALL}
    FROM calls_callattempt WHERE call_id = $2
    """,
)
# The attempt first, like everybody: who holds it may want the contact.
_LOCK_CALL = Statement(
    "lock_call",
    "uuid",
    """
    WITH attempt AS MATERIALIZED (
        SELECT contact_id FROM calls_callattempt WHERE id = $1 AND status <> 'ended' FOR NO KEY UPDATE
    )
    SELECT FROM contacts_contact WHERE id = (SELECT contact_id FROM attempt) FOR NO KEY UPDATE
    """,
)
_RECORD_OUTCOME = Statement(
    "record_outcome",
    "text, uuid, text, timestamptz, boolean, timestamptz, text, text, text, jsonb, xid, text, "
    "text, smallint, boolean, timestamptz, uuid",
    f"""
    WITH ended AS (
        UPDATE calls_callattempt
        SET status = 'ended', outcome = $3, ended_at = $4, given_back = $5, check_at = COALESCE($6, check_at),
            provider_call_id = COALESCE($1, provider_call_id), provider_raw_status = COALESCE($7, provider_raw_status),
            error_code = COALESCE($8, error_code), error_message = COALESCE($9, error_message),
            metadata = metadata || $10
        WHERE id = $2 AND status <> 'ended' AND ($1 IS NULL OR {_IS_OF_CALL})
            AND EXISTS (
                SELECT FROM contacts_contact AS contact JOIN campaigns_campaign AS campaign ON campaign.id = campaign_id
                WHERE contact.id = contact_id AND contact.xmin = $11 AND {version_of("campaign")} = $12)
        RETURNING id AS attempt_id, contact_id
    ), given_up AS (
        INSERT INTO calls_surveyevent (id, type, contact_id, attempt_id, occurred_at)
        SELECT $17, '{EventType.NOT_REACHED.value}', contact_id, attempt_id, $4 FROM ended WHERE $17 IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    UPDATE contacts_contact
    SET state = $13, attempts_count = $14, number_rejected = $15, next_attempt_at = $16, updated_at = $4,
        last_outcome = CASE WHEN $5 THEN last_outcome ELSE $3 END,
        last_attempt_at = CASE WHEN $5 THEN last_attempt_at ELSE $4 END
    FROM ended WHERE id = ended.contact_id
    RETURNING true
    """,
)
_TAKE_CONTACTS = Statement(
    "take_contacts",
    "uuid[], timestamptz",
    """
    UPDATE contacts_contact
    SET state = 'in_progress', attempts_count = attempts_count + 1, next_attempt_at = NULL, updated_at = $2
    WHERE id = ANY ($1)
    """,
)
_INSERT_CLAIMED = Statement(
    "insert_claimed",
    "uuid[], uuid[], uuid[], text[], smallint[], text[], timestamptz[], timestamptz[], timestamptz",
    """
    INSERT INTO calls_callattempt (
        id, contact_id, campaign_id, phone_number, attempt_number, call_id, start_at, send_before, check_at,
        claimed_at, status, outcome, given_back, provider_call_id, provider_raw_status, error_code, error_message,
        metadata)
    SELECT own.*, own.send_before, $9, 'claimed', '', false, '', '', '', '', '{}'
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
        AS own (id, contact_id, campaign_id, phone_number, attempt_number, call_id, start_at, send_before)
    """,
)

_FIND_ENDED = Statement(
    "find_ended", "uuid[]", "SELECT id FROM calls_callattempt WHERE id = ANY ($1) AND status = 'ended'"
)
# What is asked here of other tables is as it was when the statement began, also of an attempt that it had to wait for;
# what is asked of the attempt itself is asked again.
_START_PLACING = Statement(
    "start_placing",
    "uuid[], timestamptz",
    """
    UPDATE calls_callattempt AS attempt SET status = 'placing', started_at = $2
    WHERE id = ANY ($1) AND status = 'claimed' AND send_before > $2
        AND EXISTS (SELECT FROM campaigns_campaign WHERE id = attempt.campaign_id AND status = 'running')
        AND EXISTS (SELECT FROM contacts_contact WHERE id = attempt.contact_id AND NOT do_not_call)
        AND NOT EXISTS (SELECT FROM contacts_donotcallentry WHERE phone_number = attempt.phone_number)
    RETURNING id
    """,
)
_BEFORE_QUEUED = "status IN ('{}')".format("', '".join(statuses_before(AttemptStatus.QUEUED)))
_RECORD_ACCEPTED = Statement(
    "record_accepted",
    "uuid[], text[], text[], timestamptz, timestamptz",
    f"""
    UPDATE calls_callattempt SET
        provider_call_id = CASE WHEN provider_call_id = '' THEN accepted.id ELSE provider_call_id END,
        status = CASE WHEN {_BEFORE_QUEUED} THEN 'queued' ELSE status END,
        provider_raw_status = CASE WHEN {_BEFORE_QUEUED} THEN raw ELSE provider_raw_status END,
        check_at = CASE WHEN {_BEFORE_QUEUED} THEN $4 ELSE check_at END,
        heard = CASE WHEN {_BEFORE_QUEUED}
            THEN heard || jsonb_build_object('queued', jsonb_build_array($5, raw)) ELSE heard END
    FROM unnest($1, $2, $3) AS accepted (attempt, id, raw)
    WHERE calls_callattempt.id = accepted.attempt AND (provider_call_id = '' OR {_BEFORE_QUEUED})
    RETURNING calls_callattempt.id
    """,
)


# Of the campaigns that calls have ended in, the last version that was read: their rules take long to read.
_campaigns: dict[UUID, Campaign] = {}
MOST_REMEMBERED = 1000


class OpenCall(NamedTuple):
    attempt: UUID
    campaign: UUID
    phone_number: str
    start_at: datetime

    @classmethod
    def of(cls, attempt: CallAttempt) -> Self:
        return cls(attempt.pk, attempt.campaign_id, attempt.phone_number, attempt.start_at)


class HeardCall(NamedTuple):
    """An attempt as it was read, without a lock, and while it is open what its end is judged by.

    ``versions`` are those of the contact's and the campaign's rows.
    """

    attempt: CallAttempt
    contact: Contact | None = None
    campaign: Campaign | None = None
    versions: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.contact is not None


class Advance(NamedTuple):
    """Whether an attempt was moved; and whether it stood before the status, and was of the call, as that began."""

    is_moved: bool
    was_before: bool
    was_of_call: bool


def _recall_campaign(pk: UUID, version: str) -> Campaign:
    """In this version or, when it was changed meanwhile, a newer one."""
    campaign = _campaigns.get(pk)
    if campaign is None or campaign.version != version:
        if len(_campaigns) >= MOST_REMEMBERED:
            _campaigns.clear()
        campaign = _campaigns[pk] = Campaign.objects.with_version().get(pk=pk)
    return campaign


class CallAttemptQuerySet(models.QuerySet["CallAttempt"]):
    """No filter here joins another table.

    An update with a join looks for its rows in a subquery, and PostgreSQL does not ask that again about a row
    which it had to wait for: it would overwrite what somebody else has just written.
    """

    def open(self) -> Self:
        """On a line, or about to be."""
        return self.filter(ended_at=None)

    def silent(self, now: datetime) -> Self:
        """Open, and nothing was heard of them for longer than they may be silent."""
        return self.open().filter(check_at__lte=now)

    def find_by_call_id(self, call_id: str) -> CallAttempt | None:
        return self.filter(call_id=call_id).first()

    def of_contact(self, contact: Contact) -> Self:
        """The contact's attempts, first one first."""
        return self.filter(contact=contact).order_by("id")


class CallAttemptRepository(models.Manager.from_queryset(CallAttemptQuerySet)):
    def create_attempts(
        self,
        contacts: Iterable[Contact],
        starts: Iterable[datetime],
        deadlines: Iterable[datetime],
        *,
        now: datetime,
    ) -> list[CallAttempt]:
        """Take each contact into a call: it is in progress, and has one more attempt, numbered by its attempts_count.

        The attempt is to start at the instant beside it and is not sent after the deadline beside that; then
        reconciliation looks after it.

        Raises IntegrityError when a contact or its number already has an open attempt.
        """
        attempts = []
        for contact, start, deadline in zip(contacts, starts, deadlines, strict=False):
            contact.attempts_count += 1
            attempts.append(
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
            )
        if attempts:
            own = ("id", "contact_id", "campaign_id", "phone_number", "attempt_number", "call_id")
            arrays = [
                write_array(getattr(attempt, name) for attempt in attempts)
                for name in (*own, "start_at", "send_before")
            ]
            run((_TAKE_CONTACTS, [arrays[1], now]), (_INSERT_CLAIMED, [*arrays, now]))
        for attempt in attempts:
            attempt._state.adding = False
        return attempts

    def read_open(self) -> list[OpenCall]:
        """All that are open, the earliest start first; lean, because a claim asks."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT id, campaign_id, phone_number, start_at FROM calls_callattempt
                WHERE ended_at IS NULL ORDER BY start_at
                """
            )
            return [OpenCall(*row) for row in cursor.fetchall()]

    def find_ended(self, among: Iterable[UUID]) -> list[UUID]:
        """Those that have ended, each looked up by its id."""
        return [attempt for (attempt,) in _FIND_ENDED.fetch_all(write_array(among))]

    def find(self, attempt_id: UUID) -> CallAttempt | None:
        return self.filter(pk=attempt_id).first()

    def move_starts(self, attempts: Sequence[UUID], starts: Sequence[datetime]) -> None:
        """Give each attempt the start beside it."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE calls_callattempt AS attempt SET start_at = moved.start
                FROM unnest(%s::uuid[], %s::timestamptz[]) AS moved (id, start) WHERE attempt.id = moved.id
                """,
                [list(attempts), list(starts)],
            )

    def start_placing(self, attempts: Iterable[UUID], *, now: datetime) -> set[UUID]:
        """Move those on to placing that are claimed and may still be sent; returns which they are."""
        return {attempt for (attempt,) in _START_PLACING.fetch_all(write_array(attempts), now)}

    def record_accepted(self, accepted: Sequence[tuple[UUID, str, str]], *, check_at: datetime, now: datetime) -> int:
        """Store the provider's id of each call (attempt, id, status), and move it on to queued unless it is further.

        One statement, in which each attempt has a condition of its own; returns how many changed. Raises
        IntegrityError when an id belongs to another attempt; then none of them has changed.
        """
        attempts, ids, raws = zip(*accepted, strict=True)
        return len(_RECORD_ACCEPTED.fetch_all(write_array(attempts), list(ids), list(raws), check_at, now))

    def read_call(self, call_id: str) -> HeardCall | None:
        """Lean, because most reports tell nothing new."""
        row = _READ_CALL.fetch(call_id)
        if row is None:
            return None
        values = iter(row)
        attempt = _ATTEMPT_COLUMNS.make(self.model, values)
        if attempt.status == AttemptStatus.ENDED:
            return HeardCall(attempt)
        contact = _CONTACT_COLUMNS.make(Contact, values)
        contact_version, campaign_id, version = values
        campaign = _recall_campaign(campaign_id, version)
        return HeardCall(attempt, contact, campaign, versions=(contact_version, campaign.version))

    def is_of_call(self, attempt: CallAttempt, provider_call_id: str) -> bool:
        """Whether this is the attempt's call at the provider, or may be because nobody else's it is."""
        if attempt.provider_call_id:
            return attempt.provider_call_id == provider_call_id
        # Without the attempt itself: it may have got the id since it was read.
        return not self.filter(provider_call_id=provider_call_id).exclude(pk=attempt.pk).exists()

    def forget_call(self, attempt: CallAttempt) -> None:
        """The provider's id that it has turns out to be of another call. Not when it has ended or got another id."""
        wrong = self.open().filter(pk=attempt.pk, provider_call_id=attempt.provider_call_id)
        wrong.update(provider_call_id="")

    def advance(
        self,
        call_id: str,
        status: AttemptStatus,
        *,
        now: datetime,
        check_at: datetime,
        provider_call_id: str | None = None,
        raw_status: str | None = None,
        details: Mapping[str, str] | None = None,
        answered_at: datetime | None = None,
        error_message: str | None = None,
    ) -> Advance | None:
        """Move the attempt forward to ``status``, any but the end, unless it is of another call than the provider's.

        What is None stays as it is. Returns None when there is no such attempt.
        """
        before = [earlier.value for earlier in statuses_before(status)]
        heard = json.dumps({status.value: [now.isoformat(), raw_status or ""]})
        values = (raw_status, check_at, json.dumps(dict(details or {})), answered_at, error_message, heard)
        row = _ADVANCE.fetch(provider_call_id, call_id, status.value, before, *values)
        return row and Advance(*row)

    def record_outcome(
        self,
        call: HeardCall,
        outcome: CallOutcome,
        *,
        ended_at: datetime,
        given_back: bool = False,
        provider_call_id: str | None = None,
        raw_status: str | None = None,
        check_at: datetime | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
        details: Mapping[str, str] | None = None,
    ) -> bool:
        """End the attempt and store what was made of its contact, both or neither; what is None stays as it is.

        Whoever is given up with that has an event in the outbox (`calls.events`), in the same statement.

        False when the attempt has ended before, is of another call than the provider's, or its contact or its campaign
        has changed, by which its end was judged; whoever decides it in the call changes the contact too.

        Whoever edits a campaign looks at its contacts after the commit, and leaves those alone that are in a call. So
        the campaign is looked at in a later statement than the one that may have to wait for the contact: the same
        one would see it as it was before the wait.
        """
        contact = call.contact
        ended = (provider_call_id, call.attempt.pk, outcome.value, ended_at, given_back)
        told = (check_at, raw_status, error_code, error_message, json.dumps(dict(details or {})))
        settled = (contact.state.value, contact.attempts_count, contact.number_rejected, contact.next_attempt_at)
        event = uuid7() if contact.is_given_up else None
        values = (*ended, *told, *call.versions, *settled, event)
        return bool(run((_LOCK_CALL, [call.attempt.pk]), (_RECORD_OUTCOME, values)))
