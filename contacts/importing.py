"""A file becomes contacts of a campaign or numbers not to call, chunk by chunk, with a record of every other row."""

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from typing import BinaryIO
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from campaigns.lifecycle import CampaignIsCancelled, admit_contacts
from campaigns.models import Campaign
from contacts.exclusion import (
    add_entries_to_do_not_call,
    exclude_numbers,
    numbers_on_do_not_call,
    write_entries,
)
from contacts.loading import NewContacts, find_made, lock_contacts, note_numbers, update_contacts
from contacts.models import (
    ContactImport,
    DoNotCallEntry,
    DoNotCallSource,
    ImportedNumber,
    ImportPiece,
    ImportRefusal,
    ImportStatus,
)
from contacts.rows import NUMBER_COLUMN, REASON_COLUMN, ContactRow, ContactRows, RefusedRow
from contacts.sheets import Sheet, make_storable, open_sheet
from contacts.spreadsheets import restore
from contacts.waiting import announce_waiting

CHUNK_SIZE = 10_000

# After this a busy thread lets another one go on. With Python's own 5 ms, the answers of the database to one chunk
# waited together for a quarter of its time.
TURN_SECONDS = 0.0001


class ImportStopped(Exception):
    """It was cancelled, or somebody else works on it."""


def import_contacts(
    campaign: Campaign,
    file: BinaryIO,
    *,
    now: datetime,
    file_name: str = "",
    show_progress: Callable[[ContactImport], None] = lambda record: None,
) -> ContactImport:
    """Add the contacts of a CSV or an Excel workbook with a header to the campaign; they are due from ``now`` on.

    Contacts that it has already get what their rows say, and keep their states and all that has happened. The file is
    read as a stream and written in chunks; what was written stays when a later chunk fails. ``show_progress`` is told
    after each chunk. The file is not closed.

    Raises UnusableFile when there is no table in it or its header is wrong, and CampaignIsCancelled when the campaign
    is, also when that happens between two chunks.
    """
    with transaction.atomic():
        admit_contacts(campaign)  # also for a file without a single row
    with open_sheet(file) as sheet:
        rows = ContactRows(sheet, default_country=campaign.default_country)
        record = ContactImport.objects.create(
            campaign=campaign,
            file_name=file_name,
            format=sheet.format,
            header=sheet.header,
            columns=rows.columns,
            language=get_language() or "",
            status=ImportStatus.RUNNING,
            started_at=now,
        )
        return carry_on(record, rows, show_progress=show_progress)


def rows_of(record: ContactImport, sheet: Sheet, columns: Mapping[str, int]) -> ContactRows:
    """Raises UnusableFile when nobody says where the numbers are."""
    country = record.campaign.default_country if record.campaign else record.default_country
    # An entry of the list stays as it is, whatever a row says of it.
    return ContactRows(sheet, default_country=country, columns=columns, accepts_duplicates=record.campaign is None)


def carry_on(
    record: ContactImport,
    rows: ContactRows,
    *,
    show_progress: Callable[[ContactImport], None] = lambda record: None,
    is_over: Callable[[], bool] = lambda: False,
) -> ContactImport:
    """Go on behind the rows that are done, to the end of the file, or until it ``is_over``; returns the record.

    Each chunk is one transaction, with how far the import is in it: whoever is killed has done a chunk or has not, and
    of two who work on the same import one is stopped. Raises ImportStopped, and CampaignIsCancelled; then the import
    has failed.
    """
    try:
        for chunk in _read_ahead(record, rows.after(record.line)):
            record = _write_chunk(record, chunk)
            show_progress(record)
            if is_over():
                return record
        _end(record.pk, ImportStatus.COMPLETED)
        return ContactImport.objects.get(pk=record.pk)
    except CampaignIsCancelled as error:
        fail_import(record.pk, str(error))
        raise


def cancel_import(pk: UUID) -> bool:
    """What was imported stays. False for an import that is over, which stays as it is."""
    return _end(pk, ImportStatus.CANCELLED)


def fail_import(pk: UUID, reason: str | Promise) -> ContactImport:
    """A reason that is lazy is told in the language of the import."""
    _end(pk, ImportStatus.FAILED, reason)
    return ContactImport.objects.get(pk=pk)


def _end(pk: UUID, status: ImportStatus, failure: str | Promise = "") -> bool:
    """Nothing of the file is kept then but its refused rows. False if it had ended."""
    with transaction.atomic():
        record = ContactImport.objects.select_for_update(no_key=True).get(pk=pk)
        if record.status not in (ImportStatus.PREPARED, ImportStatus.RUNNING):
            return False
        with override(record.language):
            record.status, record.failure = status, str(failure)
        record.ended_at, record.sample = timezone.now(), []
        record.save(update_fields=["status", "failure", "ended_at", "sample", "updated_at"])
        ImportPiece.objects.filter(contact_import=record).delete()
        ImportedNumber.objects.filter(contact_import=record).delete()
    return True


class _Chunk:
    """Rows of a file, at least one, with all that can be told of them without the database."""

    def __init__(self, record: ContactImport, rows: list[ContactRow | RefusedRow]) -> None:
        self.length, self.last_line = len(rows), rows[-1].line
        self.good = [row for row in rows if isinstance(row, ContactRow)]
        self.refused = [row for row in rows if isinstance(row, RefusedRow)]
        if record.campaign is None:
            return
        # Of a number that stands in the chunk twice the last row would be the one that counts, hence backwards.
        self.firsts = {row.phone_number: row for row in reversed(self.good)}
        self.new = NewContacts(record.pk, self.firsts.values())
        # Also from rows that are refused or turn out to be duplicates: whoever said no in any of them said no.
        self.opted_out = {row.phone_number for row in self.good if row.do_not_call}
        self.opted_out.update(row.opted_out for row in self.refused if row.opted_out)


