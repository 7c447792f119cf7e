"""Something done at the same time, on a database connection of its own."""

import threading

from django.db import connection


def in_thread(work):
    """The result comes out of the returned function, which waits for it."""
    results = []

    def run():
        try:
            results.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()

    def result(timeout=20):
        thread.join(timeout)
        return results[0] if results else "still at it"

    return result


def count_waiting():
    """The connections that wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees what it saw first
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0]
