"""A file becomes contacts of a campaign, and a report of every row that did not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import BinaryIO

from django.db import transaction

from campaigns.lifecycle import admit_contacts
from campaigns.models import Campaign
from contacts.exclusion import add_numbers_to_do_not_call, numbers_on_do_not_call
from contacts.models import Contact, ContactState, DoNotCallSource
from contacts.rows import NUMBER_COLUMN, ContactRow, ContactRows, RefusedRow
from contacts.sheets import open_sheet
from contacts.waiting import announce_waiting

CHUNK_SIZE = 1000


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What became of the rows of a file.

    ``excluded`` of the imported are on the do-not-call list and will not be rung. ``duplicates`` of the
    refused are in the campaign already, or stand further up in the file.
    """

    imported: int
    excluded: int
    refused: list[RefusedRow]
    duplicates: int
    ignored_columns: list[str]


def import_contacts(
    campaign: Campaign,
    file: BinaryIO,
    *,
    now: datetime,
    show_progress: Callable[[int], None] = lambda rows: None,
) -> ImportReport:
    """Add the contacts of a CSV or an Excel workbook with a header to the campaign; they are due from ``now`` on.

    The file is read as a stream and written in chunks; what was written stays when a later chunk fails.
    ``show_progress`` is told after each chunk how many rows have been read. The file is not closed.

    Raises UnusableFile when the header is wrong, and CampaignIsCancelled when the campaign is, also when that
    happens between two chunks.
    """
    with transaction.atomic():
        admit_contacts(campaign)  # also for a file without a single row
    with open_sheet(file) as sheet:
        rows = ContactRows(sheet, default_country=campaign.default_country)
        run = _Import(campaign, now)
        rows_read = 0
        rest = iter(rows)
        while chunk := list(islice(rest, CHUNK_SIZE)):
            run.take(chunk)
            rows_read += len(chunk)
            show_progress(rows_read)
        return run.report(rows.ignored_columns)


class _Import:
    """One import on its way: what it has counted and which numbers it has seen."""

    def __init__(self, campaign: Campaign, now: datetime) -> None:
        self._campaign = campaign
        self._now = now
        self._line_of: dict[str, int] = {}
        self._imported = self._excluded = self._duplicates = 0
        self._refused: list[RefusedRow] = []

    def take(self, chunk: list[ContactRow | RefusedRow]) -> None:
        good = [row for row in chunk if isinstance(row, ContactRow)]
        refused = [row for row in chunk if isinstance(row, RefusedRow)]
        # Also from rows that are refused or turn out to be duplicates: whoever said no in any of them said no.
        opted_out = {row.phone_number for row in good if row.do_not_call}
        opted_out.update(row.opted_out for row in refused if row.opted_out)
        first = list(self._keep_first(good))
        contacts = _write_chunk(self._campaign, first, opted_out, self._now)
        self._imported += len(contacts)
        self._excluded += sum(contact.do_not_call for contact in contacts)
        stored = {contact.phone_number for contact in contacts}
        for row in first:
            if row.phone_number not in stored:
                self._refuse_duplicate(row, "The campaign already has a contact with this number.")
        self._refused.extend(refused)

    def report(self, ignored_columns: list[str]) -> ImportReport:
        return ImportReport(
            imported=self._imported,
            excluded=self._excluded,
            refused=sorted(self._refused, key=lambda row: row.line),
            duplicates=self._duplicates,
            ignored_columns=ignored_columns,
        )

    def _keep_first(self, rows: list[ContactRow]) -> Iterator[ContactRow]:
        for row in rows:
            first_line = self._line_of.setdefault(row.phone_number, row.line)
            if first_line == row.line:
                yield row
            else:
                self._refuse_duplicate(row, f"Line {first_line} has the same number.")

    def _refuse_duplicate(self, row: ContactRow, reason: str) -> None:
        self._duplicates += 1
        self._refused.append(RefusedRow(line=row.line, column=NUMBER_COLUMN, value=row.phone_number, reason=reason))


@transaction.atomic
def _write_chunk(campaign: Campaign, rows: list[ContactRow], opted_out: set[str], now: datetime) -> list[Contact]:
    """Store the rows whose numbers the campaign does not have yet; returns the contacts they became."""
    admit_contacts(campaign)
    add_numbers_to_do_not_call(opted_out, reason=f"Imported with {campaign.name}"[:200], source=DoNotCallSource.IMPORT)
    listed = numbers_on_do_not_call([row.phone_number for row in rows])
    contacts = [_make_contact(campaign, row, row.phone_number in listed, now) for row in rows]
    # The keys, in the order of the file, are given above; the insertion itself is in the order of the
    # numbers, so that it never waits in a circle with somebody who adds the same ones.
    Contact.objects.bulk_create(sorted(contacts, key=lambda contact: contact.phone_number), ignore_conflicts=True)
    stored = set(Contact.objects.filter(pk__in=[contact.pk for contact in contacts]).values_list("pk", flat=True))
    if stored:
        announce_waiting()
    return [contact for contact in contacts if contact.pk in stored]


def _make_contact(campaign: Campaign, row: ContactRow, excluded: bool, now: datetime) -> Contact:
    return Contact(
        campaign=campaign,
        external_contact_id=row.external_contact_id,
        phone_number=row.phone_number,
        email=row.email,
        preferred_language=row.preferred_language,
        has_prior_consent=row.has_prior_consent,
        do_not_call=excluded,
        calling_zone=row.calling_zone,
        state=ContactState.EXCLUDED if excluded else ContactState.PENDING,
        next_attempt_at=None if excluded else now,
    )
