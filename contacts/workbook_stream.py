"""Excel workbooks that are sent while they are written, in the memory of a few rows: ECMA-376, and no more of it.

Texts stand in their cells, and no sheet is looked at twice. A text is never a formula there, whatever it begins with.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from itertools import chain
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZIP_DEFLATED, ZipFile

from django.http import StreamingHttpResponse
from django.utils.timezone import get_current_timezone

from contacts.spreadsheets import Cell, say_cell

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

# What Excel has room for in a sheet and in a cell. Beyond so many bytes a part of a ZIP that is written without its
# length known would need a format that not every spreadsheet reads.
MOST_ROWS = 1_048_576
MOST_BYTES = 1_500_000_000
MOST_CHARACTERS = 32_767

_PIECE_BYTES = 1 << 16
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD = (
    f'{_DECLARATION}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
)
_FOOT = "</sheetData></worksheet>"


class Sheet(NamedTuple):
    """``name``: at most 31 characters, and none of []:*?/\\."""

    name: str
    header: Sequence[str]
    rows: Iterable[Sequence[Cell]]


class _Outlet:
    """A file for ZipFile that cannot be gone back in; what is written is taken away again and again."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        self.size += len(piece)
        return len(piece)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        pieces, self._pieces, self.size = self._pieces, [], 0
        return b"".join(pieces)


def stream_workbook(name: str, sheets: Iterable[Sheet]) -> StreamingHttpResponse:
    response = StreamingHttpResponse(write_workbook(sheets), content_type=CONTENT_TYPE)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.xlsx"'
    return response


def write_workbook(sheets: Iterable[Sheet]) -> Iterator[bytes]:
    """In the time zone that is the current one now. A sheet that has no room left goes on in another one."""
    return _write_workbook(sheets, get_current_timezone())


def _write_workbook(sheets: Iterable[Sheet], zone: tzinfo) -> Iterator[bytes]:
    outlet, names = _Outlet(), []
    with ZipFile(outlet, "w", ZIP_DEFLATED) as archive:
        for sheet in sheets:
            rows, number = iter(sheet.rows), 1
            left: list[Sequence[Cell]] = []
            while number == 1 or left:
                names.append(sheet.name if number == 1 else f"{sheet.name} ({number})")
                header_and_rows = chain([sheet.header], left, rows)
                left = yield from _write_sheet(archive, outlet, len(names), header_and_rows, zone)
                number += 1
        for path, text in _list_parts(names):
            archive.writestr(path, _DECLARATION + text)
    yield outlet.take()


def _write_sheet(
    archive: ZipFile, outlet: _Outlet, number: int, rows: Iterable[Sequence[Cell]], zone: tzinfo
) -> Iterator[bytes]:
    """Returns the row for which there was no room, if there is one; the iterator has those after it."""
    size = 0
    with archive.open(f"xl/worksheets/sheet{number}.xml", "w") as part:
        part.write(_HEAD.encode())
        for position, row in enumerate(rows):
            if position == MOST_ROWS or size > MOST_BYTES:
                part.write(_FOOT.encode())
                return [row]
            line = f"<row>{''.join(_write_cell(cell, zone) for cell in row)}</row>".encode()
            size += len(line)
            part.write(line)
            if outlet.size >= _PIECE_BYTES:
                yield outlet.take()
        part.write(_FOOT.encode())
    return []


def _write_cell(cell: Cell, zone: tzinfo) -> str:
    if cell is None or cell == "":
        return "<c/>"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"<c><v>{cell}</v></c>"
    text = escape(_NOT_XML.sub("\ufffd", say_cell(cell, zone)[:MOST_CHARACTERS]))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def _list_parts(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What says which sheets there are; in a ZIP it may stand behind them."""
    numbered = list(enumerate(names, start=1))
    parts = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        for number, _ in numbered
    )
    yield (
        "[Content_Types].xml",
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>{parts}</Types>',
    )
    yield (
        "_rels/.rels",
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
    )
    sheets = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"/>' for number, name in numbered
    )
    yield "xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>'
    targets = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number, _ in numbered
    )
    yield "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{_PACKAGE}/relationships">{targets}</Relationships>'
