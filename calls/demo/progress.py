"""How far the demo has come, shown as it goes: a live display in a terminal, plain lines elsewhere."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Protocol, Self, TextIO

from django.db.models import Count
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from calls.models import CallAttempt
from campaigns.models import Campaign, CampaignStatus
from contacts.models import CallOutcome

LINE_EVERY_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Calls are those of all campaigns, contacts those of the one that is watched."""

    contacts: int
    finished: int
    open_calls: int
    outcomes: Counter[str]
    status: str

    @property
    def is_done(self) -> bool:
        is_over = self.finished == self.contacts and not self.open_calls
        return is_over and self.status == CampaignStatus.COMPLETED

    def describe_outcomes(self) -> str:
        counts = ((label, self.outcomes[outcome]) for outcome, label in CallOutcome.choices)
        return ", ".join(f"{label.lower()} {count}" for label, count in counts if count) or "no call has ended yet"


def read_progress(campaign: Campaign) -> Progress:
    contacts = campaign.contacts.count()
    over = CallAttempt.objects.filter(given_back=False, ended_at__isnull=False).order_by()
    return Progress(
        contacts=contacts,
        finished=contacts - campaign.contacts.unfinished().count(),
        open_calls=CallAttempt.objects.open().count(),
        outcomes=Counter(dict(over.values_list("outcome").annotate(Count("pk")))),
        status=Campaign.objects.values_list("status", flat=True).get(pk=campaign.pk),
    )


class Display(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def show(self, progress: Progress) -> None: ...


def open_display(output: TextIO, *, lines: int, advice: str) -> Display:
    """The display that suits the output. ``lines`` is how many calls may be open; ``advice`` stays in sight."""
    if output.isatty():
        return TerminalDisplay(output, lines=lines, advice=advice)
    return LineDisplay(output, lines=lines)


class TerminalDisplay:
    def __init__(self, output: TextIO, *, lines: int, advice: str) -> None:
        self._lines = lines
        self._advice = advice
        self._live = Live(console=Console(file=output), auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            "Contacts",
            _draw_bar(progress.finished, progress.contacts),
            f"{progress.finished} of {progress.contacts} done",
        )
        grid.add_row(
            "Lines",
            _draw_bar(progress.open_calls, self._lines),
            f"{progress.open_calls} of {self._lines} in a call",
        )
        outcomes = Text(f"Calls     {progress.describe_outcomes()}")
        state = Text(f"Campaign  {CampaignStatus(progress.status).label.lower()}")
        self._live.update(Group(grid, outcomes, state, Text(self._advice, style="dim")), refresh=True)


def _draw_bar(completed: int, total: int) -> ProgressBar:
    """As bright when it is full as before; otherwise full would look empty."""
    return ProgressBar(total=total, completed=completed, width=50, finished_style="bar.complete")


class LineDisplay:
    def __init__(self, output: TextIO, *, lines: int) -> None:
        self._output = output
        self._lines = lines
        self._shown: Progress | None = None
        self._next_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def show(self, progress: Progress) -> None:
        """Print a line when the last one is old enough and would not be the same."""
        if time.monotonic() < self._next_at or progress == self._shown:
            return
        self._next_at = time.monotonic() + LINE_EVERY_SECONDS
        self._shown = progress
        print(
            f"{progress.finished} of {progress.contacts} contacts done, "
            f"{progress.open_calls} of {self._lines} lines in a call; calls: {progress.describe_outcomes()}",
            file=self._output,
            flush=True,
        )
