"""Phone numbers: one spelling for each (E.164), and the time zones in which a number may lie.

Pure: no Django, no database.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from zoneinfo import available_timezones

import phonenumbers
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
)
from phonenumbers import timezone as number_zones
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

_SPREADSHEET_POWER = re.compile(r"[\d.,]+E\+?\d+", re.IGNORECASE)
_SPREADSHEET_DECIMAL = re.compile(r"\+?\d{7,}[.,]0+")
_E164_DIGITS = range(7, 16)

# With a country code, and with no other signs than these between the digits; a slash, say, may part two numbers.
_CLEAN = re.compile(r"(?:\+|00)([1-9][0-9 ()-]+)")
_SIGNS = str.maketrans("", "", " ()-")

NUMBER_MISSING = "It is empty; every contact needs a number."
_COUNTRY_MISSING = "It has no country code; write it with + and the code, or set a default country."
_COUNTRY_UNKNOWN = "Its country code does not exist; check the digits after the +."
_TOO_SHORT = "It is too short for its country; a digit or the area code is missing."
_TOO_LONG = "It is too long for its country; check for a second number, an extension or a wrong country."
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
    ValidationResult.INVALID_LENGTH: "No number in its country has this many digits; check it.",
}


class InvalidPhoneNumber(ValueError):
    """Its message is a sentence that says what is wrong with the number, and what to do about it."""


def normalise_number(text: str, default_country: str = "") -> str:
    """The number in E.164, such as +12025550123.

    ``default_country`` (two letters, such as IT) is the country of a number written without one.
    Raises InvalidPhoneNumber for what cannot be dialled from abroad as it stands.
    """
    return _format(_parse(text, default_country))


def normalise_and_locate(text: str, default_country: str = "") -> tuple[str, str]:
    """The number as normalise_number and its zones as calling_zones_of give them, for much less than both."""
    if (located := read_clean(text.strip())) is not None:
        return located
    number = _parse(text, default_country)
    return _format(number), _find_zones(number)


def read_clean(text: str) -> tuple[str, str] | None:
    """The same of most numbers that are written with their country code, without parsing them.

    None for whatever is not certain without, and for all that is refused.
    """
    clean = _CLEAN.fullmatch(text)
    if clean is None:
        return None
    digits = clean[1].translate(_SIGNS)
    for length in (1, 2, 3):
        if plan := _plan_of(digits[:length]):
            national = digits[length:]
            break
    else:
        return None
    if plan.prefix and (found := plan.prefix.match(national)) and found.end():
        if not plan.prefix_goes or plan.viable.fullmatch(national):
            return None
        national = national[found.end() :]
        digits = digits[:length] + national
    if len(national) not in plan.lengths:
        return None
    if plan.only_zones is not None:
        return f"+{digits}", plan.only_zones
    zones = _zones_by_prefix(digits)
    if zones != plan.zones and plan.placeless.fullmatch(national):
        return None
    return f"+{digits}", zones


@dataclass(frozen=True, slots=True, kw_only=True)
class _NumberingPlan:
    """What of the metadata decides about the national numbers of a country code.

    ``prefix`` is what callers inside may dial in front of them; where it goes, nothing comes in its place. What is
    ``viable`` may be a number as it stands, whatever it begins with. ``zones`` are those of the country;
    ``only_zones`` the same, unless they depend on the number. ``placeless`` is every number that may be of a kind that
    says nothing of where it is, such as those of mobiles in most countries, and has the zones of the country.
    """

    lengths: frozenset[int]
    prefix: re.Pattern[str] | None
    prefix_goes: bool
    viable: re.Pattern[str]
    zones: str
    only_zones: str | None
    placeless: re.Pattern[str]


@cache
def _plan_of(digits: str) -> _NumberingPlan | None:
    """None for what is no country code."""
    code = int(digits)
    if code not in COUNTRY_CODE_TO_REGION_CODE:
        return None
    main = PhoneMetadata.metadata_for_region_or_calling_code(code, phonenumbers.region_code_for_country_code(code))
    zones = _zones_by_prefix(digits)
    of_parts = {_spell_zones(prefix) for prefix in TIMEZONE_DATA if prefix.startswith(digits)}
    return _NumberingPlan(
        lengths=frozenset(n for n in main.general_desc.possible_length if len(digits) + n in _E164_DIGITS),
        prefix=re.compile(main.national_prefix_for_parsing) if main.national_prefix_for_parsing else None,
        prefix_goes=not main.national_prefix_transform_rule,
        viable=re.compile(main.general_desc.national_number_pattern),
        zones=zones,
        only_zones=zones if of_parts <= {zones} else None,
        placeless=re.compile("|".join(f"(?:{pattern})" for pattern in sorted(set(_placeless_patterns(code))))),
    )


def _placeless_patterns(code: int) -> Iterator[str]:
    mobiles_have_places = phonenumbers.is_number_type_geographical(PhoneNumberType.MOBILE, code)
    for region in COUNTRY_CODE_TO_REGION_CODE[code]:
        of_region = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
        kinds = [
            of_region.premium_rate,
            of_region.toll_free,
            of_region.shared_cost,
            of_region.voip,
            of_region.personal_number,
            of_region.pager,
            of_region.uan,
            of_region.voicemail,
        ]
        # Where they look like those of landlines, none is known to be a mobile's.
        if not (mobiles_have_places or of_region.same_mobile_and_fixed_line_pattern):
            kinds.append(of_region.mobile)
        yield from (kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern)


def _zones_by_prefix(digits: str) -> str:
    for length in range(TIMEZONE_LONGEST_PREFIX, 0, -1):
        if digits[:length] in TIMEZONE_DATA:
            return _spell_zones(digits[:length])
    return ""


@cache
def _spell_zones(prefix: str) -> str:
    return _join_zones(TIMEZONE_DATA[prefix])


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
        raise InvalidPhoneNumber("It has an extension, which cannot be dialled; give a direct number.")
    return number


def _format(number: PhoneNumber) -> str:
    normalised = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if len(normalised) - 1 not in _E164_DIGITS:
        raise InvalidPhoneNumber("It has too many or too few digits for a number that can be rung from abroad.")
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
    return _join_zones(zones)


def _join_zones(zones: Iterable[str]) -> str:
    return " ".join(sorted(known_zones().intersection(zones)))


@cache
def known_zones() -> frozenset[str]:
    """The names of all IANA zones; cached because zoneinfo walks the disk for them every time."""
    return frozenset(available_timezones())


def _refuse_what_is_no_number(text: str) -> None:
    if not text:
        raise InvalidPhoneNumber(NUMBER_MISSING)
    if _SPREADSHEET_POWER.fullmatch(text):
        raise InvalidPhoneNumber(
            "A spreadsheet has rounded this number and its digits are lost; take it from the original list "
            "and format the column as text."
        )
    if _SPREADSHEET_DECIMAL.fullmatch(text):
        raise InvalidPhoneNumber(
            "A spreadsheet has made a decimal of this number; format the column as text and export it again."
        )
    if any(character.isalpha() for character in text):
        raise InvalidPhoneNumber("It has letters in it; write a direct number in digits, without an extension.")


def _explain_parse_error(error: NumberParseException, text: str) -> str:
    if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
        return _COUNTRY_UNKNOWN if "+" in text else _COUNTRY_MISSING
    return _PARSE_REASONS.get(error.error_type, "It is not a phone number.")
