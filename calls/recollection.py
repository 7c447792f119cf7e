"""What many people look at all the time is found out once for all of them, and the less often the longer it takes."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

# So many times as long as it took to find out it is kept, so that it takes no more than a twentieth of the time.
REST = 20

# One key more, and all is forgotten.
MOST_KEPT = 1000


class Recollection:
    """Of this process alone. Whoever asks for what another one is finding out waits for it."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[float, Any]] = {}  # until when by the steady clock, and what
        self._locks: dict[Hashable, threading.Lock] = {}

    def recall(self, key: Hashable, find: Callable[[], Any]) -> Any:
        """What ``find`` returned the last time, or returns now if that was too long ago."""
        with self._locks.setdefault(key, threading.Lock()):
            until, found = self._kept.get(key, (0.0, None))
            if time.monotonic() >= until:
                if len(self._kept) >= MOST_KEPT:
                    self.forget()
                began = time.monotonic()
                found = find()
                self._kept[key] = (time.monotonic() + REST * (time.monotonic() - began), found)
        return found

    def forget(self) -> None:
        self._kept.clear()
        self._locks.clear()


recollection = Recollection()
