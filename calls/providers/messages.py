"""What errors say is stored in English, as it is logged, and shown in the language of whoever reads it."""

import re

from django.utils.translation import gettext, gettext_noop

ANSWERED = gettext_noop("The provider answered %(status)s: %(message)s.")
REFUSED = gettext_noop("The provider refused a call to %(to)s from %(caller)s: %(message)s (code %(code)s).")
NO_CALLER = gettext_noop("no number")
NO_MESSAGE = gettext_noop("no explanation")


def _recognise(text: str) -> re.Pattern[str]:
    """What was made of the text, perhaps with advice behind it."""
    values = re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.*?)", re.escape(text))
    return re.compile(f"{values}(?: (?P<advice>.*))?", re.DOTALL)


_WITH_VALUES = {text: _recognise(text) for text in (REFUSED, ANSWERED)}


def translate_message(stored: str) -> str:
    """In the current language as far as the words are ours; the provider's own, and what nobody knows, stay."""
    for text, pattern in _WITH_VALUES.items():
        if found := pattern.fullmatch(stored):
            values = {name: _translate_value(value) for name, value in found.groupdict("").items()}
            return f"{gettext(text) % values} {gettext(values['advice'])}".rstrip()
    return gettext(stored)


def _translate_value(value: str) -> str:
    return gettext(value) if value in (NO_CALLER, NO_MESSAGE) else value
