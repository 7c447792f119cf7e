"""The figures that have been measured so far, kept in a file, because nobody measures all of them in one go."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from bench.figures import Figure


@dataclass(frozen=True, kw_only=True)
class Result:
    """A figure, when it was measured, on what, and at which part of the real size."""

    figure: Figure
    measured_on: date
    machine: str
    scale: float = 1


def read_results(path: Path) -> dict[str, Result]:
    """By the figure's name; none when nothing was kept yet."""
    if not path.exists():
        return {}
    return {
        name: Result(
            figure=Figure(name=name, **kept["figure"]),
            measured_on=date.fromisoformat(kept["measured_on"]),
            machine=kept["machine"],
            scale=kept["scale"],
        )
        for name, kept in json.loads(path.read_text()).items()
    }


def keep_results(path: Path, measured: Iterable[Result]) -> dict[str, Result]:
    """Put these beside what was kept before, each in place of an older one of its name; returns all of them."""
    results = read_results(path) | {result.figure.name: result for result in measured}
    kept = {}
    for name, result in sorted(results.items()):
        figure = asdict(result.figure)
        del figure["name"]
        kept[name] = {
            "figure": figure,
            "measured_on": result.measured_on.isoformat(),
            "machine": result.machine,
            "scale": result.scale,
        }
    path.write_text(json.dumps(kept, indent=2) + "\n")
    return dict(sorted(results.items()))


def describe_machine() -> str:
    """Such as "2 processors (Intel Xeon), 23 GB, Linux 6.1, Python 3.11.7, PostgreSQL 16.2"."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return ", ".join(
        [
            f"{os.cpu_count()} processors ({_processor_name()})",
            f"{gigabytes:.0f} GB",
            f"{platform.system()} {platform.release().split('-')[0]}",
            f"Python {platform.python_version()}",
            _postgres_version(),
        ]
    )


def _processor_name() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _postgres_version() -> str:
    from bench.postgres import BINARIES

    answer = subprocess.run([BINARIES / "postgres", "--version"], capture_output=True, text=True, check=True)
    return answer.stdout.strip().replace("postgres (PostgreSQL)", "PostgreSQL")
