"""How many of the provider's reports the web processes take in a second, against the same view without a database.

Both answer the same requests, signed before; each side has the 2 workers of 8 threads that README advises, its
own rows, and a PostgreSQL that is as durable as in production. One round of calls is told as it comes; in the
other each report comes ten times, and all of them in any order.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlencode, urlsplit

from bench.figures import Figure, compare, measure_in_turn
from bench.load import send_all, write_post
from bench.peers import CALLER_NUMBER
from bench.world import World, open_world

CALLS = 3000  # of a round
ROUNDS = 5
CONNECTIONS = 32
COPIES = 10
GOAL = ">= 0.70"

# Every other call is over without an answer. The first is told while the POST is not answered yet, or just after.
LIVES = [
    [("initiated", {}), ("ringing", {}), ("in-progress", {}), ("completed", {"CallDuration": "42"})],
    [("initiated", {}), ("ringing", {}), ("no-answer", {"CallDuration": "0"})],
]

Reports = list[list[bytes]]  # of each call, in the order in which they happened


@contextmanager
def set_up() -> Iterator["Course"]:
    with open_world() as world:
        yield Course(world)


def measure(course: "Course", scale: float) -> Iterator[Figure]:
    calls = max(CONNECTIONS, round(CALLS * scale))
    rounds = ROUNDS if scale == 1 else 3
    for name, measured_calls, share, what in [
        ("callbacks", calls, share_in_order, ""),
        ("callbacks_disordered", max(CONNECTIONS, calls // 6), share_in_any_order, ", ten times each in any order"),
    ]:
        course.warm_up(share)
        ours, bare = measure_in_turn(
            partial(course.run, course.ours, measured_calls, share),
            partial(course.run, course.bare, measured_calls, share),
            rounds=rounds,
        )
        yield compare(
            name,
            ours,
            bare,
            goal=GOAL,
            how=f"signed reports per second{what} / the same view without database work",
            detail=f"gunicorn with 2 workers of 8 threads each, PostgreSQL with fsync, {CONNECTIONS} connections; the "
            f"reports of {measured_calls:,} calls a round. Reports per second of the rounds: {_spread(ours, bare)}.",
        )


def _spread(*sides: list[float]) -> str:
    return " against ".join(f"{min(side):.0f} to {max(side):.0f}" for side in sides)


class Course:
    """Two web servers over one database; each run tells one of them all reports of calls of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._runs = 0
        self._random = random.Random(1)
        world.start_web(workers=2)
        self.ours = read_address(world.web_url)
        self.bare = read_address(world.start_other_web("bench.bare_callbacks", workers=2))

    def warm_up(self, share: Callable[..., Reports]) -> None:
        for address in (self.ours, self.bare):
            self.run(address, CONNECTIONS * 4, share)

    def run(self, address: tuple[str, int], calls: int, share: Callable[..., Reports]) -> float:
        """Reports per second."""
        self._runs += 1
        name = f"r{self._runs}"
        make_calls(name, calls)
        reports = [write_reports(name, number, self._world.web_url) for number in range(calls)]
        queues = share(reports, self._random)
        seconds = send_all(address, queues)
        self._world.children.check()
        if address == self.ours:
            check_ended(name, calls)
        return sum(map(len, queues)) / seconds


def share_in_order(reports: Reports, _random: random.Random) -> Reports:
    """A connection has whole calls, one after the other."""
    return [[report for of_call in reports[first::CONNECTIONS] for report in of_call] for first in range(CONNECTIONS)]


def share_in_any_order(reports: Reports, source: random.Random) -> Reports:
    everything = [report for of_call in reports for report in of_call] * COPIES
    source.shuffle(everything)
    return [everything[first::CONNECTIONS] for first in range(CONNECTIONS)]


def read_address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port


def write_reports(name: str, number: int, web_url: str) -> list[bytes]:
    """Signed and ready to be sent, with what Twilio's have in them."""
    from twilio.request_validator import RequestValidator

    validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])
    call_id = f"bench-{name}-{number}"
    url = f"{web_url}/webhooks/telephony/events?{urlencode({'call_id': call_id})}"
    written = []
    for sequence, (status, more) in enumerate(LIVES[number % len(LIVES)]):
        form = {
            "CallSid": make_sid(name, number),
            "AccountSid": os.environ["TWILIO_ACCOUNT_SID"],
            "From": CALLER_NUMBER,
            "To": f"+4400{number:08d}",
            "CallStatus": status,
            "Direction": "outbound-api",
            "ApiVersion": "2010-04-01",
            "SequenceNumber": str(sequence),
            "Timestamp": "Wed, 04 Mar 2026 12:00:00 +0000",
            "CallbackSource": "call-progress-events",
            **more,
        }
        headers = {"X-Twilio-Signature": validator.compute_signature(url, form), "User-Agent": "TwilioProxy/1.1"}
        written.append(write_post(url, urlencode(form).encode(), headers))
    return written


def make_sid(name: str, number: int) -> str:
    return f"CA{name}x{number}"


def make_calls(name: str, calls: int) -> None:
    """As many calls on their lines, of a campaign of their own; of every other two the POST was answered."""
    from django.db import connection

    from campaigns.tests.factories import CampaignFactory

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE calls_callattempt, contacts_contact, campaigns_campaign CASCADE")
        campaign = CampaignFactory()
        cursor.execute(
            """
            INSERT INTO contacts_contact (id, campaign_id, phone_number, calling_zone, state, attempts_count,
                external_contact_id, email, preferred_language, has_prior_consent, do_not_call, number_rejected,
                last_outcome, created_at, updated_at)
            SELECT gen_random_uuid(), %s, '+4400' || lpad(n::text, 8, '0'), 'Europe/Rome', 'in_progress', 1,
                '', '', 'auto', false, false, false, '', now(), now()
            FROM generate_series(0, %s) AS n
            """,
            [campaign.pk, calls - 1],
        )
        cursor.execute(
            """
            INSERT INTO calls_callattempt (id, contact_id, campaign_id, phone_number, attempt_number, call_id, status,
                outcome, given_back, claimed_at, start_at, send_before, started_at, check_at, provider_call_id,
                provider_raw_status, error_code, error_message, metadata)
            SELECT gen_random_uuid(), id, campaign_id, phone_number, 1, 'bench-' || %s || '-' || n,
                CASE WHEN n %% 4 < 2 THEN 'placing' ELSE 'queued' END, '', false, now(), now(), now(), now(),
                now() + interval '1 hour', CASE WHEN n %% 4 < 2 THEN '' ELSE 'CA' || %s || 'x' || n END,
                '', '', '', '{}'
            FROM (SELECT *, right(phone_number, 8)::int AS n FROM contacts_contact) AS contact
            """,
            [name, name],
        )
        cursor.execute("VACUUM ANALYZE calls_callattempt, contacts_contact, campaigns_campaign")


def check_ended(name: str, calls: int) -> None:
    """Raises AssertionError unless all reports were taken."""
    from calls.models import CallAttempt
    from contacts.models import Contact

    ended = CallAttempt.objects.filter(call_id__startswith=f"bench-{name}-", status="ended").count()
    settled = Contact.objects.filter(state="not_reached", next_attempt_at__isnull=False).count()
    if (ended, settled) != (calls, calls):
        raise AssertionError(f"{ended} attempts ended and {settled} contacts were settled, of {calls}")
