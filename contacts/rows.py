"""The rows of a sheet of contacts: checked, and put into our spelling; nothing is written here."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from campaigns.windows import known_zones
from contacts.models import Contact, PreferredLanguage
from contacts.numbering import read_clean
from contacts.phones import NUMBER_MISSING, looks_like_number, normalise_and_locate
from contacts.sheets import Sheet, SheetRow, UnusableFile, describe_fault
from contacts.spreadsheets import restore

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

# Of a file of the do-not-call list.
REASON_COLUMN = "reason"
LIST_COLUMNS = (NUMBER_COLUMN, REASON_COLUMN)

# Of a file of refused rows, before its own; none of COLUMNS is called so when it is imported again.
REFUSAL_COLUMNS = ("refused line", "refused column", "refused value", "refused because")

# How others name them, in English and Italian; compared without capitals, spaces and signs.
_OTHER_NAMES = {
    NUMBER_COLUMN: "phone telephone tel mobile mobilephone cell cellphone number telefono cellulare numero "
    "numeroditelefono numerotelefono numerotelefonico numerodicellulare numerocellulare telefonocellulare "
    "telefonomobile recapito recapitotelefonico",
    "external_contact_id": "externalid contactid respondentid personid customerid id codice idcontatto idesterno "
    "idesternocontatto codiceesterno codicecontatto idpersona idcliente codicecliente",
    "email": "emailaddress mail indirizzoemail indirizzomail posta postaelettronica",
    "preferred_language": "language lang lingua linguapreferita",
    "has_prior_consent": "consent priorconsent consenso consensopreventivo consensoprecedente",
    "do_not_call": "dnc donotcallme optout optedout nonchiamare nonchiamate noncontattare",
    REASON_COLUMN: "why note notes comment motivo motivazione nota commento",
    "time_zone": "timezone zone tz fusoorario fuso zona zonaoraria",
}
_COLUMN_OF = {name: column for column, names in _OTHER_NAMES.items() for name in names.split()}

_TRUE = {"yes", "y", "true", "t", "1", "x", "si", "sì", "s", "vero", "v"}
_FALSE = {"", "no", "n", "false", "f", "0", "falso"}

_LANGUAGES = {
    PreferredLanguage.ENGLISH: "en english eng inglese",
    PreferredLanguage.ITALIAN: "it italian ita italiano italiana",
    PreferredLanguage.AUTO: "auto automatic automatica automatico",
}
_LANGUAGE_OF = {name: language.value for language, names in _LANGUAGES.items() for name in names.split()}

# Bytes that are no text in the file's encoding.
_UNREADABLE = re.compile(r"[\ud800-\udfff\ufffd]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Such as Django accepts, and faster to tell than all that it accepts.
_PLAIN_EMAIL = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*@(?:[A-Za-z0-9]{1,63}\.)+[A-Za-z]{2,63}")
_SHOWN_CHARACTERS = 100
_LONGEST_EMAIL = Contact._meta.get_field("email").max_length
_LONGEST_EXTERNAL_ID = Contact._meta.get_field("external_contact_id").max_length

Value = TypeVar("Value")


@dataclass(slots=True, kw_only=True)  # not frozen, which would make each take three times as long
class ContactRow:
    """A row that may become a contact; ``line`` is where it begins in the file, from 1."""

    line: int
    cells: Sequence[str]
    columns_said: Set[str]  # those that are not empty
    phone_number: str
    external_contact_id: str
    email: str
    preferred_language: str
    has_prior_consent: bool
    do_not_call: bool
    calling_zone: str

    def said(self, column: str, value: Value) -> Value | None:
        """The value, if the row has one in this column."""
        return value if column in self.columns_said else None


@dataclass(frozen=True, kw_only=True)
class RefusedRow:
    """A row that became no contact. Column and value are empty when the row as a whole is at fault.

    ``opted_out`` is the number of somebody who is not to be called, said in a row that is refused for another
    column; empty otherwise. ``cells`` are the row as it stands in the file.
    """

    line: int
    column: str = ""
    value: str = ""
    reason: str
    opted_out: str = ""
    cells: Sequence[str] = ()


class _RefusedValue(Exception):
    def __init__(self, column: str, value: str, reason: str) -> None:
        self.column, self.value, self.reason = column, value, reason


def match_columns(header: Sequence[str], columns: Sequence[str] = COLUMNS) -> dict[str, int]:
    """Which of the columns stands where, by our names or other usual ones; those that are not found are left out.

    Of several that may be the same, the one with our name counts, else the first.
    """
    return {column: places[0] for column, places in list_candidates(header, columns).items()}


def list_candidates(header: Sequence[str], columns: Sequence[str] = COLUMNS) -> dict[str, list[int]]:
    """Where each of the columns may stand, the likeliest place first; those that stand nowhere are left out."""
    found = {}
    plain = [re.sub(r"[\W_]", "", name.lower()) for name in header]
    for column in columns:
        matching = [i for i, name in enumerate(plain) if name == column.replace("_", "")]
        matching += [i for i, name in enumerate(plain) if _COLUMN_OF.get(name) == column and i not in matching]
        if matching:
            found[column] = matching
    return found


def check_header(header: Sequence[str]) -> None:
    """Raises UnusableFile when it is rather somebody's row, who would be lost."""
    if NUMBER_COLUMN in match_columns(header, [NUMBER_COLUMN]):
        return
    if number := next(filter(looks_like_number, header), ""):
        text = _(
            "The first line must have the names of the columns, and it has a number: %(number)s. Put a line with the "
            "names above it, such as %(column)s for the numbers, and load the file again."
        )
        raise UnusableFile(text % {"number": number, "column": NUMBER_COLUMN})


