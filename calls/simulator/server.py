"""The simulated phone network as a running server: a Twilio-compatible provider on this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from .admission import NETWORK
from .control import add_control_routes
from .ledger import Ledger
from .network import NetworkSettings, PhoneNetwork
from .rest import add_rest_routes
from .signing import SignedSender, open_session

SHUTDOWN_SECONDS = 0.1


@asynccontextmanager
async def serve_phone_network(settings: NetworkSettings, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Run the network while the context is open; yields its base URL. Port 0 takes a free one.

    Leaving stops it at once: open calls are dropped, as by a provider that dies.
    """
    ledger = Ledger(settings.ledger_path)
    try:
        async with open_session() as session:
            sender = SignedSender(session, settings.auth_token, settings.callback_base_url)
            network = PhoneNetwork(settings, ledger, sender)
            runner = web.AppRunner(create_app(network), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
            await runner.setup()
            try:
                site = await _listen(runner, host, port)
                address = runner.addresses[0]
                network.close_doors = partial(_close_doors, network, runner, site, address)
                yield f"http://{host}:{address[1]}"
            finally:
                await network.stop()
                await runner.cleanup()
    finally:
        ledger.close()


async def _listen(runner: web.AppRunner, host: str, port: int) -> web.TCPSite:
    site = web.TCPSite(runner, host, port, backlog=1024)
    await site.start()
    return site


async def _close_doors(
    network: PhoneNetwork, runner: web.AppRunner, site: web.TCPSite, address: tuple[str, int], seconds: float
) -> None:
    """Refuse connections for so many real seconds, and break off those that are open; calls go on."""
    await site.stop()
    for connection in list(runner.server.connections):
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.sleep(seconds)
    site = await _listen(runner, *address[:2])
    network.close_doors = partial(_close_doors, network, runner, site, address)


def create_app(network: PhoneNetwork) -> web.Application:
    """Return the aiohttp application in front of a network."""
    app = web.Application()
    app[NETWORK] = network
    add_rest_routes(app)
    add_control_routes(app)
    return app
