import signal
import socket
import sys
from argparse import ArgumentParser
from socketserver import ThreadingMixIn
from typing import Any, Never
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.management.base import BaseCommand, CommandError

from surveycalls.probes import answer_probes_alone


class Handler(WSGIRequestHandler):
    timeout = 5  # a client that says nothing may not keep its thread

    def log_message(self, *arguments: Any) -> None:
        """Nothing: a line for each scrape says nothing."""


class Server(ThreadingMixIn, WSGIServer):
    """Each request has a thread of its own: health does not wait for a database that is silent."""

    daemon_threads = True

    def server_bind(self) -> None:
        # Not the library's: it looks its own name up, which may take as long as a name server is away.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()


class Server6(Server):
    address_family = socket.AF_INET6


class Command(BaseCommand):
    help = "Serve /metrics, /healthz and /readyz on a machine that runs schedulers or a cluster, but not the site."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--address", default="127.0.0.1", help="where to listen (default: %(default)s)")
        parser.add_argument("--port", type=int, default=9464, help="0 takes a free one (default: %(default)s)")

    def handle(self, *, address: str, port: int, **options: Any) -> None:
        server_class = Server6 if ":" in address else Server
        try:
            server = make_server(address, port, answer_probes_alone, server_class, Handler)
        except (OSError, OverflowError) as error:
            raise CommandError(f"{address}:{port} cannot be listened on: {error}. Choose another --port.") from error
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        with server:
            self.stdout.write(f"listening on {address} {server.server_port}")
            self.stdout.flush()
            server.serve_forever()


def _end(*_: Any) -> Never:
    sys.exit(0)
