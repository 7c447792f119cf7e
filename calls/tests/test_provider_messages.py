import pytest
from django.utils.translation import override

from calls.providers.messages import ANSWERED, REFUSED, translate_message
from calls.providers.twilio import ADVICE_BY_CODE
from calls.scheduler import CLOCK_SET_BACK, LATE, MISSED, STOPPED, WITHDRAWN

REFUSAL = "The provider refused a call to +390236726012 from no number: Geo permission (code 21215)."


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("", ""),
        ("Something else went wrong.", "Something else went wrong."),
        ("The provider cannot be reached.", "Il provider non è raggiungibile."),
        (
            REFUSAL,
            "Il provider ha rifiutato una chiamata a +390236726012 da nessun numero: Geo permission (codice 21215).",
        ),
        (
            "The provider refused a call to +… from +12025550199: from 100% (code 21205). Check PUBLIC_BASE_URL.",
            "Il provider ha rifiutato una chiamata a +… da +12025550199: from 100% (codice 21205). Controllare "
            "PUBLIC_BASE_URL.",
        ),
        ("The provider answered 503: Try 3.5 s: later. Bye.", "Il provider ha risposto 503: Try 3.5 s: later. Bye."),
        ("The provider answered 500: no explanation.", "Il provider ha risposto 500: nessuna spiegazione."),
    ],
)
def test_our_words_are_translated_and_the_providers_are_not(stored, shown):
    with override("it"):
        assert translate_message(stored) == shown
    assert translate_message(stored) == stored


@pytest.mark.parametrize(
    "text",
    [
        *(ANSWERED, REFUSED),
        *ADVICE_BY_CODE.values(),
        *(words for _, words in (STOPPED, LATE, MISSED, CLOCK_SET_BACK, WITHDRAWN)),
    ],
)
def test_all_that_is_stored_is_translated(text):
    with override("it"):
        assert translate_message(text) != text
