"""People who are to be forgotten: what happened stays as figures of its campaign, and nobody can be found in it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import phonenumbers
import structlog
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.dispatch import Signal
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calls.kept_metadata import keep_metadata
from calls.models import Answer, CallAttempt, ProviderConfig
from campaigns.counting import say_count
from campaigns.history import in_language_of_the_record
from contacts.exclusion import entries_of, keep_as_hash, numbers_on_do_not_call
from contacts.models import Contact, ContactImport, ContactState, DoNotCallEntry, ImportStatus

log = structlog.get_logger(__name__)

NAMED_IMPORTS = 5

# Sent with message=..., which names nobody, in the transaction in which somebody was erased.
people_erased = Signal()

# A row in which a cell has the digits of a number, however it is written, is an e-mail address, or is an external id
# and in the column of those. Rather a row too many: it is only a report of what could not be imported.
_IS_ABOUT = r"""
    import.id = refusal.contact_import_id AND refusal.cells <> '[]' AND (
        EXISTS (
            SELECT FROM jsonb_array_elements_text(refusal.cells || to_jsonb(refusal.value)) AS cell
            WHERE regexp_replace(cell, '\D', '', 'g') LIKE ANY (%(digits)s::text[])
                OR lower(trim(cell)) = ANY (%(emails)s::text[]))
        OR trim(refusal.cells ->> (import.columns ->> 'external_contact_id')::int) = ANY (%(external_ids)s::text[]))
"""
_COUNT_REFUSED_ROWS = f"""
    SELECT count(*) FROM contacts_importrefusal AS refusal, contacts_contactimport AS import WHERE {_IS_ABOUT}
"""
_ERASE_REFUSED_ROWS = f"""
    UPDATE contacts_importrefusal AS refusal
    SET "column" = '', value = '', reason = %(reason)s, cells = '[]'
    FROM contacts_contactimport AS import WHERE {_IS_ABOUT}
