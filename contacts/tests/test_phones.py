from dataclasses import replace
from random import Random
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from django.utils.translation import override
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberFormat, PhoneNumberType
from phonenumbers.tzdata import TIMEZONE_DATA

from campaigns.windows import known_zones
from contacts import numbering, phones
from contacts.numbering import read_clean
from contacts.phones import (
    InvalidPhoneNumber,
    calling_zones_of,
    looks_like_number,
    normalise_and_locate,
    normalise_number,
)

COUNTRY_CODES = {str(code) for code in COUNTRY_CODE_TO_REGION_CODE}


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
        ("02/01/2026", "IT", "is a date"),
        ("2026-01-02", "IT", "is a date"),
        ("2026-01-02T00:00:00", "IT", "is a date"),
        ("2.1.1985", "DE", "is a date"),
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
    ("text", "reason"),
    [
        ("", "È vuoto; ogni"),
        ("+39 12", "È troppo corto"),
        ("call me", "Contiene lettere"),
        ("+999 1234567", "non esiste"),
    ],
)
def test_a_refusal_is_told_in_the_language_of_whoever_asks(text, reason):
    with override("it"), pytest.raises(InvalidPhoneNumber, match=reason):
        normalise_number(text)


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


@pytest.fixture
def read_in_full(monkeypatch):
    """What a number is without the short way; None when it is refused."""

    def read(text):
        with monkeypatch.context() as patched:
            patched.setattr(phones, "read_clean", lambda text: None)
            try:
                return normalise_and_locate(text)
            except InvalidPhoneNumber:
                return None

    return read


def examples():
    """Numbers, without +, of every kind of every region, and of every range of which the zones are known."""
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        kinds = [phonenumbers.example_number_for_non_geo_entity(code)] if regions == ("001",) else []
        kinds += [
            phonenumbers.example_number_for_type(region, kind)
            for region in regions
            for kind in PhoneNumberType.values()
        ]
        yield from {phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:] for number in kinds if number}
    for prefix in TIMEZONE_DATA:
        yield from (prefix + "2345678901"[: length - len(prefix)] for length in (10, 11, 12))


def vary(digits, random):
    """Other ends, lengths and prefixes, and sometimes the signs that people write between digits."""
    code = next(digits[:length] for length in (1, 2, 3) if digits[:length] in COUNTRY_CODES)
    kept = random.randrange(len(code), len(digits) + 1)
    digits = digits[:kept] + "".join(random.choices("0123456789", k=len(digits) - kept))
    if random.random() < 0.2:
        digits = code + random.choice(["0", "00", "1", "8", "06", "15", "044"]) + digits[len(code) :]
    if random.random() < 0.2:
        digits = digits[: -random.randrange(1, 4)]
    if random.random() < 0.2:
        place = random.randrange(len(digits))
        digits = digits[:place] + random.choice([" ", "-", " (", ") ", " - ", "."]) + digits[place:]
    return random.choice(["+", "+", "00"]) + digits


def test_the_short_way_gives_what_the_full_way_gives(read_in_full):
    random = Random(1)
    read = 0
    for example in examples():
        for text in (f"+{example}", *(vary(example, random) for _ in range(3))):
            clean = read_clean(text)
            assert clean in (None, read_in_full(text)), text
            read += clean is not None
    assert read > 10_000


@pytest.mark.parametrize(
    ("text", "located"),
    [
        ("+1 (202) 555-0123", ("+12025550123", "America/New_York")),
        ("0044 20 7946 0018", ("+442079460018", "Europe/London")),
        ("+44 (0)20 7946 0018", ("+442079460018", "Europe/London")),
        ("+61370100000", ("+61370100000", "Australia/Sydney")),
        ("+61 491 570 006", None),  # mobiles may be anywhere in the country
        ("+44 7700 900123", ("+447700900123", "Europe/Guernsey Europe/Isle_of_Man Europe/London")),
        ("+44 20 7946 0018/0019", None),
        ("+44 20 7946 0018 0", None),
        ("+012025550123", None),
        ("+999 123 456 789", None),
        ("442079460018", None),
        ("+\u06612025550123", None),  # a digit that is none of ours
    ],
)
def test_the_short_way_leaves_alone_what_is_not_certain(text, located):
    assert read_clean(text) == located


def test_a_prefix_that_would_be_replaced_is_left_alone(monkeypatch):
    """Those of today's metadata go with the whole number, so this takes a country that is none."""
    plan = replace(numbering._plan_of("44"), prefix_goes=False)
    monkeypatch.setattr(numbering, "_plan_of", {"44": plan}.get)
    assert read_clean("+44 20 7946 0018") is not None
    assert read_clean("+44 (0)20 7946 0018") is None


def test_what_the_short_way_leaves_alone_is_read_in_full():
    assert normalise_and_locate("+61 491 570 006") == ("+61491570006", calling_zones_of("+61491570006"))
    assert normalise_and_locate("020 7946 0018", "GB") == ("+442079460018", "Europe/London")


@pytest.mark.parametrize(
    ("text", "looks_like_one"),
    [
        ("+12025550113", True),
        ("(202) 555-0113", True),
        ('"02/3672 6012', True),
        ("2026-03-04", False),
        ("4.3.2026", False),
        ("12345", False),
        ("+12025550113 x", False),
        ("phone_number", False),
        ("", False),
    ],
)
def test_what_looks_like_a_number(text, looks_like_one):
    assert looks_like_number(text) == looks_like_one
