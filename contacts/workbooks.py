"""How large a workbook would be in memory, told from its parts as streams, before anything reads it as a whole."""

import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import digits
from xml.parsers import expat
from zipfile import ZipFile, ZipInfo

_SHARED_TEXTS = "xl/sharedstrings.xml"
# What a part must have to be read as a sheet or as shared texts, wherever it lies.
_READABLE = re.compile(rb"sheetData|sst")
_LONGEST_MARK = 9
_PIECE_BYTES = 1 << 16
_MOST_LETTERS = 4


class MalformedWorkbook(ValueError):
    """A part of it is no XML such as workbooks have."""


@dataclass(slots=True)
class Extent:
    """Up to which row and column anything stands in a sheet, and how many characters its cells have of shared texts.

    A text that many cells share is packed once, and unpacked once for each of them.
    """

    rows: int = 0
    columns: int = 0
    characters: int = 0


def measure_sheets(archive: ZipFile) -> Iterator[Extent]:
    """Of each part that could be read as a sheet. Raises MalformedWorkbook."""
    # Texts first, because sheets only name their places.
    parts = sorted(archive.infolist(), key=lambda part: part.filename.lower() != _SHARED_TEXTS)
    lengths = array("L")
    for part in parts:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        if part.filename.lower() == _SHARED_TEXTS:
            _TextLengths(parser, lengths)
            _parse(archive, part, parser)
        else:
            sheet = _SheetExtent(parser, lengths)
            _parse(archive, part, parser)
            yield sheet.extent


def _parse(archive: ZipFile, part: ZipInfo, parser: expat.XMLParserType) -> None:
    """What is no XML is passed over, such as a picture, unless it could be read by somebody less strict."""
    fault, is_readable, before = "", False, b""
    with archive.open(part) as file:
        while piece := file.read(_PIECE_BYTES):
            is_readable = is_readable or _READABLE.search(before + piece) is not None
            before = piece[-_LONGEST_MARK:]
            try:
                if not fault:
                    parser.Parse(piece)
            except (expat.ExpatError, LookupError, ValueError) as exc:
                fault = str(exc) or type(exc).__name__
            if is_readable and fault:
                raise MalformedWorkbook(f"{part.filename}: {fault}")


def _refuse_doctype(*_args: object) -> None:
    raise ValueError("a document type")  # nothing of a workbook has one, and entities could hide cells


class _TextLengths:
    """The length of each shared text, in their order."""

    def __init__(self, parser: expat.XMLParserType, lengths: "array[int]") -> None:
        self._lengths = lengths
        parser.StartElementHandler, parser.CharacterDataHandler = self._start, self._count

    def _start(self, name: str, _attributes: Mapping[str, str]) -> None:
        if _local(name) == "si":
            self._lengths.append(0)

    def _count(self, text: str) -> None:
        if self._lengths:
            self._lengths[-1] += len(text)


class _SheetExtent:
    """Cells and rows stand where they say, or behind the one before; cells that have only a format are nowhere."""

    def __init__(self, parser: expat.XMLParserType, lengths: "array[int]") -> None:
        self.extent = Extent()
        self._parser, self._lengths = parser, lengths
        self._row = self._column = self._row_of_cell = 0
        self._shares = False
        self._place = ""  # of a shared text, as far as it is read
        parser.StartElementHandler = self._start

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if ":" in name:
            name = _local(name)
        if name == "c":
            reference = attributes.get("r")
            if reference is None:
                self._row_of_cell, self._column = self._row, self._column + 1
            else:
                letters = reference.rstrip(digits)
                self._row_of_cell, self._column = int(reference[len(letters) :]), _number_column(letters)
            self._shares = attributes.get("t") == "s"
        elif name in ("v", "is", "f"):
            if self._row_of_cell > self.extent.rows:
                self.extent.rows = self._row_of_cell
            if self._column > self.extent.columns:
                self.extent.columns = self._column
            if self._shares:
                self._parser.CharacterDataHandler, self._parser.EndElementHandler = self._read_place, self._count
        elif name == "row":
            self._row, self._column = int(attributes.get("r", self._row + 1)), 0

    def _read_place(self, text: str) -> None:
        self._place += text

    def _count(self, _name: str) -> None:
        place, self._place = int(self._place or -1), ""
        if 0 <= place < len(self._lengths):
            self.extent.characters += self._lengths[place]
        self._parser.CharacterDataHandler = self._parser.EndElementHandler = None


def _local(name: str) -> str:
    return name.rpartition(":")[2]


@lru_cache(maxsize=20_000)
def _number_column(letters: str) -> int:
    """From 1. Raises ValueError."""
    if not (letters.isascii() and letters.isalpha() and len(letters) <= _MOST_LETTERS):
        raise ValueError(f"a cell in column {letters[:_MOST_LETTERS]!r}")
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
