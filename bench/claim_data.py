"""Databases full of contacts for the benchmarks of claiming, side by side in one server."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import django
from django.core.management import call_command

from bench.peers import CALLER_NUMBER
from bench.postgres import PostgresServer

TEMPLATE = "claims_empty"
# As a server for so many contacts would be set up.
LARGE_SERVER = {
    "shared_buffers": "4GB",
    "maintenance_work_mem": "1GB",
    "max_wal_size": "16GB",
    "max_parallel_maintenance_workers": "2",
}
# Vacuum is called at fixed points instead of coming when it likes.
POSTGRES_OPTIONS = {**LARGE_SERVER, "autovacuum": "off"}
OPEN_ALL_DAY = (None, None)
OFFICE_HOURS = (time(9), time(18))
ZONES = (
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/Rome",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Pacific/Auckland",
)


@dataclass(frozen=True, kw_only=True)
class Filling:
    """``contacts`` spread evenly over ``campaigns`` and the zones, with numbers at random.

    All who wait are due, in the order of their import. Who is on the do-not-call list is excluded, as when an entry is
    added by the product; and of those who slipped in there is an entry, and they wait all the same.
    """

    contacts: int
    campaigns: int = 1
    hours: tuple[time | None, time | None] = OPEN_ALL_DAY
    closed_share: float = 0.0  # of the contacts, in zones where it is night
    listed_share: float = 0.0  # of the contacts, on the do-not-call list and excluded
    slipped_share: float = 0.0  # of the contacts, on the do-not-call list and waiting


class ClaimDatabases:
    """As a context manager: a server, and Django set up for it. ``use`` chooses the database that Django speaks to."""

    def __init__(self, directory: Path, options: Mapping[str, str] = POSTGRES_OPTIONS) -> None:
        self.server = PostgresServer(directory, options=options)
        self._wrappers: dict[str, Any] = {}

    def __enter__(self) -> "ClaimDatabases":
        self.server.__enter__()
        try:
            self.server.execute(f"CREATE DATABASE {TEMPLATE}")
            set_up_django(self.server.url(TEMPLATE), self.server.directory.with_name("django"))
            call_command("migrate", verbosity=0, interactive=False)
            self.close_connections()
        except BaseException:
            self.server.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close_connections()
        self.server.__exit__(*exc_info)

    def provide(self, name: str, filling: Filling) -> None:
        """The same name must mean the same filling: a database that is there is left as it is."""
        if name not in self._wrappers:
            self.server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            self.use(name)
            fill_database(filling)

    def use(self, name: str) -> None:
        """Each database has a connection of its own, which stays open, so that changing costs nothing."""
        from django.db import connections

        if name not in self._wrappers:
            wrapper = connections.create_connection("default")
            wrapper.settings_dict = {**wrapper.settings_dict, "NAME": name}
            self._wrappers[name] = wrapper
        connections["default"] = self._wrappers[name]

    def close_connections(self) -> None:
        from django.db import connections

        for wrapper in [*self._wrappers.values(), connections["default"]]:
            wrapper.close()


def set_up_django(url: str, data_dir: Path) -> None:
    """For this process, once and for good; child processes inherit it.

    Django takes psycopg 3 where it finds it. The product runs on psycopg2; a peer has brought the other one.
    """
    sys.modules["psycopg"] = None
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "surveycalls.settings",
        "DATABASE_URL": url,
        "DATABASE_NAME": "",
        "DATA_DIR": str(data_dir),
        "SCHEDULER_MAX_CONCURRENT_CALLS": "",
        "LOG_LEVEL": "ERROR",
    }
    django.setup()


def fill_database(filling: Filling) -> None:
    """Campaigns and contacts, with the indexes made afterwards; then VACUUM and ANALYZE."""
    from calls.models import ProviderConfig
    from campaigns.models import Campaign, CampaignStatus

    start, end = filling.hours
    campaigns = Campaign.objects.bulk_create(
        Campaign(
            name=f"Campaign {number}",
            status=CampaignStatus.RUNNING,
            intro_script="Good day.",
            max_attempts=3,
            allowed_call_start=start,
            allowed_call_end=end,
            time_zone="UTC",
        )
        for number in range(filling.campaigns)
    )
    ProviderConfig.objects.update(outbound_number=CALLER_NUMBER, max_concurrent_calls=100_000, calls_per_second=100_000)
    _load_contacts(filling, [campaign.pk for campaign in campaigns])
    vacuum("campaigns_campaign", "contacts_contact", "contacts_donotcallentry", "calls_callattempt")


def count_taken_out() -> int:
    """How many of those who had slipped in were met by a claim and excluded."""
    from contacts.models import Contact

    return Contact.objects.filter(external_contact_id="slipped", state="excluded", do_not_call=True).count()


def end_calls(attempts: Sequence[object]) -> None:
    """As if each had been given back: its contact is due again, behind all the others."""
    from django.db import connection, transaction

    from contacts.arrays import write_array

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE calls_callattempt SET status = 'ended', outcome = 'failed', given_back = true, "
            "ended_at = clock_timestamp() WHERE id = ANY(%s::uuid[]) RETURNING contact_id",
            [write_array(attempts)],
        )
        contacts = [contact for (contact,) in cursor.fetchall()]
        cursor.execute(
            "UPDATE contacts_contact SET state = 'pending', attempts_count = attempts_count - 1, "
            "next_attempt_at = clock_timestamp() WHERE id = ANY(%s::uuid[])",
            [write_array(contacts)],
        )


def vacuum(*tables: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"VACUUM (ANALYZE) {table}")
        cursor.execute("CHECKPOINT")


def zones_by_day_and_night(now: datetime) -> tuple[list[str], list[str]]:
    """Zones in which office hours go on for an hour and more, and zones in which they are over or to come."""
    local_hours = {zone: now.astimezone(ZoneInfo(zone)).hour for zone in ZONES}
    day = [zone for zone, hour in local_hours.items() if 9 <= hour < 17]
    night = [zone for zone, hour in local_hours.items() if not 8 <= hour < 18]
    return day, night


def _load_contacts(filling: Filling, campaigns: Sequence[UUID]) -> None:
    from django.db import connection

    if filling.hours == OPEN_ALL_DAY:
        day, night = list(ZONES), list(ZONES)
    else:
        day, night = zones_by_day_and_night(datetime.now(UTC))
    contacts = """
        INSERT INTO contacts_contact (
            id, campaign_id, external_contact_id, phone_number, email, preferred_language, has_prior_consent,
            number_rejected, do_not_call, calling_zone, state, attempts_count, last_outcome, next_attempt_at,
            created_at, updated_at
        )
        SELECT lpad(to_hex(i), 32, '0')::uuid, (%(campaigns)s::uuid[])[1 + i %% %(campaign_count)s],
               CASE WHEN slipped THEN 'slipped' ELSE '' END,
               '+4400' || lpad(((i::bigint * 2654435761) %% 8589934592)::text, 10, '0'), '', 'auto', false, false,
               listed,
               CASE WHEN closed THEN (%(night)s::text[])[1 + place %% %(night_count)s]
                    ELSE (%(day)s::text[])[1 + place %% %(day_count)s] END,
               CASE WHEN listed THEN 'excluded' ELSE 'pending' END, 0, '',
               CASE WHEN NOT listed THEN now() - (%(contacts)s - i) * interval '8 milliseconds' END, now(), now()
        FROM generate_series(1, %(contacts)s) AS i, LATERAL (
            SELECT abs(hashint8(i)::bigint) AS place,
                   abs(hashint8(i + 1000000000)::bigint) %% 1000 < %(closed)s AS closed,
                   abs(hashint8(i + 1500000000)::bigint) %% 1000 AS rank
        ) AS random, LATERAL (
            SELECT rank < %(listed)s AS listed, rank BETWEEN %(listed)s AND %(listed)s + %(slipped)s - 1 AS slipped
        ) AS standing
    """
    values = {
        "campaigns": list(campaigns),
        "campaign_count": len(campaigns),
        "contacts": filling.contacts,
        "day": day,
        "day_count": len(day),
        "night": night,
        "night_count": max(1, len(night)),
        "closed": filling.closed_share * 1000,
        "listed": round(filling.listed_share * 1000),
        "slipped": round(filling.slipped_share * 1000),
    }
    entries = """
        INSERT INTO contacts_donotcallentry (id, phone_number, reason, source, created_at)
        SELECT id, phone_number, '', 'manual', now() FROM contacts_contact
        WHERE do_not_call OR external_contact_id = 'slipped'
    """
    with connection.cursor() as cursor:
        make_again = _drop_indexes(cursor, "contacts_contact")
        cursor.execute(contacts, values)
        for statement in make_again:
            cursor.execute(statement)
        cursor.execute(entries)


def _drop_indexes(cursor: Any, table: str) -> list[str]:
    """Returns the statements that make them again, the checks and foreign keys among them."""
    cursor.execute(
        """
        SELECT format('ALTER TABLE %%I DROP CONSTRAINT %%I CASCADE', rel.relname, con.conname),
               format('ALTER TABLE %%I ADD CONSTRAINT %%I %%s', rel.relname, con.conname, pg_get_constraintdef(con.oid))
        FROM pg_constraint con JOIN pg_class rel ON rel.oid = con.conrelid
        WHERE con.conrelid = %(table)s::regclass OR con.confrelid = %(table)s::regclass
        ORDER BY con.contype = 'f', con.contype = 'c', con.oid
        """,
        {"table": table},
    )
    constraints = cursor.fetchall()
    for drop, _ in reversed(constraints):
        cursor.execute(drop)
    cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f'DROP INDEX "{name}"')
    return [*(definition for _, definition in indexes), *(add for _, add in constraints)]
