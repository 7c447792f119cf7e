"""What a person answers when the phone asks something.

PURE: the same person and the same prompt give the same reply on every machine, in every process.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from .hearing import NUMBER_WORDS, Offer, understand
from .people import Person, draw
from .phrases import MISHEARD, NEVER_AGAIN, NO, OPINIONS, REPEAT, YES

Meaning = Literal["consent", "refuse", "opt_out", "answer", "wrong_key", "repeat", "silent", "hang_up"]

SILENT_SHARE = 0.04
"""Of prompts that are heard for the first time: nothing is said or pressed. Nobody misses the same one twice."""

WRONG_KEY_SHARE = 0.03
"""Of prompts: a key is pressed that is not offered."""

REPEAT_SHARE = 0.03
"""Of prompts: the person asks to hear it again, where that can be said or pressed."""

SPEAKS_SHARE = 0.2
"""Of answers for which a key could be pressed: spoken instead, where speech is listened to."""

SPEAKS_UNHEARD_SHARE = 0.02
"""The same where only keys are listened to: nothing of it is heard."""

MISHEARD_SHARE = 0.08
"""Of what is spoken: something else is understood, with little confidence."""

LEAST_CONFIDENCE = 0.5
"""Of what is understood as it was said."""

BARGE_IN_SHARE = 0.2
"""Of prompts: answered before their end."""

RECENCY = 0.1
"""By how much more often than the one before it a choice is taken: on the phone, what was heard last is remembered."""

LONGEST_SCALE = 20
"""A wider range is one of amounts, such as ages or visits."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a person is asked."""

    words: str
    inputs: frozenset[str]
    """What is listened to: dtmf, speech."""
    number: int
    """Of the question in this call; 0 is the request for consent."""
    times_before: int = 0
    """How often this question was asked already, in this call."""
    language: str = ""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a person does: presses keys, speaks (as it is understood), hangs up, or nothing of all this."""

    meant: Meaning
    keys: str = ""
    speech: str = ""
    confidence: float = 0.0
    hears: float = 1.0
    """The share of the prompt after which the answer begins."""
    thinks: float = 0.0
    """Seconds more until it begins."""

    @property
    def is_clear(self) -> bool:
        """Whether what is understood is what was said."""
        return bool(self.keys) or self.confidence > LEAST_CONFIDENCE


def answer(person: Person, prompt: Prompt) -> Reply:
    """Return the person's reply."""
    offer = understand(prompt.words, prompt.language)
    return _take_time(person, prompt, _Respondent(person, prompt, offer).reply())


def _take_time(person: Person, prompt: Prompt, reply: Reply) -> Reply:
    """At most 1.8 seconds, which is less than any prompt waits that people can use."""
    luck = person.draw(f"{prompt.number}.{prompt.times_before}:time")
    if person.makes_mistakes and luck < BARGE_IN_SHARE and reply.meant != "hang_up":
        return replace(reply, hears=0.5 + 0.5 * luck / BARGE_IN_SHARE)
    return replace(reply, thinks=0.3 + 1.5 * luck)


