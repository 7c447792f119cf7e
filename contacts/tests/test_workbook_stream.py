"""Workbooks that are written while they are sent, read by those who know the format."""

import tracemalloc
from datetime import UTC, datetime
from io import BytesIO
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from django.utils import timezone
from python_calamine import CalamineWorkbook

from contacts import workbook_stream
from contacts.workbook_stream import MOST_CHARACTERS, Sheet, write_workbook

AT = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)


def write(*sheets):
    return BytesIO(b"".join(write_workbook(sheets)))


def read(file):
    """Each sheet's rows by its name, as openpyxl reads them; calamine must see the same sheets."""
    assert (names := CalamineWorkbook.from_filelike(file).sheet_names)
    file.seek(0)
    book = openpyxl.load_workbook(file)
    assert book.sheetnames == names
    return {sheet.title: [tuple(cell.value for cell in row) for row in sheet.iter_rows()] for sheet in book}


def test_cells_of_every_kind():
    rows = [
        ("text", 5, None, True, False, AT, "Zoë <&> \"'"),
        (" two  blanks\nand a line ", 0, "", None, None, None, "x"),
    ]
    with timezone.override(ZoneInfo("Europe/Rome")):
        found = read(write(Sheet("Results", list("abcdefg"), rows)))["Results"]
    assert found == [
        tuple("abcdefg"),
        ("text", 5, None, "yes", "no", "2026-07-01T14:30:00+02:00", "Zoë <&> \"'"),
        (" two  blanks\nand a line ", 0, None, None, None, None, "x"),
    ]


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+12025550123", "-2+3", "2.20", "007"])
def test_a_text_stays_a_text_and_is_no_formula(text):
    file = write(Sheet("Results", ["a"], [[text]]))
    assert CalamineWorkbook.from_filelike(file).get_sheet_by_name("Results").to_python() == [["a"], [text]]
    sheet = ZipFile(file).read("xl/worksheets/sheet1.xml").decode()
    assert sheet.count('t="inlineStr"') == 2 and "<f>" not in sheet


def test_what_no_xml_can_have_is_marked_and_what_no_cell_can_hold_is_cut():
    found = read(write(Sheet("Results", ["a", "b"], [["a\x00b\ud800c", "x" * 40_000]])))
    assert found["Results"][1] == ("a\ufffdb\ufffdc", "x" * MOST_CHARACTERS)


def test_a_sheet_without_rows_has_its_header():
    assert read(write(Sheet("One", ["a"], []), Sheet("Two", ["b"], [["c"]]))) == {
        "One": [("a",)],
        "Two": [("b",), ("c",)],
    }


@pytest.mark.parametrize(("limit", "value"), [("MOST_ROWS", 3), ("MOST_BYTES", 200)])
def test_what_has_no_room_in_a_sheet_goes_on_in_the_next_one(monkeypatch, limit, value):
    monkeypatch.setattr(workbook_stream, limit, value)
    found = read(write(Sheet("Results", ["n"], [[str(n)] for n in range(5)]), Sheet("Other", ["m"], [])))
    assert [*found] == ["Results", "Results (2)", "Results (3)", "Other"]
    rows = [found[name] for name in found if name != "Other"]
    assert [row[0] for row in rows] == [("n",)] * 3
    assert [row for sheet in rows for row in sheet[1:]] == [(str(n),) for n in range(5)]


def test_it_begins_before_the_rows_have_ended_and_takes_no_more_memory_for_more_of_them():
    given = 0

    def make_rows(count):
        nonlocal given
        for given in range(count):
            n = given
            yield [f"row {n} {n * 7919 % 10007} {n * 104729 % 1299709}"] * 10

    def measure(count):
        tracemalloc.start()
        pieces = write_workbook([Sheet("Results", ["a"] * 10, make_rows(count))])
        next(pieces)
        begun = given
        for _piece in pieces:
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return begun, peak

    (_, short), (begun, long) = measure(5_000), measure(25_000)
    assert begun < 10_000
    assert long < 1.5 * short
