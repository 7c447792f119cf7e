"""How long somebody in a call waits for what is said next, against a view that does nothing under the same load.

A hundred calls at once: the provider asks for a document as soon as the person has
answered, and a person takes some time for that, here two seconds on average: several times as fast as people are.
"""

import asyncio
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import unescape
from statistics import median, quantiles
from urllib.parse import urlencode, urlsplit

from bench.callbacks import make_calls, make_sid, read_address
from bench.figures import Figure, measure_in_turn
from bench.load import OK, UnexpectedAnswer, write_post
from bench.world import World, open_world

CALLS = 100
ROUNDS = 3
PAUSE_SECONDS = 2.0
QUESTIONS = 8
GOAL_MILLISECONDS = 100

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_ACTION = re.compile(r'action="([^"]+)"')


@contextmanager
def set_up() -> Iterator["Course"]:
    with open_world() as world:
        yield Course(world)


def measure(course: "Course", scale: float) -> Iterator[Figure]:
    calls = max(10, round(CALLS * scale))
    course.run(course.ours, calls)
    course.run(course.empty, calls)
    ours, empty = measure_in_turn(
        partial(course.run, course.ours, calls), partial(course.run, course.empty, calls), rounds=ROUNDS
    )
    waited, idle = median(ours), median(empty)
    conditions = (
        f"{calls} calls at once, each of {QUESTIONS + 2} documents, with {PAUSE_SECONDS:g} s between them on average; "
        f"gunicorn with 2 workers of 8 threads each, PostgreSQL with fsync. The rounds: {min(ours):.0f} to "
        f"{max(ours):.0f} ms against {min(empty):.0f} to {max(empty):.0f} ms."
    )
    how = "99th percentile of the wait for a document / for the answer of an empty view"
    shared = {"a": waited, "b": idle, "how": how, "detail": conditions}
    yield Figure(name="conversation", value=waited, unit="ms", goal=f"<= {GOAL_MILLISECONDS}", **shared)
    yield Figure(name="conversation_ratio", value=waited / idle, unit="ratio", goal="", **shared)


class Course:
    """Two web servers over one database; each run holds conversations of its own with one of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._runs = 0
        world.start_web(workers=2)
        self.ours = read_address(world.web_url)
        self.empty = read_address(world.start_other_web("bench.empty_view", workers=2))

    def run(self, address: tuple[str, int], calls: int) -> float:
        """The 99th percentile in milliseconds."""
        self._runs += 1
        name = f"c{self._runs}"
        make_calls(name, calls)
        write_questions()
        waits = asyncio.run(self._hold_all(address, name, calls))
        self._world.children.check()
        if address == self.ours:
            check_completed(name, calls)
        return quantiles(waits, n=100)[98] * 1000

    async def _hold_all(self, address: tuple[str, int], name: str, calls: int) -> list[float]:
        held = await asyncio.gather(*(self._hold_one(address, name, number) for number in range(calls)))
        return [wait for waits in held for wait in waits]

    async def _hold_one(self, address: tuple[str, int], name: str, number: int) -> list[float]:
        """The wait for each document, in seconds."""
        draw = random.Random(f"{name} {number}")
        url = f"{self._world.web_url}/webhooks/telephony/voice?{urlencode({'call_id': f'bench-{name}-{number}'})}"
        waits = []
        for step in range(QUESTIONS + 2):
            await asyncio.sleep(draw.uniform(0, 2 * PAUSE_SECONDS))
            request = write_step(url, make_sid(name, number), keys="1" if step else "")
            began = time.perf_counter()
            document = await asyncio.wait_for(fetch(address, request), 60)
            waits.append(time.perf_counter() - began)
            if action := _ACTION.search(document.decode()):
                url = unescape(action[1])
        return waits


async def fetch(address: tuple[str, int], request: bytes) -> bytes:
    """The body of the answer, over a connection of its own. Raises UnexpectedAnswer for any status but 200."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if not head.startswith(OK) or length is None:
        raise UnexpectedAnswer(head)
    body = await reader.readexactly(int(length[1]))
    writer.close()
    return body


def write_step(url: str, sid: str, *, keys: str) -> bytes:
    from twilio.request_validator import RequestValidator

    form = {"CallSid": sid, "AccountSid": os.environ["TWILIO_ACCOUNT_SID"], "CallStatus": "in-progress"}
    if keys:
        form["Digits"] = keys
    signature = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"]).compute_signature(url, form)
    return write_post(urlsplit(url).geturl(), urlencode(form).encode(), {"X-Twilio-Signature": signature})


def write_questions() -> None:
    from campaigns.models import Campaign
    from campaigns.questions import freeze_questions
    from campaigns.tests.factories import QuestionFactory

    campaign = Campaign.objects.get()
    for position in range(1, QUESTIONS + 1):
        QuestionFactory(campaign=campaign, position=position)
    freeze_questions(campaign)


def check_completed(name: str, calls: int) -> None:
    """Raises AssertionError unless every survey was completed with all its answers."""
    from calls.models import Answer, CallAttempt

    completed = CallAttempt.objects.filter(call_id__startswith=f"bench-{name}-", outcome="completed").count()
    answers = Answer.objects.filter(is_current=True).count()
    if (completed, answers) != (calls, calls * QUESTIONS):
        raise AssertionError(f"{completed} surveys of {calls} were completed, with {answers} answers")
