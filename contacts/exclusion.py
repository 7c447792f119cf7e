"""The do-not-call list: who may not be rung, by any campaign."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from campaigns.history import in_language_of_the_record
from contacts.arrays import write_array
from contacts.hashing import find_fingerprint, hash_number, hash_numbers, is_hashing_possible
from contacts.models import Contact, ContactState, DoNotCallEntry, DoNotCallSource
from contacts.rearming import next_attempt_of, set_next_attempts
from contacts.waiting import announce_waiting

# Any number; it names the lock among all advisory locks of the database.
_LIST_LOCK = 7_265_002


def add_to_do_not_call(
    phone_number: str, *, reason: str = "", source: DoNotCallSource = DoNotCallSource.MANUAL
) -> DoNotCallEntry:
    """Put an E.164 number on the list and exclude its contacts in every campaign.

    A number that is on it already keeps its entry, also one that is kept as a hash; contacts that slipped through are
    excluded all the same.
    """
    with transaction.atomic():
        add_numbers_to_do_not_call([phone_number], reason=reason, source=source)
        return find_entry(phone_number)


def find_entry(phone_number: str) -> DoNotCallEntry:
    """That of a number which the same transaction has put on the list."""
    return entries_of([phone_number]).earliest("pk")


def entries_of(numbers: Collection[str]) -> QuerySet[DoNotCallEntry]:
    """The entries of these E.164 numbers, be they readable or not."""
    return DoNotCallEntry.objects.filter(
        Q(phone_number__in=list(numbers)) | Q(number_hash__in=list(hash_numbers(numbers)))
    )


def add_numbers_to_do_not_call(
    numbers: Collection[str], *, reason: str = "", source: DoNotCallSource = DoNotCallSource.MANUAL
) -> int:
    """Like add_to_do_not_call, for many at once and in one transaction; how many contacts were allowed before."""
    return add_entries_to_do_not_call(dict.fromkeys(numbers, reason), source=source)


def add_entries_to_do_not_call(reasons: Mapping[str, str], *, source: DoNotCallSource) -> int:
    """The same, with a reason for each number."""
    with transaction.atomic():
        write_entries(reasons, source=source)
        return exclude_numbers(reasons)


def write_entries(reasons: Mapping[str, str], *, source: DoNotCallSource) -> None:
    """For a transaction that excludes their contacts (`exclude_numbers`) after that.

    Whoever adds goes this way, so that nobody waits in a circle: the list's lock, the entries by their numbers, the
    contacts by their ids.
    """
    _lock_list_to_add()
    hashed = numbers_kept_as_hashes(reasons)
    DoNotCallEntry.objects.bulk_create(
        [
            DoNotCallEntry(phone_number=number, reason=reason, source=source)
            for number, reason in sorted(reasons.items())
            if number not in hashed
        ],
        ignore_conflicts=True,
    )


def exclude_numbers(numbers: Iterable[str]) -> int:
    """The contacts with these numbers, in every campaign; how many were allowed before."""
    return exclude_contacts(Contact.objects.filter(phone_number__in=list(numbers)))


def keep_as_hash(numbers: Collection[str]) -> None:
    """Put numbers on the list, or leave them there, in a way that nobody can read. Raises HashKeyMissing.

    Their contacts are the caller's to see to: it is for people who are being erased.
    """
    hashes = [(hash_number(number), find_fingerprint()) for number in numbers]
    with in_language_of_the_record():
        reason = _("Kept when the person was erased")
    with transaction.atomic():
        _lock_list_to_remove()
        DoNotCallEntry.objects.bulk_create(
            [DoNotCallEntry(number_hash=hashed, hash_key=key, reason=reason) for hashed, key in sorted(hashes)],
            ignore_conflicts=True,
        )
        DoNotCallEntry.objects.filter(phone_number__in=list(numbers)).delete()


def remove_from_do_not_call(numbers: Collection[str], *, now: datetime) -> int:
    """Take numbers off the list; returns how many contacts that had not finished wait by their rules again.

    With as many statements for thousands as for one: until the commit nobody can add any.
    """
    with transaction.atomic():
        _lock_list_to_remove()
        entries_of(numbers).delete()
        contacts = (
            Contact.objects.filter(phone_number__in=list(numbers), do_not_call=True)
            .order_by("pk")
            .select_related("campaign")
            .select_for_update(of=("self",), no_key=True)
        )
        excluded = []
        for contact in contacts:
            if contact.state == ContactState.EXCLUDED:
                contact.state = ContactState.NOT_REACHED if contact.attempts_count else ContactState.PENDING
                excluded.append(contact)
        _allow_again([contact.pk for contact in contacts])
        set_next_attempts({contact.pk: next_attempt_of(contact.campaign, contact, now) for contact in excluded}, now)
        if excluded:
            announce_waiting()
    return len(excluded)


def _lock_list_to_add() -> None:
    """Until the end of the transaction: whoever takes numbers off waits.

    So does whoever makes them hashes: no constraint knows which number a hash is of. And whose entry was taken off
    meanwhile would be excluded without one.
    """
    _lock_list("SELECT pg_advisory_xact_lock_shared(%s)")


def _lock_list_to_remove() -> None:
    _lock_list("SELECT pg_advisory_xact_lock(%s)")


def _lock_list(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, [_LIST_LOCK])


def _allow_again(contacts: Collection[UUID]) -> None:
    """Whoever was excluded may wait again; when they do is to be set after that."""
    was_tried = When(state=ContactState.EXCLUDED, attempts_count__gt=0, then=Value(ContactState.NOT_REACHED))
    was_not = When(state=ContactState.EXCLUDED, then=Value(ContactState.PENDING))
    Contact.objects.filter(pk__in=contacts).update(
        do_not_call=False, state=Case(was_tried, was_not, default=F("state")), updated_at=Now()
    )


def exclude_contacts(contacts: QuerySet[Contact]) -> int:
    """See that these are not rung any more; returns how many were still allowed before.

    Who waits for a call becomes excluded. Who is in one stays in progress until it has ended, and who has
    taken part or refused stays that; do_not_call alone keeps them from being rung again.
    """
    waiting = [ContactState.PENDING, ContactState.NOT_REACHED]
    with transaction.atomic():
        locked = contacts.filter(do_not_call=False).order_by("pk")
        ids = list(locked.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True))
        return Contact.objects.filter(pk__in=ids).update(
            do_not_call=True,
            next_attempt_at=None,
            state=Case(When(state__in=waiting, then=Value(ContactState.EXCLUDED)), default=F("state")),
            updated_at=Now(),
        )


def numbers_on_do_not_call(numbers: Collection[str]) -> set[str]:
    """Those of the E.164 numbers that are on the list."""
    # By hand, because Django takes longer for a long list than the database.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT phone_number FROM contacts_donotcallentry WHERE phone_number = ANY(%s::text[])",
            [write_array(numbers)],
        )
        return {number for (number,) in cursor.fetchall()} | numbers_kept_as_hashes(numbers)


def numbers_kept_as_hashes(numbers: Iterable[str]) -> set[str]:
    """Those that are on the list of people who were erased.

    Hashed here and not by the database, which would need the key for it and show it to whoever reads its logs.
    """
    hashes = hash_numbers(numbers)
    if not hashes:
        return set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT number_hash FROM contacts_donotcallentry WHERE number_hash = ANY(%s)", [list(hashes)])
        return {hashes[found] for (found,) in cursor.fetchall()}


def is_list_readable() -> bool:
    """Whether all hashes on the list are of the key that is set: whose the others are nobody can tell."""
    known = find_fingerprint() if is_hashing_possible() else None
    with connection.cursor() as cursor:  # the two ends of the index, however long it is
        cursor.execute("SELECT min(hash_key), max(hash_key) FROM contacts_donotcallentry WHERE hash_key <> ''")
        return {*cursor.fetchone()} <= {known, None}
