"""How the people of the simulated phone network behave.

PURE: the same seed, phone number and call index give the same person on every machine, in every process.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal, get_args

Reaction = Literal["answers", "busy", "no_answer", "failed"]

Intent = Literal["consents", "refuses", "opts_out", "breaks_off", "silent"]
"""What a person is up to when asked.

`consents` answers every question, `refuses` says no whenever asked, `opts_out` asks never to be called again,
`breaks_off` hangs up in the middle of the questions, `silent` answers no prompt.
"""

INTENTS: tuple[Intent, ...] = get_args(Intent)

BEHAVIOURS = ("answers", "busy", "no_answer", "failed", "hangs_up", "machine", *INTENTS)
"""What a number can be told to do: `answers` listens to the end, `hangs_up` leaves after a second of it.

Both are asked like people who were told nothing. The INTENTS listen to the end too and make no mistakes: they answer
by key where they can, `opts_out` does so when first asked, `breaks_off` hangs up at the second question.

`machine` is an answering machine: it plays its greeting, records what is said after that, and answers nothing.
"""

NO_ANSWER_SHARE = 0.20
MACHINE_SHARE = 0.3
"""Of those who do not answer: after a while a machine does."""

BUSY_SHARE = 0.13
FAILED_SHARE = 0.04
EARLY_HANG_UP_SHARE = 0.12
"""Of those who answer."""

REFUSAL_SHARE = 0.16
"""Of those who are asked: who says no, to the request for consent and to whatever else."""

OPT_OUT_SHARE = 0.04
"""Of those who are asked: who asks never to be called again, half of them only in the middle of the questions."""

BREAK_OFF_SHARE = 0.07
"""Of those who are asked: who consents and hangs up in the middle, if there are questions enough."""

LAST_TURN = 4
"""The last question at which somebody thinks better of it; surveys lose people early."""

PATIENCE_SECONDS = 25.0
"""After this long the network itself gives up on somebody who does not answer."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """What happens on one call, in seconds of the simulated world."""

    reaction: Reaction
    ring_seconds: float
    hangs_up_after_seconds: float | None = None
    """Counted from the answer, in time spent listening; None listens to the end."""
    intent: Intent = "consents"
    turns_at: int = 0
    """The question at which somebody opts out or breaks off; 0 is the request for consent."""
    makes_mistakes: bool = True
    is_machine: bool = False
    greeting_seconds: float = 0.0
    """What comes before the tone of a machine."""
    seed: int = 0
    phone_number: str = ""
    call_index: int = 0

    def draw(self, purpose: str) -> float:
        """Return a number in [0, 1) that is this person's own on this call."""
        return draw(self.seed, self.phone_number, self.call_index, purpose)


def person_for(seed: int, phone_number: str, call_index: int) -> Person:
    """Return who is at `phone_number` for its call number `call_index`, counted from 0."""
    luck = draw(seed, phone_number, call_index, "reaction")
    if luck < NO_ANSWER_SHARE * MACHINE_SHARE:
        return _machine_with(seed, phone_number, call_index)
    if luck < NO_ANSWER_SHARE:
        return _person_with("no_answer", seed, phone_number, call_index)
    if luck < NO_ANSWER_SHARE + BUSY_SHARE:
        return _person_with("busy", seed, phone_number, call_index)
    if luck < NO_ANSWER_SHARE + BUSY_SHARE + FAILED_SHARE:
        return _person_with("failed", seed, phone_number, call_index)
    if draw(seed, phone_number, call_index, "stays") >= EARLY_HANG_UP_SHARE:
        return _person_with("answers", seed, phone_number, call_index)
    leaves_after = 1 + 5 * draw(seed, phone_number, call_index, "leaves")
    return _person_with("answers", seed, phone_number, call_index, leaves_after)


def person_told_to(behaviour: str, seed: int, phone_number: str, call_index: int) -> Person:
    """Return a person with one of BEHAVIOURS; the seed still decides how long the phone rings."""
    if behaviour == "hangs_up":
        return _person_with("answers", seed, phone_number, call_index, 1.0)
    if behaviour == "machine":
        return _machine_with(seed, phone_number, call_index)
    if behaviour in INTENTS:
        person = _person_with("answers", seed, phone_number, call_index)
        turns_at = 2 if behaviour == "breaks_off" else 0
        return replace(person, intent=behaviour, turns_at=turns_at, makes_mistakes=False)
    if behaviour not in BEHAVIOURS:
        raise ValueError(f"unknown behaviour {behaviour!r}: expected one of {', '.join(BEHAVIOURS)}")
    return _person_with(behaviour, seed, phone_number, call_index)  # type: ignore[arg-type]


def draw(seed: int, *about: object) -> float:
    """Return a number in [0, 1) that depends on the arguments alone; hash() would differ from run to run."""
    digest = hashlib.sha256(":".join(map(str, (seed, *about))).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _person_with(
    reaction: Reaction, seed: int, phone_number: str, call_index: int, hangs_up_after: float | None = None
) -> Person:
    shortest, longest = {
        "answers": (2.0, 15.0),
        "busy": (0.5, 2.0),
        "failed": (0.5, 2.0),
        "no_answer": (PATIENCE_SECONDS, PATIENCE_SECONDS),
    }[reaction]
    ring = shortest + (longest - shortest) * draw(seed, phone_number, call_index, "ring")
    intent, turns_at = _draw_intent(seed, phone_number, call_index)
    return Person(
        reaction=reaction,
        ring_seconds=ring,
        hangs_up_after_seconds=hangs_up_after,
        intent=intent,
        turns_at=turns_at,
        seed=seed,
        phone_number=phone_number,
        call_index=call_index,
    )


def _machine_with(seed: int, phone_number: str, call_index: int) -> Person:
    """It waits for its owner first."""
    person = _person_with("answers", seed, phone_number, call_index)
    return replace(
        person,
        ring_seconds=12 + 8 * person.draw("ring"),
        intent="silent",
        turns_at=0,
        makes_mistakes=False,
        is_machine=True,
        greeting_seconds=6 + 9 * person.draw("greeting"),
    )


def _draw_intent(seed: int, phone_number: str, call_index: int) -> tuple[Intent, int]:
    luck = draw(seed, phone_number, call_index, "intent")
    turn = 1 + int(LAST_TURN * draw(seed, phone_number, call_index, "turn"))
    if luck < REFUSAL_SHARE:
        return "refuses", 0
    if luck < REFUSAL_SHARE + OPT_OUT_SHARE:
        return "opts_out", turn if luck < REFUSAL_SHARE + OPT_OUT_SHARE / 2 else 0
    if luck < REFUSAL_SHARE + OPT_OUT_SHARE + BREAK_OFF_SHARE:
        return "breaks_off", turn
    return "consents", 0
