"""What files are taken for, and the rows that are read from them."""

import zipfile
from datetime import date
from io import BytesIO
from itertools import islice

import openpyxl
import pytest
from django.utils.translation import override

from contacts import sheets
from contacts.import_forms import COLUMN_TITLES
from contacts.rows import match_columns
from contacts.sheets import OPEN_QUOTE, SheetRow, UnusableFile, open_sheet

TEXT = "phone_number;name\r\n+12025550123;Zoë “Città”\r\n\r\n+12025550124;Ann\r\n"
ROWS = [
    SheetRow(line=2, cells=["+12025550123", "Zoë “Città”"]),
    SheetRow(line=4, cells=["+12025550124", "Ann"]),
]


def read(content):
    file = BytesIO(content)
    with open_sheet(file) as sheet:
        rows = list(sheet)
    assert not file.closed
    return sheet, rows


def make_workbook(*rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    file = BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_the_encoding_is_found(encoding, name):
    sheet, rows = read(TEXT.encode(encoding))
    assert (sheet.format, sheet.header, rows) == (f"CSV, {name}, semicolons", ["phone_number", "name"], ROWS)


def test_the_encoding_is_found_also_far_behind_the_beginning():
    rows = "".join(f"+120255501{number:02d},x\n" for number in range(100)) * 1000
    sheet, read_rows = read(f"phone_number,name\n{rows}+12025550123,Zoë\n".encode("cp1252"))
    assert sheet.format == "CSV, Windows-1252, commas"
    assert read_rows[-1].cells[1] == "Zoë"


def test_a_few_damaged_bytes_do_not_make_another_encoding_of_it():
    sheet, rows = read("phone_number,name\n+12025550123,Zoë Città\n+12025550124,Zo".encode() + b"\xeb\n")
    assert sheet.format == "CSV, UTF-8, commas"
    assert rows[0].cells[1] == "Zoë Città"
    assert rows[1].cells[1] == "Zo\udceb"


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
def test_the_delimiter_is_found_also_beside_others_in_quotes(delimiter, name):
    header = delimiter.join(['"phone, mobile; | \t or home"', "name", "email"])
    sheet, rows = read(f"{header}\n{delimiter.join('abc')}\n".encode())
    assert sheet.format == f"CSV, UTF-8, {name}"
    assert rows == [SheetRow(line=2, cells=["a", "b", "c"])]


def test_excels_hint_names_the_delimiter():
    sheet, rows = read(b"sep=;\nphone_number;a,b,c\n+12025550123;x\n")
    assert sheet.header == ["phone_number", "a,b,c"]
    assert rows == [SheetRow(line=3, cells=["+12025550123", "x"])]


def test_a_line_that_would_fill_the_memory_is_no_row():
    with pytest.raises(UnusableFile, match=r"The row at line 2 has more than 1,000,000 characters"):
        read(b"phone_number,name\n" + b"," * 1_000_000 + b"\n")


def test_of_a_row_of_many_lines_that_would_fill_the_memory_the_first_is_refused_and_the_others_are_read():
    rows = read(b"phone_number,name\n" + b'"\n",' * 250_001 + b"\n")[1]
    assert (len(rows), rows[0]) == (250_002, SheetRow(line=2, cells=['"'], fault=OPEN_QUOTE))
    assert rows[1] == SheetRow(line=3, cells=[","])


def test_lines_of_which_each_opens_a_quote_that_only_the_end_closes_are_not_read_for_ever():
    with pytest.raises(UnusableFile, match="Again and again a quote is opened and not closed"):
        read(b"phone_number,name\n" + b'a",",\n' * 150_000)


PEOPLE = [f"+120255501{n:02d},q{n}" for n in range(60)]


@pytest.mark.parametrize(
    ("strays", "refused"),
    [
        pytest.param({1: '+12025550101,"q1'}, [3], id="one"),
        pytest.param({1: '+12025550101,"q1', 55: '+12025550155,"q55'}, [3, 57], id="two that open"),
        pytest.param({1: '+12025550101,"q1', 55: '+12025550155,q55"'}, [3], id="one that another one closes"),
        pytest.param({1: '"+12025550101,q1', 55: '"+12025550155","q55"'}, [3], id="in front of a number"),
        pytest.param({1: '+12025550101,"q1', 3: "", 7: "12;no"}, [3], id="before lines that are no rows"),
        pytest.param({59: '+12025550159,"q59'}, [61], id="in the last line"),
    ],
)
def test_a_stray_quote_costs_its_own_line_and_no_other(strays, refused):
    lines = [strays.get(n, line) for n, line in enumerate(PEOPLE)]
    content = "\n".join(["phone_number,name", *lines]).encode()
    rows = read(content)[1]
    assert [row.line for row in rows] == [n for n, line in enumerate(lines, start=2) if line]
    faults = [row for row in rows if row.fault]
    assert [(row.line, row.fault) for row in faults] == [(line, OPEN_QUOTE) for line in refused]
    assert [",".join(row.cells) for row in faults] == [lines[line - 2] for line in refused]
    with open_sheet(BytesIO(content)) as sheet:
        assert sheet.count() == len(rows)


def test_in_a_list_of_nothing_but_numbers_a_stray_quote_costs_its_own_line_too():
    numbers = [f"+120255501{n:02d}" for n in range(42)]
    for last in (numbers[41], numbers[41] + '"'):
        rows = read("\n".join(["phone_number", '"' + numbers[0], *numbers[1:41], last]).encode())[1]
        assert (len(rows), [row.line for row in rows if row.fault]) == (42, [2])


@pytest.mark.parametrize(
    "row",
    [
        '+12025550123,"Called:\n2026-03-04, no answer\n2026-03-05, refused"',
        '+12025550123,"Office:\n+12025550124\n\nthanks, Ann"',
        '"1 High Street\nLondon\n\nEngland",+12025550123',
    ],
    ids=["dates", "a number on a line of its own", "before the number"],
)
def test_line_breaks_within_quotes_belong_to_their_cell(row):
    rows = read(f"phone_number,note\n{row}\n+12025550125,x\n".encode())[1]
    assert ([bool(one.fault) for one in rows], len(rows[0].cells)) == ([False, False], 2)
    assert rows[1].line == 3 + row.count("\n")


def test_the_bound_of_a_row_is_no_bound_of_a_file():
    content = b"phone_number,name\n" + b"+12025550123,Ann\n" * 70_000
    assert len(read(content)[1]) == 70_000


@pytest.mark.parametrize(
    "content",
    [
        b'phone_number,name\n\n+12025550123,"A\nB"\n , \n+12025550124,"C"d\n"x""y",\n,e"\n+12025550125,f',
        b'phone_number\n"' + b"x" * 140_000 + b'\n+12025550123\n"never closed\n',
        make_workbook(["phone_number"], [], [1], [" "], [2]),
    ],
    ids=["CSV", "long cells", "workbook"],
)
@pytest.mark.parametrize("read_before", [0, 1])
def test_rows_are_counted_as_they_are_read(content, read_before):
    with open_sheet(BytesIO(content)) as sheet:
        seen = list(islice(sheet, read_before))
        counted = len(seen) + sheet.count()
        assert list(sheet) == []
    assert counted == len(read(content)[1]) > 1


@pytest.mark.parametrize("blank_rows", [0, 2])
def test_a_workbook_is_read_with_its_lines_and_with_numbers_as_digits(blank_rows):
    content = make_workbook(
        *[[]] * blank_rows,
        ["phone_number", "name", "consent", "since", "score"],
        [12025550123, "Zoë", True, date(2026, 3, 4), 1.5],
        [],
        ["+12025550124", None, False, None, None],
    )
    sheet, rows = read(content)
    assert sheet.format == "Excel workbook"
    assert sheet.header == ["phone_number", "name", "consent", "since", "score"]
    assert rows == [
        SheetRow(line=blank_rows + 2, cells=["12025550123", "Zoë", "yes", "2026-03-04", "1.5"]),
        SheetRow(line=blank_rows + 4, cells=["+12025550124", "", "no", "", ""]),
    ]


def make_archive(**files):
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b"\r\n \n", "empty", id="blank lines"),
        pytest.param(b",,\n,\n", "empty", id="blank cells"),
        pytest.param(b"x" * 200_000, "more than 100,000 characters", id="one long line"),
        pytest.param(b"phone_number" + b"," * 500, "501 columns, and 500 are the most", id="too many columns"),
        pytest.param(b'"never closed\n', "A quote is opened in this line and not closed", id="a quote"),
        pytest.param(b"%PDF-1.7\n...", "a PDF", id="PDF"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "a picture", id="PNG"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "before 2007", id="xls"),
        pytest.param(bytes(range(256)) * 10, "not a text file", id="any bytes"),
        pytest.param(b"\x00" * 1000, "not a text file", id="zeros"),
        pytest.param(b"PK\x03\x04\x14\x00\x06\x00\xff\xfe", "damaged", id="a damaged archive"),
        pytest.param(make_archive(word__document="text"), "no Excel workbook", id="docx"),
        pytest.param(make_workbook(), "empty", id="a blank workbook"),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(content, reason):
    with pytest.raises(UnusableFile, match=reason):
        read(content)


