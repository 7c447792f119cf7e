"""CallAttemptRepository: how attempts are created, found and ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import models
from django.db.models import Count, Exists, OuterRef

from calls.states import AttemptStatus, statuses_before
from campaigns.models import Campaign, CampaignStatus
from contacts.models import CallOutcome, Contact, DoNotCallEntry

if TYPE_CHECKING:
    from calls.models import CallAttempt


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

    def record_outcome(self, attempt: CallAttempt, outcome: CallOutcome, *, ended_at: datetime, **fields: Any) -> bool:
        """End the attempt; False when it has ended before, because the first outcome stands."""
        return self.advance(attempt, AttemptStatus.ENDED, outcome=outcome, ended_at=ended_at, **fields)

    def count_open_by_campaign(self) -> dict[UUID, int]:
        rows = self.open().order_by().values_list("campaign").annotate(calls=Count("pk"))
        return dict(rows)
