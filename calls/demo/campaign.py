"""What the demo calls: a campaign from the CSV file of the repository, and one that must not ring now."""

import csv
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError

from calls.models import ProviderConfig
from campaigns.models import Campaign, Question, QuestionType
from contacts.importing import import_contacts

OPERATOR = "operator"
CONTACTS_FILE = Path(settings.BASE_DIR) / "contacts" / "demo_contacts.csv"

# Like every number of the demo from a range that its country keeps for fiction.
CALLER_NUMBER = "+442079460999"

INTRO_SCRIPT = (
    "Hello, this is the survey service of the City Library. We ask visitors six questions about their last visit; "
    "that takes two minutes."
)
INTRO_SCRIPT_IN_ITALIAN = (
    "Buongiorno, chiamiamo per conto della Biblioteca comunale. Facciamo ai visitatori sei domande sulla loro ultima "
    "visita; bastano due minuti."
)

# The one in own words is not the last one: what noise makes of that could not be told from an answer.
QUESTIONS: list[dict[str, Any]] = [
    {
        "type": QuestionType.SCALE,
        "text_en": "How satisfied were you with your last visit? 1 is not at all, 5 is very.",
        "text_it": "Quanto è rimasto soddisfatto della sua ultima visita? 1 vuol dire per niente, 5 molto.",
        "lowest": 1,
        "highest": 5,
    },
    {
        "type": QuestionType.SINGLE_CHOICE,
        "text_en": "What did you come for?",
        "text_it": "Per che cosa è venuto?",
        "choices_en": ["books", "an event", "a place to work", "something else"],
        "choices_it": ["libri", "un evento", "un posto per lavorare", "altro"],
    },
    {
        "type": QuestionType.YES_NO,
        "text_en": "Did you find what you were looking for?",
        "text_it": "Ha trovato quello che cercava?",
    },
    {
        "type": QuestionType.NUMERIC,
        "text_en": "How many times did you visit us in the last twelve months?",
        "text_it": "Quante volte è venuto da noi negli ultimi dodici mesi?",
        "lowest": 1,
        "highest": 60,
    },
    {
        "type": QuestionType.FREE_TEXT,
        "is_required": False,
        "text_en": "What could we do better?",
        "text_it": "Che cosa potremmo fare meglio?",
    },
    {
        "type": QuestionType.SCALE,
        "text_en": "How likely are you to recommend us to a friend? 0 is not at all, 10 is certainly.",
        "text_it": "Quanto è probabile che ci consigli a un amico? 0 vuol dire per niente, 10 sicuramente.",
        "lowest": 0,
        "highest": 10,
    },
]

CLOSED_CONTACTS = """\
external_contact_id,phone_number,time_zone
CLOSED-1,+12125550190,America/New_York
CLOSED-2,+13235550190,America/Los_Angeles
CLOSED-3,+18085550190,Pacific/Honolulu
CLOSED-4,+442079460990,Europe/London
CLOSED-5,+493023125990,Europe/Berlin
CLOSED-6,+33199009990,Europe/Paris
CLOSED-7,+353209109990,Europe/Dublin
CLOSED-8,+61255509990,Australia/Sydney
"""


def create_operator() -> str:
    """The login of whoever watches the demo; returns its password."""
    password = secrets.token_urlsafe(9)
    User.objects.create_superuser(OPERATOR, password=password)
    return password


def set_limits(*, max_concurrent_calls: int, calls_per_second: float) -> None:
    ProviderConfig.objects.update(
        outbound_number=CALLER_NUMBER, max_concurrent_calls=max_concurrent_calls, calls_per_second=calls_per_second
    )


def read_contact_lines(limit: int | None) -> list[str]:
    """The header and the first ``limit`` contacts of the demo's file; all of them for None."""
    with CONTACTS_FILE.open(encoding="utf-8", newline="") as file:
        return list(islice(file, None if limit is None else limit + 1))


def find_do_not_call_numbers(lines: Iterable[str]) -> set[str]:
    """Those that the file itself says must not be rung, whatever the import has made of it."""
    return {row["phone_number"] for row in csv.DictReader(lines) if row["do_not_call"] == "yes"}


def load_open_campaign(lines: Sequence[str], *, now: datetime) -> Campaign:
    """The campaign to watch: open at every hour everywhere, so that the demo can be run at any time."""
    campaign = Campaign.objects.create(
        name="How was your visit?",
        description="The demo's campaign: 200 invented people in several countries.",
        intro_script=INTRO_SCRIPT,
        intro_script_other=INTRO_SCRIPT_IN_ITALIAN,
        max_attempts=3,
        retry_interval_minutes=0,
        time_zone="UTC",
    )
    _write_questions(campaign)
    _import_lines(campaign, lines, now)
    return campaign


def load_closed_campaign(*, now: datetime) -> Campaign:
    """A campaign that is running too, and in no zone within its calling hours for days."""
    # Everywhere on earth it is now yesterday, today or tomorrow by UTC's calendar.
    in_four_days = (now.astimezone(UTC) + timedelta(days=4)).isoweekday()
    campaign = Campaign.objects.create(
        name="Outside its calling hours now",
        description="Nobody in it may be rung before its one weekday comes; the demo's report checks that.",
        intro_script=INTRO_SCRIPT,
        allowed_call_start=time(9),
        allowed_call_end=time(17),
        weekdays=[in_four_days],
    )
    _write_questions(campaign)
    _import_lines(campaign, CLOSED_CONTACTS.splitlines(keepends=True), now)
    return campaign


def _write_questions(campaign: Campaign) -> None:
    Question.objects.bulk_create(
        Question(campaign=campaign, position=position, **values) for position, values in enumerate(QUESTIONS, start=1)
    )


def _import_lines(campaign: Campaign, lines: Iterable[str], now: datetime) -> None:
    file = BytesIO("".join(lines).encode())
    record = import_contacts(campaign, file, now=now, file_name="demo_contacts.csv")
    if record.refused:
        raise CommandError(f"The demo's own contacts were refused: {[*record.refusals.values()]}")
