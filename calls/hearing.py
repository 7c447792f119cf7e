"""What a person pressed or said, as an answer to what was asked.

Pure. Keys are as Twilio's Gather reports them, digits and *; speech is its SpeechResult, with a confidence from 0 to 1.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Literal

from num2words import num2words

Kind = Literal["scale", "numeric", "yes_no", "single_choice", "free_text"]

YES, NO = "yes", "no"
YES_KEY, NO_KEY = "1", "2"
OPT_OUT_KEY, REPEAT_KEY = "9", "*"
# Where 9 may be an answer or a part of one.
OPT_OUT_KEYS = "*9"

# What is recognised with less is asked again: it may be noise. Without a number the provider was sure.
LEAST_CONFIDENCE = 0.3
LARGEST_SPOKEN = 1000
MOST_DIGITS = 9
# In words; what is longer is an answer that happens to have such words in it. Who wants no more calls is heard however
# long it takes them to say so: rather somebody too many is left alone.
LONGEST_REQUEST = 4

_YES = {
    "en": "yes yeah yep yup sure ok okay certainly absolutely alright correct agreed agree",
    "it": "si certo certamente ok okay bene volentieri accordo esatto accetto assolutamente",
}
# These say no by themselves ...
_NO = {"en": "no nope nah refuse disagree", "it": "no mai rifiuto"}
_NO_PHRASES = {
    "en": ("not interested", "don't want", "dont want", "do not want", "rather not", "don't think so", "not think so",
           "don't agree", "do not agree", "won't", "wont"),
    "it": ("non voglio", "non mi interessa", "non sono interessato", "non sono interessata", "non desidero",
           "non intendo", "non ho tempo", "non accetto"),
}  # fmt: skip
# ... and these only that it is no yes, as in "not sure".
_NEGATIONS = {"en": "not don't dont never can't cannot", "it": "non niente nulla neanche nemmeno"}
# With these nothing is decided: "no problem", "why not", "I don't know", "not now, later".
_DOUBTS = {
    "en": "know idea problem mind why later understand hear maybe perhaps depends really moment who what",
    "it": "so saprei problema perche dopo forse dipende chi cosa momento capito capisco sento sentito",
}
_REPEAT = {
    "en": (
        "repeat",
        "say again",
        "say that again",
        "once more",
        "pardon",
        "sorry what",
        "come again",
        *(
            f"{negation} {verb}"
            for negation in ("don't", "dont", "didn't", "didnt", "not", "can't", "cannot")
            for verb in ("understand", "hear", "catch")
        ),
    ),
    "it": (
        "ripeti",
        "ripeta",
        "ripetere",
        "ripetete",
        "di nuovo",
        "ancora una volta",
        "come ha detto",
        "come scusi",
        "non ho capito",
        "non capisco",
        "non ho sentito",
        "non sento",
        "non la sento",
    ),
}
_OPT_OUT = {
    "en": ("do not call", "not call me", "don't call", "dont call", "never call me", "never call again",
           "stop calling", "no more calls",
           "remove my number", "take me off", "remove me"),
    "it": ("non chiamate", "non chiamatemi", "non mi chiamate", "non chiamarmi", "non chiami", "non mi chiami",
           "non richiamate", "non richiamatemi", "non telefonate", "non telefonatemi", "smettete di chiamare",
           "basta chiamate", "toglietemi", "cancellatemi", "rimuovetemi",
           *(f"non {want} essere {called}{ending}" for want in ("voglio", "voglio piu", "desidero", "desidero piu")
             for called in ("chiamat", "richiamat", "contattat", "disturbat") for ending in "oa")),
}  # fmt: skip


_MINUS_SIGN = re.compile(r"[-\u2212]\s*\d")
# Beside a number they make another one of it, which is not worked out here: "two million", "minus five".
_NO_SUCH_NUMBER = {
    "en": "hundred hundreds thousand thousands million millions billion dozen minus negative half",
    "it": "cento centinaia mille mila migliaia milione milioni miliardo miliardi dozzina meno mezzo",
}


class Heard(StrEnum):
    ANSWER = "answer"
    REPEAT = "repeat"
    OPT_OUT = "opt_out"  # never to be called again
    UNCLEAR = "unclear"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What may be answered. Of a scale or a number the limits, both included, where there are any."""

    kind: Kind
    lowest: int | None = None
    highest: int | None = None
    choices: Sequence[str] = ()

    @property
    def opt_out_keys(self) -> str:
        """What is pressed by whoever does not want to be called: 9, unless that may be an answer."""
        if self.kind == "numeric" or (self.kind == "scale" and self.lowest <= int(OPT_OUT_KEY) <= self.highest):
            return OPT_OUT_KEYS
        return OPT_OUT_KEY

    @property
    def most_keys(self) -> int | None:
        """So many keys are an answer without #; None: as many as somebody presses."""
        if self.kind == "numeric" and self.highest is None:
            return None
        longest = len(str(self.highest)) if self.kind in ("scale", "numeric") else 1
        return max(longest, len(self.opt_out_keys))


@dataclass(frozen=True, kw_only=True)
class Understood:
    """``value`` is an answer's: yes or no, a number in digits, a choice from 1 on, or the words."""

    heard: Heard
    value: str = ""


