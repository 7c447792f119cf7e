"""Where a process keeps its counters: in files that outlive it and that the next process goes on with.

prometheus_client names the files of its multiprocess mode after process ids, and leaves to its user to remove
those of the dead: kept, they grow in number without end; removed, the sums go down and Prometheus takes that for
a burst. So ours are named after slots. A process locks the first free slot of its machine, and the kernel
unlocks it when the process ends, however it ends. Whoever takes the slot then counts on from what is in it. There
are never more files than there were processes at once. When nobody holds any, all are begun anew.
"""

import contextlib
import fcntl
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

# Kinds of files and how large they begin. The space is taken from the disk before the file is mapped: the kernel ends
# a process that writes to a mapped file when no space is left for it, and a full disk must not end a scheduler. Of
# the counters there are a few for each campaign; a megabyte holds those of 1,000.
RESERVED_BYTES = {"counter": 1 << 20, "histogram": 1 << 16}


@dataclass(frozen=True)
class Slot:
    name: str
    process: int
    lock: TextIO  # held as long as the process, or one that it forked, lives


class ProcessSlots:
    """The slots in one directory; ``own`` is this process's, a new one after a fork."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._slot: Slot | None = None

    def own(self) -> str:
        """Raises OSError when the directory cannot be used."""
        if self._slot is None or self._slot.process != os.getpid():
            self._slot = self._take()
        return self._slot.name

    def files(self) -> list[str]:
        """Every file with counters in it that we may read."""
        found = (path for kind in RESERVED_BYTES for path in sorted(self.directory.glob(f"{kind}_*.db")))
        return [str(path) for path in found if os.access(path, os.R_OK) and path.stat().st_size]

    def _take(self) -> Slot:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "all.lock").open("a") as all_slots:
            fcntl.flock(all_slots, fcntl.LOCK_EX)
            self._clear_if_unused()
            for number in itertools.count():
                if lock := _try_lock(self.directory / f"{number}.lock"):
                    self._reserve(str(number))
                    return Slot(str(number), os.getpid(), lock)
        raise AssertionError("numbers do not end")

    def _clear_if_unused(self) -> None:
        with contextlib.ExitStack() as held:
            for path in self.directory.glob("[0-9]*.lock"):
                lock = _try_lock(path)
                if lock is None:
                    return
                held.enter_context(lock)
            for path in self.directory.glob("*.db"):
                with contextlib.suppress(PermissionError):
                    path.unlink()

    def _reserve(self, name: str) -> None:
        for kind, size in RESERVED_BYTES.items():
            with (self.directory / f"{kind}_{name}.db").open("ab") as file:
                file.write(bytes(max(0, size - file.tell())))  # not posix_fallocate, which not every system has


def _try_lock(path: Path) -> TextIO | None:
    """None when another process has it, or another user's process made it."""
    try:
        lock = path.open("a")
    except PermissionError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
