"""/simulator/: tell the phone network what to do wrong, how numbers behave, and the time. Without credentials."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from aiohttp import web

from .admission import NETWORK
from .faults import FaultError, read_fault
from .network import PhoneNetwork
from .people import BEHAVIOURS

LARGEST_OFFSET = timedelta(days=100 * 365)


def add_control_routes(app: web.Application) -> None:
    """Register the control endpoints."""
    app.router.add_get("/simulator/health", _show_health)
    app.router.add_get("/simulator/faults", _list_faults)
    app.router.add_post("/simulator/faults", _inject_fault)
    app.router.add_delete("/simulator/faults", _clear_faults)
    app.router.add_post("/simulator/behaviours", _set_behaviours)
    app.router.add_post("/simulator/seed", _set_seed)
    app.router.add_post("/simulator/outage", _begin_outage)
    app.router.add_delete("/simulator/calls", _forget_calls)
    app.router.add_post("/simulator/clock", _set_clock)
    app.router.add_delete("/simulator/clock", _reset_clock)


def check_behaviours(behaviours: Any) -> dict[str, str]:
    """Return a mapping of phone numbers to BEHAVIOURS; raises ValueError for anything else."""
    if not isinstance(behaviours, dict) or any(told not in BEHAVIOURS for told in behaviours.values()):
        raise ValueError(f"expected {{phone number: behaviour}}, with one of {', '.join(BEHAVIOURS)}")
    return behaviours


async def _show_health(request: web.Request) -> web.Response:
    calls = request.app[NETWORK].calls.values()
    return web.json_response({"status": "ok", "calls": len(calls), "open": sum(not call.is_ended for call in calls)})


async def _list_faults(request: web.Request) -> web.Response:
    return web.json_response({"faults": request.app[NETWORK].faults.list_faults()})


async def _inject_fault(request: web.Request) -> web.Response:
    try:
        description = await request.json()
        if not isinstance(description, dict):
            raise FaultError("a fault is a JSON object")
        fault = read_fault(description)
    except (FaultError, json.JSONDecodeError) as exc:
        return web.json_response({"error": str(exc)}, status=400)
    request.app[NETWORK].faults.inject(fault)
    return web.json_response({"faults": request.app[NETWORK].faults.list_faults()}, status=201)


async def _clear_faults(request: web.Request) -> web.Response:
    request.app[NETWORK].faults.clear()
    return web.json_response({"faults": []})


async def _set_behaviours(request: web.Request) -> web.Response:
    """Add to what is set; a number told twice does the latter."""
    try:
        behaviours = check_behaviours(await request.json())
    except ValueError as exc:
        return web.json_response({"error": str(exc)}, status=400)
    request.app[NETWORK].behaviours.update(behaviours)
    return web.json_response({"behaviours": request.app[NETWORK].behaviours})


async def _set_seed(request: web.Request) -> web.Response:
    """{"seed": 7}: other people are at the same numbers from the next call on."""
    try:
        seed = (await request.json())["seed"]
    except (json.JSONDecodeError, KeyError, TypeError):
        seed = None
    if not isinstance(seed, int) or isinstance(seed, bool):
        return web.json_response({"error": 'expected {"seed": a whole number}'}, status=400)
    request.app[NETWORK].seed = seed
    return web.json_response({"seed": seed})


async def _set_clock(request: web.Request) -> web.Response:
    """{"offset_seconds": 12345.6}: how far ahead of the machine's clock the network's is; what lasts, lasts as long."""
    network = request.app[NETWORK]
    try:
        offset = timedelta(seconds=(await request.json())["offset_seconds"])
        if abs(offset) > LARGEST_OFFSET:
            raise ValueError("no such time")
    except (ValueError, KeyError, TypeError, OverflowError):
        return web.json_response({"error": 'expected {"offset_seconds": number}'}, status=400)
    network.clock_offset = offset
    return _show_clock(network)


async def _reset_clock(request: web.Request) -> web.Response:
    network = request.app[NETWORK]
    network.clock_offset = timedelta(0)
    return _show_clock(network)


def _show_clock(network: PhoneNetwork) -> web.Response:
    return web.json_response(
        {"offset_seconds": network.clock_offset.total_seconds(), "now": network.read_clock().isoformat()}
    )


async def _begin_outage(request: web.Request) -> web.Response:
    """{"seconds": 3}: nobody gets through for so long, this address included."""
    network = request.app[NETWORK]
    try:
        seconds = float((await request.json())["seconds"])
    except (ValueError, KeyError, TypeError):
        return web.json_response({"error": 'expected {"seconds": number}'}, status=400)
    close_doors, network.close_doors = network.close_doors, None
    if close_doors is None:
        return web.json_response({"error": "there is an outage already"}, status=409)

    async def close_after_answer() -> None:
        await asyncio.sleep(0.01)
        await close_doors(seconds)

    network.spawn(close_after_answer())
    return web.json_response({"seconds": seconds}, status=202)


async def _forget_calls(request: web.Request) -> web.Response:
    """All that have ended. The ledger keeps them."""
    request.app[NETWORK].forget_calls()
    return web.json_response({})
