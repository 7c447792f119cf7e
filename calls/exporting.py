"""The calls of a campaign as a table."""

from collections.abc import Iterator, Sequence

from calls.models import CallAttempt
from campaigns.models import Campaign
from contacts.exporting import ROWS_AT_ONCE
from contacts.spreadsheets import Cell

# How a column of the export is called, and where it is.
ATTEMPT_COLUMNS = {
    "call_id": "call_id",
    "phone_number": "phone_number",
    "external_contact_id": "contact__external_contact_id",
    "attempt": "attempt_number",
    "status": "status",
    "outcome": "outcome",
    "never_rang": "given_back",
    "claimed_at": "claimed_at",
    "started_at": "started_at",
    "answered_at": "answered_at",
    "consented_at": "consented_at",
    "decided_at": "decided_at",
    "ended_at": "ended_at",
    "provider_call_id": "provider_call_id",
    "provider_status": "provider_raw_status",
    "error_code": "error_code",
    "error_message": "error_message",
}


def list_attempts(campaign: Campaign) -> Iterator[Sequence[Cell]]:
    """In the order in which they were claimed."""
    attempts = CallAttempt.objects.filter(campaign=campaign).order_by("pk")
    return attempts.values_list(*ATTEMPT_COLUMNS.values()).iterator(chunk_size=ROWS_AT_ONCE)
