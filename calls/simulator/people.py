"""How the people of the simulated phone network behave.

PURE: the same seed, phone number and call index give the same person on every machine, in every process.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

Reaction = Literal["answers", "busy", "no_answer", "failed"]

BEHAVIOURS = ("answers", "busy", "no_answer", "failed", "hangs_up")
"""What a number can be told to do: `answers` listens to the end, `hangs_up` leaves after a second of it."""

NO_ANSWER_SHARE = 0.20
BUSY_SHARE = 0.13
FAILED_SHARE = 0.04
EARLY_HANG_UP_SHARE = 0.12
"""Of those who answer."""

PATIENCE_SECONDS = 25.0
"""After this long the network itself gives up on somebody who does not answer."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """What happens on one call, in seconds of the simulated world."""

    reaction: Reaction
    ring_seconds: float
    hangs_up_after_seconds: float | None = None
    """Counted from the answer, in time spent listening; None listens to the end."""


def person_for(seed: int, phone_number: str, call_index: int) -> Person:
    """Return who is at `phone_number` for its call number `call_index`, counted from 0."""
    luck = draw(seed, phone_number, call_index, "reaction")
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
    if behaviour not in BEHAVIOURS:
        raise ValueError(f"unknown behaviour {behaviour!r}: expected one of {', '.join(BEHAVIOURS)}")
    return _person_with(behaviour, seed, phone_number, call_index)  # type: ignore[arg-type]


def draw(seed: int, phone_number: str, call_index: int, purpose: str) -> float:
    """Return a number in [0, 1) that depends on the arguments alone; hash() would differ from run to run."""
    digest = hashlib.sha256(f"{seed}:{phone_number}:{call_index}:{purpose}".encode()).digest()
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
    return Person(reaction=reaction, ring_seconds=ring, hangs_up_after_seconds=hangs_up_after)
