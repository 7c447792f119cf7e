"""Read TwiML far enough to know what a person hears and for how long.

PURE. Source: Twilio's TwiML Voice reference. Verbs not known here are skipped, with all they contain.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

WORDS_PER_SECOND = 2.5


@dataclass(frozen=True)
class Listen:
    """The person hears words or silence for this many seconds of the simulated world."""

    seconds: float


@dataclass(frozen=True)
class Redirect:
    """The talk goes on with the document at `url`, which may be relative to this one."""

    url: str
    method: str = "POST"


@dataclass(frozen=True)
class Hangup:
    """The provider ends the call; Reject does the same to a call that was answered."""


Verb = Listen | Redirect | Hangup


class TwimlError(ValueError):
    """The document is not TwiML."""


def parse_twiml(document: bytes | str) -> list[Verb]:
    """Return the verbs of a TwiML document in order; raises TwimlError."""
    try:
        root = ElementTree.fromstring(document)
    except (ElementTree.ParseError, ValueError) as exc:
        raise TwimlError(f"not XML: {exc}") from exc
    if root.tag != "Response":
        raise TwimlError(f"the root element is {root.tag!r}, not 'Response'")
    return list(_read_verbs(root))


def _read_verbs(root: ElementTree.Element) -> Iterator[Verb]:
    for element in root:
        text = "".join(element.itertext()).strip()
        match element.tag:
            case "Say":
                yield Listen(len(text.split()) / WORDS_PER_SECOND)
            case "Pause":
                yield Listen(_read_seconds(element.get("length", "1")))
            case "Redirect":
                yield Redirect(text, element.get("method", "POST").upper())
            case "Hangup" | "Reject":
                yield Hangup()


def _read_seconds(length: str) -> float:
    try:
        return max(0.0, float(length))
    except ValueError as exc:
        raise TwimlError(f"Pause has the length {length!r}") from exc
