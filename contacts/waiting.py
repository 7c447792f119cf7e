"""The news that somebody waits for a call who did not before, or does no more."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

from contacts.models import Contact

# Sent after the commit: contacts have been added, or may be rung again, or sooner than before.
contacts_waiting = Signal()

# Sent with contacts=[ids] and now=..., in the transaction in which a change of rules, or of the do-not-call list, has
# left them without a further try. Who is given up by the end of a call is not told of here.
contacts_given_up = Signal()


def announce_waiting() -> None:
    """Once the current transaction has committed; who hears of it can then see them."""
    transaction.on_commit(lambda: contacts_waiting.send(sender=Contact), robust=True)


def announce_given_up(contacts: Collection[UUID], now: datetime) -> None:
    """Within the current transaction: who hears of it writes into it."""
    if contacts:
        contacts_given_up.send(sender=Contact, contacts=contacts, now=now)
