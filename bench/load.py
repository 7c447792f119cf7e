"""Requests from one thread over many connections, as cheaply as Python can: it shares the machine with who answers."""

import selectors
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60.0
OK = b"HTTP/1.1 200"


class UnexpectedAnswer(Exception):
    """Not the one that every request of a measurement must get."""


def write_post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of a request on a connection that stays open."""
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path}?{parts.query} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def send_all(address: tuple[str, int], queues: Sequence[Sequence[bytes]]) -> float:
    """Seconds until all are answered. Each queue has a connection of its own and is sent in its order.

    Every answer must be 200, small, and in one piece. Raises UnexpectedAnswer.
    """
    with selectors.DefaultSelector() as selector:
        for queue in queues:
            connection = socket.create_connection(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, iter(queue))
        start = time.perf_counter()
        for key in list(selector.get_map().values()):
            _send_next(selector, key)
        while selector.get_map():
            ready = selector.select(TIMEOUT_SECONDS)
            if not ready:
                raise UnexpectedAnswer(f"none within {TIMEOUT_SECONDS} seconds")
            for key, _ in ready:
                answer = key.fileobj.recv(65536)
                if not answer.startswith(OK):
                    raise UnexpectedAnswer(answer[:500])
                _send_next(selector, key)
        return time.perf_counter() - start


def _send_next(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    request = next(key.data, None)
    if request is None:
        selector.unregister(key.fileobj)
        key.fileobj.close()
    else:
        key.fileobj.sendall(request)
