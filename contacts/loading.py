"""Rows become contacts, many with one statement."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from contacts.arrays import write_texts
from contacts.models import ContactImport, ContactState
from contacts.rows import ContactRow

_NOTE_NUMBERS = """
    INSERT INTO contacts_importednumber (contact_import_id, phone_number, line)
    SELECT %s, * FROM unnest(%s::text[], %s::int[])
    ON CONFLICT (contact_import_id, phone_number) DO NOTHING
    RETURNING line
"""
_FIND_NUMBERS = """
    SELECT phone_number, line FROM contacts_importednumber WHERE contact_import_id = %s AND phone_number = ANY(%s)
"""

_FIND_MADE = """
    SELECT phone_number, id FROM contacts_contact
    WHERE campaign_id = %s AND phone_number = ANY(%s) AND id BETWEEN %s AND %s
"""

# In the order of the numbers, so that it never waits in a circle with somebody who adds the same ones; of their bytes,
# which are faster to compare than words of a language.
_INSERT = """
    INSERT INTO contacts_contact (
        id, campaign_id, phone_number, external_contact_id, email, preferred_language, has_prior_consent, calling_zone,
        do_not_call, state, next_attempt_at, number_rejected, attempts_count, last_outcome, created_at, updated_at
    )
    SELECT new.id, %(campaign)s, new.number, new.external_id, new.email, new.language, new.consent, new.zone,
        is_listed, CASE WHEN is_listed THEN %(excluded)s ELSE %(pending)s END,
        CASE WHEN is_listed THEN NULL ELSE %(due)s::timestamptz END, false, 0, '', now(), now()
    FROM unnest(
        %(ids)s::uuid[], %(numbers)s::text[], %(external_ids)s::text[], %(emails)s::text[], %(languages)s::text[],
        %(consents)s::bool[], %(zones)s::text[]
    ) AS new (id, number, external_id, email, language, consent, zone),
        LATERAL (SELECT new.number = ANY(%(listed)s::text[])) AS list (is_listed)
    ORDER BY new.number COLLATE "C"
    ON CONFLICT (phone_number, campaign_id) DO NOTHING
    RETURNING phone_number
"""

# What is NULL was not said, and stays as it is.
_FROM_ROWS = """
    FROM unnest(
        %(numbers)s::text[], %(external_ids)s::text[], %(emails)s::text[], %(languages)s::text[], %(consents)s::bool[],
        %(zones)s::text[]
    ) AS new (number, external_id, email, language, consent, zone)
"""
# In the order of their ids, like everybody who locks several contacts; an update alone has that of its plan.
_LOCK_CHANGED = f"""
    SELECT contact.id
    {_FROM_ROWS} JOIN contacts_contact AS contact ON contact.phone_number = new.number
    WHERE contact.campaign_id = %(campaign)s
        AND (
            (new.external_id <> contact.external_contact_id) OR (new.email <> contact.email)
            OR (new.language <> contact.preferred_language) OR (new.consent <> contact.has_prior_consent)
            OR (new.zone <> contact.calling_zone)
        )
    ORDER BY contact.id
    FOR NO KEY UPDATE OF contact
"""
_UPDATE = f"""
    UPDATE contacts_contact AS contact
    SET external_contact_id = coalesce(new.external_id, contact.external_contact_id),
        email = coalesce(new.email, contact.email),
        preferred_language = coalesce(new.language, contact.preferred_language),
        has_prior_consent = coalesce(new.consent, contact.has_prior_consent),
        calling_zone = coalesce(new.zone, contact.calling_zone),
        updated_at = now()
    {_FROM_ROWS}
    WHERE contact.id = ANY(%(locked)s::uuid[]) AND contact.phone_number = new.number
"""

_LOCK_OPTED_OUT = """
    SELECT id FROM contacts_contact
    WHERE phone_number = ANY(%s) OR (campaign_id = %s AND phone_number = ANY(%s))
    ORDER BY id
    FOR NO KEY UPDATE
