"""Run the simulated phone network inside a test process, on a free port of 127.0.0.1."""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from calls.simulator.ledger import LedgerCall, calls_from, read_ledger
from calls.simulator.network import NetworkSettings
from calls.simulator.server import serve_phone_network

ACCOUNT_SID = "AC00000000000000000000000000000000"
AUTH_TOKEN = "the-auth-token-of-the-simulator"


@dataclass(frozen=True)
class RunningPhoneNetwork:
    base_url: str
    ledger_path: Path
    account_sid: str
    auth_token: str = field(repr=False)

    def ledger(self) -> list[dict[str, Any]]:
        """Return every line that the network has written so far."""
        return read_ledger(self.ledger_path)

    def calls(self) -> list[LedgerCall]:
        """Return every call that the network has seen so far, in the order of their starts."""
        return calls_from(self.ledger())

    def inject(self, fault: Mapping[str, Any]) -> None:
        """Make something go wrong: {"kind": ..., "count": ..., "to": ..., "seconds": ...}."""
        self._control("POST", "faults", fault)

    def clear_faults(self) -> None:
        """Let everything go well from now on."""
        self._control("DELETE", "faults")

    def set_behaviours(self, behaviours: Mapping[str, str]) -> None:
        """Say what happens at some numbers: answers, busy, no_answer, failed or hangs_up."""
        self._control("POST", "behaviours", behaviours)

    def _control(self, method: str, name: str, body: Mapping[str, Any] | None = None) -> None:
        response = requests.request(method, f"{self.base_url}/simulator/{name}", json=body, timeout=5)
        assert response.ok, response.text


@contextmanager
def running_phone_network(
    *,
    seed: int = 1,
    speed: float = 50.0,
    ledger_path: Path | None = None,
    callback_base_url: str | None = None,
    account_sid: str = ACCOUNT_SID,
    auth_token: str = AUTH_TOKEN,
    **settings: Any,
) -> Iterator[RunningPhoneNetwork]:
    """Run a network in a thread; `settings` are more of NetworkSettings, e.g. behaviours.

    With callback_base_url, callbacks and TwiML requests go there, signed for the URL that the client gave.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(ledger_path or Path(directory) / "ledger.jsonl")
        all_settings = NetworkSettings(
            account_sid=account_sid,
            auth_token=auth_token,
            ledger_path=path,
            seed=seed,
            speed=speed,
            callback_base_url=callback_base_url,
            **settings,
        )
        with _serving_in_thread(all_settings) as base_url:
            yield RunningPhoneNetwork(base_url, path, account_sid, auth_token)


@contextmanager
def _serving_in_thread(settings: NetworkSettings) -> Iterator[str]:
    started: Future[tuple[str, Callable[[], object]]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(settings, started)), name="phone network")
    thread.start()
    base_url, stop = started.result(timeout=10)
    try:
        yield base_url
    finally:
        stop()
        thread.join(timeout=10)


async def _serve(settings: NetworkSettings, started: Future[tuple[str, Callable[[], object]]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        async with serve_phone_network(settings) as base_url:
            started.set_result((base_url, lambda: loop.call_soon_threadsafe(stop.set)))
            await stop.wait()
    except Exception as exc:
        if started.done():
            raise
        started.set_exception(exc)
