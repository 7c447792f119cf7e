"""The text that Prometheus reads: the database's facts, and what the processes of this machine have counted."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from calls.metrics import counting
from calls.metrics.facts import collect_facts, describe_silence


class Everything:
    """A collector, as prometheus_client calls what it asks for metrics."""

    def __init__(self, *, asks_database: bool) -> None:
        self._asks_database = asks_database

    def collect(self) -> Iterable[Metric]:
        facts, shown = collect_facts() if self._asks_database else describe_silence()
        yield from facts
        for metric in MultiProcessCollector.merge(counting.slots.files()):
            # Campaigns that are over stay in the files until all processes have ended, and are not shown.
            metric.samples = [sample for sample in metric.samples if sample.labels.get("campaign", "") in {"", *shown}]
            yield metric


def write_metrics(*, asks_database: bool = True) -> bytes:
    registry = CollectorRegistry()
    registry.register(Everything(asks_database=asks_database))
    return generate_latest(registry)
