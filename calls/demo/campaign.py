"""What the demo calls: a campaign from the CSV file of the repository, and one that must not ring now."""

import csv
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from io import BytesIO
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError

from calls.models import ProviderConfig
from campaigns.models import Campaign
from contacts.importing import import_contacts

OPERATOR = "operator"
CONTACTS_FILE = Path(settings.BASE_DIR) / "contacts" / "demo_contacts.csv"

# Like every number of the demo from a range that its country keeps for fiction.
CALLER_NUMBER = "+442079460999"

INTRO_SCRIPT = (
    "Hello, this is the survey service of the City Library, calling about your last visit. "
    "This call only tells you about our survey, and takes less than a minute. "
    "You can hang up at any time."
)

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
        max_attempts=3,
        retry_interval_minutes=0,
        time_zone="UTC",
    )
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
    _import_lines(campaign, CLOSED_CONTACTS.splitlines(keepends=True), now)
    return campaign


def _import_lines(campaign: Campaign, lines: Iterable[str], now: datetime) -> None:
    file = BytesIO("".join(lines).encode())
    record = import_contacts(campaign, file, now=now, file_name="demo_contacts.csv")
    if record.refused:
        raise CommandError(f"The demo's own contacts were refused: {[*record.refusals.values()]}")
