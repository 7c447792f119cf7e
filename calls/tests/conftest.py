"""The edge of the machine, for tests: a clock that stands still and a provider that does what it is told."""

from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta

import pytest

from calls import wakeups
from calls.models import ProviderConfig
from calls.providers.base import PlacedCall
from calls.scheduler import CallScheduler, CallSchedulerConfig

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)  # a Wednesday


class FakeClock:
    """Moves only when somebody sleeps."""

    def __init__(self, now=NOON):
        self.now = now
        self.slept = 0.0

    def __call__(self):
        return self.now

    def synchronise(self):
        return self.now

    def steady(self):
        return self.slept

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.slept += seconds


class FakeProvider:
    """Places every call, unless an error was set for everybody or for one number."""

    def __init__(self, clock):
        self.clock = clock
        self.requests = []
        self.started_at = []
        self.errors = {}
        self.error = None
        self.calls = {}  # what look-ups by id answer
        self.listed = {}  # what look-ups by number answer
        self.hung_up = []
        self.on_call = lambda request: None

    def initiate_call(self, request, leave):
        leave()
        self.requests.append(request)
        self.started_at.append(self.clock())
        self.on_call(request)
        if error := self.errors.get(request.to, self.error):
            raise error
        return PlacedCall(
            provider_call_id=f"CA{request.call_id.replace('-', 'x').replace('_', 'y')}", raw_status="queued"
        )

    def fetch_call(self, provider_call_id):
        return self.calls.get(provider_call_id)

    def find_call(self, to, *, since, known, from_=""):
        return self.listed.get(to)

    def hang_up(self, provider_call_id):
        self.hung_up.append(provider_call_id)

    @property
    def numbers(self):
        return [request.to for request in self.requests]


class InlineSenders(Executor):
    """Sends at once, so that the provider sees the clock as it stood when the call was handed over."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True)
def every_end_is_told_at_once(monkeypatch):
    """No test waits for the thread that tells of a bunch of them, or finds it at work from the one before."""
    monkeypatch.setattr(wakeups, "_bell", wakeups.Bell(debounce_seconds=0))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def provider(clock):
    return FakeProvider(clock)


@pytest.fixture
def lines(db):
    """The provider's row: plenty of lines and a rate that holds nobody up, unless a test says otherwise."""
    ProviderConfig.objects.update_or_create(
        defaults={"outbound_number": "+12025550199", "max_concurrent_calls": 10, "calls_per_second": 1000}
    )
    return ProviderConfig.objects.get()


@pytest.fixture
def make_scheduler(lines, clock, provider):
    made = []

    def make(**config):
        config = {"max_concurrent_calls": None} | config
        scheduler = CallScheduler(CallSchedulerConfig(**config), provider=provider, clock=clock, sleep=clock.sleep)
        scheduler._senders._pool = InlineSenders()
        made.append(scheduler)
        return scheduler

    yield make
    for scheduler in made:
        scheduler.close()


@pytest.fixture
def scheduler(make_scheduler):
    return make_scheduler()
