"""Public holidays of countries and their parts, from the ``holidays`` library, by codes such as IT, DE-BY or US-CA.

Pure: no Django.
"""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache

import holidays
from holidays.registry import COUNTRIES
from phonenumbers.geodata.locale import LOCALE_DATA


def is_holiday(day: date, code: str) -> bool:
    """Whether that day is a holiday by law there; of a country as a whole: everywhere in it.

    Of a code that nobody knows (any more) every day is one: nobody is rung on a guess.
    """
    return code not in name_calendars() or day in _find_holidays(code, day.year)


@cache
def _find_holidays(code: str, year: int) -> frozenset[date]:
    country, _, part = code.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=part or None, years=year))


@cache
def name_calendars(language: str = "en") -> Mapping[str, str]:
    """Every code, with the name of its country in the language: IT is Italy, DE-BY is Germany: BY."""
    names = {codes[1]: _space_words(codes[0]) for codes in COUNTRIES.values()}
    calendars = {}
    for country, parts in sorted(holidays.list_supported_countries(include_aliases=False).items()):
        name = _translate_country(country, language) or names.get(country, country)
        calendars[country] = name
        calendars |= {f"{country}-{part}": f"{name}: {part}" for part in parts}
    return calendars


def _translate_country(country: str, language: str) -> str:
    """Its name as phonenumbers has it; empty in English, in which it is the library's of the holidays."""
    names = {} if language == "en" else LOCALE_DATA.get(country, {})
    name = names.get(language, "")
    return names[name[1:]] if name.startswith("*") else name  # the same as in another language


def _space_words(name: str) -> str:
    """UnitedStates is United States."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
