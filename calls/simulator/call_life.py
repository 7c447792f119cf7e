"""The life of a call: queued, dialled, ringing, answered, talked to, ended."""

import asyncio
import time
from datetime import datetime

from .callbacks import announce, send_callbacks
from .network import Call, PhoneNetwork
from .orders import CallOrder
from .talk import hold_talk

SETUP_SECONDS = 0.2
"""Between dialling and the first ring, in the simulated world."""


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
        heard_to_end = await hold_talk(network, call)
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
    person, timeout = call.person, max(call.order.timeout, network.settings.least_ring_timeout)
    await network.pass_time(min(person.ring_seconds, timeout))
    if person.ring_seconds > timeout:
        return "no-answer"
    return {"answers": None, "busy": "busy", "failed": "failed", "no_answer": "no-answer"}[person.reaction]


def _answer(network: PhoneNetwork, call: Call) -> None:
    call.status, call.answered_at = "in-progress", network.read_clock()
    call.answered_steady = time.monotonic()
    by = "machine" if call.person.is_machine else "person"
    network.ledger.write("answered", call.answered_at, **call.facts, by=by)
    announce(network, call, "answered", "in-progress", call.answered_at)


def _end_call(network: PhoneNetwork, call: Call, status: str, *, heard_to_end: bool = False) -> None:
    call.status, call.ended_at = status, network.read_clock()
    call.ended_steady = time.monotonic()
    network.ledger.write("ended", call.ended_at, **call.facts, status=status, heard_to_end=heard_to_end)
    if call.is_dialled:  # a call cancelled while queued fires no callback
        announce(network, call, "completed", status, call.ended_at)
    call.has_ended.set()
