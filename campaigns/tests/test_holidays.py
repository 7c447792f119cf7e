from datetime import date

import pytest

from campaigns.holidays import is_holiday, name_calendars


@pytest.mark.parametrize(
    ("code", "day", "expected"),
    [
        ("IT", date(2026, 12, 26), True),
        ("IT", date(2026, 12, 24), False),
        ("US", date(2026, 12, 26), False),
        ("DE", date(2026, 1, 6), False),  # Epiphany: in some parts only
        ("DE-BY", date(2026, 1, 6), True),
        ("GB-SCT", date(2026, 1, 2), True),
        ("IT", date(2027, 3, 29), True),  # Easter Monday moves
        ("IT", date(2026, 4, 6), True),
        ("XX", date(2026, 3, 4), True),  # nobody knows it: nobody is rung on a guess
    ],
)
def test_holidays_are_those_of_the_country_or_its_part(code, day, expected):
    assert is_holiday(day, code) is expected


def test_calendars_are_named_by_their_country_and_part():
    names = name_calendars()
    assert names["IT"] == "Italy"
    assert names["US-CA"] == "United States: CA"
    assert "ITA" not in names


def test_countries_have_their_names_in_italian_too():
    names = name_calendars("it")
    assert (names["DE-BY"], names["US"], names["GB"]) == ("Germania: BY", "Stati Uniti", "Regno Unito")
    assert names.keys() == name_calendars().keys()
    assert all(names.values())
