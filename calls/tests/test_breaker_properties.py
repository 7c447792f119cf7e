"""How long a failing provider is left alone: longer with each failure, and never for ever."""

from hypothesis import given
from hypothesis import strategies as st

from calls.breaker import (
    FAILURES_THAT_OPEN,
    FIRST_DELAY,
    FIRST_PAUSE,
    LONGEST_DELAY,
    LONGEST_PAUSE,
    delay_after,
    pause_after,
)

failures = st.integers(0, 40) | st.integers(0, 2**31 - 1)


@given(failures, failures)
def test_more_failures_never_mean_a_shorter_wait(one, other):
    fewer, more = sorted([one, other])
    assert pause_after(fewer) <= pause_after(more)
    assert delay_after(fewer) <= delay_after(more)


@given(failures)
def test_every_wait_has_its_bounds(count):
    assert FIRST_DELAY <= delay_after(count) <= LONGEST_DELAY
    if count < FAILURES_THAT_OPEN:
        assert not pause_after(count)
    else:
        assert FIRST_PAUSE <= pause_after(count) <= LONGEST_PAUSE


@given(st.integers(0, 40))
def test_a_wait_doubles_until_it_is_the_longest(count):
    assert delay_after(count + 2) == min(2 * delay_after(count + 1), LONGEST_DELAY)
    opened = FAILURES_THAT_OPEN + count
    assert pause_after(opened + 1) == min(2 * pause_after(opened), LONGEST_PAUSE)
