from zoneinfo import ZoneInfo

import pytest
from phonenumbers.tzdata import TIMEZONE_DATA

from contacts.phones import InvalidPhoneNumber, calling_zones_of, known_zones, normalise_number


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("+12025550123", "", "+12025550123"),
        (" +1 (202) 555-0123 ", "", "+12025550123"),
        ("0012025550123", "", "+12025550123"),  # 00 for +
        ("0012025550123", "US", "+12025550123"),  # also where 00 is not what people dial
        ("(202) 555-0123", "US", "+12025550123"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("+44 (0)20 7946 0018", "IT", "+442079460018"),
        ("442079460018", "GB", "+442079460018"),
        ("06 1234567", "IT", "+39061234567"),  # Italy keeps its zero
        ("+1\u00a0202\u00a0555\u00a00123", "", "+12025550123"),  # no-break spaces
        ("\u202a+12025550123\u202c", "", "+12025550123"),  # direction marks from a phone's contact list
        ("+44 7700 900123", "", "+447700900123"),  # fiction, in no range that phonenumbers calls valid
        ("+353 20 910 1203", "", "+353209101203"),
    ],
)
def test_a_number_has_one_spelling(text, country, expected):
    assert normalise_number(text, country) == expected


@pytest.mark.parametrize(
    ("text", "country", "reason"),
    [
        ("", "IT", "empty"),
        ("   ", "IT", "empty"),
        ("020 7946 0018", "", "no country code"),
        ("442079460018", "", "no country code"),
        ("12", "IT", "too short"),
        ("112", "IT", "too short"),
        ("555-0123", "US", "too short"),  # no area code
        ("+1 202 555 01", "", "too short"),
        ("+44 20 7946 0018 020 7946 0019", "", "too long"),
        ("+44 20 7946 0018/0019", "", "too long"),
        ("+999 123 456 789", "", "does not exist"),
        ("call me", "IT", "letters"),
        ("1-800-FLOWERS", "US", "letters"),
        ("+1 202 555 0123 ext 5", "", "letters"),
        ("+1 202 555 0123 #5", "", "extension"),
        ("4.93E+11", "DE", "spreadsheet has rounded"),
        ("4,93E+11", "DE", "spreadsheet has rounded"),
        ("4.93e11", "DE", "spreadsheet has rounded"),
        ("493023125021.0", "DE", "spreadsheet has made a decimal"),
        ("---", "IT", "not a phone number"),
        ("+" + "1" * 300, "", "too long"),
    ],
)
def test_what_cannot_be_dialled_is_refused_with_its_reason(text, country, reason):
    with pytest.raises(InvalidPhoneNumber, match=reason):
        normalise_number(text, country)


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+12125550100", "America/New_York"),
        ("+18085550100", "Pacific/Honolulu"),
        ("+442079460018", "Europe/London"),
        ("+61855500011", "Australia/Adelaide Australia/Perth"),
        ("+33639980011", "Europe/Paris"),  # in no valid range: the zones of its country
        ("+447700900123", "Europe/Guernsey Europe/Isle_of_Man Europe/London"),
        ("+88213123456", ""),  # a satellite network, in no country
    ],
)
def test_a_number_has_every_zone_in_which_it_may_lie(number, zones):
    assert calling_zones_of(number) == zones


def test_every_zone_of_phonenumbers_is_one_that_zoneinfo_knows():
    named = {zone for zones in TIMEZONE_DATA.values() for zone in zones}
    assert named <= known_zones()
    assert all(ZoneInfo(zone) for zone in named)
