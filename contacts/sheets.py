"""The rows of a file that somebody has, as text, whatever program wrote it. Nothing is written here."""

import codecs
import csv
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import partial
from io import TextIOWrapper
from itertools import chain
from typing import Any, BinaryIO

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from python_calamine import CalamineError, CalamineWorkbook

from campaigns.counting import say_count
from contacts.workbooks import MalformedWorkbook, measure_sheets

# The first decides where none fits better.
DELIMITERS = {",": _("commas"), ";": _("semicolons"), "\t": _("tabs"), "|": _("vertical bars")}
WINDOWS = "cp1252"
ENCODINGS = {
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    WINDOWS: "Windows-1252",
}
WORKBOOK = _("Excel workbook")

# A workbook is held in memory as a whole, and may be packed a thousandfold; a CSV is read row by row.
MOST_WORKBOOK_BYTES = 20_000_000
MOST_UNPACKED_BYTES = 300_000_000
MOST_ROWS = 1_048_576  # as many as Excel has
MOST_CELLS = 10_000_000
MOST_CHARACTERS = 300_000_000

MOST_COLUMNS = 500
# One without line breaks would be one row; fewer than Python's reader takes for a cell, which it says in its own words.
MOST_HEADER_CHARACTERS = 100_000
MOST_ROW_CHARACTERS = 1_000_000

# A text may have a stray one; what is no text is full of them.
MOST_CONTROL_BYTES = 0.02

_HEAD_BYTES = 65_536
_PIECE_BYTES = 1 << 20
_PICTURE = _("This is a picture; save the table as CSV or as an Excel workbook (xlsx).")
_FOREIGN = {
    b"%PDF": _("This is a PDF; save the table as CSV or as an Excel workbook (xlsx)."),
    b"\x89PNG": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
    b"\xd0\xcf\x11\xe0": _(
        "This is a workbook of an Excel before 2007, or one with a password; "
        "save the table as CSV or as an Excel workbook (xlsx)."
    ),
    b"{\\rtf": _("This is a text document; save the table as CSV or as an Excel workbook (xlsx)."),
}
_TOO_LARGE = _("This workbook is too large to be read as a whole; save it as CSV, which may be larger.")
_BROKEN = _("The workbook cannot be read (%(fault)s); save it anew, or as CSV.")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_EXCEL_HINT = re.compile(r"""sep=([^"\r\n])\s*""", re.IGNORECASE)


class UnusableFile(ValueError):
    """Nothing of the file can be used; the message says why and what to do."""


@dataclass(slots=True, kw_only=True)
class SheetRow:
    """``line`` is where it begins in the file, counted from 1. What cannot be read has a fault, and no cells.

    The fault is in the words of Python's reader; describe_fault() makes a sentence of it.
    """

    line: int
    cells: list[str] = field(default_factory=list)
    fault: str = ""


def describe_fault(fault: str) -> str:
    return gettext("The quotes of this row are not in order (%(fault)s).") % {"fault": fault}


def make_storable(text: str) -> str:
    """As PostgreSQL can hold it, which takes neither zeros nor bytes that are no text."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def make_judgeable(text: str) -> str:
    """As PostgreSQL can hold it, with what an import refuses still in it, in the same places."""
    return _SURROGATE.sub("\ufffd", text).replace("\0", "\x01")


class Sheet:
    """A table with a header. Iterating gives every row below it that is not blank, once.

    ``format`` says in words what it was taken for. Bytes that are no text in its encoding are lone surrogates, or
    U+FFFD.
    """

    def __init__(self, format: str, rows: Iterator[SheetRow], count: Callable[[], int] | None = None) -> None:
        self.format = format
        self._count = count
        self._rows = (row for row in rows if row.fault or any(map(str.strip, row.cells)))
        first = next(self._rows, None)
        if first is None:
            raise UnusableFile(gettext("The file is empty."))
        if first.fault:
            text = gettext("The first line cannot be read as the names of columns. %(fault)s")
            raise UnusableFile(text % {"fault": describe_fault(first.fault)})
        if len(first.cells) > MOST_COLUMNS:
            text = gettext("The first line names %(columns)s columns, and %(most)s are the most.")
            raise UnusableFile(text % {"columns": say_count(len(first.cells)), "most": say_count(MOST_COLUMNS)})
        self.header = [make_storable(name.strip()) for name in first.cells]

    def __iter__(self) -> Iterator[SheetRow]:
        return self._rows

    def count(self) -> int:
        """How many of them are left, which then are read; sooner than by iterating."""
        return self._count() if self._count else sum(1 for _row in self._rows)


@contextmanager
def open_sheet(file: BinaryIO) -> Iterator[Sheet]:
    """A CSV in UTF-8, UTF-16 or Windows-1252, with any of DELIMITERS, or the first sheet of an Excel workbook (xlsx).

    A CSV is read as a stream, after one pass that finds its encoding. The file must be seekable and is left open.
    Raises UnusableFile.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        yield Sheet(str(WORKBOOK), _read_workbook(file))
        return
    encoding = _detect_encoding(file, head)
    errors = "surrogateescape" if encoding in ("utf-8-sig", WINDOWS) else "replace"
    text = TextIOWrapper(file, encoding=encoding, errors=errors, newline="")
    try:
        yield Sheet(*_read_csv(text, ENCODINGS[encoding]))
    finally:
        text.detach()  # or the wrapper would close the caller's file with itself