def _find_columns(header: Sequence[str]) -> dict[str, int]:
    names = [name.lower() for name in header]
    if repeated := sorted({name for name in names if name in COLUMNS and names.count(name) > 1}):
        raise UnusableFile(_("The first line names a column twice: %(names)s.") % {"names": ", ".join(repeated)})
    return match_columns(header)


class ContactRows:
    """The rows of a sheet one by one: a ContactRow or a RefusedRow for each that is not blank.

    ``columns`` says which of COLUMNS or LIST_COLUMNS stands where; without it they are found by the header. Of a file
    of refused rows, one that was a duplicate and has its number still is refused again, unless it
    ``accepts_duplicates``.

    Raises UnusableFile when it does not say where the numbers are, or says something twice.
    """

    def __init__(
        self,
        sheet: Sheet,
        *,
        default_country: str = "",
        columns: Mapping[str, int] | None = None,
        accepts_duplicates: bool = False,
    ) -> None:
        self._sheet = sheet
        found = _find_columns(sheet.header) if columns is None else columns
        # In this order, so that of several faults of a row the same one is told always.
        self.columns = {column: found[column] for column in (*COLUMNS, REASON_COLUMN) if column in found}
        self._parsers = _PARSERS | {NUMBER_COLUMN: partial(_read_number, default_country=default_country)}
        has_refusals = not accepts_duplicates and {*REFUSAL_COLUMNS} <= {*sheet.header}
        self._refusal = [sheet.header.index(name) for name in REFUSAL_COLUMNS[1:3]] if has_refusals else []
        if NUMBER_COLUMN not in self.columns:
            check_header(sheet.header)
            names = ", ".join(filter(None, sheet.header)) or pgettext("names of columns", "none")
            text = _("The first line must name a column %(column)s; it names: %(names)s.")
            raise UnusableFile(text % {"column": NUMBER_COLUMN, "names": names})

    def __iter__(self) -> Iterator[ContactRow | RefusedRow]:
        return self.after(0)

    def after(self, line: int) -> Iterator[ContactRow | RefusedRow]:
        """Those that begin behind that line; the others are passed over without a look at their values."""
        read = self._read_refused if self._refusal else self.read
        for row in self._sheet:
            if row.line <= line:
                continue
            if row.fault:
                yield RefusedRow(line=row.line, reason=describe_fault(row.fault), cells=row.cells)
            else:
                yield read(row)

    def read(self, row: SheetRow) -> ContactRow | RefusedRow:
        found, width = row.cells, len(self._sheet.header)
        if len(found) > width and any(cell.strip() for cell in found[width:]):
            return RefusedRow(line=row.line, reason=_describe_excess(len(found), width), cells=row.cells)
        # A spreadsheet may leave out the last delimiters of a row: what is missing is empty.
        last = len(found) - 1
        values = {
            column: text
            for column, index in self.columns.items()
            if index <= last and (text := found[index]) and not text.isspace()
        }
        try:
            return self._check_values(row, values)
        except _RefusedValue as refused:
            return RefusedRow(
                line=row.line,
                column=refused.column,
                value=refused.value[:_SHOWN_CHARACTERS],
                reason=refused.reason,
                opted_out=self._find_opt_out(values),
                cells=row.cells,
            )

    def _read_refused(self, row: SheetRow) -> ContactRow | RefusedRow:
        """Of a file of refused rows: the contact of a duplicate is another row's, which is not to be undone."""
        found = self.read(row)
        column, number = (restore(row.cells[i].strip()) if i < len(row.cells) else "" for i in self._refusal)
        # Of all that are refused for their number, only that of a duplicate is one in our spelling.
        if isinstance(found, RefusedRow) or (column, number) != (NUMBER_COLUMN, found.phone_number):
            return found
        return RefusedRow(
            line=row.line,
            column=NUMBER_COLUMN,
            value=number,
            reason=_(
                "It was refused before because another row has the same number; change its number, or empty its "
                "“refused value” if this row is to count."
            ),
            opted_out=number if found.do_not_call else "",
            cells=row.cells,
        )

    def _check_values(self, row: SheetRow, values: Mapping[str, str]) -> ContactRow:
        read = {}
        for column, text in values.items():
            try:
                read[column] = self._parsers[column](text)
            except ValueError as exc:
                raise _RefusedValue(column, text, str(exc)) from exc
        if NUMBER_COLUMN not in read:
            raise _RefusedValue(NUMBER_COLUMN, "", str(NUMBER_MISSING))
        number, zones = read[NUMBER_COLUMN]
        return ContactRow(
            line=row.line,
            cells=row.cells,
            columns_said=values.keys(),
            phone_number=number,
            external_contact_id=read.get("external_contact_id", ""),
            email=read.get("email", ""),
            preferred_language=read.get("preferred_language", PreferredLanguage.AUTO.value),
            has_prior_consent=read.get("has_prior_consent", False),
            do_not_call=read.get("do_not_call", False),
            calling_zone=read.get("time_zone") or zones,
        )

    def _find_opt_out(self, values: Mapping[str, str]) -> str:
        try:
            is_opt_out = _read_bool(values.get("do_not_call", ""))
            return self._parsers[NUMBER_COLUMN](values.get(NUMBER_COLUMN, ""))[0] if is_opt_out else ""
        except ValueError:
            return ""


