"""Read TwiML far enough to know what a person hears and for how long, and what it may be answered with.

PURE. Source: Twilio's TwiML Voice reference. Verbs not known here are skipped, with all they contain.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

WORDS_PER_SECOND = 2.5

AUTO_SPEECH_SECONDS = 1.0
"""How long nobody must speak until `speechTimeout="auto"` takes it for the end; Twilio gives no number."""


@dataclass(frozen=True)
class Listen:
    """The person hears words or silence for this many seconds of the simulated world.

    Two are equal that last as long.
    """

    seconds: float
    text: str = field(default="", compare=False)


@dataclass(frozen=True)
class Redirect:
    """The talk goes on with the document at `url`, which may be relative to this one."""

    url: str
    method: str = "POST"


@dataclass(frozen=True)
class Hangup:
    """The provider ends the call; Reject does the same to a call that was answered."""


@dataclass(frozen=True, kw_only=True)
class Gather:
    """The person is asked something, and may answer with keys or speech as soon as the prompt begins.

    Source: Twilio's TwiML Voice reference, <Gather>. Seconds are of the simulated world.
    """

    prompt: tuple[Listen, ...]
    inputs: frozenset[str] = frozenset({"dtmf"})
    action: str = ""
    """Where the answer goes, relative to the document; empty is the document's own address."""
    method: str = "POST"
    timeout: float = 5.0
    """How long to wait for the first key or word after the prompt, and for each further key."""
    speech_timeout: float = 5.0
    """How long nobody must speak for the answer to be over."""
    num_digits: int | None = None
    finish_on_key: str = "#"
    language: str = "en-US"
    hints: str = ""
    action_on_empty_result: bool = False

    @property
    def words(self) -> str:
        """What is said in the prompt."""
        return " ".join(listen.text for listen in self.prompt if listen.text)

    @property
    def seconds(self) -> float:
        """How long the prompt lasts."""
        return sum(listen.seconds for listen in self.prompt)


Verb = Listen | Redirect | Hangup | Gather

GATHER_ATTRIBUTES = frozenset(
    {
        "action",
        "actionOnEmptyResult",
        "bargeIn",
        "debug",
        "enhanced",
        "finishOnKey",
        "hints",
        "input",
        "language",
        "maxSpeechTime",
        "method",
        "numDigits",
        "partialResultCallback",
        "partialResultCallbackMethod",
        "profanityFilter",
        "speechModel",
        "speechTimeout",
        "timeout",
    }
)


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
                words = text.split()
                yield Listen(len(words) / WORDS_PER_SECOND, " ".join(words))
            case "Pause":
                yield Listen(_read_seconds(element.get("length", "1")))
            case "Redirect":
                yield Redirect(text, element.get("method", "POST").upper())
            case "Hangup" | "Reject":
                yield Hangup()
            case "Gather":
                yield _read_gather(element)


def _read_seconds(length: str) -> float:
    try:
        return max(0.0, float(length))
    except ValueError as exc:
        raise TwimlError(f"Pause has the length {length!r}") from exc


def _read_gather(element: ElementTree.Element) -> Gather:
    """Stricter than Twilio, which ignores with a warning what makes no sense: here it is a mistake to be found."""
    given = element.attrib
    if unknown := sorted(set(given) - GATHER_ATTRIBUTES):
        raise TwimlError(f"Gather has no {', '.join(unknown)}")
    if misplaced := [nested.tag for nested in element if nested.tag not in ("Say", "Pause", "Play")]:
        raise TwimlError(f"Gather contains {', '.join(misplaced)}")
    timeout = float(_read_choice(given, "timeout", r"[1-9]\d*", "5"))
    speech_timeout = _read_choice(given, "speechTimeout", r"auto|[1-9]\d*", str(timeout))
    num_digits = _read_choice(given, "numDigits", r"[1-9]\d*", "")
    return Gather(
        prompt=tuple(verb for verb in _read_verbs(element) if isinstance(verb, Listen)),
        inputs=frozenset(_read_choice(given, "input", "dtmf|speech|dtmf speech|speech dtmf", "dtmf").split()),
        action=given.get("action", ""),
        method=_read_choice(given, "method", "(?i:get|post)", "POST").upper(),
        timeout=timeout,
        speech_timeout=AUTO_SPEECH_SECONDS if speech_timeout == "auto" else float(speech_timeout),
        num_digits=int(num_digits) if num_digits else None,
        finish_on_key=_read_choice(given, "finishOnKey", "[0-9*#]?", "#"),
        language=given.get("language", "en-US"),
        hints=given.get("hints", ""),
        action_on_empty_result=_read_choice(given, "actionOnEmptyResult", "true|false", "false") == "true",
    )


def _read_choice(given: Mapping[str, str], name: str, pattern: str, default: str) -> str:
    """Return the attribute if it is one of what `pattern` allows; raises TwimlError."""
    value = given.get(name)
    if value is None:
        return default
    if not re.fullmatch(pattern, value, re.ASCII):
        raise TwimlError(f"Gather has the {name} {value!r}")
    return value