"""


class ErasureImpossible(Exception):
    """Nothing was erased; the message says why, and what to do."""


class Person(NamedTuple):
    """Known by a number in E.164, or else by an external id: then all are meant who have it, and their numbers."""

    phone_number: str = ""
    external_id: str = ""


class Findings(NamedTuple):
    """What there is of a person, or was. ``numbers`` are only to be shown before they are erased."""

    numbers: Sequence[str]
    contacts: int
    campaigns: Sequence[str]
    calls: int
    answers: int
    refused_rows: int
    is_on_do_not_call: bool


def find_contacts(person: Person) -> QuerySet[Contact]:
    if person.phone_number:
        return Contact.objects.filter(phone_number=person.phone_number)
    named = Contact.objects.filter(external_contact_id=person.external_id, erased_at=None)
    return Contact.objects.filter(phone_number__in=named.values("phone_number"))


def look_for(person: Person) -> Findings:
    contacts = list(find_contacts(person).select_related("campaign").order_by("pk"))
    ids = [contact.pk for contact in contacts]
    numbers = _list_numbers(person, contacts)
    return Findings(
        numbers=numbers,
        contacts=len(contacts),
        campaigns=sorted({contact.campaign.name for contact in contacts}),
        calls=CallAttempt.objects.filter(contact_id__in=ids).count(),
        answers=Answer.objects.filter(contact_id__in=ids).count(),
        refused_rows=_run_on_refused_rows(_COUNT_REFUSED_ROWS, person, contacts),
        is_on_do_not_call=bool(numbers_on_do_not_call(numbers)),
    )


def erase_person(person: Person, *, keeps_off: bool, reason: str, now: datetime) -> Findings:
    """Erase all that there is of a person, for good and in one transaction; returns what that was.

    ``keeps_off``: the number stays on the do-not-call list, or is put on it, as a hash; otherwise it is taken off,
    because the list would name it.

    Raises ErasureImpossible while a call to the person is going on, or an import whose file may have the person in it;
    and HashKeyMissing.
    """
    with transaction.atomic():
        _refuse_during_imports()
        found = look_for(person)
        if not found.contacts and not person.phone_number:
            raise ErasureImpossible(_("No contact has this external id."))
        contacts = list(find_contacts(person))
        if keeps_off:
            keep_as_hash(found.numbers)
        else:
            entries_of(found.numbers).delete()
        _run_on_refused_rows(_ERASE_REFUSED_ROWS, person, contacts)
        anonymise(contacts, now=now)
        _clear_history(Q(object_repr__in=[*found.numbers, *_list_external_ids(person, contacts)]))
        with in_language_of_the_record():
            message = describe_erasure(found, keeps_off=keeps_off, reason=reason)
        people_erased.send(sender=Contact, message=message)
    log.info(
        "person.erased",
        numbers=found.numbers,  # the log masks them
        contacts=found.contacts,
        calls=found.calls,
        answers=found.answers,
        refused_rows=found.refused_rows,
        keeps_off=keeps_off,
    )
    return found


def count_findings(found: Findings) -> tuple[str, str, str, str]:
    """Contacts, calls, answers and refused rows, each with its number."""
    return (
        ngettext("%(count)s contact", "%(count)s contacts", found.contacts) % {"count": say_count(found.contacts)},
        ngettext("%(count)s call", "%(count)s calls", found.calls) % {"count": say_count(found.calls)},
        ngettext("%(count)s answer", "%(count)s answers", found.answers) % {"count": say_count(found.answers)},
        ngettext("%(count)s refused row", "%(count)s refused rows", found.refused_rows)
        % {"count": say_count(found.refused_rows)},
    )


def describe_erasure(found: Findings, *, keeps_off: bool, reason: str) -> str:
    """Without a word of who it was."""
    if keeps_off:
        text = _("%(counts)s. The number stays on the do-not-call list. Reason: %(reason)s")
    else:
        text = _("%(counts)s. The number is not on the do-not-call list. Reason: %(reason)s")
    return text % {"counts": ", ".join(count_findings(found)), "reason": reason}


def anonymise(contacts: Collection[Contact], *, now: datetime) -> int:
    """Take out of contacts, of their calls and answers, who they are; returns how many calls they had.

    To be called in a transaction. States stay as they are, but whoever had not been tried is excluded, and nobody waits
    for a call any more. A report on a call that comes later finds it by its call_id, and that it has ended.

    Raises ErasureImpossible when one of them is in a call.
    """
    ids = [contact.pk for contact in contacts]
    # The attempts first, like everybody: who holds one may want its contact.
    # Not against keys: an event of one, written by whoever has its contact locked, refers to it.
    calls = CallAttempt.objects.filter(contact_id__in=ids).order_by("pk").select_for_update(no_key=True)
    ends = list(calls.values_list("ended_at", flat=True))
    locked = list(Contact.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True))
    if None in ends or any(contact.state == ContactState.IN_PROGRESS for contact in locked):
        raise ErasureImpossible(
            _("A call to this person is going on. Erase when it has ended; nothing was erased yet.")
        )
    numbers = [contact.phone_number for contact in locked if contact.phone_number]
    calls = CallAttempt.objects.filter(contact_id__in=ids)
    count = calls.update(phone_number=None, provider_call_id="", error_message="", metadata=keep_metadata())
    Contact.objects.filter(pk__in=ids, erased_at=None).update(
        phone_number=None,
        external_contact_id="",
        email="",
        next_attempt_at=None,
        state=Case(When(state=ContactState.PENDING, then=Value(ContactState.EXCLUDED)), default=F("state")),
        erased_at=now,
        updated_at=now,
    )
    Answer.objects.filter(contact_id__in=ids).erase_words()
    _clear_history(Q(content_type=ContentType.objects.get_for_model(Contact), object_id__in=list(map(str, ids))))
    _clear_provider_errors(numbers)
    return count


def describe_obstacle() -> str:
    """The imports during which nobody is erased; empty without one.

    Their files are kept as they were uploaded, and nobody can be taken out of a file.
    """
    going_on = ContactImport.objects.filter(status__in=[ImportStatus.PREPARED, ImportStatus.RUNNING])
    count = going_on.count()
    if not count:
        return ""
    names = ", ".join(str(record) for record in going_on[:NAMED_IMPORTS])
    if count > NAMED_IMPORTS:
        text = ngettext(
            "%(imports)s and %(count)s other import", "%(imports)s and %(count)s other imports", count - NAMED_IMPORTS
        )
        names = text % {"imports": names, "count": say_count(count - NAMED_IMPORTS)}
    text = _(
        "An import is not over, and its file may have this person in it. Wait for its end or throw it away, then "
        "erase: %(imports)s."
    )
    return text % {"imports": names}


def _refuse_during_imports() -> None:
    if obstacle := describe_obstacle():
        raise ErasureImpossible(obstacle)


def _list_numbers(person: Person, contacts: Collection[Contact]) -> list[str]:
    return [person.phone_number] if person.phone_number else sorted({contact.phone_number for contact in contacts})


def _list_external_ids(person: Person, contacts: Collection[Contact]) -> list[str]:
    return list({person.external_id, *(contact.external_contact_id for contact in contacts)} - {""})


def _run_on_refused_rows(sql: str, person: Person, contacts: Collection[Contact]) -> int:
    numbers = map(phonenumbers.parse, _list_numbers(person, contacts))
    with in_language_of_the_record():
        reason = _("The person was erased.")
    values = {
        "digits": [f"%{phonenumbers.national_significant_number(number)}%" for number in numbers],
        "emails": [contact.email.lower() for contact in contacts if contact.email],
        "external_ids": _list_external_ids(person, contacts),
        "reason": reason,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0] if cursor.description else cursor.rowcount


def _clear_history(of_whom: Q) -> None:
    """What the admin's own history calls contacts and numbers by."""
    people = ContentType.objects.get_for_models(Contact, DoNotCallEntry).values()
    with in_language_of_the_record():
        LogEntry.objects.filter(of_whom, content_type__in=people).update(object_repr=_("Erased person"))


def _clear_provider_errors(numbers: Collection[str]) -> None:
    """The provider may have named a number in what it said last."""
    for provider in ProviderConfig.objects.all():
        for field in ("last_error", "halted_reason"):
            text = cleared = getattr(provider, field)
            for number in numbers:
                cleared = cleared.replace(number.removeprefix("+"), "…")
            if cleared != text:
                ProviderConfig.objects.filter(pk=provider.pk, **{field: text}).update(**{field: cleared})