"""


_LINE_BITS = 32
_LAST_LINE = (1 << _LINE_BITS) - 1


def make_contact_id(contact_import: UUID, line: int) -> UUID:
    """The id of the contact that a row of an import becomes: it begins as the import's, and ends with the line.

    So a contact tells which row of which import it was, and contacts have the order of their file. Like the import's
    it is of version 7, which leaves its last bits to whoever makes it (RFC 9562, 6.2).
    """
    return UUID(int=contact_import.int >> _LINE_BITS << _LINE_BITS | line)


def find_import(contact_id: UUID) -> ContactImport | None:
    """The import that made the contact; None for one that was added in another way."""
    made = (make_contact_id(contact_id, 0), make_contact_id(contact_id, _LAST_LINE))
    return ContactImport.objects.filter(pk__range=made).select_related("created_by").first()


def note_numbers(record: ContactImport, rows: Sequence[ContactRow]) -> dict[int, int]:
    """Write down that the import has met these numbers.

    Returns the line of each row whose number it had met before, with the line at which it had.
    """
    if not rows:
        return {}
    with connection.cursor() as cursor:
        values = [record.pk, [row.phone_number for row in rows], [row.line for row in rows]]
        cursor.execute(_NOTE_NUMBERS, values)
        new = {line for (line,) in cursor.fetchall()}
        again = [row for row in rows if row.line not in new]
        cursor.execute(_FIND_NUMBERS, [record.pk, [row.phone_number for row in again]])
        first_lines = dict(cursor.fetchall())
    return {row.line: first_lines[row.phone_number] for row in again}


def find_made(record: ContactImport, rows: Sequence[ContactRow]) -> dict[int, int]:
    """The line of each row of whose number this import has made a contact before, with the line that became it."""
    if not rows:
        return {}
    first, last = make_contact_id(record.pk, 0), make_contact_id(record.pk, _LAST_LINE)
    with connection.cursor() as cursor:
        cursor.execute(_FIND_MADE, [record.campaign_id, [row.phone_number for row in rows], first, last])
        lines = {number: made.int - first.int for number, made in cursor.fetchall()}
    return {row.line: lines[row.phone_number] for row in rows if row.phone_number in lines}


class NewContacts:
    """Rows of different numbers that may become contacts of an import, as the columns that one statement inserts.

    To write these out takes a while and no database, so it can be done ahead.
    """

    def __init__(self, contact_import: UUID, rows: Collection[ContactRow]) -> None:
        first_id = make_contact_id(contact_import, 0).int
        self.columns = {
            "ids": write_texts([f"{first_id + row.line:032x}" for row in rows]),
            "numbers": write_texts([row.phone_number for row in rows]),
            "external_ids": write_texts([row.external_contact_id for row in rows]),
            "emails": write_texts([row.email for row in rows]),
            "languages": write_texts([row.preferred_language for row in rows]),
            "consents": write_texts(["t" if row.has_prior_consent else "f" for row in rows]),
            "zones": write_texts([row.calling_zone for row in rows]),
        }

    def insert(self, campaign_id: UUID, *, listed: Collection[str], due: datetime) -> set[str]:
        """Those whose numbers the campaign does not have yet; returns their numbers.

        Whoever is ``listed``, on the do-not-call list, is excluded; the others are due from that instant on.
        """
        values = {
            "campaign": campaign_id,
            "excluded": ContactState.EXCLUDED.value,
            "pending": ContactState.PENDING.value,
            "listed": list(listed),
            "due": due,
        }
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, self.columns | values)
            return {number for (number,) in cursor.fetchall()}


def update_contacts(campaign_id: UUID, rows: Sequence[ContactRow]) -> int:
    """Give the campaign's contacts with these numbers what their rows say; returns how many were changed.

    What a row leaves empty stays, and so do states and everything that has happened.
    """
    if not rows:
        return 0
    values = {
        "campaign": campaign_id,
        "numbers": [row.phone_number for row in rows],
        "external_ids": [row.said("external_contact_id", row.external_contact_id) for row in rows],
        "emails": [row.said("email", row.email) for row in rows],
        "languages": [row.said("preferred_language", row.preferred_language) for row in rows],
        "consents": [row.said("has_prior_consent", row.has_prior_consent) for row in rows],
        "zones": [row.said("time_zone", row.calling_zone) for row in rows],
    }
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_CHANGED, values)
        if not (locked := [pk for (pk,) in cursor.fetchall()]):
            return 0
        cursor.execute(_UPDATE, values | {"locked": locked})
        return cursor.rowcount


def lock_contacts(campaign_id: UUID, numbers: Collection[str], opted_out: Collection[str]) -> None:
    """All contacts of those who have opted out, and those of the campaign with these numbers, all in one order."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_OPTED_OUT, [list(opted_out), campaign_id, list(numbers)])
