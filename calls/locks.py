"""Locks that the database keeps for as long as a connection lives: whoever is killed leaves none behind."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def try_lock(number: int) -> Iterator[bool]:
    """Whether it is ours until the end; nobody waits for it. The number, of 63 bits, names it in the whole database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])
