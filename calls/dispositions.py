"""The final disposition of each contact by the AAPOR Standard Definitions: docs/rates.md is the table of it.

There is one definition, ``_DISPOSITION``. What was learnt in any call that is over counts, not only in the last: where
somebody has answered once the number is no unknown one, whatever came of the calls after that.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from calls.answerers import ANSWERER_SQL
from calls.erased_words import IS_ANSWERED
from campaigns.counting import MOST_COUNTED
from campaigns.models import Campaign
from contacts.arrays import write_array
from contacts.models import Contact


@dataclass(frozen=True, kw_only=True)
class Disposition:
    """``name`` is in addresses and files, ``code`` is AAPOR's, and ``symbol`` what it counts as in the rates."""

    name: str
    code: str
    symbol: str
    title: Promise
    meaning: Promise


def _make(name: str, code: str, symbol: str, title: Promise, meaning: Promise) -> Disposition:
    return Disposition(name=name, code=code, symbol=symbol, title=title, meaning=meaning)


DISPOSITIONS = {
    disposition.name: disposition
    for disposition in (
        _make("complete", "1.1", "I", _("Complete"), _("Everything was answered or passed over.")),
        _make(
            "partial",
            "1.2",
            "P",
            _("Partial"),
            _("Agreed to take part and broke off, with at least half of the questions answered."),
        ),
        _make(
            "refusal",
            "2.11",
            "R",
            _("Refusal"),
            _("Said no in a call, or was put on the do-not-call list after one."),
        ),
        _make(
            "break_off",
            "2.12",
            "R",
            _("Break-off"),
            _("Agreed to take part and broke off, with less than half of the questions answered."),
        ),
        _make(
            "non_contact",
            "2.20",
            "NC",
            _("Non-contact"),
            _("The phone was answered, and the call was over before anybody agreed or said no."),
        ),
        _make("machine", "2.22", "NC", _("Answering machine"), _("Nobody but an answering machine has answered.")),
        _make(
            "other",
            "2.30",
            "O",
            pgettext_lazy("disposition", "Other"),
            _("The phone was answered, and the call failed."),
        ),
        _make("not_attempted", "3.11", "UH", _("Not attempted"), _("Not called yet, or no call has rung.")),
        _make("busy", "3.12", "UH", _("Always busy"), _("Nobody answered; the line was busy in every call.")),
        _make("no_answer", "3.13", "UH", pgettext_lazy("disposition", "No answer"), _("It rang; nobody answered.")),
        _make("failed", "3.16", "UH", _("Technical problem"), _("Every call failed.")),
        _make(
            "excluded",
            "4.10",
            "NE",
            _("Out of sample"),
            _("On the do-not-call list before the first call."),
        ),
        _make("fax", "4.20", "NE", _("Fax line"), _("Nothing but a fax machine has answered.")),
        _make(
            "not_working",
            "4.30",
            "NE",
            _("Not in service"),
            _("The provider or the telephone network said that the number does not work."),
        ),
    )
}

# The network's word that a number does not exist or is not in use any more (RFC 3261, 21.4.5, 21.4.11 and 21.6.3).
_GONE = "metadata ->> 'sip_response_code' IN ('404', '410', '604')"
_BY_MACHINE = f"{ANSWERER_SQL} IN ('machine', 'fax')"

# Of a call: the person had agreed to take part, and it was over before everything was answered and without a refusal.
# Who has such a call, and has neither completed nor refused in another one, has broken off: here and in the results.
BROKE_OFF = "consented_at IS NOT NULL AND decided_at IS NULL AND ended_at IS NOT NULL AND NOT given_back"

# What each contact's calls tell, but for those that the person has decided: the state has that. One that goes on may
# still be anything. A condition on the contacts or the campaign comes in the place of {scope}.
_FACTS = f"""
    SELECT contact_id,
        bool_or({BROKE_OFF}) AS broke_off,
        bool_or(answered_at IS NOT NULL AND outcome = 'failed' AND NOT {_BY_MACHINE}) AS broke_down,
        bool_or(answered_at IS NOT NULL AND outcome <> 'failed' AND NOT {_BY_MACHINE}) AS answered,
        bool_or(answered_at IS NOT NULL AND {ANSWERER_SQL} = 'machine') AS machine,
        bool_or(answered_at IS NOT NULL AND {ANSWERER_SQL} = 'fax') AS fax,
        bool_or({_GONE}) AS gone,
        bool_or(outcome = 'no_answer' AND ({_GONE}) IS NOT TRUE) AS rang,
        bool_or(outcome = 'busy') AS busy,
        true AS called
    FROM calls_callattempt
    WHERE {{scope}} AND NOT given_back AND outcome NOT IN ('', 'completed', 'refused')
    GROUP BY contact_id
"""
# Asked of those alone who broke off, and so not for all contacts together.
_HAS_ENOUGH = f"""
    (SELECT count(*) FROM calls_answer AS answer
     WHERE answer.contact_id = contact.id AND answer.is_current AND {IS_ANSWERED}
        AND answer.question_id = ANY (asked.questions)) * 2 >= cardinality(asked.questions)
    AND cardinality(asked.questions) > 0
"""
_DISPOSITION = f"""
    CASE
        WHEN contact.state = 'completed' THEN 'complete'
        WHEN contact.state = 'refused' THEN 'refusal'
        WHEN facts.broke_off AND {_HAS_ENOUGH} THEN 'partial'
        WHEN facts.broke_off THEN 'break_off'
        WHEN facts.called AND contact.state = 'excluded' AND contact.do_not_call AND NOT contact.number_rejected
            THEN 'refusal'
        WHEN facts.broke_down THEN 'other'
        WHEN facts.answered THEN 'non_contact'
        WHEN facts.machine THEN 'machine'
        WHEN facts.fax THEN 'fax'
        WHEN contact.number_rejected OR (facts.gone AND NOT facts.rang AND NOT facts.busy) THEN 'not_working'
        WHEN facts.rang THEN 'no_answer'
        WHEN facts.busy THEN 'busy'
        WHEN facts.called THEN 'failed'
        WHEN contact.state = 'excluded' AND contact.do_not_call THEN 'excluded'
        ELSE 'not_attempted'
    END
"""
IS_UNFINISHED = "contact.next_attempt_at IS NOT NULL OR contact.state = 'in_progress'"
_CONTACTS = """
    contacts_contact AS contact
    LEFT JOIN ({facts}) AS facts ON facts.contact_id = contact.id
    CROSS JOIN (
        SELECT array(SELECT id FROM campaigns_question WHERE campaign_id = %s AND NOT is_withdrawn) AS questions
    ) AS asked
    WHERE {scope}
"""
_OF_CAMPAIGN = _CONTACTS.format(facts=_FACTS.format(scope="campaign_id = %s"), scope="contact.campaign_id = %s")
_OF_SOME = _CONTACTS.format(
    facts=_FACTS.format(scope="contact_id = ANY (%s::uuid[])"), scope="contact.id = ANY (%s::uuid[])"
)
# In a question about contacts: of the one that is being looked at.
_OF_ONE = _CONTACTS.format(
    facts=_FACTS.format(scope="contact_id = contacts_contact.id"), scope="contact.id = contacts_contact.id"
)

