"""What the numbering plans of the world's countries say of clean numbers: enough to know most without parsing them.

Pure: no Django, no database. Whatever is not certain from here is left to contacts/phones.py, which parses it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberType
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

from campaigns.windows import known_zones

E164_DIGITS = range(7, 16)

# With a country code, and with no other signs than these between the digits; a slash, say, may part two numbers.
_CLEAN = re.compile(r"(?:\+|00)([1-9][0-9 ()-]+)")
_SIGNS = str.maketrans("", "", " ()-")


def read_clean(text: str) -> tuple[str, str] | None:
    """The number in E.164 and its zones, of most numbers that are written with their country code.

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
        lengths=frozenset(n for n in main.general_desc.possible_length if len(digits) + n in E164_DIGITS),
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
    return join_zones(TIMEZONE_DATA[prefix])


def join_zones(zones: Iterable[str]) -> str:
    return " ".join(sorted(known_zones().intersection(zones)))
