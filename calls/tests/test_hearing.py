import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.hearing import Asked, Heard, understand

YES_NO = Asked(kind="yes_no")
SCALE = Asked(kind="scale", lowest=1, highest=5)
TO_TEN = Asked(kind="scale", lowest=0, highest=10)
AGE = Asked(kind="numeric", lowest=18, highest=120)
ANY = Asked(kind="numeric")
COLOUR = Asked(kind="single_choice", choices=["Red", "Dark blue", "Blue"])
WORDS = Asked(kind="free_text")

REPEAT, OPT_OUT, UNCLEAR, NOTHING = Heard.REPEAT, Heard.OPT_OUT, Heard.UNCLEAR, Heard.NOTHING


def check(understood, expected):
    if isinstance(expected, Heard):
        assert (understood.heard, understood.value) == (expected, "")
    else:
        assert (understood.heard, understood.value) == (Heard.ANSWER, expected)


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize(
    ("asked", "keys", "expected"),
    [
        (YES_NO, "1", "yes"),
        (YES_NO, "2", "no"),
        (YES_NO, "3", UNCLEAR),
        (YES_NO, "9", OPT_OUT),
        (YES_NO, "*", REPEAT),
        (YES_NO, "#", NOTHING),
        (YES_NO, "", NOTHING),
        (SCALE, "5", "5"),
        (SCALE, "05", "5"),
        (SCALE, "6", UNCLEAR),
        (SCALE, "0", UNCLEAR),
        (SCALE, "9", OPT_OUT),
        (TO_TEN, "9", "9"),
        (TO_TEN, "10#", "10"),
        (TO_TEN, "11", UNCLEAR),
        (TO_TEN, "*9", OPT_OUT),
        (TO_TEN, "*", REPEAT),
        (AGE, "17", UNCLEAR),
        (AGE, "18", "18"),
        (AGE, "99", "99"),
        (AGE, "121", UNCLEAR),
        (AGE, "*9", OPT_OUT),
        (AGE, "1*8", UNCLEAR),
        (AGE, "²", UNCLEAR),
        (ANY, "0", "0"),
        (COLOUR, "3", "3"),
        (COLOUR, "4", UNCLEAR),
        (COLOUR, "9", OPT_OUT),
        (WORDS, "1", UNCLEAR),
        (WORDS, "9", OPT_OUT),
    ],
)
def test_keys(language, asked, keys, expected):
    check(understand(asked, language, keys=keys), expected)


@pytest.mark.parametrize(
    ("asked", "speech", "expected"),
    [
        (YES_NO, "Yes, please.", "yes"),
        (YES_NO, "yeah sure", "yes"),
        (YES_NO, "No, thank you", "no"),
        (YES_NO, "I don\u2019t think so", "no"),
        (YES_NO, "well yes and no", UNCLEAR),
        (YES_NO, "I'm not interested", "no"),
        (YES_NO, "I do not want to", "no"),
        *[
            (YES_NO, said, UNCLEAR)
            for said in (
                "I don't know",
                "why not",
                "no problem",
                "I don't mind",
                "not now, call me later",
                "not sure",
                "not really",
                "no idea",
                "I am sorry but I did not understand a word",
            )
        ],
        *[(YES_NO, said, REPEAT) for said in ("I don't understand", "I can't hear you", "Didn't catch that")],
        (YES_NO, "maybe", UNCLEAR),
        (YES_NO, "nobody", UNCLEAR),
        (YES_NO, "Please do not call me again.", OPT_OUT),
        (YES_NO, "take me off your list", OPT_OUT),
        (YES_NO, "Pardon?", REPEAT),
        (YES_NO, " ... ", NOTHING),
        (SCALE, "I would say four", "4"),
        (SCALE, "4", "4"),
        (SCALE, "four or five", UNCLEAR),
        (SCALE, "six", UNCLEAR),
        *[
            (ANY, said, UNCLEAR)
            for said in (
                "five thousand",
                "minus five",
                "-5",
                "two million",
                "one hundred thousand",
                "twenty twenty",
                "no one",
                "1,500",
                "3.5",
                "5 thousand",
                "a5",
                "1234567890",
            )
        ],
        (ANY, "123456789", "123456789"),
        (AGE, "I am thirty-four years old", "34"),
        (AGE, "twenty five", "25"),
        (AGE, "one hundred and one", "101"),
        (AGE, "old", UNCLEAR),
        (COLOUR, "the red one", "1"),
        (COLOUR, "dark blue", "2"),
        (COLOUR, "blue", "3"),
        (COLOUR, "two", "2"),
        (COLOUR, "red or blue", UNCLEAR),
        (COLOUR, "bluebell", UNCLEAR),
        (WORDS, "  The staff   are kind. ", "The staff are kind."),
        (WORDS, "repeat", REPEAT),
        (WORDS, "once you are gone they never call back", "once you are gone they never call back"),
        (WORDS, "you are very kind but please never call me at this number again", OPT_OUT),
        (WORDS, "They always repeat the same old stories to us", "They always repeat the same old stories to us"),
    ],
)
def test_english_speech(asked, speech, expected):
    check(understand(asked, "en", speech=speech), expected)


