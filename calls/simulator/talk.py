"""What is said on an answered call: documents are played, their questions answered, their addresses followed."""

from typing import Any
from urllib.parse import urljoin

from .answering import Prompt, Reply, answer
from .callbacks import describe_call
from .gathering import Gathered, collect
from .network import Call, PhoneNetwork
from .signing import DeliveryError
from .twiml import Gather, Hangup, Listen, Redirect, TwimlError, Verb, parse_twiml

MOST_DOCUMENTS = 100
"""Without a question in between: documents that redirect to each other without a word would spin for ever."""

LONGEST_PROMPT = 200
"""How many characters of a prompt get into the ledger."""

RECOGNITION_SECONDS = 4.0
"""Of a greeting, until it is taken for a machine's. People say a word, and are taken for people at once."""


async def hold_talk(network: PhoneNetwork, call: Call) -> bool:
    """Play the documents and answer their questions; return whether a person heard them to the end."""
    talk = _Talk(network, call)
    try:
        await talk.find_out_who_answered()
        await talk.open_first_document()
        while await talk.play_document():
            pass
    except _CutShort:
        return False
    return not call.person.is_machine


class _CutShort(Exception):
    """Somebody hangs up, time is up, or the next document cannot be had."""


class _Talk:
    """One talk and how far it has come.

    Only listening, answering and keeping silent use up patience and the time limit, not the seconds the client's
    server takes to answer: so the same seed ends the same way on a slow machine and at any speed.
    """

    def __init__(self, network: PhoneNetwork, call: Call) -> None:
        self.network, self.call = network, call
        time_limit = max(call.order.time_limit, network.settings.least_time_limit)
        self.patience = min(call.person.hangs_up_after_seconds or time_limit, time_limit)
        self.url = call.order.url
        self.verbs: list[Verb] = []
        self.documents_since_question = 0
        self.questions = _Questions()
        self.greeting_left = call.person.greeting_seconds

    async def find_out_who_answered(self) -> None:
        """If that was ordered; nothing is asked of the client's server before. Raises _CutShort."""
        detection, person = self.call.order.machine_detection, self.call.person
        if not detection:
            return
        if not person.is_machine:
            self.call.answered_by = "human"
        elif detection == "DetectMessageEnd":
            await self._spend(self.greeting_left)
            self.call.answered_by = "machine_end_beep"
        else:
            await self._spend(min(RECOGNITION_SECONDS, self.greeting_left))
            self.call.answered_by = "machine_start"

    async def open_first_document(self) -> None:
        """Raises _CutShort."""
        if self.url:
            await self._fetch_document(self.url, self.call.order.method)
            return
        try:
            self.verbs = parse_twiml(self.call.order.twiml or "<Response/>")
        except TwimlError as exc:
            raise _CutShort from exc

    async def play_document(self) -> bool:
        """Play until another document follows; return whether one does. Raises _CutShort."""
        self.documents_since_question += 1
        if self.documents_since_question > MOST_DOCUMENTS:
            raise _CutShort
        heard: list[Listen] = []
        for verb in [*self.verbs, Hangup()]:
            if isinstance(verb, Listen):
                heard.append(verb)
                continue
            await self._listen(heard)
            match verb:
                case Redirect():
                    await self._fetch_document(urljoin(self.url, verb.url), verb.method)
                    return True
                case Gather():
                    if await self._ask(verb, heard):
                        return True
                case Hangup():
                    return False
            heard = []
        return False

    async def _listen(self, heard: list[Listen]) -> None:
        """A machine records what begins after its greeting, if it is said to its end."""
        is_recorded = self.call.person.is_machine and not self.greeting_left
        await self._spend(sum(listen.seconds for listen in heard))
        words = " ".join(listen.text for listen in heard if listen.text)
        if is_recorded and words:
            facts = self.call.facts | {"words": words[:LONGEST_PROMPT]}
            self.network.ledger.write("recorded", self.network.read_clock(), **facts)

    async def _ask(self, gather: Gather, heard: list[Listen]) -> bool:
        """Wait for the person's answer and post it; return False if there is none and the document goes on."""
        self.documents_since_question = 0
        words = " ".join(listen.text for listen in [*heard, *gather.prompt] if listen.text)
        prompt = self.questions.ask(words, gather)
        reply = answer(self.call.person, prompt)
        gathered = collect(gather, reply)
        line: dict[str, Any] = {"asked": (gather.words or words)[:LONGEST_PROMPT], "question": prompt.number}
        line |= dict.fromkeys(("meant", "digits", "speech", "confidence", "answer"))
        replied_at = None
        try:
            await self._spend(gathered.seconds)
            replied_at, line["meant"] = self.network.read_clock(), reply.meant
            if reply.meant == "hang_up":
                raise _CutShort
            self.questions.hear(reply, gathered)
            line |= {"digits": gathered.digits, "speech": gathered.speech, "confidence": gathered.confidence}
            if gathered.goes_on:
                return False
            await self._fetch_document(urljoin(self.url, gather.action), gather.method, gathered.form, line)
            return True
        finally:
            at = replied_at or self.network.read_clock()
            self.network.ledger.write("gathered", at, **self.call.facts, **line)

    async def _spend(self, seconds: float) -> None:
        """Let the person listen, answer or wait; raises _CutShort if that is more than is left."""
        await self.network.pass_time(min(seconds, self.patience))
        if seconds > self.patience:
            raise _CutShort
        self.patience -= seconds
        self.greeting_left = max(0.0, self.greeting_left - seconds)

    async def _fetch_document(
        self, url: str, method: str, said: dict[str, str] | None = None, line: dict[str, Any] | None = None
    ) -> None:
        """Go on with what is at `url`; raises _CutShort for what makes Twilio say that an application error occurred.

        How the server answers gets into `line` too, whatever becomes of it.
        """
        network, call = self.network, self.call
        form = describe_call(network, call, "in-progress") | (said or {})
        if call.answered_by:
            form["AnsweredBy"] = call.answered_by
        fetched_at, outcome = network.read_clock(), "cut short"
        try:
            response = await network.sender.send(url, form, method=method)
            outcome = response.status
            if not 200 <= response.status < 300:
                raise _CutShort
            self.url, self.verbs = url, parse_twiml(response.body)
        except DeliveryError as exc:
            outcome = str(exc)
            raise _CutShort from exc
        except TwimlError as exc:
            outcome = "not TwiML"
            raise _CutShort from exc
        finally:
            network.ledger.write("twiml", fetched_at, **call.facts, answer=outcome)
            if line is not None:
                line["answer"] = outcome


class _Questions:
    """The questions of a talk as the person counts them: the next one comes when this one is answered.

    So a request for consent that was not understood is one again when it comes in other words.
    """

    def __init__(self) -> None:
        self._number = 0
        self._times = 0
        self._words = ""
        self._is_answered = False

    def ask(self, words: str, gather: Gather) -> Prompt:
        """Return what the person makes of a Gather."""
        is_same = bool(words and self._words) and (self._words in words or words in self._words)
        if self._is_answered and not is_same:
            self._number, self._times = self._number + 1, 0
        prompt = Prompt(
            words=words,
            inputs=gather.inputs,
            number=self._number,
            times_before=self._times,
            language=gather.language,
        )
        self._words, self._is_answered = words, False
        self._times += 1
        return prompt

    def hear(self, reply: Reply, gathered: Gathered) -> None:
        """Note whether the person has given an answer that should have been understood."""
        got_through = gathered.digits is not None or gathered.speech is not None
        self._is_answered = got_through and reply.is_clear and reply.meant in ("consent", "answer")