def test_a_workbook_that_is_broken_inside_is_refused():
    with pytest.raises(UnusableFile, match="cannot be read"):
        read(make_archive(**{"xl/workbook.xml": "<no", "[Content_Types].xml": "<no"}))


@pytest.mark.parametrize("limit", ["MOST_WORKBOOK_BYTES", "MOST_UNPACKED_BYTES"])
def test_a_workbook_that_would_fill_the_memory_is_refused_before_it_is_unpacked(monkeypatch, limit):
    monkeypatch.setattr(sheets, limit, 3000)
    monkeypatch.setattr(sheets, "CalamineWorkbook", None)
    with pytest.raises(UnusableFile, match="too large"):
        read(make_workbook(["phone_number"], *[["+12025550123"]] * 1000))


def write_sheet(data, texts=""):
    """A workbook with that for its cells, which need not be as a program would write them."""
    rewritten = BytesIO()
    with zipfile.ZipFile(BytesIO(make_workbook())) as old, zipfile.ZipFile(rewritten, "w", zipfile.ZIP_DEFLATED) as new:
        for name in set(old.namelist()) - {"xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"}:
            new.writestr(name, old.read(name))
        new.writestr("xl/sharedStrings.xml", f"<sst>{texts}</sst>")
        new.writestr("xl/worksheets/sheet1.xml", f"<worksheet xmlns:x='x'>{data}</worksheet>")
    return rewritten.getvalue()


