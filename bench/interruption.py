"""Ctrl-C and SIGTERM end a program once and with a word: what it clears up on the way out is left in peace."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(SystemExit):
    """By a signal; ``code`` is 128 and its number, as a shell has it."""


def end_at_signals(word: str = "Stopping ...\n") -> None:
    """The first of them raises Interrupted in the main thread; the others that follow are not heard.

    One that whoever started us has us ignore, as nohup does, is still ignored.
    """
    signals = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for each in signals:
            # Not SIG_IGN, which whoever is started to clear up would inherit.
            signal.signal(each, lambda *_: None)
        with contextlib.suppress(OSError):  # the terminal may be gone
            os.write(2, word.encode())  # a print in a print is an error
        raise Interrupted(128 + number)

    for each in signals:
        signal.signal(each, interrupt)


@contextlib.contextmanager
def hold_back_signals() -> Iterator[None]:
    """They come when it is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
