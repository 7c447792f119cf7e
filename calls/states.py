"""Where an attempt stands, and which status may follow which."""

from django.db import models


class AttemptStatus(models.TextChoices):
    """In the order in which an attempt goes through them; it may skip some, and never goes back."""

    CLAIMED = "claimed"  # the row is committed; the provider has certainly not heard of it
    PLACING = "placing"  # the provider is being asked, or was being asked when the process ended
    UNKNOWN = "unknown"  # the provider was asked and nobody knows what came of it
    QUEUED = "queued"  # the provider has accepted the call
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"  # has an outcome; the only status that is final


_RANK = {status: rank for rank, status in enumerate(AttemptStatus)}


def statuses_before(status: AttemptStatus) -> list[AttemptStatus]:
    """Those from which an attempt may move on to ``status``."""
    return [earlier for earlier in AttemptStatus if _RANK[earlier] < _RANK[status]]