def _read_ahead(record: ContactImport, rows: Iterator[ContactRow | RefusedRow]) -> Iterator[_Chunk]:
    """Chunk after chunk; the next one is read in a thread while the database is busy with the one before."""
    language = get_language()

    def read() -> _Chunk | None:
        with override(language):
            found = list(islice(rows, CHUNK_SIZE))
            return _Chunk(record, found) if found else None

    with _full_speed(), ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        coming = reader.submit(read)
        while chunk := coming.result():
            coming = reader.submit(read)
            yield chunk


@contextlib.contextmanager
def _full_speed() -> Iterator[None]:
    """Whoever has got an answer of the database goes on soon, though another thread of this process is busy.

    And nobody looks for circles of garbage, which so many rows would set off again and again: rows are in none.
    """
    usual, collects = sys.getswitchinterval(), gc.isenabled()
    sys.setswitchinterval(TURN_SECONDS)
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        sys.setswitchinterval(usual)


@transaction.atomic
def _write_chunk(record: ContactImport, chunk: _Chunk) -> ContactImport:
    """Returns the record as it is then. Raises ImportStopped."""
    done = record.line
    record = ContactImport.objects.select_for_update(no_key=True).filter(pk=record.pk).first()
    if record is None or record.status != ImportStatus.RUNNING or record.line != done:
        raise ImportStopped("The import was cancelled or deleted, or somebody else works on it.")
    first_lines = _write_entries(record, chunk.good) if record.campaign is None else _write_contacts(record, chunk)
    duplicates = [refuse_duplicate(row, first_lines[row.line]) for row in chunk.good if row.line in first_lines]
    _keep_refusals(record, [*chunk.refused, *duplicates])
    record.line = chunk.last_line
    record.rows += chunk.length
    record.refused += len(chunk.refused) + len(duplicates)
    record.duplicates += len(duplicates)
    record.save()
    return record


def _write_contacts(record: ContactImport, chunk: _Chunk) -> dict[int, int]:
    """Returns the lines of duplicates, each with the line where its number stands first."""
    campaign, firsts = admit_contacts(record.campaign), chunk.firsts
    if chunk.opted_out:
        reason = (_("Imported with %(campaign)s") % {"campaign": campaign.name})[:200]
        write_entries(dict.fromkeys(chunk.opted_out, reason), source=DoNotCallSource.IMPORT)
        lock_contacts(campaign.pk, firsts, chunk.opted_out)
        exclude_numbers(chunk.opted_out)
    listed = numbers_on_do_not_call(firsts)
    inserted = chunk.new.insert(campaign.pk, listed=listed, due=record.started_at)
    there = [row for number, row in firsts.items() if number not in inserted]
    # Numbers are noted only of contacts that were there before the import: of its own their ids tell.
    met = find_made(record, there)
    met |= note_numbers(record, [row for row in there if row.line not in met])
    known = [row for row in there if row.line not in met]
    changed = update_contacts(campaign.pk, known)
    if inserted:
        announce_waiting()
    record.imported += len(inserted)
    record.excluded += len(inserted & listed)
    record.updated += changed
    record.unchanged += len(known) - changed
    if len(inserted) == len(chunk.good):
        return {}
    lines = {number: met.get(row.line, row.line) for number, row in firsts.items()}
    return {row.line: lines[row.phone_number] for row in chunk.good if lines[row.phone_number] != row.line}


def _write_entries(record: ContactImport, rows: list[ContactRow]) -> dict[int, int]:
    """The same of a file of the do-not-call list."""
    first_lines = note_numbers(record, rows)
    first = [row for row in rows if row.line not in first_lines]
    listed = numbers_on_do_not_call([row.phone_number for row in first])
    place = record.columns.get(REASON_COLUMN)
    reasons = {row.phone_number: _read_reason(row, place) for row in first}
    record.excluded += add_entries_to_do_not_call(reasons, source=DoNotCallSource.IMPORT)
    record.imported += len(first) - len(listed)
    record.unchanged += len(listed)
    return first_lines


def _read_reason(row: ContactRow, place: int | None) -> str:
    text = row.cells[place] if place is not None and place < len(row.cells) else ""
    return make_storable(restore(text.strip()))[: DoNotCallEntry._meta.get_field("reason").max_length]


def refuse_duplicate(row: ContactRow, first_line: int) -> RefusedRow:
    """What becomes of a row whose number the import has met at that line."""
    return RefusedRow(
        line=row.line,
        column=NUMBER_COLUMN,
        value=row.phone_number,
        reason=_("Line %(line)s has the same number.") % {"line": first_line},
        cells=row.cells,
    )


def _keep_refusals(record: ContactImport, rows: list[RefusedRow]) -> None:
    ImportRefusal.objects.bulk_create(
        ImportRefusal(
            contact_import=record,
            line=row.line,
            column=row.column,
            value=make_storable(row.value),
            reason=row.reason,
            cells=[make_storable(cell) for cell in row.cells],
        )
        for row in rows
    )
