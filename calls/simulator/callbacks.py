"""Tell the client's server how its calls are doing."""

from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

from .faults import CALL_FAULTS, CALLBACK_FAULTS, Fault
from .network import API_VERSION, ENDED_STATUSES, Call, PhoneNetwork
from .signing import DeliveryError

SIP_RESPONSE_CODES = {"completed": 200, "busy": 486, "no-answer": 487, "failed": 404, "canceled": 487}

RETRY_AFTER_SECONDS = 1.0
"""Of the simulated world."""


@dataclass(frozen=True, kw_only=True)
class Callback:
    """One event of a call, with the form that reports it."""

    call: Call
    event: str
    status: str
    sequence: int
    form: dict[str, str] = field(repr=False)


def announce(network: PhoneNetwork, call: Call, event: str, status: str, at: datetime) -> None:
    """Put an event into the call's own queue, if the client asked for it; never waits."""
    if event in call.order.events:
        sequence = call.callbacks_sent
        call.callbacks_sent += 1
        form = _write_form(network, call, status, sequence, at)
        call.callbacks.put_nowait(Callback(call=call, event=event, status=status, sequence=sequence, form=form))
    if status in ENDED_STATUSES:
        call.callbacks.put_nowait(None)


async def send_callbacks(network: PhoneNetwork, call: Call) -> None:
    """Send the call's events one after the other, up to the None in the queue that follows the last."""
    is_reordered = network.faults.take(CALL_FAULTS, to=call.order.to) is not None
    held: list[Callback] = []
    while (callback := await call.callbacks.get()) is not None:
        if is_reordered:
            held.append(callback)
        else:
            await _send_or_fail(network, callback)
        call.callbacks.task_done()
    for callback in reversed(held):
        await _send_or_fail(network, callback, fault="callback_reordered")
    call.callbacks.task_done()


def describe_call(network: PhoneNetwork, call: Call, status: str) -> dict[str, str]:
    """Return the parameters that callbacks and TwiML requests have in common."""
    return {
        "CallSid": call.sid,
        "AccountSid": network.settings.account_sid,
        "From": call.order.from_,
        "To": call.order.to,
        "CallStatus": status,
        "Direction": "outbound-api",
        "ApiVersion": API_VERSION,
    }


def measure_duration(network: PhoneNetwork, call: Call) -> int:
    """Return the length of an ended call since its answer, in whole seconds of the simulated world."""
    if call.answered_steady is None or call.ended_steady is None:
        return 0
    return round((call.ended_steady - call.answered_steady) * network.settings.speed)


def _write_form(network: PhoneNetwork, call: Call, status: str, sequence: int, at: datetime) -> dict[str, str]:
    form = describe_call(network, call, status) | {
        "SequenceNumber": str(sequence),
        "Timestamp": format_datetime(at),
        "CallbackSource": "call-progress-events",
    }
    if status in ENDED_STATUSES:
        form["CallDuration"] = str(measure_duration(network, call))
        form["SipResponseCode"] = str(SIP_RESPONSE_CODES[status])
    return form


async def _send_or_fail(network: PhoneNetwork, callback: Callback, fault: str | None = None) -> None:
    trouble = network.faults.take(CALLBACK_FAULTS, to=callback.call.order.to, event=callback.event)
    match trouble:
        case None:
            await _send_with_retry(network, callback, fault)
        case Fault(kind="callback_lost"):
            _write_line(network, callback, "not sent", 0, trouble.kind)
        case Fault(kind="callback_late"):
            network.spawn(_send_late(network, callback, trouble.seconds))
        case _:
            await _send_with_retry(network, callback, trouble.kind)
            await _send_with_retry(network, callback, trouble.kind)


async def _send_late(network: PhoneNetwork, callback: Callback, seconds: float) -> None:
    await network.pass_time(seconds * network.settings.speed)
    await _send_with_retry(network, callback, "callback_late")


async def _send_with_retry(network: PhoneNetwork, callback: Callback, fault: str | None) -> None:
    if await _send_once(network, callback, 1, fault):
        await network.pass_time(RETRY_AFTER_SECONDS)
        await _send_once(network, callback, 2, fault)


async def _send_once(network: PhoneNetwork, callback: Callback, attempt: int, fault: str | None) -> bool:
    """Return whether Twilio would try this callback again."""
    order = callback.call.order
    sent_at = network.read_clock()
    try:
        answer = await network.sender.send(order.status_callback, callback.form, method=order.status_callback_method)
    except DeliveryError as exc:
        _write_line(network, callback, str(exc), attempt, fault, sent_at)
        return exc.may_retry
    _write_line(network, callback, answer.status, attempt, fault, sent_at)
    return answer.status >= 500


def _write_line(
    network: PhoneNetwork,
    callback: Callback,
    answer: int | str,
    attempt: int,
    fault: str | None,
    at: datetime | None = None,
) -> None:
    network.ledger.write(
        "callback",
        at or network.read_clock(),
        **callback.call.facts,
        event=callback.event,
        status=callback.status,
        sequence=callback.sequence,
        attempt=attempt,
        answer=answer,
        fault=fault,
    )
