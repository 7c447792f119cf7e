"""What every request to the REST API goes through: the record of arrival and answer, and the credentials."""

import base64
import contextlib
import hmac
import socket
import struct
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from aiohttp import web

from .network import API_VERSION, PhoneNetwork
from .orders import RestError
from .resources import write_error

NETWORK = web.AppKey("network", PhoneNetwork)
ARRIVED_AT = web.RequestKey("arrived_at", datetime)
FACTS = web.RequestKey("facts", dict[str, str | None])
"""What the ledger will say about a request: to, from, fault, sid, call_id."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SocketClosed(Exception):
    """The client gets no answer at all."""


@web.middleware
async def record_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note when a request has arrived, before anything else, and put it on record with its answer.

    One that breaks off before its end has ordered nothing and leaves no trace.
    """
    network = request.app[NETWORK]
    try:
        await request.read()
    except ConnectionError:
        return web.Response(status=400)  # for nobody
    arrived_at = network.read_clock()
    if not request.path.startswith(f"/{API_VERSION}/"):
        return await handler(request)
    facts: dict[str, str | None] = {"to": None, "from": None, "fault": None, "sid": None, "call_id": None}
    request[ARRIVED_AT], request[FACTS] = arrived_at, facts
    answer: int | str = "closed"
    try:
        response = await _answer_or_refuse(request, handler)
        answer = response.status
    except SocketClosed:
        response = web.Response()
        _close_socket(request)
    except Exception:
        answer = 500
        raise
    finally:
        network.ledger.write("request", arrived_at, method=request.method, path=request.path, answer=answer, **facts)
    return response


async def _answer_or_refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        _check_credentials(request)
        return await handler(request)
    except web.HTTPNotFound:
        return _refuse(RestError(404, 20404))
    except RestError as error:
        return _refuse(error)


def _refuse(error: RestError) -> web.Response:
    return web.json_response(write_error(error), status=error.status)


def _check_credentials(request: web.Request) -> None:
    """Accept the account's token or an API key, for this account only; raises RestError."""
    settings = request.app[NETWORK].settings
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    given = b""
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            given = base64.b64decode(encoded)
    pairs = [(settings.account_sid, settings.auth_token)]
    if settings.api_key_sid:
        pairs.append((settings.api_key_sid, settings.api_key_secret))
    is_known = any(hmac.compare_digest(given, f"{name}:{secret}".encode()) for name, secret in pairs)
    account_sid = request.match_info.get("account_sid", settings.account_sid)
    if not is_known or account_sid != settings.account_sid:
        raise RestError(401, 20003)


def _close_socket(request: web.Request) -> None:
    """Reset the connection, as a provider does whose process died."""
    transport = request.transport
    if transport is None:
        return
    connection: Any = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
