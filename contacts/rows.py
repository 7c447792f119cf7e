"""The rows of a CSV file of contacts: read, checked, and put into our spelling; nothing is written here."""

import csv
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from contacts.models import Contact, PreferredLanguage
from contacts.phones import calling_zones_of, known_zones, normalise_number

NUMBER_COLUMN = "phone_number"
COLUMNS = (
    NUMBER_COLUMN,
    "external_contact_id",
    "email",
    "preferred_language",
    "has_prior_consent",
    "do_not_call",
    "time_zone",
)

_TRUE = {"yes", "y", "true", "1", "si", "sì", "vero"}
_FALSE = {"", "no", "n", "false", "0", "falso"}

# Bytes that are no UTF-8 arrive as lone surrogates (errors="surrogateescape").
_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHOWN_CHARACTERS = 100

Value = TypeVar("Value")


class UnusableFile(ValueError):
    """Nothing of the file can be imported; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class ContactRow:
    """A row that may become a contact; ``line`` is where it begins in the file, the header being line 1."""

    line: int
    phone_number: str
    external_contact_id: str
    email: str
    preferred_language: str
    has_prior_consent: bool
    do_not_call: bool
    calling_zone: str


@dataclass(frozen=True, kw_only=True)
class RefusedRow:
    """A row that became no contact. Column and value are empty when the row as a whole is at fault.

    ``opted_out`` is the number of somebody who is not to be called, said in a row that is refused for another
    column; empty otherwise.
    """

    line: int
    column: str = ""
    value: str = ""
    reason: str
    opted_out: str = ""


class _RefusedValue(Exception):
    def __init__(self, column: str, value: str, reason: str) -> None:
        self.column, self.value, self.reason = column, value, reason


class ContactRows:
    """Reads the lines one by one: a ContactRow or a RefusedRow for each row that is not blank.

    ``lines`` keep their line ends, and undecodable bytes as surrogates. Raises UnusableFile when the header
    does not say where the numbers are.
    """

    def __init__(self, lines: Iterable[str], *, default_country: str = "") -> None:
        self._default_country = default_country
        lines = iter(lines)
        head = _read_up_to_header(lines)
        # Strict: a stray quote is reported instead of being read as best it can.
        self._reader = csv.reader(chain(head, lines), delimiter=_detect_delimiter(head), strict=True)
        self._header = self._read_header()
        self.ignored_columns = [name for name in self._header if name and name not in COLUMNS]

    def __iter__(self) -> Iterator[ContactRow | RefusedRow]:
        while True:
            line = self._reader.line_num + 1
            try:
                cells = next(self._reader, None)
            except csv.Error as exc:
                yield RefusedRow(line=line, reason=f"The quotes of this row are not in order ({exc}).")
                continue
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                yield self._read_row(line, cells)

    def _read_header(self) -> list[str]:
        try:
            header = next((cells for cells in self._reader if any(cells)), [])
        except csv.Error as exc:
            raise UnusableFile(f"The first line cannot be read as the names of columns ({exc}).") from exc
        names = [name.strip().lower() for name in header]
        if any(_NOT_UTF8.search(name) or _CONTROL.search(name) for name in names):
            raise UnusableFile("This is not a text file in UTF-8; save the sheet as “CSV UTF-8”.")
        if NUMBER_COLUMN not in names:
            found = ", ".join(filter(None, names)) or "none"
            raise UnusableFile(f"The first line must name a column {NUMBER_COLUMN}; it names: {found}.")
        if repeated := sorted({name for name in names if name in COLUMNS and names.count(name) > 1}):
            raise UnusableFile(f"The first line names a column twice: {', '.join(repeated)}.")
        return names

    def _read_row(self, line: int, cells: list[str]) -> ContactRow | RefusedRow:
        if any(cell.strip() for cell in cells[len(self._header) :]):
            reason = (
                f"It has {len(cells)} values, but the first line names {len(self._header)} columns; "
                "is a value with the delimiter in it not in quotes?"
            )
            return RefusedRow(line=line, reason=reason)
        # A spreadsheet may leave out the last delimiters of a row: what is missing is empty.
        values = dict.fromkeys(COLUMNS, "") | dict(zip(self._header, cells, strict=False))
        try:
            return self._check_values(line, values)
        except _RefusedValue as refused:
            value = refused.value[:_SHOWN_CHARACTERS].encode(errors="backslashreplace").decode()
            opted_out = self._find_opt_out(values)
            return RefusedRow(line=line, column=refused.column, value=value, reason=refused.reason, opted_out=opted_out)

    def _check_values(self, line: int, values: Mapping[str, str]) -> ContactRow:
        def read(column: str, parse: Callable[[str], Value]) -> Value:
            text = values[column]
            try:
                return parse(_clean_text(text))
            except ValueError as exc:
                raise _RefusedValue(column, text, str(exc)) from exc

        phone_number = read(NUMBER_COLUMN, self._read_number)
        return ContactRow(
            line=line,
            phone_number=phone_number,
            external_contact_id=read("external_contact_id", _check_external_id),
            email=read("email", _check_email),
            preferred_language=read("preferred_language", _read_language),
            has_prior_consent=read("has_prior_consent", _read_bool),
            do_not_call=read("do_not_call", _read_bool),
            calling_zone=read("time_zone", _read_zones) or calling_zones_of(phone_number),
        )

    def _find_opt_out(self, values: Mapping[str, str]) -> str:
        try:
            is_opt_out = _read_bool(_clean_text(values["do_not_call"]))
            return self._read_number(_clean_text(values[NUMBER_COLUMN])) if is_opt_out else ""
        except ValueError:
            return ""

    def _read_number(self, text: str) -> str:
        return normalise_number(text, self._default_country)


def _read_up_to_header(lines: Iterator[str]) -> list[str]:
    head = []
    for line in lines:
        head.append(line)
        if line.strip():
            return head
    raise UnusableFile("The file is empty.")


def _detect_delimiter(head: list[str]) -> str:
    return ";" if head[-1].count(";") > head[-1].count(",") else ","


def _clean_text(text: str) -> str:
    text = unicodedata.normalize("NFC", text.strip())
    if _NOT_UTF8.search(text):
        raise ValueError("It is not text in UTF-8; save the sheet as “CSV UTF-8”.")
    if _CONTROL.search(text):
        raise ValueError("It has a line break or another control character in it; is a closing quote missing?")
    return text


def _check_external_id(text: str) -> str:
    limit = Contact._meta.get_field("external_contact_id").max_length
    if len(text) > limit:
        raise ValueError(f"It is longer than {limit} characters.")
    return text


def _check_email(text: str) -> str:
    try:
        if text:
            validate_email(text)
    except ValidationError as exc:
        raise ValueError("It is not an e-mail address.") from exc
    return text


def _read_language(text: str) -> str:
    language = text.lower() or PreferredLanguage.AUTO
    if language not in PreferredLanguage.values:
        raise ValueError(f"It is none of {', '.join(PreferredLanguage.values)}.")
    return language


def _read_bool(text: str) -> bool:
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("It is neither yes nor no.")


def _read_zones(text: str) -> str:
    zones = sorted(set(text.split()))
    for zone in zones:
        if zone not in known_zones():
            raise ValueError(f"{zone} is not an IANA time zone such as Europe/Rome.")
    return " ".join(zones)
