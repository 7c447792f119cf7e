"""CSV for people who open it in a spreadsheet."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo

from django.http import StreamingHttpResponse
from django.utils.timezone import get_current_timezone, localtime

_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d\s().-]*\Z)")
_DEFUSED = re.compile(r"'+[=@\t\r+-]")

Cell = str | int | bool | datetime | None


def defuse(cell: str) -> str:
    """The cell so that no spreadsheet runs it as a formula, whoever has written it (OWASP, CSV Injection).

    It gets an apostrophe in front, which an import takes off again. Numbers of phones stay as they are.
    """
    return f"'{cell}" if _FORMULA.match(cell) or _DEFUSED.match(cell) else cell


def restore(cell: str) -> str:
    """What defuse was given. Also takes off an apostrophe that somebody else has put in front of a sign."""
    return cell[1:] if _DEFUSED.match(cell) else cell


def write_cell(cell: Cell, zone: tzinfo) -> str:
    """So that no spreadsheet runs it."""
    return say_cell(cell, zone) if isinstance(cell, bool | datetime | None) else defuse(str(cell))


def say_cell(cell: Cell, zone: tzinfo) -> str:
    """Instants as ISO 8601 with the offset of the time zone, yes and no as an import reads them."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case datetime():
            return localtime(cell, zone).isoformat(timespec="seconds")
    return str(cell)


def stream_csv(name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> StreamingHttpResponse:
    """A download of any length; the byte order mark tells spreadsheets that it is UTF-8."""
    response = StreamingHttpResponse(write_csv(header, rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """In the time zone that is the current one now, and is not any more when a response is streamed."""
    return _write_csv(header, rows, get_current_timezone())


def _write_csv(header: Sequence[str], rows: Iterable[Sequence[Cell]], zone: tzinfo) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(map(defuse, header))
    for row in rows:
        yield writer.writerow(write_cell(cell, zone) for cell in row)


class _Echo:
    """A file for csv.writer that gives back what is written."""

    def write(self, text: str) -> str:
        return text
