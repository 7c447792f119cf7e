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
from contacts.phones import looks_like_number
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

OPEN_QUOTE = "open quote"

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
    """``line`` is where it begins in the file, counted from 1.

    What cannot be read has a fault, and its line in cells as it stands, with the quotes. The fault is OPEN_QUOTE or in
    the words of Python's reader; describe_fault() makes a sentence of it.
    """

    line: int
    cells: list[str] = field(default_factory=list)
    fault: str = ""


def describe_fault(fault: str) -> str:
    if fault == OPEN_QUOTE:
        return gettext("A quote is opened in this line and not closed; the next line is read as another row.")
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


def _read_csv(text: TextIOWrapper, encoding: str) -> tuple[str, Iterator[SheetRow], Callable[[], int]]:
    delimiter, first, lines_before = _begin_csv(text)
    if not delimiter:
        delimiter = max(DELIMITERS, key=lambda one: len(next(csv.reader([first], delimiter=one))))
    table = _Table(text, delimiter, first, lines_before)
    return f"CSV, {encoding}, {DELIMITERS.get(delimiter, repr(delimiter))}", iter(table), table.count


def _begin_csv(text: TextIOWrapper) -> tuple[str, str, int]:
    """The delimiter if it is said, the first line that has something, and how many lines stand before it."""
    delimiter, lines, left = "", 0, MOST_HEADER_CHARACTERS
    while line := text.readline(left + 1):
        left -= len(line)
        if left < 0:
            raise _refuse_length(lines + 1, MOST_HEADER_CHARACTERS)
        if not lines and (hint := _EXCEL_HINT.fullmatch(line)):
            delimiter = hint[1]
        elif line.strip(" \r\n"):
            return delimiter, line, lines
        lines += 1
    raise UnusableFile(gettext("The file is empty."))


def _refuse_length(line: int, most: int) -> UnusableFile:
    text = gettext("The row at line %(line)s has more than %(most)s characters; is it a table?")
    return UnusableFile(text % {"line": say_count(line), "most": say_count(most)})


class _RowTooLong(Exception):
    """It has several lines."""


class _Table:
    """The rows of a CSV. What is done for each of them is done a million times.

    Where a quote is opened and not closed, or only behind what looks like further rows, the line that opens it is a row
    that cannot be read, and the next line begins another one.
    """

    def __init__(self, text: TextIOWrapper, delimiter: str, first: str, lines_before: int) -> None:
        """``first`` is the first line of the table, which has been taken out of the text already."""
        self._text = text
        self._delimiter = delimiter
        self._width = len(next(csv.reader([first], delimiter=delimiter)))
        self._to_read = [first]  # before the text goes on; the next one is the last
        self._read_again = 0
        # Of the row that is being read: where it begins, its first line and the others.
        self._begins, self._line, self._first = True, lines_before, ""
        self._others: list[str] = []
        self._open(lines_before)

    def _open(self, lines_before: int) -> None:
        self._begins, self._has_ended = True, False
        self._others.clear()
        # Strict: a stray quote is reported instead of being read as best it can.
        self._rows = csv.reader(self._take_lines(lines_before), delimiter=self._delimiter, strict=True)

    def _take_lines(self, lines_before: int) -> Iterator[str]:
        lines = chain(self._take_again(), iter(partial(self._text.readline, MOST_ROW_CHARACTERS + 1), ""))
        for number, line in enumerate(lines, start=lines_before + 1):
            if self._begins:
                self._begins, self._line, self._first = False, number, line
                if len(line) > MOST_ROW_CHARACTERS:
                    raise _refuse_length(number, MOST_ROW_CHARACTERS)
            else:
                self._go_on(line)
            yield line
        self._has_ended = True

    def _take_again(self) -> Iterator[str]:
        while self._to_read:
            yield self._to_read.pop()

    def _go_on(self, line: str) -> None:
        self._size = len(line) + (self._size if self._others else len(self._first))
        self._others.append(line)
        if self._size > MOST_ROW_CHARACTERS:
            raise _RowTooLong

    def __iter__(self) -> Iterator[SheetRow]:
        while True:
            try:
                for cells in self._rows:
                    if self._others and not self._end_row():
                        yield self._refuse_row()
                        break
                    self._begins = True
                    yield SheetRow(line=self._line, cells=cells)
                else:
                    return
            except (csv.Error, _RowTooLong) as exc:
                yield self._refuse_row(exc)

    def count(self) -> int:
        """As many as are left of those that are not blank."""
        count = 0
        while True:
            try:
                for cells in self._rows:
                    if self._others and not self._end_row():
                        self._refuse_row()
                        count += 1
                        break
                    self._begins = True
                    count += any(map(str.strip, cells))
                else:
                    return count
            except (csv.Error, _RowTooLong) as exc:
                self._refuse_row(exc)
                count += 1

    def _end_row(self) -> bool:
        """Of several lines; False when they are rather several rows.

        They are when one of the further lines has as many cells as the table, and a number where the first one has one.
        The last line may have a number that the first has not, behind a text of several lines.
        """
        first, *others = map(self._split, [self._first, *self._others])
        places = [place for place, cell in enumerate(first) if looks_like_number(cell)]
        if not places:
            others.pop()
        are_rows = any(
            len(cells) == self._width
            and any(looks_like_number(cells[i]) for i in places or range(self._width) if i < self._width)
            for cells in others
        )
        if not are_rows:
            self._others.clear()
        return not are_rows

    def _refuse_row(self, error: Exception | None = None) -> SheetRow:
        """Its first line alone; the others are read again. Raises UnusableFile where that would have no end."""
        is_open = error is None or self._others or self._has_ended
        refused = SheetRow(line=self._line, cells=self._split(self._first), fault=OPEN_QUOTE if is_open else str(error))
        self._to_read += reversed(self._others)
        self._read_again += sum(map(len, self._others))
        # From one stray quote to the next one each line is read twice, which is far from this.
        if self._read_again > 4 * self._text.buffer.tell() + MOST_ROW_CHARACTERS:
            text = gettext("Again and again a quote is opened and not closed, such as in line %(line)s; is it a table?")
            raise UnusableFile(text % {"line": say_count(self._line)})
        self._open(self._line)
        return refused

    def _split(self, line: str) -> list[str]:
        """As it stands, with the quotes."""
        return line.rstrip("\r\n").split(self._delimiter)


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