# So many of a campaign's newest contacts tell what many of them have: this share or more.
SAMPLE = 2000
FREQUENT = 0.1
# What few have may take so long to find: several times as long as a list's own questions may.
PATIENCE = "20s"


class DispositionCount(NamedTuple):
    """``unfinished``: so many of the contacts are still to be called, or in a call, and may come to another one."""

    contacts: int
    unfinished: int


def count_dispositions(campaign: Campaign) -> Mapping[str, DispositionCount]:
    """Of all contacts of the campaign, each once; one question, which reads all its calls."""
    sql = f"""
        SELECT {_DISPOSITION}, count(*), count(*) FILTER (WHERE {IS_UNFINISHED}) FROM {_OF_CAMPAIGN} GROUP BY 1
    """
    counts = dict.fromkeys(DISPOSITIONS, DispositionCount(0, 0))
    for name, contacts, unfinished in _fetch(sql, [campaign.pk] * 3):
        counts[name] = DispositionCount(contacts, unfinished)
    return counts


def list_names(symbol: str) -> list[str]:
    """Of the dispositions that count as this symbol of the rates."""
    return [name for name, disposition in DISPOSITIONS.items() if disposition.symbol == symbol]


def filter_contacts(contacts: QuerySet[Contact], campaign_id: UUID, names: Collection[str]) -> QuerySet[Contact]:
    """Those of the campaign that have one of these dispositions.

    A list reads its contacts one by one until it has enough, which is quick for what many have. What few have is looked
    for in all contacts together, once, and found by its ids.
    """
    contacts = contacts.filter(campaign=campaign_id)
    newest = Contact.objects.filter(campaign=campaign_id).order_by("-pk").values_list("pk", flat=True)[:SAMPLE]
    sample = find_dispositions(campaign_id, newest)
    found = [contact for contact, disposition in sample.items() if disposition.name in names]
    if len(sample) == SAMPLE and len(found) < SAMPLE * FREQUENT:
        found = _read_ids(campaign_id, names)
    elif len(sample) == SAMPLE:
        found = None
    if found is not None and len(found) <= MOST_COUNTED:
        return contacts.filter(pk__in=found)
    own = RawSQL(f"SELECT {_DISPOSITION} FROM {_OF_ONE}", [campaign_id])
    return contacts.alias(disposition=own).filter(disposition__in=names)


def find_dispositions(campaign_id: UUID, contacts: Iterable[UUID]) -> Mapping[UUID, Disposition]:
    """Of some contacts of the campaign."""
    ids = write_array(contacts)
    found = _fetch(f"SELECT contact.id, {_DISPOSITION} FROM {_OF_SOME}", [ids, campaign_id, ids])
    return {contact: DISPOSITIONS[name] for contact, name in found}


def _read_ids(campaign_id: UUID, names: Collection[str]) -> list[UUID]:
    """The newest first, and no more than a list shows and one. It may take longer than a list's own questions."""
    sql = f"""
        SELECT contact.id FROM {_OF_CAMPAIGN} AND {_DISPOSITION} = ANY (%s)
        ORDER BY contact.id DESC LIMIT {MOST_COUNTED + 1}
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('statement_timeout'), set_config('statement_timeout', %s, true)", [PATIENCE]
        )
        usual, _ours = cursor.fetchone()
        found = [contact for (contact,) in _fetch(sql, [*[campaign_id] * 3, [*names]])]
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [usual])
    return found


def add_up(counts: Mapping[str, DispositionCount]) -> Counter[str]:
    """How many contacts there are of each symbol of the rates."""
    symbols = Counter[str]()
    for name, count in counts.items():
        symbols[DISPOSITIONS[name].symbol] += count.contacts
    return symbols


def _fetch(sql: str, values: list[Any]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        yield from cursor.fetchall()
