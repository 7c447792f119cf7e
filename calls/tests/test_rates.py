"""The outcome rates, against examples that were worked by hand."""

import pytest

from calls.rates import RATES, SYMBOLS, find_e, spell_e

# Eligible are 400+50 + 150+200+50 = 850, not eligible 150, so e = 850 / 1000 = 0.85.
# All are 850 + (180+20) = 1050, and with e 850 + 0.85 * 200 = 1020.
# Reached are 450 + 150 + 50 = 650, and with non-contacts 850.
TELEPHONE = {"I": 400, "P": 50, "R": 150, "NC": 200, "O": 50, "UH": 180, "UO": 20, "NE": 150}
# Eligible are 4+2 + 1+1+1 = 9, not eligible 1, so e = 0.9; all are 9 + 2 = 11, with e 9 + 0.9 * 2 = 10.8.
# Reached are 6 + 1 + 1 = 8, with non-contacts 9.
TWELVE_PEOPLE = {"I": 4, "P": 2, "R": 1, "NC": 1, "O": 1, "UH": 1, "UO": 1, "NE": 1}
WORKED = [
    ("RR1", 400 / 1050, 4 / 11),
    ("RR2", 450 / 1050, 6 / 11),
    ("RR3", 400 / 1020, 4 / 10.8),
    ("RR4", 450 / 1020, 6 / 10.8),
    ("RR5", 400 / 850, 4 / 9),
    ("RR6", 450 / 850, 6 / 9),
    ("COOP1", 400 / 650, 4 / 8),
    ("COOP2", 450 / 650, 6 / 8),
    ("COOP3", 400 / 600, 4 / 7),  # without the 50 others, and the one
    ("COOP4", 450 / 600, 6 / 7),
    ("REF1", 150 / 1050, 1 / 11),
    ("REF2", 150 / 1020, 1 / 10.8),
    ("REF3", 150 / 850, 1 / 9),
    ("CON1", 650 / 1050, 8 / 11),
    ("CON2", 650 / 1020, 8 / 10.8),
    ("CON3", 650 / 850, 8 / 9),
]
ALL = [rate for rates in RATES.values() for rate in rates]
BY_NAME = {rate.name: rate for rate in ALL}
AS_SYMBOLS = {**{symbol: symbol for symbol in SYMBOLS}, "e": "e"}


def test_each_rate_of_the_standard_is_there_once():
    assert [rate.name for rate in ALL] == [name for name, *_ in WORKED]
    assert {kind: len(rates) for kind, rates in RATES.items()} == {
        "response": 6,
        "cooperation": 4,
        "refusal": 3,
        "contact": 3,
    }


@pytest.mark.parametrize(("name", "telephone", "twelve"), WORKED)
def test_rates_of_examples_worked_by_hand(name, telephone, twelve):
    assert BY_NAME[name].value(TELEPHONE) == pytest.approx(telephone)
    assert BY_NAME[name].value(TWELVE_PEOPLE) == pytest.approx(twelve)


def test_e_of_examples_worked_by_hand():
    assert find_e(TELEPHONE) == pytest.approx(0.85)
    assert find_e(TWELVE_PEOPLE) == pytest.approx(0.9)


def test_without_anybody_nothing_is_defined():
    assert find_e({}) is None
    assert [rate.value({}) for rate in ALL] == [None] * len(WORKED)


def test_while_nobody_was_reached_only_what_counts_all_is_defined():
    # Of ten people nobody's eligibility is known: 0 / 10, and there is no e; cooperation is 0 / 0.
    values = {rate.name: rate.value({"UH": 10}) for rate in ALL}
    assert {name for name, value in values.items() if value is not None} == {"RR1", "RR2", "REF1", "CON1"}
    assert values["RR1"] == values["CON1"] == 0


def test_when_nobody_of_those_known_is_eligible_none_of_the_others_is_expected_to_be():
    # e = 0 / (0 + 5): 0 / (0 + 0 * 10) is not defined, 0 / 10 is.
    counts = {"UH": 10, "NE": 5}
    assert find_e(counts) == 0
    assert (BY_NAME["RR3"].value(counts), BY_NAME["RR1"].value(counts)) == (None, 0)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("RR1", "I / ((I + P) + (R + NC + O) + (UH + UO))"),
        ("RR2", "(I + P) / ((I + P) + (R + NC + O) + (UH + UO))"),
        ("RR3", "I / ((I + P) + (R + NC + O) + e × (UH + UO))"),
        ("RR4", "(I + P) / ((I + P) + (R + NC + O) + e × (UH + UO))"),
        ("RR5", "I / ((I + P) + (R + NC + O))"),
        ("RR6", "(I + P) / ((I + P) + (R + NC + O))"),
        ("COOP1", "I / ((I + P) + R + O)"),
        ("COOP2", "(I + P) / ((I + P) + R + O)"),
        ("COOP3", "I / ((I + P) + R)"),
        ("COOP4", "(I + P) / ((I + P) + R)"),
        ("REF1", "R / ((I + P) + (R + NC + O) + (UH + UO))"),
        ("REF2", "R / ((I + P) + (R + NC + O) + e × (UH + UO))"),
        ("REF3", "R / ((I + P) + (R + NC + O))"),
        ("CON1", "((I + P) + R + O) / ((I + P) + R + O + NC + (UH + UO))"),
        ("CON2", "((I + P) + R + O) / ((I + P) + R + O + NC + e × (UH + UO))"),
        ("CON3", "((I + P) + R + O) / ((I + P) + R + O + NC)"),
    ],
)
def test_formulas_are_spelt_as_in_the_standard(name, formula):
    assert BY_NAME[name].spell(AS_SYMBOLS) == formula


@pytest.mark.parametrize("rate", ALL, ids=lambda rate: rate.name)
def test_what_is_spelt_in_numbers_is_what_is_reckoned(rate):
    spelt = rate.spell({**TELEPHONE, "e": find_e(TELEPHONE)}).replace("×", "*")
    assert eval(spelt) == pytest.approx(rate.value(TELEPHONE))


def test_e_is_spelt():
    assert spell_e(AS_SYMBOLS) == "(I + P + R + NC + O) / (I + P + R + NC + O + NE)"
