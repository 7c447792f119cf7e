"""The life of a call: queued, dialled, ringing, answered, talked to, ended."""

import asyncio
import time
from datetime import datetime
from urllib.parse import urljoin

from .callbacks import announce, describe_call, send_callbacks
from .network import Call, PhoneNetwork
from .orders import CallOrder
from .signing import DeliveryError
from .twiml import Hangup, Listen, Redirect, TwimlError, Verb, parse_twiml

SETUP_SECONDS = 0.2
"""Between dialling and the first ring, in the simulated world."""

MOST_DOCUMENTS = 100
"""Of one call: documents that redirect to each other without a word would spin for ever."""


def place_call(network: PhoneNetwork, order: CallOrder, arrived_at: datetime) -> Call:
    """Take an order; the call goes its way by itself from here."""
    call = network.register_call(order, arrived_at)
    call.life = network.spawn(_live(network, call))
    return call


def cut_call_short(network: PhoneNetwork, call: Call) -> None:
    """End a call on the client's request: `completed` if it was answered, `canceled` if not."""
    if call.life is not None:
        call.life.cancel()
    _end_call(network, call, "completed" if call.answered_at else "canceled")


async def _live(network: PhoneNetwork, call: Call) -> None:
    await asyncio.sleep(network.reserve_dial_delay())
    await _dial(network, call)
    status = await _ring(network, call)
    heard_to_end = False
    if status is None:
        _answer(network, call)
        heard_to_end = await _hold_talk(network, call)
        status = "completed"
    _end_call(network, call, status, heard_to_end=heard_to_end)


async def _dial(network: PhoneNetwork, call: Call) -> None:
    call.is_dialled = True
    network.spawn(send_callbacks(network, call))
    announce(network, call, "initiated", "initiated", network.read_clock())
    await network.pass_time(SETUP_SECONDS)
    call.status, call.ringing_at = "ringing", network.read_clock()
    network.ledger.write("ringing", call.ringing_at, **call.facts)
    announce(network, call, "ringing", "ringing", call.ringing_at)
    call.has_rung.set()


async def _ring(network: PhoneNetwork, call: Call) -> str | None:
    """Ring until something happens; return the status it ends with, or None if somebody answers."""
    person, timeout = call.person, call.order.timeout
    await network.pass_time(min(person.ring_seconds, timeout))
    if person.ring_seconds > timeout:
        return "no-answer"
    return {"answers": None, "busy": "busy", "failed": "failed", "no_answer": "no-answer"}[person.reaction]


def _answer(network: PhoneNetwork, call: Call) -> None:
    call.status, call.answered_at = "in-progress", network.read_clock()
    call.answered_steady = time.monotonic()
    network.ledger.write("answered", call.answered_at, **call.facts)
    announce(network, call, "answered", "in-progress", call.answered_at)


async def _hold_talk(network: PhoneNetwork, call: Call) -> bool:
    """Play the documents; return whether the person heard them to the end.

    Only listening uses up patience and the time limit, not the seconds the client's server takes to answer:
    so the same seed ends the same way on a slow machine and at any speed.
    """
    patience = min(call.person.hangs_up_after_seconds or call.order.time_limit, call.order.time_limit)
    url, verbs = call.order.url, await _open_first_document(network, call)
    for _ in range(MOST_DOCUMENTS):
        if verbs is None:
            return False
        silence = sum(verb.seconds for verb in _heard_in(verbs))
        await network.pass_time(min(silence, patience))
        if silence > patience:
            return False
        patience -= silence
        redirect = next((verb for verb in verbs if isinstance(verb, Redirect | Hangup)), None)
        if not isinstance(redirect, Redirect):
            return True
        url = urljoin(url, redirect.url)
        verbs = await _fetch_document(network, call, url, redirect.method)
    return False


def _heard_in(verbs: list[Verb]) -> list[Listen]:
    """Return what is played before the document hangs up or leads to another."""
    heard = []
    for verb in verbs:
        if not isinstance(verb, Listen):
            break
        heard.append(verb)
    return heard


async def _open_first_document(network: PhoneNetwork, call: Call) -> list[Verb] | None:
    if call.order.url:
        return await _fetch_document(network, call, call.order.url, call.order.method)
    try:
        return parse_twiml(call.order.twiml or "<Response/>")
    except TwimlError:
        return None


async def _fetch_document(network: PhoneNetwork, call: Call, url: str, method: str) -> list[Verb] | None:
    """Return the verbs at `url`, or None for what makes Twilio say that an application error has occurred."""
    form = describe_call(network, call, "in-progress")
    if call.order.detects_machines:
        form["AnsweredBy"] = "human"
    fetched_at, outcome = network.read_clock(), "cut short"
    try:
        answer = await network.sender.send(url, form, method=method)
        outcome = answer.status
        return parse_twiml(answer.body) if 200 <= answer.status < 300 else None
    except DeliveryError as exc:
        outcome = str(exc)
    except TwimlError:
        outcome = "not TwiML"
    finally:
        network.ledger.write("twiml", fetched_at, **call.facts, answer=outcome)
    return None


def _end_call(network: PhoneNetwork, call: Call, status: str, *, heard_to_end: bool = False) -> None:
    call.status, call.ended_at = status, network.read_clock()
    call.ended_steady = time.monotonic()
    network.ledger.write("ended", call.ended_at, **call.facts, status=status, heard_to_end=heard_to_end)
    if call.is_dialled:  # a call cancelled while queued fires no callback
        announce(network, call, "completed", status, call.ended_at)
    call.has_ended.set()
