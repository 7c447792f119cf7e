"""The news that somebody waits for a call who did not before."""

from django.db import transaction
from django.dispatch import Signal

from contacts.models import Contact

# Sent after the commit: contacts have been added, or may be rung again, or sooner than before.
contacts_waiting = Signal()


def announce_waiting() -> None:
    """Once the current transaction has committed; who hears of it can then see them."""
    transaction.on_commit(lambda: contacts_waiting.send(sender=Contact), robust=True)
