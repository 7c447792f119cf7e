"""What may be answered is found in the words alone, as a person finds it."""

import pytest

from calls.simulator.hearing import understand


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("Press 1 for yes, 2 for no.", {"1": "yes", "2": "no"}),
        ("To take part press 1 or say yes, otherwise press 2.", {"1": "yes", "2": "otherwise"}),
        ("For yes, press 1. For no, press 2.", {"1": "yes", "2": "no"}),
        ("Press 1 or say yes. Press 2 or say no.", {"1": "yes", "2": "no"}),
        ("Red: press 1. Dark blue: press 2.", {"1": "Red", "2": "Dark blue"}),
        (
            "Press the key 1 for red, press 2 for dark blue or press 3 for green",
            {"1": "red", "2": "dark blue", "3": "green"},
        ),
        ("Per il sì prema 1, per il no prema 2.", {"1": "il sì", "2": "il no"}),
        ("Premere 1 o dire sì, premere 2 o dire no.", {"1": "sì", "2": "no"}),
        ("Premi 1 per rosso, 2 per blu scuro oppure 3 per verde.", {"1": "rosso", "2": "blu scuro", "3": "verde"}),
        ("Prema il tasto 4 per il caffè.", {"4": "il caffè"}),
        ("How are you today? You have 2 minutes, 3 for each.", {}),
        ("Press 1.", {"1": ""}),
    ],
)
def test_keys_are_what_is_named(words, keys):
    assert understand(words).choices == keys


@pytest.mark.parametrize(
    ("words", "span"),
    [
        ("Please press a key from 0 to 10, then hash.", (0, 10)),
        ("A number between 1 and 5", (1, 5)),
        ("From zero to ten, how likely is it?", (0, 10)),
        ("Press 1 to 5.", (1, 5)),
        ("Su una scala da 0 a 10, quanto è probabile?", (0, 10)),
        ("Un numero tra 1 e 5, per favore.", (1, 5)),
        ("Risponda dall'1 al 7.", (1, 7)),
        ("Risponda dall\u20191 al 7.", (1, 7)),
        ("Da uno a dieci", (1, 10)),
        ("We are open from 9 to 17. Enter your age from 18 to 99.", (18, 99)),
        ("From 10 to 0", None),
        ("From Rome to Milan", None),
    ],
)
def test_a_range_is_from_its_lowest_to_its_highest(words, span):
    assert understand(words).span == span


@pytest.mark.parametrize(
    ("words", "no", "opt_out", "repeat"),
    [
        ("Press 1 for yes, 2 for no. Press 9 to never be called again.", "2", "9", None),
        ("To agree press 1, if you do not want to take part in this call press 2.", "2", None, None),
        ("Press 1 to go on, 2 to decline, or 8 to hear this again.", "2", None, "8"),
        ("Press 9 at any time, or say do not call me, and we will not call again.", None, "9", None),
        ("Press 7 if we should not call you again.", None, "7", None),
        ("Prema 1 per proseguire, 2 per rifiutare. Per non essere più chiamato prema 9.", "2", "9", None),
        ("Per continuare prema 1, se non desidera proseguire la chiamata prema 2.", "2", None, None),
        ("Prema 1 per sì, 2 per no, 8 per riascoltare.", "2", None, "8"),
        ("Press 1 for red, 2 for blue.", None, None, None),
    ],
)
def test_keys_for_no_for_never_again_and_for_repeating_are_told_apart(words, no, opt_out, repeat):
    offer = understand(words)
    assert (offer.no_key, offer.opt_out_key, offer.repeat_key) == (no, opt_out, repeat)
    assert not {opt_out, repeat} & set(offer.choices)


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("How do you like the service?", "", "en"),
        ("Che cosa ne pensa del nostro servizio?", "", "it"),
        ("Come va?", "it-IT", "it"),
        ("Perché?", "", "it"),
        ("", "", "en"),
    ],
)
def test_the_language_is_heard(words, language, expected):
    assert understand(words, language).language == expected


@pytest.mark.parametrize(
    ("words", "wants_number", "ends_with_hash", "is_yes_or_no"),
    [
        ("How many people live with you? Then press hash.", True, True, False),
        ("Quanti anni ha? Poi prema cancelletto.", True, True, False),
        ("Do you smoke? Say yes or no.", False, False, True),
        ("Lei fuma? Dica sì o no.", False, False, True),
        ("Tell us what you think.", False, False, False),
    ],
)
def test_what_is_wanted_without_a_key_being_named(words, wants_number, ends_with_hash, is_yes_or_no):
    offer = understand(words)
    assert (offer.wants_number, offer.ends_with_hash, offer.is_yes_or_no) == (
        wants_number,
        ends_with_hash,
        is_yes_or_no,
    )


@pytest.mark.parametrize(
    ("words", "opt_out_key", "repeat_key"),
    [
        ("If you do not want to be called again, press star and 9. To hear this again, press star.", "*9", "*"),
        ("If you do not want to be called any more, press asterisk then 9.", "*9", None),
        ("Se non vuole più essere chiamato prema asterisco e 9. Per riascoltare prema asterisco.", "*9", "*"),
    ],
)
def test_the_star_key_is_known_by_its_names(words, opt_out_key, repeat_key):
    offer = understand(words)
    assert (offer.opt_out_key, offer.repeat_key) == (opt_out_key, repeat_key)