FIRST = '<row r="1"><c r="A1" t="inlineStr"><is><t>phone_number</t></is></c></row>'
SHARED = '<c t="s"><v>0</v></c>'


@pytest.mark.parametrize(
    ("data", "texts", "reason"),
    [
        pytest.param('<row><c r="XFD20000"><v>1</v></c></row>', "", "row 20,000 and column 16,384", id="far away"),
        pytest.param('<row><c r="B1048577"><v>1</v></c></row>', "", "row 1,048,577 and", id="far below"),
        pytest.param('<row r="2000000"><c><v>1</v></c></row>', "", "row 2,000,000 and", id="in a row far below"),
        pytest.param('<x:row r="2000000"><x:c><x:v>1</x:v></x:c></x:row>', "", "row 2,000,000", id="with a prefix"),
        pytest.param(f"<row>{SHARED * 400}</row>", f"<si><t>{'x' * 1_000_000}</t></si>", "too large", id="text"),
        pytest.param('<row><c r="1A"><v>1</v></c></row>', "", "cannot be read", id="nowhere"),
        pytest.param("</sheetData><row>", "", "cannot be read", id="no XML"),
    ],
)
def test_a_small_workbook_that_would_fill_the_memory_is_refused_before_it_is_read(monkeypatch, data, texts, reason):
    monkeypatch.setattr(sheets, "CalamineWorkbook", None)
    with pytest.raises(UnusableFile, match=reason):
        read(write_sheet(f"<sheetData>{FIRST}{data}</sheetData>", texts))


@pytest.mark.parametrize(
    "data",
    [
        '<row r="2"><c r="A2"><v>12025550123</v></c></row>',
        "<row><c><v>12025550123</v></c></row>",
        '<row r="2"><c t="s"><v>0</v></c></row><row r="1048576"><c r="XFD1048576" s="0"/></row>',
    ],
    ids=["with its place", "without a place", "beside formatted cells"],
)
def test_a_workbook_is_as_large_as_what_stands_in_it(data):
    content = write_sheet(f"<sheetData>{FIRST}{data}</sheetData>", "<si><t>12025550123</t></si>")
    assert read(content)[1] == [SheetRow(line=2, cells=["12025550123"])]


@pytest.mark.parametrize("other", ["content.xml", "xl/workbook.bin"])
def test_a_workbook_that_is_also_of_another_kind_is_refused(other):
    with pytest.raises(UnusableFile, match="no Excel workbook"):
        read(make_archive(**{"xl/workbook.xml": "", other: ""}))


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        (["phone_number", "email"], {"phone_number": 0, "email": 1}),
        (["E-Mail Address", "Mobile Phone"], {"phone_number": 1, "email": 0}),
        (["Telefono", "Fuso orario", "Non chiamare"], {"phone_number": 0, "time_zone": 1, "do_not_call": 2}),
        (
            ["Numero di cellulare", "ID esterno", "Posta elettronica"],
            {"phone_number": 0, "external_contact_id": 1, "email": 2},
        ),
        (["Mobile", "Phone number"], {"phone_number": 1}),
        (["Mobile", "Tel."], {"phone_number": 0}),
        (["who", "where"], {}),
    ],
)
def test_columns_are_found_by_our_names_and_by_others(header, columns):
    assert match_columns(header) == columns


@pytest.mark.parametrize("language", ["en-gb", "it"])
def test_columns_are_found_by_the_titles_that_pages_give_them(language):
    titles = dict(COLUMN_TITLES)
    if language == "en-gb":
        del titles["external_contact_id"]  # a phrase: Name in your own system
    with override(language):
        header = [str(title) for title in titles.values()]
    assert match_columns(header, [*titles]) == {column: index for index, column in enumerate(titles)}


def test_what_a_file_is_taken_for_and_why_it_is_refused_is_told_in_the_language_of_whoever_asks():
    with override("it"):
        sheet, _ = read(b"phone_number;name\n+12025550123;x\n")
        assert sheet.format == "CSV, UTF-8, punti e virgola"
        with pytest.raises(UnusableFile, match="Questo è un PDF; salvare la tabella"):
            read(b"%PDF-1.7\n...")