class _Respondent:
    """One person before one prompt."""

    def __init__(self, person: Person, prompt: Prompt, offer: Offer) -> None:
        self.person, self.prompt, self.offer = person, prompt, offer

    def reply(self) -> Reply:
        match self._decide():
            case "hang_up":
                return Reply(meant="hang_up")
            case "silent":
                return Reply(meant="silent")
            case "wrong_key":
                return self._press("wrong_key", _pick(self._find_wrong_keys(), self._draw("wrong")))
            case "repeat":
                return self._express("repeat", self.offer.repeat_key, REPEAT[self.offer.language])
            case "opt_out":
                return self._express("opt_out", self._find_opt_out_key(), NEVER_AGAIN[self.offer.language])
            case "refuse":
                return self._express("refuse", self.offer.no_key, NO[self.offer.language])
            case "consent":
                return self._express("consent", self._find_yes_key(), YES[self.offer.language])
        return self._express("answer", *self._choose())

    def _decide(self) -> Meaning:
        person, number = self.person, self.prompt.number
        if person.intent == "silent":
            return "silent"
        if person.intent == "breaks_off" and number >= person.turns_at:
            return "hang_up"
        if person.makes_mistakes and (slip := self._slip()):
            return slip
        if person.intent == "opts_out" and number >= person.turns_at:
            return "opt_out"
        if person.intent == "refuses":
            return "refuse"
        return "consent" if number == 0 else "answer"

    def _slip(self) -> Meaning | None:
        luck = self._draw("slip")
        if luck < SILENT_SHARE:
            return "silent" if self.prompt.times_before == 0 else None
        if luck < SILENT_SHARE + WRONG_KEY_SHARE:
            return "wrong_key" if self._find_wrong_keys() else None
        can_repeat = self.offer.repeat_key or "speech" in self.prompt.inputs
        return "repeat" if luck < SILENT_SHARE + WRONG_KEY_SHARE + REPEAT_SHARE and can_repeat else None

    def _express(self, meant: Meaning, keys: str | None, words: str) -> Reply:
        """Press or speak, whichever is possible; who can do neither hangs up."""
        hears_speech = "speech" in self.prompt.inputs
        can_press = bool(keys) and "dtmf" in self.prompt.inputs
        share = SPEAKS_SHARE if hears_speech else SPEAKS_UNHEARD_SHARE
        if can_press and not (self.person.makes_mistakes and self._draw("speaks") < share):
            return self._press(meant, keys)
        if can_press or hears_speech:
            return self._speak(meant, words)
        return Reply(meant="hang_up")

    def _press(self, meant: Meaning, keys: str) -> Reply:
        return Reply(meant=meant, keys=f"{keys}#" if self.offer.ends_with_hash else keys)

    def _speak(self, meant: Meaning, words: str) -> Reply:
        luck = self._draw("confidence")
        if self.person.makes_mistakes and self._draw("misheard") < MISHEARD_SHARE:
            misheard = _pick(MISHEARD[self.offer.language], self._draw("garble"))
            return Reply(meant=meant, speech=misheard, confidence=round(0.1 + 0.3 * luck, 2))
        return Reply(meant=meant, speech=words, confidence=round(0.75 + 0.23 * luck, 2))

    def _find_yes_key(self) -> str | None:
        """The first that is not no; without one that is named, 1."""
        named = [key for key in self.offer.choices if key != self.offer.no_key]
        return named[0] if named else "1"

    def _find_opt_out_key(self) -> str | None:
        """9, unless it means something else here."""
        if self.offer.opt_out_key:
            return self.offer.opt_out_key
        return None if "9" in self._find_answers() else "9"

    def _find_wrong_keys(self) -> list[str]:
        taken = self._find_answers() | {self._find_opt_out_key(), self.offer.repeat_key}
        return [key for key in "12345678*" if key not in taken]

    def _find_answers(self) -> set[str]:
        """Return the keys that are an answer, or the first of one."""
        low, high = self.offer.span or (0, -1)
        return {str(number)[0] for number in range(low, min(high, low + 100) + 1)} | set(self.offer.choices)

    def _choose(self) -> tuple[str | None, str]:
        """Return the answer as keys (None if no key says it) and as words."""
        offer = self.offer
        if offer.span:
            return self._say_number(self._rate(*offer.span))
        if offer.choices:
            key = self._pick_choice()
            return key, offer.choices[key] or key
        if offer.is_yes_or_no:
            return None, (YES if self._draw_value("yes") < 0.6 else NO)[offer.language]
        if offer.wants_number or "speech" not in self.prompt.inputs:
            return self._say_number(1 + int(5 * self._draw_value("some") ** 2))
        return None, _pick(OPINIONS[offer.language], self._draw_value("opinion"))

    def _say_number(self, number: int) -> tuple[str, str]:
        """Recognisers write some numbers as words and some in digits."""
        words = NUMBER_WORDS[self.offer.language]
        is_word = number < len(words) and self._draw("spelling") < 0.5
        return str(number), words[number] if is_word else str(number)

    def _rate(self, low: int, high: int) -> int:
        """Return a number of a range, as people do: not each as often.

        On a scale they gather around a level of the question's own, mostly above the middle, and the ends take all
        that would lie beyond them. Amounts of a wide range lie in its lower part.
        """
        if high - low > LONGEST_SCALE:
            position = self._draw_value("amount") * self._draw_value("more")
        else:
            level = 0.45 + 0.35 * draw(self.person.seed, self.prompt.words, "level")
            mood = sum(self._draw_value(f"mood{n}") for n in range(3)) / 3 - 0.5
            position = min(max(level + 1.2 * mood, 0.0), 0.999)
        return low + int(position * (high - low + 1))

    def _pick_choice(self) -> str:
        """Return a choice; some are popular, which differs by question, and what was heard last is a little more so."""
        seed, words = self.person.seed, self.prompt.words
        weights = {
            key: (0.3 + draw(seed, words, key)) * (1 + RECENCY * place) for place, key in enumerate(self.offer.choices)
        }
        sums = list(accumulate(weights.values()))
        return list(weights)[bisect(sums, self._draw_value("choice") * sums[-1])]

    def _draw(self, purpose: str) -> float:
        """Another number each time the question is asked."""
        return self.person.draw(f"{self.prompt.number}.{self.prompt.times_before}:{purpose}")

    def _draw_value(self, purpose: str) -> float:
        """The same number however often the question is asked: people do not change their minds."""
        return self.person.draw(f"{self.prompt.number}:{purpose}")


def _pick(things: Sequence[str], luck: float) -> str:
    return things[int(luck * len(things))]
