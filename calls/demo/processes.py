"""The processes of a demo: started, watched, and stopped however the demo ends."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 15
START_SECONDS = 30
SHOWN_LINES = 15

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ChildError(Exception):
    """A process did not do its part; the message has the end of its log."""


@dataclass(frozen=True, kw_only=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path


class ChildProcesses:
    """As a context manager it stops them at its end, the last one started first."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._children: list[Child] = []
        log_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "ChildProcesses":
        return self

    def __exit__(self, *exc_info: object) -> None:
        while self._children:
            self.stop(self._children[-1])

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        pass_fds: Sequence[int] = (),
        python: str = sys.executable,
        prefix: Sequence[str] = (),
    ) -> Child:
        """Run Python with these arguments; what it prints goes to a file that is named after it.

        ``prefix`` is a command that runs another one in its own place, such as ``ip netns exec NAME``.
        """
        log = self._log_dir / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*prefix, python, *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,  # a Ctrl-C meant for the demo must not reach them in any order
                preexec_fn=_end_with_parent,
            )
        child = Child(name=name, process=process, log=log)
        self._children.append(child)
        return child

    def stop(self, child: Child) -> None:
        """Ask it to end, and see that neither it nor a child of its own lives on."""
        self._children.remove(child)
        child.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(STOP_SECONDS)
        _kill_group(child)

    def kill(self, child: Child) -> None:
        """End it and its children at once, as a machine does that loses its power."""
        self._children.remove(child)
        _kill_group(child)

    def check(self) -> None:
        """Raises ChildError when one of them has ended."""
        for child in self._children:
            if child.process.poll() is not None:
                raise ChildError(f"{child.name} has ended ({child.process.returncode}); {_show_end(child.log)}")

    def wait_for_line(self, child: Child, beginning: str) -> str:
        """The rest of the first line in the child's log that begins so. Raises ChildError."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            # Without the last piece: it is empty, or a line that is still being written.
            for line in child.log.read_text().split("\n")[:-1]:
                if line.startswith(beginning):
                    return line.removeprefix(beginning).strip()
            self.check()
            time.sleep(0.05)
        raise ChildError(f"{child.name} did not get ready in {START_SECONDS} s; {_show_end(child.log)}")


def _end_with_parent() -> None:
    """In the child: be told to end when the demo is killed and cannot see to it."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_group(child: Child) -> None:
    with contextlib.suppress(ProcessLookupError):  # nobody is left: as it should be
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()


def _show_end(log: Path) -> str:
    with log.open(errors="replace") as lines:
        end = "".join(deque(lines, SHOWN_LINES))
    return f"the end of {log}:\n{end}"