def _detect_encoding(file: BinaryIO, head: bytes) -> str:
    for beginning, text in _FOREIGN.items():
        if head.startswith(beginning):
            raise UnusableFile(str(text))
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Text in a western language has a zero in every second byte of its UTF-16.
    for encoding, high, low in (("utf-16-le", head[1::2], head[0::2]), ("utf-16-be", head[0::2], head[1::2])):
        if high.count(0) > len(high) / 2 and not low.count(0):
            return encoding
    if len(_CONTROL.findall(head)) > len(head) * MOST_CONTROL_BYTES:
        raise UnusableFile(gettext("This is not a text file; save the table as CSV or as an Excel workbook (xlsx)."))
    return "utf-8-sig" if _is_utf8(file) else WINDOWS


def _is_utf8(file: BinaryIO) -> bool:
    """Also where a few bytes of it are damaged."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="surrogateescape")
    good = bad = 0
    while piece := file.read(_PIECE_BYTES):
        text = decoder.decode(piece)
        if not text.isascii():
            wrong = len(_SURROGATE.findall(text))
            bad += wrong
            good += len(_NOT_ASCII.findall(text)) - wrong
    file.seek(0)
    return good >= bad


class _Lines:
    """Those of a text, with a bound on how many characters of them are taken for one row."""

    def __init__(self, text: TextIOWrapper) -> None:
        self._text = text
        self._line = self._left = 0

    def begin_row(self, most: int) -> None:
        self._most = self._left = most

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(self._most + 1):
            self._line += 1
            self._left -= len(line)
            if self._left < 0:
                text = gettext("The row at line %(line)s has more than %(most)s characters; is it a table?")
                raise UnusableFile(text % {"line": say_count(self._line), "most": say_count(self._most)})
            yield line


def _read_csv(text: TextIOWrapper, encoding: str) -> tuple[str, Iterator[SheetRow], Callable[[], int]]:
    head, delimiter = [], ""
    lines = _Lines(text)
    lines.begin_row(MOST_HEADER_CHARACTERS)
    for line in lines:
        if hint := _EXCEL_HINT.fullmatch(line) if not head else None:
            delimiter = hint[1]
            line = "\n"  # it counts as a line, and is none of the table
        head.append(line)
        if line.strip(" \r\n"):
            break
    else:
        raise UnusableFile(gettext("The file is empty."))
    delimiter = delimiter or max(DELIMITERS, key=lambda one: len(next(csv.reader(head[-1:], delimiter=one))))
    # Strict: a stray quote is reported instead of being read as best it can.
    reader = csv.reader(chain(head, lines), delimiter=delimiter, strict=True)
    format = f"CSV, {encoding}, {DELIMITERS.get(delimiter, repr(delimiter))}"
    return format, _read_rows(reader, lines), partial(_count_rows, reader, lines)


def _read_rows(reader: Any, lines: _Lines) -> Iterator[SheetRow]:
    while True:
        line = reader.line_num + 1
        lines.begin_row(MOST_ROW_CHARACTERS)
        try:
            cells = next(reader, None)
        except csv.Error as exc:
            yield SheetRow(line=line, fault=str(exc))
            continue
        if cells is None:
            return
        yield SheetRow(line=line, cells=cells)


def _count_rows(reader: Any, lines: _Lines) -> int:
    """As many as _read_rows() would give that are not blank."""
    count = 0
    while True:
        lines.begin_row(MOST_ROW_CHARACTERS)
        try:
            for cells in reader:
                lines.begin_row(MOST_ROW_CHARACTERS)
                count += any(map(str.strip, cells))
            return count
        except csv.Error:
            count += 1


def _read_workbook(file: BinaryIO) -> Iterator[SheetRow]:
    _check_archive(file)
    try:
        sheet = CalamineWorkbook.from_filelike(file).get_sheet_by_index(0)
    except (CalamineError, OSError, ValueError) as exc:
        raise UnusableFile(_BROKEN % {"fault": exc}) from exc
    for line, values in enumerate(sheet.to_python(skip_empty_area=False), start=1):
        yield SheetRow(line=line, cells=[_write_cell(value) for value in values])


def _check_archive(file: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            _check_parts(archive, packed=file.seek(0, 2))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as exc:
        raise UnusableFile(gettext("This archive is damaged; save the table anew.")) from exc
    except MalformedWorkbook as exc:
        raise UnusableFile(_BROKEN % {"fault": exc}) from exc
    file.seek(0)


def _check_parts(archive: zipfile.ZipFile, *, packed: int) -> None:
    parts = archive.infolist()
    names = {part.filename for part in parts}
    # Of a workbook that is also one of another kind, the reader could choose that kind.
    if "xl/workbook.xml" not in names or names & {"xl/workbook.bin", "content.xml"}:
        raise UnusableFile(gettext("This is no Excel workbook (xlsx); save the table as one, or as CSV."))
    if packed > MOST_WORKBOOK_BYTES or sum(part.file_size for part in parts) > MOST_UNPACKED_BYTES:
        raise UnusableFile(str(_TOO_LARGE))
    for extent in measure_sheets(archive):
        # The reader has a cell for each place between the first and the last one, and ends the process without memory.
        if extent.rows > MOST_ROWS or extent.rows * extent.columns > MOST_CELLS:
            text = gettext(
                "This workbook reaches to row %(row)s and column %(column)s, which is more than can be read; "
                "delete what stands far below or beside the table, or save it as CSV."
            )
            raise UnusableFile(text % {"row": say_count(extent.rows), "column": say_count(extent.columns)})
        if extent.characters > MOST_CHARACTERS:
            raise UnusableFile(str(_TOO_LARGE))


def _write_cell(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case float() if value.is_integer():
            return str(int(value))  # all numbers of a sheet are of this kind, also those of phones
        case datetime() | date() | time():
            return value.isoformat()
    return str(value)
