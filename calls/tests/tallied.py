"""Attempts whose ids are as old as they are; a factory's are of this moment."""

from datetime import timedelta
from uuid import UUID

from calls.tallies import smallest_id
from calls.tests.factories import CallAttemptFactory
from contacts.tests.factories import ContactFactory

_numbers = iter(range(1, 1 << 60))


def make_id(at):
    return UUID(int=smallest_id(at).int + next(_numbers))


def make_attempt(at, outcome="no_answer", *, campaign=None, zone="", answered=False, **values):
    """One that was claimed then; it ended half a minute later, unless it is given a status."""
    if "contact" not in values:
        own = {"campaign": campaign} if campaign else {}
        values["contact"] = ContactFactory(calling_zone=zone, **own)
    if "status" not in values and not values.get("ringing"):
        values["outcome"] = outcome
    answered_at = at + timedelta(seconds=8) if answered else None
    return CallAttemptFactory(id=make_id(at), claimed_at=at, answered_at=answered_at, **values)
