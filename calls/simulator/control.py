"""/simulator/: tell the phone network what to do wrong, and how numbers behave. Without credentials."""

import json
from typing import Any

from aiohttp import web

from .admission import NETWORK
from .faults import FaultError, read_fault
from .people import BEHAVIOURS


def add_control_routes(app: web.Application) -> None:
    """Register the control endpoints."""
    app.router.add_get("/simulator/health", _show_health)
    app.router.add_get("/simulator/faults", _list_faults)
    app.router.add_post("/simulator/faults", _inject_fault)
    app.router.add_delete("/simulator/faults", _clear_faults)
    app.router.add_post("/simulator/behaviours", _set_behaviours)


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
