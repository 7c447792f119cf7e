"""What a person understands of a prompt: the keys that are named and what they stand for, a range, the language.

PURE. Knows English and Italian, and nothing but the words: a prompt that a person could not answer is not answered.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

Spoken = Literal["en", "it"]

NUMBER_WORDS: dict[Spoken, tuple[str, ...]] = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    "it": ("zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci"),
}

_NUMBER = "(" + "|".join([r"\d+", *NUMBER_WORDS["en"], *NUMBER_WORDS["it"]]) + r")\b"
_RANGES = re.compile(
    rf"\b(?:(?:from|press)\s+{_NUMBER}\s+(?:to|through)|between\s+{_NUMBER}\s+and"
    rf"|(?:da|dal|dallo|dall')\s*{_NUMBER}\s+(?:a|ad|al|all')|(?:tra|fra)\s+{_NUMBER}\s+e)\s*{_NUMBER}",
    re.IGNORECASE,
)
_NAMED_KEY = re.compile(
    r"\b(?:press(?:ing)?|dial|prem(?:a|i|ere|ete)|digit(?:i|a|are))\s+"
    r"(?:(?:the\s+)?(?:key|number)\s+|(?:il\s+)?(?:tasto|numero)\s+|il\s+|lo\s+|l')?(\*?[0-9]|\*)(?![0-9])",
    re.IGNORECASE,
)
_FURTHER_KEY = re.compile(
    r"(?:[,;.]|\b(?:or|and|o|oppure|e)\b)\s*(?:(?:or|and|o|oppure|e)\s+)?(\*?[0-9]|\*)(?=\s+(?:for|to|if|per|se)\s)",
    re.IGNORECASE,
)
"""As in "press 1 for yes, 2 for no"."""

_STAR = re.compile(r"\b(?:star|asterisk|asterisco)\b(?:\s+(?:key\s+)?(?:and|then|e|poi)\s+(?=[0-9]))?", re.IGNORECASE)
"""How voices say the key *, and what follows when another one is to be pressed after it."""

_LABEL_AFTER = re.compile(
    r"(?:,?\s*(?:or|o|oppure)\s+(?:say|dica|dire|dici|di'|dì)\s+|\s+(?:for|to|if|per|se)\s+|\s*[:=]\s*)"
    r"(?P<clause>(?P<label>.+?)(?:\s(?:or|and|o|oppure|e)\s.*?)?)\s*(?=[.,;:!?]|\s(?:or|o)\s+(?:say|dica|di)\s|$)",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(r"^(?:(?:or|and|o|oppure|e|for|to|if|per|se)\s+)+", re.IGNORECASE)

_NO = re.compile(
    r"\b(?:no|not|non|don't|refuse|decline|stop|otherwise|rifiut\w*|altrimenti|termin\w*)\b", re.IGNORECASE
)
_NEVER_AGAIN = re.compile(
    r"(?:\b(?:not?|never|no\s+more|no\s+longer|stop)\b|n't\b).*\b(?:called|calling|calls|call\s+(?:me|you|again)|contact)"
    r"|\b(?:non|mai)\b.*\b(?:(?:ri)?chiamat[oi]|(?:ri)?chiamar\w+|chiamatemi|mi\s+chiami|chiamate|contatt)"
    r"|\bopt\s+out\b",
    re.IGNORECASE,
)
_AGAIN = re.compile(r"\b(?:repeat|again|ripet\w*|riascolt\w*|di\s+nuovo)\b", re.IGNORECASE)
_SKIP = re.compile(r"\b(?:skip|salt[aio]\w*)\b", re.IGNORECASE)
_WANTS_NUMBER = re.compile(r"\b(?:how\s+many|how\s+old|number|quant[ie]|numero|cifre)\b", re.IGNORECASE)
_HASH = re.compile(r"\b(?:hash|pound|cancelletto)\b|#", re.IGNORECASE)
_YES_OR_NO = re.compile(r"\b(?:yes\s+or\s+no|sì\s+o\s+no)\b", re.IGNORECASE)
_ITALIAN = re.compile(
    r"\b(?:il|lo|la|di|da|del|della|che|è|sì|per|con|non|una?|quanto|quant[ie]|cosa|perché|prem\w+|dica|lei)\b",
    re.IGNORECASE,
)
_ENGLISH = re.compile(
    r"\b(?:the|of|to|for|is|are|you|your|how|what|why|with|not|an?|press\w*|say|and|or|please)\b", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a prompt lets a person answer."""

    language: Spoken
    choices: dict[str, str]
    """The keys that are answers, each with what it stands for as it was said; empty if nothing was."""
    span: tuple[int, int] | None
    no_key: str | None
    opt_out_key: str | None
    repeat_key: str | None
    wants_number: bool
    ends_with_hash: bool
    is_yes_or_no: bool


def understand(words: str, language: str = "") -> Offer:
    """Return what may be answered; `language` as the prompt has it, such as it-IT, or empty."""
    words = _STAR.sub("*", words.replace("\u2019", "'"))
    named = list(_find_keys(words))
    opt_out = next((key for key, _label, clause in named if _NEVER_AGAIN.search(clause)), None)
    repeat = next((key for key, _label, clause in named if key != opt_out and _AGAIN.search(clause)), None)
    choices = {key: label for key, label, clause in named if key not in (opt_out, repeat) and not _SKIP.search(clause)}
    return Offer(
        language=_hear_language(words, language),
        choices=choices,
        span=_find_span(words, choices),
        no_key=next((key for key, label in choices.items() if _NO.search(label)), None),
        opt_out_key=opt_out,
        repeat_key=repeat,
        wants_number=bool(_WANTS_NUMBER.search(words)),
        ends_with_hash=bool(_HASH.search(words)),
        is_yes_or_no=bool(_YES_OR_NO.search(words)),
    )


def _find_keys(words: str) -> Iterator[tuple[str, str, str]]:
    """Yield each key that is named, what it stands for in few words, and all that is said of it.

    What it stands for comes behind it ("press 1 for yes"), or else before it ("for yes, press 1").
    """
    words = _RANGES.sub(" ", words)
    keys = list(_NAMED_KEY.finditer(words))
    if keys:
        further = _FURTHER_KEY.finditer(words, keys[0].end())
        keys = sorted([*keys, *further], key=lambda key: key.start(1))
    said_until = 0
    for key, following in zip_longest(keys, keys[1:]):
        behind = words[key.end() : following.start() if following else len(words)]
        if after := _LABEL_AFTER.match(behind):
            yield key[1], after["label"].strip(), after["clause"]
            said_until = key.end() + after.end()
        else:
            before = re.split(r"[.;!?]", words[said_until : key.start()])[-1].strip(" ,:")
            before = _LEAD_IN.sub("", before)
            yield key[1], before, before or re.split(r"[.;!?]", behind)[0]
            said_until = key.end()


def _find_span(words: str, choices: dict[str, str]) -> tuple[int, int] | None:
    """Return the last range that is named, unless the keys that are named lie outside: then it says something else."""
    for found in reversed(list(_RANGES.finditer(words))):
        low, high = (_read_number(number) for number in found.groups() if number)
        if low < high and all(key.isdigit() and low <= int(key) <= high for key in choices):
            return low, high
    return None


def _read_number(number: str) -> int:
    if number.isdigit():
        return int(number)
    return next(said.index(number.lower()) for said in NUMBER_WORDS.values() if number.lower() in said)


def _hear_language(words: str, language: str) -> Spoken:
    if language.lower().startswith("it"):
        return "it"
    return "it" if len(_ITALIAN.findall(words)) > len(_ENGLISH.findall(words)) else "en"
