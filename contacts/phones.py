"""Phone numbers: one spelling for each (E.164), and the time zones in which a number may lie.

Pure: no Django but its translations, no database.
"""

import re

import phonenumbers
from django.utils.translation import gettext_lazy as _
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult
from phonenumbers import timezone as number_zones

from contacts.numbering import E164_DIGITS, join_zones, read_clean

_SPREADSHEET_POWER = re.compile(r"[\d.,]+E\+?\d+", re.IGNORECASE)
_SPREADSHEET_DECIMAL = re.compile(r"\+?\d{7,}[.,]0+")
_NUMBER_LIKE = re.compile(r"[+(]*\d(?:[ ()./-]*\d){6,14}")
# Of our age, or a number that is written with the same signs would be taken for one.
_DATE_LIKE = re.compile(r"(?:19|20)\d\d([./-])\d\d?\1\d\d?|\d\d?([./-])\d\d?\2(?:19|20)\d\d", re.ASCII)
NUMBER_MISSING = _("It is empty; every contact needs a number.")
_COUNTRY_MISSING = _("It has no country code; write it with + and the code, or set a default country.")
_COUNTRY_UNKNOWN = _("Its country code does not exist; check the digits after the +.")
_TOO_SHORT = _("It is too short for its country; a digit or the area code is missing.")
_TOO_LONG = _("It is too long for its country; check for a second number, an extension or a wrong country.")
_PARSE_REASONS = {
    NumberParseException.TOO_SHORT_AFTER_IDD: _TOO_SHORT,
    NumberParseException.TOO_SHORT_NSN: _TOO_SHORT,
    NumberParseException.TOO_LONG: _TOO_LONG,
}
_LENGTH_REASONS = {
    ValidationResult.INVALID_COUNTRY_CODE: _COUNTRY_UNKNOWN,
    ValidationResult.TOO_SHORT: _TOO_SHORT,
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: _TOO_SHORT,  # 555-0123 can be dialled from next door only
    ValidationResult.TOO_LONG: _TOO_LONG,
    ValidationResult.INVALID_LENGTH: _("No number in its country has this many digits; check it."),
}


class InvalidPhoneNumber(ValueError):
    """Its message is a sentence that says what is wrong with the number, and what to do about it.

    It is in the language of whoever reads it.
    """


def normalise_number(text: str, default_country: str = "") -> str:
    """The number in E.164, such as +12025550123.

    ``default_country`` (two letters, such as IT) is the country of a number written without one.
    Raises InvalidPhoneNumber for what cannot be dialled from abroad as it stands.
    """
    return _format(_parse(text, default_country))


def looks_like_number(text: str) -> bool:
    """Whether it is perhaps meant as one, of whatever country; also in quotes, of which one may be missing."""
    text = text.strip(" \t\"'")
    return bool(_NUMBER_LIKE.fullmatch(text)) and not _DATE_LIKE.fullmatch(text)


def normalise_and_locate(text: str, default_country: str = "") -> tuple[str, str]:
    """The number as normalise_number and its zones as calling_zones_of give them, for much less than both."""
    if (located := read_clean(text.strip())) is not None:
        return located
    number = _parse(text, default_country)
    return _format(number), _find_zones(number)


def _parse(text: str, default_country: str) -> PhoneNumber:
    text = text.strip()
    _refuse_what_is_no_number(text)
    if text.startswith("00"):  # the international prefix of most countries; no national number starts so
        text = f"+{text[2:]}"
    try:
        number = phonenumbers.parse(text, default_country or None)
    except NumberParseException as exc:
        raise InvalidPhoneNumber(_explain_parse_error(exc, text)) from exc
    # Possible (right length for its country), not valid (in a range that is in use): the metadata lags
    # behind newly opened ranges, and calls none of the ranges valid that some countries reserve for
    # fiction, from which every number in our tests and demo comes. The provider has the last word anyway.
    length = phonenumbers.is_possible_number_with_reason(number)
    if length != ValidationResult.IS_POSSIBLE:
        raise InvalidPhoneNumber(_LENGTH_REASONS[length])
    if number.extension:
        raise InvalidPhoneNumber(_("It has an extension, which cannot be dialled; give a direct number."))
    return number


def _format(number: PhoneNumber) -> str:
    normalised = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if len(normalised) - 1 not in E164_DIGITS:
        raise InvalidPhoneNumber(_("It has too many or too few digits for a number that can be rung from abroad."))
    return normalised


def calling_zones_of(number: str) -> str:
    """The IANA zones in which an E.164 number may lie, sorted and joined by one space; "" when unknown.

    A number in no known range has all the zones of its country, because one of them is right.
    """
    return _find_zones(phonenumbers.parse(number))


def _find_zones(number: PhoneNumber) -> str:
    zones = number_zones.time_zones_for_number(number)
    if zones == (number_zones.UNKNOWN_TIMEZONE,):
        zones = number_zones.time_zones_for_geographical_number(number)
    return join_zones(zones)


def _refuse_what_is_no_number(text: str) -> None:
    if not text:
        raise InvalidPhoneNumber(NUMBER_MISSING)
    if _SPREADSHEET_POWER.fullmatch(text):
        raise InvalidPhoneNumber(
            _(
                "A spreadsheet has rounded this number and its digits are lost; take it from the original list "
                "and format the column as text."
            )
        )
    if _SPREADSHEET_DECIMAL.fullmatch(text):
        raise InvalidPhoneNumber(
            _("A spreadsheet has made a decimal of this number; format the column as text and export it again.")
        )
    if _DATE_LIKE.fullmatch(text.partition(" ")[0].partition("T")[0]):
        raise InvalidPhoneNumber(_("It is a date; is another column the one of the numbers?"))
    if any(character.isalpha() for character in text):
        raise InvalidPhoneNumber(_("It has letters in it; write a direct number in digits, without an extension."))


def _explain_parse_error(error: NumberParseException, text: str) -> str:
    if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
        return _COUNTRY_UNKNOWN if "+" in text else _COUNTRY_MISSING
    return _PARSE_REASONS.get(error.error_type, _("It is not a phone number."))
