"""Two task queues that do for a call what the product does: write its row, ask the network, write what it said.

`python -m bench.peers` with procrastinate or django_q2 is the queue's own worker, on a world's database. Both get
what is to their advantage: procrastinate asynchronous database access, sixteen jobs at once, and rows written without
an ORM; django-q2 jobs fetched ten at a time, and more processes than processors. Both post as the bare loop does that
the product is compared with, by a plain requests.Session.

procrastinate runs in an environment of its own, `.venv-peers`, because Django would take its psycopg 3 for the
product's psycopg2: what it needs of this module imports no Django.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

PEERS_PYTHON = Path(__file__).resolve().parent.parent / ".venv-peers/bin/python"
CALLER_NUMBER = "+12025550199"
CONCURRENCY = 16  # procrastinate's jobs at once
WORKERS = 4  # django-q2's processes

Job = tuple[str, str, str, str]  # contact, campaign, number, call_id

_INSERT = """
    INSERT INTO calls_callattempt (
        id, contact_id, campaign_id, phone_number, attempt_number, call_id, status, outcome, given_back, claimed_at,
        start_at, send_before, check_at, started_at, provider_call_id, provider_raw_status, error_code, error_message,
        metadata
    ) VALUES (gen_random_uuid(), %s, %s, %s, 1, %s, 'placing', '', false, now(), now(), now() + interval '5 s',
        now() + interval '5 s', now(), '', '', '', '', '{}')
"""
_UPDATE = "UPDATE calls_callattempt SET status = 'queued', provider_call_id = %s, check_at = now() WHERE call_id = %s"


def order_call(number: str, call_id: str) -> str:
    """Posts the product's form; returns the network's name for the call."""
    account, web_url = os.environ["TWILIO_ACCOUNT_SID"], os.environ["PUBLIC_BASE_URL"]
    url = f"{os.environ['TWILIO_API_BASE_URL']}/2010-04-01/Accounts/{account}/Calls.json"
    response = _open_session().post(url, data=make_form(number, call_id, web_url), timeout=(3, 10))
    response.raise_for_status()
    return response.json()["sid"]


@cache
def _open_session() -> requests.Session:
    return make_session((os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]))


def make_session(credentials: tuple[str, str]) -> requests.Session:
    """With as large a pool of connections as the product's, and like it without proxies and .netrc."""
    session = requests.Session()
    session.auth = credentials
    session.trust_env = False
    session.mount("http://", HTTPAdapter(pool_maxsize=96, max_retries=0))
    return session


def make_form(number: str, call_id: str, web_url: str) -> dict[str, object]:
    """The form that the product sends for a call."""
    return {
        "To": number,
        "From": CALLER_NUMBER,
        "Url": f"{web_url}/webhooks/telephony/voice?call_id={call_id}",
        "Timeout": 30,
        "TimeLimit": 600,
        "StatusCallback": f"{web_url}/webhooks/telephony/events?call_id={call_id}",
        "StatusCallbackMethod": "POST",
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
    }


def make_procrastinate() -> tuple[Any, Any]:
    """The app, and its task."""
    import procrastinate
    from psycopg_pool import AsyncConnectionPool

    pools: list[Any] = []
    threads = ThreadPoolExecutor(CONCURRENCY)
    connector = procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"], max_size=CONCURRENCY)
    app = procrastinate.App(connector=connector)

    async def execute(sql: str, parameters: Sequence[str]) -> None:
        if not pools:
            url = os.environ["DATABASE_URL"]
            pools.append(AsyncConnectionPool(url, max_size=CONCURRENCY, kwargs={"autocommit": True}, open=False))
            await pools[0].open()
        async with pools[0].connection() as connection:
            await connection.execute(sql, parameters)

    @app.task(name="place")
    async def place(contact: str, campaign: str, number: str, call_id: str) -> None:
        await execute(_INSERT, (contact, campaign, number, call_id))
        sid = await asyncio.get_running_loop().run_in_executor(threads, order_call, number, call_id)
        await execute(_UPDATE, (sid, call_id))

    return app, place


def fill_procrastinate(jobs: Sequence[Job]) -> None:
    subprocess.run(
        [PEERS_PYTHON, "-m", "bench.peers", "fill_procrastinate"], input=json.dumps(jobs), text=True, check=True
    )


async def _fill_procrastinate(jobs: Sequence[Job]) -> None:
    app, place = make_procrastinate()
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        await app.connector.execute_query_async("TRUNCATE procrastinate_jobs CASCADE")
        names = ("contact", "campaign", "number", "call_id")
        await place.batch_defer_async(*(dict(zip(names, job, strict=True)) for job in jobs))


def run_procrastinate() -> None:
    app, _ = make_procrastinate()
    app.run_worker(concurrency=CONCURRENCY)


def place_by_django_q2(contact: str, campaign: str, number: str, call_id: str) -> None:
    from django.utils import timezone

    from calls.models import CallAttempt

    now: datetime = timezone.now()
    attempt = CallAttempt.objects.create(
        contact_id=contact,
        campaign_id=campaign,
        phone_number=number,
        attempt_number=1,
        call_id=call_id,
        status="placing",
        claimed_at=now,
        start_at=now,
        started_at=now,
        send_before=now + timedelta(seconds=5),
        check_at=now + timedelta(seconds=5),
    )
    sid = order_call(number, call_id)
    CallAttempt.objects.filter(pk=attempt.pk).update(status="queued", provider_call_id=sid, check_at=timezone.now())


def fill_django_q2(jobs: Sequence[Job]) -> None:
    from django_q.models import OrmQ, Schedule
    from django_q.tasks import async_task

    OrmQ.objects.all().delete()
    Schedule.objects.all().delete()
    for job in jobs:
        async_task("bench.peers.place_by_django_q2", *job, save=False)


def run_django_q2() -> None:
    import django

    django.setup()
    from django_q.cluster import Cluster
    from django_q.conf import Conf

    Conf.WORKERS, Conf.BULK, Conf.QUEUE_LIMIT = WORKERS, 10, 200
    cluster = Cluster()
    cluster.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    cluster.stop()


if __name__ == "__main__":
    match sys.argv[1]:
        case "procrastinate":
            run_procrastinate()
        case "fill_procrastinate":
            asyncio.run(_fill_procrastinate(json.load(sys.stdin)))
        case "django_q2":
            run_django_q2()
