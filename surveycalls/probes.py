"""What machines ask the site: does it live, is it ready, what does it measure.

They come over plain http with an address for a host name, behind the proxy's back. The middleware answers them
before anything else does, so that they are neither redirected to https nor refused for their host, and nothing of
that is relaxed for any other page. No answer here depends on the host or holds personal data.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST

from calls.metrics.exposition import write_metrics

Respond = Callable[[HttpRequest], HttpResponse]

# Two that come at once to a database that is well both get their answer; longer nobody waits for another's.
PATIENCE_SECONDS = 0.5


class ProbesMiddleware:
    """The first of all; see above."""

    def __init__(self, get_response: Respond) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return answer_probe(request) or self._get_response(request)


def answer_probe(request: HttpRequest) -> HttpResponse | None:
    """None for any other request."""
    probe = PROBES.get(request.path_info)
    if probe is None:
        return None
    if request.method not in ("GET", "HEAD"):
        return _say("Only GET and HEAD are answered here.", status=405, headers={"Allow": "GET, HEAD"})
    response = probe(request)
    response["Cache-Control"] = "no-store"
    response["Content-Length"] = len(response.content)
    if request.method == "HEAD":
        response.content = b""
    return response


class Turn:
    """Lets one request of this process at a time ask the database.

    One that is frozen, with a kernel that goes on acknowledging, answers nobody and lets nobody go. Requests that
    waited for it would hold one thread each, until none is left for any page.
    """

    def __init__(self) -> None:
        self._taken = threading.Lock()
        self._taken_at = 0.0

    @contextmanager
    def take(self) -> Iterator[bool]:
        """Whether the database may be asked, over a connection that begins and ends here."""
        patience = self._taken_at + PATIENCE_SECONDS - time.monotonic()
        if not self._taken.acquire(timeout=max(0.0, patience)):
            yield False
            return
        try:
            self._taken_at = time.monotonic()
            with _connect_anew():
                yield True
        finally:
            self._taken.release()


@contextmanager
def _connect_anew() -> Iterator[None]:
    """The thread's own connection may have been open when the database froze, and then waits without an end.

    A new one is given up after its connect_timeout, which covers all that a session begins with.
    """
    kept = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        yield
    finally:
        connection.close()
        connections[DEFAULT_DB_ALIAS] = kept


# Each its own: a scrape may take seconds without anything being wrong, and readiness may not be denied meanwhile.
_readiness_turn = Turn()
_scrape_turn = Turn()


def check_health(request: HttpRequest) -> HttpResponse:
    """The process answers. Asks nobody, so that no trouble elsewhere has it restarted."""
    return _say("The process answers.")


def check_readiness(request: HttpRequest) -> HttpResponse:
    with _readiness_turn.take() as may_ask:
        problems = find_problems() if may_ask else ["The database does not answer."]
    return _say(*problems, status=503) if problems else _say("Ready.")


def show_metrics(request: HttpRequest) -> HttpResponse:
    if not settings.METRICS_TOKEN:
        return _say("Metrics are switched off: METRICS_TOKEN is not set.", status=403)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not constant_time_compare(token, settings.METRICS_TOKEN):
        return _say("METRICS_TOKEN is wanted as a bearer token.", status=401, headers={"WWW-Authenticate": "Bearer"})
    with _scrape_turn.take() as may_ask:
        text = write_metrics(asks_database=may_ask)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


PROBES: dict[str, Respond] = {
    "/healthz": check_health,
    "/readyz": check_readiness,
    "/metrics": show_metrics,
}


def find_problems() -> list[str]:
    """Why nobody can be rung by this installation, whatever its campaigns are: a sentence each."""
    try:
        if missing := _known_migrations() - set(MigrationRecorder(connection).applied_migrations()):
            return [f"Migrations are not applied: {len(missing)} of them. Run manage.py migrate."]
        return [] if _is_scheduler_alive() else ["No scheduler has given a sign of life in time."]
    except (DatabaseError, InterfaceError):
        return ["The database cannot be reached."]


@cache
def _known_migrations() -> set[tuple[str, str]]:
    """Of the code, which is the same as long as the process lives; less those that stand for others."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return {key for key, migration in loader.disk_migrations.items() if not migration.replaces}


def _is_scheduler_alive() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT bool_or(scheduler_expected_by > clock_timestamp()) FROM calls_providerconfig")
        (is_alive,) = cursor.fetchone()
    return bool(is_alive)


def _say(*lines: str, **arguments: object) -> HttpResponse:
    return HttpResponse("".join(f"{line}\n" for line in lines), content_type="text/plain; charset=utf-8", **arguments)


def answer_probes_alone(environ: dict, start_response: Callable) -> list[bytes]:
    """A WSGI application of its own, for machines without the site."""
    response = answer_probe(WSGIRequest(environ)) or _say("There is nothing here but probes.", status=404)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.content]