NOTHING, UNCLEAR = Understood(heard=Heard.NOTHING), Understood(heard=Heard.UNCLEAR)


def understand(
    asked: Asked, language: str, *, keys: str = "", speech: str = "", confidence: float | None = None
) -> Understood:
    """Keys count before speech. ``language`` is en or it."""
    keys = keys.strip().rstrip("#")
    if keys:
        return _understand_keys(asked, keys)
    words = _take_apart(speech)
    if not words:
        return NOTHING
    text = " ".join(words)
    if _has_any(text, _OPT_OUT[language]):
        return Understood(heard=Heard.OPT_OUT)
    if len(words) <= LONGEST_REQUEST and _has_any(text, _REPEAT[language]):
        return Understood(heard=Heard.REPEAT)
    if confidence is not None and confidence < LEAST_CONFIDENCE:
        return UNCLEAR
    if asked.kind == "free_text":
        return _answer(" ".join(speech.split()))
    if asked.kind == "yes_no":
        return _find_yes_or_no(words, language)
    if asked.kind == "single_choice" and (choice := _find_choice(asked.choices, words)):
        return _answer(str(choice))
    return UNCLEAR if _MINUS_SIGN.search(speech) else _check_number(asked, _find_number(words, language))


def _understand_keys(asked: Asked, keys: str) -> Understood:
    if keys == asked.opt_out_keys:
        return Understood(heard=Heard.OPT_OUT)
    if keys == REPEAT_KEY:
        return Understood(heard=Heard.REPEAT)
    if asked.kind == "yes_no":
        value = {YES_KEY: YES, NO_KEY: NO}.get(keys)
        return _answer(value) if value else UNCLEAR
    # isdigit is true of other signs too, which int cannot read.
    is_number = keys.isascii() and keys.isdigit() and len(keys) <= MOST_DIGITS
    return _check_number(asked, int(keys) if is_number else None)


def _check_number(asked: Asked, number: int | None) -> Understood:
    lowest, highest = (1, len(asked.choices)) if asked.kind == "single_choice" else (asked.lowest, asked.highest)
    if asked.kind == "free_text" or number is None:
        return UNCLEAR
    if (lowest is not None and number < lowest) or (highest is not None and number > highest):
        return UNCLEAR
    return _answer(str(number))


def _answer(value: str) -> Understood:
    return Understood(heard=Heard.ANSWER, value=value)


def _take_apart(text: str) -> list[str]:
    """Its words in small letters without accents and signs; an apostrophe stays within a word."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("\u2019", "'"))
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", "".join(sign for sign in plain if not unicodedata.combining(sign)))


def _has_any(text: str, phrases: Sequence[str]) -> bool:
    return any(f" {phrase} " in f" {text} " for phrase in phrases)


def _find_yes_or_no(words: Sequence[str], language: str) -> Understood:
    """Only what is clear: a no to taking part is for good."""
    said, text = {part for word in words for part in (word, *word.split("'"))}, " ".join(words)
    if not said.isdisjoint(_DOUBTS[language].split()):
        return UNCLEAR
    is_yes = not said.isdisjoint(_YES[language].split())
    is_no = not said.isdisjoint(_NO[language].split()) or _has_any(text, _NO_PHRASES[language])
    if is_yes and (is_no or not said.isdisjoint(_NEGATIONS[language].split())):
        return UNCLEAR
    return _answer(NO) if is_no else _answer(YES) if is_yes else UNCLEAR


def _find_choice(choices: Sequence[str], words: Sequence[str]) -> int | None:
    """The one whose name was said, from 1 on; of names within each other the longest. None if it was not one."""
    text = " ".join(words)
    named = [(" ".join(_take_apart(choice)), number) for number, choice in enumerate(choices, start=1)]
    said = [(name, number) for name, number in named if name and _has_any(text, [name])]
    outer = [number for name, number in said if not any(name != other and _has_any(other, [name]) for other, _ in said)]
    return outer[0] if len(outer) == 1 else None


def _find_number(words: Sequence[str], language: str) -> int | None:
    """The only number in what was said, in digits or in words; None if something beside it makes another of it."""
    spoken, longest = _spoken_numbers(language)
    numbers, others, place = [], set(), 0
    while place < len(words):
        word = words[place]
        length = next((n for n in range(longest, 0, -1) if tuple(words[place : place + n]) in spoken), 0)
        if length:
            numbers.append(spoken[tuple(words[place : place + length])])
        elif word.isascii() and word.isdigit() and len(word) <= MOST_DIGITS:
            numbers.append(int(word))
        elif any(sign.isdigit() for sign in word):
            return None
        else:
            others.add(word)
        place += length or 1
    is_other = not others.isdisjoint(f"{_NO_SUCH_NUMBER[language]} {_NO[language]}".split())
    return numbers[0] if len(numbers) == 1 and not is_other else None


@cache
def _spoken_numbers(language: str) -> tuple[dict[tuple[str, ...], int], int]:
    """By its words, and how many the longest has."""
    spoken = {tuple(_take_apart(num2words(n, lang=language))): n for n in range(LARGEST_SPOKEN + 1)}
    return spoken, max(map(len, spoken))
