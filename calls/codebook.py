"""What the columns and codes of a campaign's results mean, as a workbook."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calls.dispositions import DISPOSITIONS
from calls.survey_data import CONTACT_COLUMNS, SKIPPED, AskedQuestion, name_questions
from campaigns.models import Campaign, Question, QuestionType, QuestionVersion, Wording
from contacts.models import CallOutcome, ContactState
from contacts.spreadsheets import Cell
from contacts.workbook_stream import Sheet

MEANINGS: dict[str, Promise] = {
    "campaign_id": gettext_lazy("The campaign."),
    "contact_id": gettext_lazy("The contact; no two rows have the same."),
    "external_contact_id": gettext_lazy("The name in your own system; empty once the person is erased."),
    "phone_number": gettext_lazy("In international form (E.164); empty once the person is erased."),
    "state": gettext_lazy("Where the contact stands."),
    "outcome": gettext_lazy("How the last call ended; empty before it."),
    "disposition": gettext_lazy("The final disposition by the AAPOR Standard Definitions, by all calls so far."),
    "aapor_code": gettext_lazy("The code of the disposition there. It is a name and not a number: 2.20 is not 2.2."),
    "attempt_count": gettext_lazy("How often the contact was called."),
    "first_attempt_at": gettext_lazy("When the first call was placed."),
    "last_attempt_at": gettext_lazy("When the last call was placed."),
    "consented_at": gettext_lazy("When the person last agreed to take part."),
    "completed_at": gettext_lazy("When the person had answered everything."),
    "language": gettext_lazy("In which the person is spoken to."),
}
CODED: dict[str, dict[str, Promise | str]] = {
    "state": dict(ContactState.choices),
    "outcome": dict(CallOutcome.choices),
    "disposition": {one.name: one.title for one in DISPOSITIONS.values()},
    "aapor_code": {one.code: format_lazy("{} ({})", one.title, one.symbol) for one in DISPOSITIONS.values()},
}

COLUMN_HEADER = ("column", "meaning")
QUESTION_HEADER = (
    *("column", "question_id", "position", "is_withdrawn", "version", "asked_from", "asked_until", "type"),
    *("is_required", "text_en", "text_it", "lowest", "highest"),
)
CODE_HEADER = ("column", "version", "code", "label_en", "label_it")


def list_sheets(campaign: Campaign) -> list[Sheet]:
    """In the current language, but for the texts of questions."""
    asked = name_questions(campaign)
    return [
        Sheet("Columns", COLUMN_HEADER, list(_list_columns(asked))),
        Sheet("Questions", QUESTION_HEADER, list(_list_questions(asked))),
        Sheet("Codes", CODE_HEADER, list(_list_codes(asked))),
        Sheet("Contact codes", ("column", "code", "label"), list(_list_contact_codes())),
    ]


def _list_columns(asked: Sequence[AskedQuestion]) -> Iterator[Sequence[Cell]]:
    for column in CONTACT_COLUMNS:
        yield column, str(MEANINGS[column])
    for one in asked:
        text = _("The answer to: %(question)s Empty: not answered. %(skipped)s: passed over.")
        yield one.name, text % {"question": one.question, "skipped": SKIPPED}
        if one.is_choice:
            yield f"{one.name}_label", _("The choice that was taken, in the campaign's own language.")
        yield f"{one.name}_version", _("The version of the question that was answered.")


def _list_questions(asked: Sequence[AskedQuestion]) -> Iterator[Sequence[Cell]]:
    for one in asked:
        followed = [*pairwise(one.versions), *((last, None) for last in one.versions[-1:])]
        for version, following in followed:
            period = (version.number, version.created_at, following and following.created_at)
            yield _describe(one.name, one.question, version, *period)
        if not one.versions:
            yield _describe(one.name, one.question, one.question, None, None, None)


def _describe(name: str, question: Question, wording: Wording, *period: Cell) -> Sequence[Cell]:
    return (
        *(name, str(question.pk), question.position, question.is_withdrawn, *period, wording.type),
        *(wording.is_required, wording.text_en, wording.text_it, wording.lowest, wording.highest),
    )


def _list_codes(asked: Sequence[AskedQuestion]) -> Iterator[Sequence[Cell]]:
    for one in asked:
        for wording in one.wordings:
            number = wording.number if isinstance(wording, QuestionVersion) else None
            for code, *labels in _list_codes_of(wording):
                yield one.name, number, code, *labels
            yield one.name, number, SKIPPED, "", ""


def _list_codes_of(wording: Wording) -> Iterator[tuple[Cell, str, str]]:
    match wording.type:
        case QuestionType.YES_NO:
            yield "yes", "Yes", "Sì"
            yield "no", "No", "No"
        case QuestionType.SCALE:
            for value in range(wording.lowest, wording.highest + 1):
                yield value, "", ""
        case QuestionType.SINGLE_CHOICE:
            for place in range(max(len(wording.choices_en), len(wording.choices_it))):
                labels = (choices[place : place + 1] for choices in (wording.choices_en, wording.choices_it))
                yield place + 1, *("".join(label) for label in labels)


def _list_contact_codes() -> Iterator[Sequence[Cell]]:
    for column, labels in CODED.items():
        for code, label in labels.items():
            yield column, code, str(label)
