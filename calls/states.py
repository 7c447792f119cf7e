"""Where an attempt stands, and which status may follow which."""

from django.db import models
from django.utils.translation import pgettext_lazy


class AttemptStatus(models.TextChoices):
    """In the order in which an attempt goes through them; it may skip some, and never goes back."""

    # The row is committed; the provider has certainly not heard of it.
    CLAIMED = "claimed", pgettext_lazy("attempt", "Claimed")
    # The provider is being asked, or was being asked when the process ended.
    PLACING = "placing", pgettext_lazy("attempt", "Placing")
    # The provider was asked and nobody knows what came of it.
    UNKNOWN = "unknown", pgettext_lazy("attempt", "Unknown")
    # The provider has accepted the call.
    QUEUED = "queued", pgettext_lazy("attempt", "Queued")
    RINGING = "ringing", pgettext_lazy("attempt", "Ringing")
    ANSWERED = "answered", pgettext_lazy("attempt", "Answered")
    # Has an outcome; the only status that is final.
    ENDED = "ended", pgettext_lazy("attempt", "Ended")


_RANK = {status: rank for rank, status in enumerate(AttemptStatus)}


def statuses_before(status: AttemptStatus) -> list[AttemptStatus]:
    """Those from which an attempt may move on to ``status``."""
    return [earlier for earlier in AttemptStatus if _RANK[earlier] < _RANK[status]]
