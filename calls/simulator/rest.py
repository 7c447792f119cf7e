"""The provider's REST API: start a call, look calls up, end one; and what goes wrong there on request.

Source: Twilio's reference of the Call resource.
"""

import asyncio
import contextlib

from aiohttp import web

from .admission import ARRIVED_AT, FACTS, NETWORK, SocketClosed, record_request
from .call_life import cut_call_short, place_call
from .faults import LIST_FAULTS, LOOKUP_FAULTS, START_FAULTS, Fault
from .network import API_VERSION, Call, PhoneNetwork
from .orders import RestError, read_order
from .resources import find_calls, write_call, write_page

ACCOUNT_PATH = f"/{API_VERSION}/Accounts/{{account_sid}}"
LONGEST_WAIT_FOR_CALLBACKS = 10.0
"""Seconds of the real clock that `callback_before_response` waits for a client that does not answer."""


def add_rest_routes(app: web.Application) -> None:
    """Register the REST API, with every request to it on record."""
    app.middlewares.append(record_request)
    app.router.add_post(f"{ACCOUNT_PATH}/Calls.json", _start_call)
    app.router.add_get(f"{ACCOUNT_PATH}/Calls.json", _list_calls)
    app.router.add_get(f"{ACCOUNT_PATH}/Calls/{{sid}}.json", _show_call)
    app.router.add_post(f"{ACCOUNT_PATH}/Calls/{{sid}}.json", _update_call)


async def _start_call(request: web.Request) -> web.StreamResponse:
    network, arrived_at = request.app[NETWORK], request[ARRIVED_AT]
    form = await request.post()
    request[FACTS].update({"to": form.get("To"), "from": form.get("From")})
    fault = network.faults.take(START_FAULTS, to=form.get("To"))
    if fault is not None:
        request[FACTS]["fault"] = fault.kind
        await _fail_before_placing(fault)
    call = place_call(network, read_order(form, network.settings.refused_callers), arrived_at)
    request[FACTS].update({"sid": call.sid, "call_id": call.order.call_id})
    if fault is not None:
        return await _answer_with_fault(network, fault, call)
    return _answer_created(network, call)


async def _fail_before_placing(fault: Fault) -> None:
    """Raise what the client gets instead of a call, if this is a fault that places none."""
    match fault.kind:
        case "reset":
            raise SocketClosed
        case "hang":
            await asyncio.sleep(fault.seconds)
            raise SocketClosed
        case "rate_limited":
            raise RestError(429, 20429)
        case "server_error":
            raise RestError(500, 20500)
        case "unauthorized":
            raise RestError(401, 20003)
        case "refuse":
            raise RestError(400, fault.code)


async def _answer_with_fault(network: PhoneNetwork, fault: Fault, call: Call) -> web.StreamResponse:
    match fault.kind:
        case "reset_after_placing":
            raise SocketClosed
        case "hang_after_placing":
            await asyncio.sleep(fault.seconds)
            raise SocketClosed
        case "server_error_after_placing":
            raise RestError(500, 20500)
        case "slow":
            await asyncio.sleep(fault.seconds)
        case "wrong_json":
            return web.Response(status=201, text='{"sid": "CA', content_type="application/json")
        case "same_sid":
            # Of one that is over: who is told a fresh one twice cannot know whose it is.
            other = next((one for one in reversed(network.calls.values()) if one.is_ended), call)
            return _answer_created(network, call, sid=other.sid)
        case "callback_before_response":
            await _wait_for_callbacks(call)
    return _answer_created(network, call)


def _answer_created(network: PhoneNetwork, call: Call, **changes: str) -> web.Response:
    """Answer as if nothing had happened since the order: Twilio always says queued."""
    ordered = {
        "status": "queued",
        "start_time": None,
        "end_time": None,
        "duration": None,
        "answered_by": None,
    }
    return web.json_response(write_call(network, call) | ordered | changes, status=201)


async def _wait_for_callbacks(call: Call) -> None:
    """Wait until the client has been told that it rings, or that it ended if nobody could have answered."""
    milestone = call.has_ended if call.person.reaction in ("busy", "failed") else call.has_rung
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_WAIT_FOR_CALLBACKS):
            await milestone.wait()
            await call.callbacks.join()


async def _list_calls(request: web.Request) -> web.Response:
    network, query = request.app[NETWORK], request.query
    request[FACTS].update({"to": query.get("To"), "from": query.get("From")})
    _fail_lookup(request, query.get("To"))
    lag = network.faults.take(LIST_FAULTS, to=query.get("To"))
    hidden = lag.seconds if lag else network.settings.lookup_lag
    if lag:
        request[FACTS]["fault"] = lag.kind
    calls = find_calls(network, query, hidden)
    return web.json_response(write_page(network, calls, query, request.path))


async def _show_call(request: web.Request) -> web.Response:
    call = _find_call(request)
    _fail_lookup(request, call.order.to)
    return web.json_response(write_call(request.app[NETWORK], call))


async def _update_call(request: web.Request) -> web.Response:
    """`canceled` ends a call that is not answered yet and leaves others alone; `completed` ends any."""
    network, call = request.app[NETWORK], _find_call(request)
    wanted = (await request.post()).get("Status")
    if wanted not in ("canceled", "completed"):
        raise RestError(400, 20001)
    if call.is_ended:
        raise RestError(400, 21220)
    if wanted == "completed" or call.answered_at is None:
        cut_call_short(network, call)
    return web.json_response(write_call(network, call))


def _find_call(request: web.Request) -> Call:
    call = request.app[NETWORK].calls.get(request.match_info["sid"])
    if call is None:
        raise RestError(404, 20404)
    request[FACTS].update(call.facts)
    return call


def _fail_lookup(request: web.Request, to: str | None) -> None:
    fault = request.app[NETWORK].faults.take(LOOKUP_FAULTS, to=to)
    if fault is not None:
        request[FACTS]["fault"] = fault.kind
        raise RestError(500, 20500)