def _describe_excess(values: int, columns: int) -> str:
    text = ngettext(
        "It has %(values)s values, but the first line names %(columns)s column; "
        "is a value with the delimiter in it not in quotes?",
        "It has %(values)s values, but the first line names %(columns)s columns; "
        "is a value with the delimiter in it not in quotes?",
        columns,
    )
    return text % {"values": values, "columns": columns}


def _clean_text(text: str) -> str:
    if text.isascii() and text.isprintable():  # as most are
        text = text.strip()
        return restore(text) if text.startswith("'") else text
    text = unicodedata.normalize("NFC", restore(text.strip()))
    if _UNREADABLE.search(text):
        raise ValueError(_("Some of its bytes are no text in the encoding of the file; save it as “CSV UTF-8”."))
    if _CONTROL.search(text):
        raise ValueError(_("It has a line break or another control character in it; is a closing quote missing?"))
    return text


def _read_number(text: str, default_country: str) -> tuple[str, str]:
    # First as it stands: what can be read like that needs no cleaning.
    return read_clean(text.strip()) or normalise_and_locate(_clean_text(text), default_country)


def _describe_length(most: int) -> str:
    return _("It is longer than %(most)s characters.") % {"most": most}


def _read_external_id(text: str) -> str:
    text = _clean_text(text)
    if len(text) > _LONGEST_EXTERNAL_ID:
        raise ValueError(_describe_length(_LONGEST_EXTERNAL_ID))
    return text


def _read_email(text: str) -> str:
    text = _clean_text(text)
    if len(text) > _LONGEST_EMAIL:
        raise ValueError(_describe_length(_LONGEST_EMAIL))
    if _PLAIN_EMAIL.fullmatch(text):
        return text
    try:
        validate_email(text)
    except ValidationError as exc:
        raise ValueError(_("It is not an e-mail address.")) from exc
    return text


# The values of these columns are few, and the same again and again.
_remember = lru_cache(maxsize=1000)


@_remember
def _read_language(text: str) -> str:
    language = _LANGUAGE_OF.get(_clean_text(text).lower())
    if language is None:
        raise ValueError(_("It is none of %(choices)s.") % {"choices": ", ".join(PreferredLanguage.values)})
    return language


@_remember
def _read_bool(text: str) -> bool:
    word = _clean_text(text).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(_("It is neither yes nor no."))


@_remember
def _read_zones(text: str) -> str:
    zones = sorted(set(_clean_text(text).split()))
    for zone in zones:
        if zone not in known_zones():
            raise ValueError(_("%(zone)s is not an IANA time zone such as Europe/Rome.") % {"zone": zone})
    return " ".join(zones)


# How the value of each column is read; raises ValueError with a sentence that says what is wrong with it.
_PARSERS: dict[str, Callable[[str], Any]] = {
    "external_contact_id": _read_external_id,
    "email": _read_email,
    "preferred_language": _read_language,
    "has_prior_consent": _read_bool,
    "do_not_call": _read_bool,
    "time_zone": _read_zones,
    REASON_COLUMN: _clean_text,
}
