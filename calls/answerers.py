"""Who or what has answered a call, by what is kept of it in an attempt's metadata."""

from collections.abc import Mapping
from typing import Any

from calls.providers.base import Answerer, CallEvent
from calls.providers.twilio import ANSWERER_BY_WORD

ANSWERER = "answerer"  # our own word
ANSWERED_BY = "answered_by"  # the provider's, which is all that there is of older calls

# Of an attempt, in a question to the database; unknown also where nothing was found out.
ANSWERER_SQL = "COALESCE(metadata ->> '{}', CASE metadata ->> '{}' {} END, '{}')".format(
    ANSWERER,
    ANSWERED_BY,
    " ".join(f"WHEN '{word}' THEN '{answerer.value}'" for word, answerer in ANSWERER_BY_WORD.items()),
    Answerer.UNKNOWN.value,
)


def list_details(event: CallEvent) -> Mapping[str, str]:
    """What is kept in the metadata of the attempt that the event is of."""
    if event.answerer == Answerer.UNKNOWN:
        return event.details
    return {**event.details, ANSWERER: event.answerer.value}


def read_answerer(metadata: Mapping[str, Any]) -> Answerer | None:
    """None where nobody has tried to find it out."""
    if ANSWERER in metadata:
        return Answerer(metadata[ANSWERER])
    return ANSWERER_BY_WORD.get(metadata[ANSWERED_BY], Answerer.UNKNOWN) if ANSWERED_BY in metadata else None
