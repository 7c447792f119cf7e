"""The results of a campaign as a table: one row for each contact, with what became of it and what it answered."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, Max, Min, OuterRef, Q
from django.db.models.functions import Coalesce

from calls.answer_wording import say_value
from calls.dispositions import find_dispositions
from calls.erased_words import are_words_erased
from calls.models import Answer, CallAttempt
from campaigns.models import Campaign, Question, QuestionType, QuestionVersion, Wording
from campaigns.questions import list_questions
from contacts.models import CallOutcome, Contact
from contacts.spreadsheets import Cell

# Each chunk is asked for anew, so that no cursor stays open as long as somebody downloads.
CHUNK_SIZE = 1000

SKIPPED = "(skipped)"  # brackets, because own words may be anything that can be said
_AS_NUMBERS = {QuestionType.SCALE, QuestionType.NUMERIC, QuestionType.SINGLE_CHOICE}

CONTACT_COLUMNS = (
    "campaign_id",
    "contact_id",
    "external_contact_id",
    "phone_number",
    "state",
    "outcome",
    "disposition",
    "aapor_code",
    "attempt_count",
    "first_attempt_at",
    "last_attempt_at",
    "consented_at",
    "completed_at",
    "language",
)


class AskedQuestion(NamedTuple):
    """A question with all of its versions, the first one first, and the name of its column."""

    name: str
    question: Question
    versions: Sequence[QuestionVersion]

    @property
    def wordings(self) -> Sequence[Wording]:
        """As it was asked or, before it ever was, as it is written."""
        return self.versions or [self.question]

    @property
    def is_choice(self) -> bool:
        return any(wording.type == QuestionType.SINGLE_CHOICE for wording in self.wordings)

    @property
    def columns(self) -> list[str]:
        return [self.name, *([f"{self.name}_label"] if self.is_choice else []), f"{self.name}_version"]


class CallFacts(NamedTuple):
    """Of all calls of a contact that may have rung."""

    first_attempt_at: datetime | None = None
    last_attempt_at: datetime | None = None
    consented_at: datetime | None = None
    completed_at: datetime | None = None


class StoredAnswer(NamedTuple):
    version_id: UUID
    value: str
    raw: str
    means: str


def name_questions(campaign: Campaign) -> list[AskedQuestion]:
    """In the order in which they are asked, q1 first; then those that are asked no more and have answers.

    These are named by the end of their id, so that none takes the name of another when one more is withdrawn.
    """
    answers = Answer.objects.filter(question=OuterRef("pk"), is_current=True)
    withdrawn = campaign.questions.filter(Exists(answers), is_withdrawn=True)
    named = [
        *((f"q{number}", question) for number, question in enumerate(list_questions(campaign), start=1)),
        *((f"withdrawn_{question.pk.hex[-8:]}", question) for question in withdrawn),
    ]
    versions = defaultdict(list)
    for version in QuestionVersion.objects.filter(question__campaign=campaign).order_by("question_id", "number"):
        versions[version.question_id].append(version)
    return [AskedQuestion(name, question, versions[question.pk]) for name, question in named]


def list_columns(asked: Sequence[AskedQuestion]) -> list[str]:
    return [*CONTACT_COLUMNS, *(column for one in asked for column in one.columns)]


def list_rows(campaign: Campaign, asked: Sequence[AskedQuestion]) -> Iterator[list[Cell]]:
    """Of every contact that was there when it began, in the order in which they were made.

    The columns are those of the beginning: a question that is added meanwhile has none, an edit of one is in its own.
    """
    last = UUID(int=0)
    versions = {version.pk: version for one in asked for version in one.versions}
    while contacts := _read_contacts(campaign, last):
        last, ids = contacts[-1].pk, [contact.pk for contact in contacts]
        dispositions, facts, answers = find_dispositions(campaign.pk, ids), _read_calls(ids), _read_answers(ids)
        versions |= _read_versions(_list_unknown(answers, versions))
        for contact in contacts:
            calls, disposition = facts.get(contact.pk, CallFacts()), dispositions[contact.pk]
            yield [
                str(campaign.pk),
                str(contact.pk),
                contact.external_contact_id,
                contact.phone_number,
                contact.state,
                contact.last_outcome,
                disposition.name,
                disposition.code,
                contact.attempts_count,
                *calls,
                campaign.language_for(contact.preferred_language).value,
                *_list_cells(campaign, asked, versions, answers[contact.pk]),
            ]


def _read_contacts(campaign: Campaign, after: UUID) -> Sequence[Contact]:
    """The campaign as a range, and in the order, for the same reason as in `contacts.rearming`."""
    ahead = Contact.objects.filter(campaign__gte=campaign, campaign__lte=campaign, pk__gt=after)
    return list(ahead.order_by("campaign_id", "pk")[:CHUNK_SIZE])


def _read_calls(contacts: Sequence[UUID]) -> Mapping[UUID, CallFacts]:
    placed_at = Coalesce("started_at", "claimed_at")
    rows = CallAttempt.objects.filter(contact__in=contacts, given_back=False).order_by().values_list("contact_id")
    rows = rows.annotate(
        first=Min(placed_at),
        last=Max(placed_at),
        consented=Max("consented_at"),
        completed=Max("decided_at", filter=Q(outcome=CallOutcome.COMPLETED)),
    )
    return {contact: CallFacts(*instants) for contact, *instants in rows}


def _read_answers(contacts: Sequence[UUID]) -> Mapping[UUID, Mapping[UUID, StoredAnswer]]:
    """By contact and question."""
    answers: dict[UUID, dict[UUID, StoredAnswer]] = defaultdict(dict)
    rows = Answer.objects.filter(contact__in=contacts, is_current=True).order_by()
    for contact, question, *answer in rows.values_list("contact_id", "question_id", *StoredAnswer._fields):
        answers[contact][question] = StoredAnswer(*answer)
    return answers


def _list_unknown(
    answers: Mapping[UUID, Mapping[UUID, StoredAnswer]], versions: Mapping[UUID, QuestionVersion]
) -> set[UUID]:
    """Versions that an edit has made since the columns were read."""
    return {answer.version_id for own in answers.values() for answer in own.values()} - versions.keys()


def _read_versions(ids: Collection[UUID]) -> Mapping[UUID, QuestionVersion]:
    return QuestionVersion.objects.in_bulk(ids) if ids else {}


def _list_cells(
    campaign: Campaign,
    asked: Sequence[AskedQuestion],
    versions: Mapping[UUID, QuestionVersion],
    answers: Mapping[UUID, StoredAnswer],
) -> Iterator[Cell]:
    for one in asked:
        answer = answers.get(one.question.pk)
        if answer is None:
            yield from [None] * len(one.columns)
            continue
        version = versions[answer.version_id]
        yield _write_value(version, answer)
        if one.is_choice:
            yield _find_label(campaign, version, answer.value)
        yield version.number


def _write_value(version: QuestionVersion, answer: StoredAnswer) -> Cell:
    if are_words_erased(value=answer.value, raw=answer.raw, means=answer.means):
        return None
    if not answer.value:
        return SKIPPED
    return int(answer.value) if version.type in _AS_NUMBERS else answer.value


def _find_label(campaign: Campaign, version: QuestionVersion, value: str) -> str:
    """The choice in the campaign's own language, whichever it was offered in, so that there is one label for each."""
    is_choice = value and version.type == QuestionType.SINGLE_CHOICE
    return say_value(version, value, campaign.language) if is_choice else ""
