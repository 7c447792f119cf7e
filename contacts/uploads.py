"""Files that operators upload: kept in the database until their import is over, and worked on by the cluster.

Not on disk, because the machine that takes them need not be the one that works on them.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import BinaryIO
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy, override
from django.utils.translation import gettext as _
from django_q.tasks import async_task

from campaigns.counting import say_count
from campaigns.lifecycle import CampaignIsCancelled, admit_contacts
from contacts.importing import ImportStopped, cancel_import, carry_on, fail_import, refuse_duplicate, rows_of
from contacts.models import ContactImport, ImportPiece, ImportStatus
from contacts.rows import COLUMNS, LIST_COLUMNS, ContactRow, RefusedRow, check_header, match_columns
from contacts.sheets import Sheet, SheetRow, UnusableFile, make_judgeable, open_sheet

log = structlog.get_logger(__name__)

PREVIEW_ROWS = 20
PIECE_BYTES = 1 << 20
# A job that is over soon lets the cluster stop soon; the next one goes on.
SLICE_SECONDS = 20.0
# One that has written nothing for so long has lost its job. A chunk takes a second or so.
LOST_AFTER = timedelta(seconds=60)

COMMAND_DEAD_AFTER = timedelta(hours=1)
KEPT_UNSTARTED = timedelta(days=7)

TASK = "contacts.tasks.run_import"

_FAILED = gettext_lazy("Something went wrong on our side; the log has the reason. What was imported stays.")
_COMMAND_DIED = gettext_lazy("The command that imported it has ended before the file had. What was imported stays.")


def columns_of(record: ContactImport) -> Sequence[str]:
    """Those that a file of its kind may have."""
    return COLUMNS if record.campaign_id else LIST_COLUMNS


@dataclass(frozen=True, kw_only=True)
class UploadFacts:
    format: str
    header: list[str]
    sample: list[SheetRow]
    rows: int


def inspect_upload(upload: UploadedFile) -> UploadFacts:
    """What it is, after reading all of it once. Raises UnusableFile."""
    if upload.size > settings.IMPORT_MAX_BYTES:
        text = _("The file has %(size)s MB, and %(most)s MB are the most; divide it.")
        size, most = _say_megabytes(upload.size), _say_megabytes(settings.IMPORT_MAX_BYTES)
        raise UnusableFile(text % {"size": size, "most": most})
    with open_sheet(upload) as sheet:
        check_header(sheet.header)
        sample = list(islice(sheet, PREVIEW_ROWS))
        rows = len(sample) + sheet.count()
    if not rows:
        raise UnusableFile(_("There is no row below the names of the columns."))
    return UploadFacts(format=sheet.format, header=sheet.header, sample=sample, rows=rows)


def _say_megabytes(size: int) -> str:
    return say_count(round(size / 1e6))


def store_upload(record: ContactImport, upload: UploadedFile, facts: UploadFacts) -> None:
    """Keep a new import with its file, for somebody to look at what would become of it and to start it."""
    record.file_name, record.language = upload.name or "", get_language() or ""
    record.format, record.header, record.rows_in_file = facts.format, facts.header, facts.rows
    record.sample = [[row.line, [*map(make_judgeable, row.cells)], row.fault] for row in facts.sample]
    record.columns = match_columns(facts.header, columns_of(record))
    with transaction.atomic():
        record.save()
        upload.seek(0)
        for number, data in enumerate(iter(lambda: upload.read(PIECE_BYTES), b"")):
            ImportPiece.objects.create(contact_import=record, number=number, data=data)


@contextmanager
def open_upload(record: ContactImport) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        for data in record.pieces.order_by("number").values_list("data", flat=True).iterator(chunk_size=1):
            file.write(data)
        yield file


def preview(record: ContactImport, columns: Mapping[str, int]) -> list[ContactRow | RefusedRow]:
    """What would become of the first rows. Raises UnusableFile when nobody says where the numbers are."""
    rows = [SheetRow(line=line, cells=cells, fault=fault) for line, cells, fault in record.sample]
    header = SheetRow(line=0, cells=record.header)
    return list(_refuse_duplicates(rows_of(record, Sheet(record.format, iter([header, *rows])), columns)))


def _refuse_duplicates(rows: Iterable[ContactRow | RefusedRow]) -> Iterator[ContactRow | RefusedRow]:
    first_lines: dict[str, int] = {}
    for row in rows:
        if isinstance(row, RefusedRow) or first_lines.setdefault(row.phone_number, row.line) == row.line:
            yield row
        else:
            yield refuse_duplicate(row, first_lines[row.phone_number])


def start_import(record: ContactImport, columns: Mapping[str, int]) -> bool:
    """Have the cluster import it; False when it has been started or cancelled already."""
    with transaction.atomic():
        if record.campaign:
            admit_contacts(record.campaign)
        waiting = ContactImport.objects.filter(pk=record.pk, status=ImportStatus.PREPARED)
        now = timezone.now()
        if not waiting.update(status=ImportStatus.RUNNING, columns=columns, started_at=now, updated_at=now):
            return False
        # Not sooner: a worker that is told through Redis would find it as it was. Whatever is lost is resumed.
        transaction.on_commit(partial(_enqueue, record.pk), robust=True)
    return True


def work_on(pk: UUID) -> str:
    """Import for a while, and ask for the next job if that was not all; returns how far it is."""
    record = ContactImport.objects.select_related("campaign").filter(pk=pk).first()
    if record is None:
        return "deleted with its campaign"
    if record.status != ImportStatus.RUNNING:
        return record.status
    try:
        with override(record.language), open_upload(record) as file, open_sheet(file) as sheet:
            rows = rows_of(record, sheet, record.columns)
            record = carry_on(record, rows, is_over=_Slice().is_over)
    except (DatabaseError, InterfaceError):
        raise  # it is resumed when the database is back
    except (ImportStopped, CampaignIsCancelled) as error:
        return str(error)
    except UnusableFile as error:
        record = fail_import(pk, str(error))
    except Exception:
        log.exception("import.failed", contact_import=str(pk))
        record = fail_import(pk, _FAILED)
    if record.status == ImportStatus.RUNNING:
        _enqueue(pk)
    return f"{record.status}, {record.rows:,} rows"


class _Slice:
    """Begins with the first chunk that is written.

    Not with the file, because to pass over the rows that are done may take longer, and then no job would write more
    than one chunk.
    """

    def __init__(self) -> None:
        self._end: float | None = None

    def is_over(self) -> bool:
        now = time.monotonic()
        if self._end is None:
            self._end = now + SLICE_SECONDS
        return now >= self._end


def resume_imports() -> int:
    """Have the cluster go on with uploads whose job was lost; returns how many there were.

    Those that nobody has started for days are thrown away, and imports of a command that died have failed.
    """
    old = ContactImport.objects.filter(status=ImportStatus.PREPARED, created_at__lt=timezone.now() - KEPT_UNSTARTED)
    for pk in old.values_list("pk", flat=True):
        cancel_import(pk)
    running = ContactImport.objects.filter(status=ImportStatus.RUNNING).annotate(
        is_upload=Exists(ImportPiece.objects.filter(contact_import=OuterRef("pk")))
    )
    # A file of the command line is where its process is: nobody else can go on.
    dead = running.filter(is_upload=False, updated_at__lt=timezone.now() - COMMAND_DEAD_AFTER)
    for pk in dead.values_list("pk", flat=True):
        fail_import(pk, _COMMAND_DIED)
    lost = running.filter(is_upload=True, updated_at__lt=timezone.now() - LOST_AFTER)
    for pk in (keys := list(lost.values_list("pk", flat=True))):
        _enqueue(pk)
    return len(keys)


def _enqueue(pk: UUID) -> None:
    async_task(TASK, str(pk), group="import")
