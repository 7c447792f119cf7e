"""Senders: threads that wait for the instant of one call each and ask the provider for it. They touch no database."""

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from functools import partial

from calls.clock import Clock
from calls.metrics import counting
from calls.models import CallAttempt
from calls.pacing import TOLERANCE, Departure, Departures
from calls.providers.base import CallRequest, NotSent, PlacedCall, TelephonyProvider

MOST_AT_ONCE = 128


class SendDeadlinePassed(NotSent):
    """The process was held up between claiming the call and sending it, which it did not do then."""


class StartMissed(NotSent):
    """The call was not sent, because that would have been too long after its instant."""


class Senders:
    """The calls that are under way to the provider, and the order in which they leave."""

    def __init__(self, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> None:
        self.on_answer: Callable[[], None] = lambda: None  # called in whatever thread
        self._clock = clock
        self._sleep = sleep
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="sender")
        self._departures = Departures()
        self._late: deque[Departure] = deque()
        self._in_flight: dict[Future[PlacedCall], CallAttempt] = {}

    def count_free(self) -> int:
        return MOST_AT_ONCE - len(self._in_flight)

    def plan(self, start_at: datetime, calls_per_second: float, *, ahead: int = 0) -> Departure:
        """When a call that is to start then can leave, if it is the next one or so many behind it."""
        start = self._clock.steady() + (start_at - self._clock()).total_seconds()
        return self._departures.plan(start, calls_per_second, ahead=ahead)

    def is_too_late(self, departure: Departure) -> bool:
        return departure.is_too_late(self._clock.steady())

    def send(
        self, attempt: CallAttempt, request: CallRequest, provider: TelephonyProvider, departure: Departure
    ) -> None:
        self._departures.note(departure)
        future = self._pool.submit(self._ask, provider, request, attempt.send_before, departure)
        self._in_flight[future] = attempt
        future.add_done_callback(lambda _: self.on_answer())

    def take_late(self) -> list[Departure]:
        """Those that left so late, since this was last asked, that others have to make up for it."""
        return [self._late.popleft() for _ in range(len(self._late))]

    def wait_for_all(self) -> None:
        wait(self._in_flight)

    def list_answered(self) -> list[tuple[Future[PlacedCall], CallAttempt]]:
        """In the order in which they were sent. Each stays in the list until it is forgotten."""
        return [(future, attempt) for future, attempt in self._in_flight.items() if future.done()]

    def forget(self, future: Future[PlacedCall]) -> None:
        """Its answer is recorded."""
        del self._in_flight[future]

    def close(self) -> None:
        self._pool.shutdown()

    def _ask(
        self, provider: TelephonyProvider, request: CallRequest, send_before: datetime, departure: Departure
    ) -> PlacedCall:
        self._sleep(max(0.0, departure.leaves_at - self._clock.steady()))
        try:
            with counting.asking_provider("place"):
                return provider.initiate_call(request, partial(self._leave, departure, send_before))
        finally:
            departure.answered_at = self._clock.steady()

    def _leave(self, departure: Departure, send_before: datetime) -> None:
        """Raises NotSent when it is too late for that."""
        if self._clock() >= send_before:
            raise SendDeadlinePassed
        if self.is_too_late(departure):
            raise StartMissed
        departure.leaves_at = max(departure.leaves_at, self._clock.steady())
        if departure.leaves_at > departure.start + TOLERANCE.total_seconds() and math.isfinite(departure.latest):
            self._late.append(departure)
        counting.count_start()
