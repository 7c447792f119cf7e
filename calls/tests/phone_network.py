"""Run both ends of the line inside a test process, on free ports of 127.0.0.1.

`running_phone_network` is the simulated provider, `running_client_server` a client that it calls back.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from twilio.request_validator import RequestValidator

from calls.simulator.ledger import LedgerCall, calls_from, read_ledger
from calls.simulator.network import NetworkSettings
from calls.simulator.server import serve_phone_network

ACCOUNT_SID = "AC00000000000000000000000000000000"
AUTH_TOKEN = "the-auth-token-of-the-simulator"

# For processes that may be killed in the middle of a call: one that is lost keeps its line for eight seconds, and not
# for the longest possible call of the usual settings.
SHORT_CALLS = {
    "CALL_SEND_DEADLINE_SECONDS": "2",
    "CALL_LOOKUP_SECONDS": "1",
    "CALL_SILENCE_SECONDS": "2",
    "CALL_QUEUE_SECONDS": "1",
    "CALL_RING_TIMEOUT_SECONDS": "5",
    "CALL_TIME_LIMIT_SECONDS": "2",
}


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
        """Say what happens at some numbers: `calls.simulator.people.BEHAVIOURS`."""
        self._control("POST", "behaviours", behaviours)

    def set_clock(self, offset_seconds: float) -> None:
        """Put the network's clock so far ahead of the machine's."""
        self._control("POST", "clock", {"offset_seconds": offset_seconds})

    def reset_clock(self) -> None:
        self._control("DELETE", "clock")

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


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request of the phone network to its client."""

    path: str
    query: dict[str, str]
    form: dict[str, str]
    is_signed: bool
    at: float


@dataclass
class ClientServer:
    """A client's own web server: it keeps what it is told, and answers TwiML where `documents` has some.

    A document may be written for the request that asks for it.
    """

    base_url: str
    documents: dict[str, str | Callable[["Received"], str]] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    """Answers to the next callbacks; 204 when used up."""
    answer_after: float = 0.0
    received: list[Received] = field(default_factory=list)

    def callbacks(self) -> list[Received]:
        return [request for request in self.received if "SequenceNumber" in request.form | request.query]

    def fetches(self) -> list[Received]:
        return [request for request in self.received if "SequenceNumber" not in request.form | request.query]

    def statuses_told(self) -> list[str]:
        return [request.form["CallStatus"] for request in self.callbacks()]


@contextmanager
def running_client_server(*, auth_token: str = AUTH_TOKEN, public_url: str | None = None) -> Iterator[ClientServer]:
    """Run a server that receives callbacks and checks their signatures, as those of `public_url` if given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ClientHandler)
    server.daemon_threads = True
    server.client = ClientServer(f"http://127.0.0.1:{server.server_port}")
    server.public_url = public_url or server.client.base_url
    server.validator = RequestValidator(auth_token)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="client server")
    thread.start()
    try:
        yield server.client
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


class _ClientHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        arrived_at = time.monotonic()
        client, url = self.server.client, self.server.public_url + self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = dict(parse_qsl(body, keep_blank_values=True))
        parts = urlsplit(self.path)
        signature = self.headers.get("X-Twilio-Signature", "")
        received = Received(
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            form=form,
            is_signed=self.server.validator.validate(url, form, signature),
            at=arrived_at,
        )
        client.received.append(received)
        time.sleep(client.answer_after)
        document = client.documents.get(parts.path)
        if document is None:
            self._answer(client.statuses.pop(0) if client.statuses else 204, b"")
        else:
            self._answer(200, (document if isinstance(document, str) else document(received)).encode())

    do_GET = do_POST

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def wait_until(is_true: Callable[[], object], seconds: float = 5.0) -> None:
    """Return as soon as `is_true()` is; fail after some real seconds."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
