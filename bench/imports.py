"""How fast a file becomes contacts, against parsing its numbers alone; and the memory that it takes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import phonenumbers
from phonenumbers import PhoneNumberFormat

from bench.figures import Figure, compare, measure_in_turn
from bench.world import ROOT, World, open_world

ROWS = 200_000  # of a round
ROUNDS = 5
LONG, SHORT = 1_000_000, 100_000  # for the memory
HEADER = "phone_number,external_contact_id,email,preferred_language,has_prior_consent\n"


def set_up() -> AbstractContextManager[World]:
    return open_world()


def measure(world: World, scale: float) -> Iterator[Figure]:
    rows = max(2000, round(ROWS * scale))
    file = write_file(world.directory / "contacts.csv", rows)
    ours, numbers = measure_in_turn(lambda: import_file(file, rows), lambda: parse_numbers(rows), rounds=ROUNDS)
    yield compare(
        "import",
        ours,
        numbers,
        goal=">= 0.7",
        how="contacts imported per second / numbers parsed and validated per second by phonenumbers",
        detail=f"{rows:,} new contacts with number, name, e-mail, language and consent into an empty campaign, in one "
        "process beside PostgreSQL's with fsync; against phonenumbers' parse, is_valid_number and format_number of the "
        "same numbers in one process, with nothing of ours. All are of one British range that nobody has, to "
        "which phonenumbers says sooner than to numbers in use that it is not valid. Per second in the rounds: "
        f"{_spread(ours)} against {_spread(numbers)}.",
    )
    long, short = (max(2000, round(count * scale)) for count in (LONG, SHORT))
    files = [write_file(world.directory / f"{count}.csv", count) for count in (long, short)]
    peaks = [measure_peak(file) for file in files]
    yield compare(
        "import_memory",
        peaks[:1],
        peaks[1:],
        goal="<= 1.05",
        how=f"largest memory of manage.py import_contacts with {long:,} rows / with {short:,}",
        detail="The largest that was ever resident, in MB, as the kernel tells it until the process ends.",
    )


def write_file(path: Path, rows: int) -> Path:
    from bench.people import make_number

    with path.open("w") as file:
        file.write(HEADER)
        file.writelines(f"{make_number(n)},P-{n},p{n}@example.org,it,yes\n" for n in range(rows))
    return path


def import_file(path: Path, rows: int) -> float:
    """Contacts per second."""
    from django.utils import timezone

    from campaigns.models import Campaign
    from contacts.importing import import_contacts

    campaign = Campaign.objects.create(name="A benchmark", time_zone="UTC")
    began = time.perf_counter()
    with path.open("rb") as file:
        record = import_contacts(campaign, file, now=timezone.now())
    seconds = time.perf_counter() - began
    if record.imported != rows:
        raise RuntimeError(f"{record.imported} of {rows} contacts were imported")
    return rows / seconds


def parse_numbers(rows: int) -> float:
    """Numbers per second, with nothing of ours."""
    from bench.people import make_number

    texts = [make_number(n) for n in range(rows)]
    began = time.perf_counter()
    for text in texts:
        number = phonenumbers.parse(text)
        phonenumbers.is_valid_number(number)
        phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return rows / (time.perf_counter() - began)


def measure_peak(path: Path) -> float:
    """MB."""
    from campaigns.models import Campaign

    campaign = Campaign.objects.create(name="A benchmark of memory", time_zone="UTC")
    command = [sys.executable, str(ROOT / "manage.py"), "import_contacts", str(campaign.pk), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _read_peak(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"import_contacts has failed with {path}")
    return peak


def _read_peak(pid: int) -> float:
    """MB; 0 of a process that has ended. Its rusage would not do: it counts the memory of whoever started it too."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _spread(rates: list[float]) -> str:
    return f"{min(rates):,.0f} to {max(rates):,.0f}"
