"""What reaches the client's server of what a person presses and says, and when.

PURE. Source: Twilio's TwiML Voice reference, <Gather>.
"""

from dataclasses import dataclass

from .answering import Reply
from .twiml import WORDS_PER_SECOND, Gather

SECONDS_PER_KEY = 0.4


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """The end of a Gather, `seconds` after its beginning."""

    seconds: float
    digits: str | None = None
    speech: str | None = None
    confidence: float | None = None
    goes_on: bool = False
    """Whether the document goes on behind the Gather, because there is nothing to post."""

    @property
    def form(self) -> dict[str, str]:
        """What is posted with it."""
        if self.speech is not None:
            return {"SpeechResult": self.speech, "Confidence": str(self.confidence)}
        return {"Digits": self.digits or ""}


def collect(gather: Gather, reply: Reply) -> Gathered:
    """Return what a Gather makes of a reply.

    Keys are over at once with the last of `numDigits` or with `finishOnKey`, else when none has followed for the
    time-out. What comes too late, or in a way that is not listened to, is not noticed.
    """
    begins = gather.seconds * reply.hears + reply.thinks
    if reply.meant == "hang_up":
        return Gathered(seconds=begins)
    is_in_time = begins <= gather.seconds + gather.timeout
    digits, is_over = _read_keys(gather, reply.keys)
    if digits and is_in_time and "dtmf" in gather.inputs:
        lasts = SECONDS_PER_KEY * len(reply.keys) + (0.0 if is_over else gather.timeout)
        return Gathered(seconds=begins + lasts, digits=digits)
    if reply.speech and is_in_time and "speech" in gather.inputs:
        lasts = len(reply.speech.split()) / WORDS_PER_SECOND + gather.speech_timeout
        return Gathered(seconds=begins + lasts, speech=reply.speech, confidence=reply.confidence)
    return Gathered(seconds=gather.seconds + gather.timeout, goes_on=not gather.action_on_empty_result)


def _read_keys(gather: Gather, keys: str) -> tuple[str, bool]:
    """Return the digits, and whether it is clear that no more are to come.

    The finishing key counts only behind others.
    """
    digits = ""
    for key in keys:
        if key != gather.finish_on_key:
            digits += key
        elif digits:
            return digits, True
        if len(digits) == gather.num_digits:
            return digits, True
    return digits, False