@pytest.mark.parametrize(
    ("asked", "speech", "expected"),
    [
        (YES_NO, "Sì, certo.", "yes"),
        (YES_NO, "si", "yes"),
        (YES_NO, "d'accordo", "yes"),
        (YES_NO, "no grazie", "no"),
        (YES_NO, "non ho tempo", "no"),
        (YES_NO, "sì... anzi no", UNCLEAR),
        (YES_NO, "forse", UNCLEAR),
        (YES_NO, "non voglio", "no"),
        (YES_NO, "preferisco di no", "no"),
        *[(YES_NO, said, UNCLEAR) for said in ("non lo so", "non c'è problema", "perché no", "non va bene")],
        *[(YES_NO, said, REPEAT) for said in ("non ho capito", "scusi non ho sentito")],
        *[(ANY, said, UNCLEAR) for said in ("tre mila", "cento mila", "meno cinque", "due milioni")],
        (YES_NO, "Non chiamatemi più!", OPT_OUT),
        (YES_NO, "non voglio più essere chiamata", OPT_OUT),
        (YES_NO, "Può ripetere?", REPEAT),
        (SCALE, "direi quattro", "4"),
        (SCALE, "tre o quattro", UNCLEAR),
        (AGE, "ho trentatré anni", "33"),
        (AGE, "ventuno", "21"),
        (AGE, "cento uno", UNCLEAR),
        (COLOUR, "due", "2"),
        (WORDS, "È un bel posto.", "È un bel posto."),
        (WORDS, "Ho aspettato prima di essere richiamato.", "Ho aspettato prima di essere richiamato."),
    ],
)
def test_italian_speech(asked, speech, expected):
    check(understand(asked, "it", speech=speech), expected)


@pytest.mark.parametrize(
    ("asked", "confidence", "expected"),
    [(YES_NO, 0.1, UNCLEAR), (YES_NO, 0.3, "yes"), (YES_NO, None, "yes"), (WORDS, 0.2, UNCLEAR), (WORDS, 0.3, "yes")],
)
def test_what_was_hardly_recognised_is_asked_again(asked, confidence, expected):
    check(understand(asked, "en", speech="yes", confidence=confidence), expected)


def test_who_wants_no_calls_is_heard_however_badly():
    check(understand(YES_NO, "en", speech="do not call me", confidence=0.01), OPT_OUT)


@pytest.mark.parametrize(("keys", "expected"), [("123456789", "123456789"), ("1234567890", UNCLEAR)])
def test_a_number_without_a_limit_has_nine_digits_at_most(keys, expected):
    check(understand(ANY, "en", keys=keys), expected)


def test_keys_count_before_speech():
    check(understand(YES_NO, "en", keys="2", speech="yes"), "no")


@pytest.mark.parametrize(
    ("asked", "most"), [(YES_NO, 1), (SCALE, 1), (TO_TEN, 2), (AGE, 3), (ANY, None), (COLOUR, 1), (WORDS, 1)]
)
def test_so_many_keys_are_an_answer(asked, most):
    assert asked.most_keys == most


@pytest.mark.parametrize("asked", [YES_NO, SCALE, TO_TEN, AGE, COLOUR, WORDS])
def test_the_keys_against_calls_can_be_pressed_and_are_never_an_answer(asked):
    assert len(asked.opt_out_keys) <= asked.most_keys
    check(understand(asked, "en", keys=asked.opt_out_keys), OPT_OUT)


@given(
    st.sampled_from([YES_NO, SCALE, TO_TEN, AGE, ANY, COLOUR, WORDS]),
    st.sampled_from(["en", "it"]),
    st.text(),
    st.text(),
    st.none() | st.floats(),
)
def test_anything_is_understood_in_some_way(asked, language, keys, speech, confidence):
    understood = understand(asked, language, keys=keys, speech=speech, confidence=confidence)
    assert (understood.heard == Heard.ANSWER) == bool(understood.value)
