"""What a campaign asks: what is wrong with its questions, and as what they are asked once it runs."""

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils.translation import gettext

from campaigns.models import (
    MOST_CHOICES,
    SCALE_END,
    Campaign,
    CampaignStatus,
    Language,
    Question,
    QuestionType,
    QuestionVersion,
    Wording,
)

CONTENT = [field.name for field in Wording._meta.fields]
# Of these an edit is asked from then on: calls may be going on, and others may follow without another start.
ASKING = {CampaignStatus.SCHEDULED, CampaignStatus.RUNNING, CampaignStatus.PAUSED}
# What only some types of questions have.
LIMITS, CHOICES = ("lowest", "highest"), ("choices_en", "choices_it")
FIELDS_OF_TYPE = {
    QuestionType.SCALE: LIMITS,
    QuestionType.NUMERIC: LIMITS,
    QuestionType.YES_NO: (),
    QuestionType.SINGLE_CHOICE: CHOICES,
    QuestionType.FREE_TEXT: (),
}
LEAST_CHOICES = 2


def drop_what_does_not_apply(wording: Wording) -> None:
    """Limits and choices that a question of its type does not have."""
    fields = FIELDS_OF_TYPE.get(wording.type, ())
    if not set(LIMITS).intersection(fields):
        wording.lowest = wording.highest = None
    if not set(CHOICES).intersection(fields):
        wording.choices_en, wording.choices_it = [], []


def find_faults(wording: Wording) -> dict[str, str]:
    """What can never be asked like that, by the name of the field; texts may still be missing."""
    faults = {}
    if wording.type == QuestionType.SCALE:
        missing = gettext("A scale has two ends.")
        faults = {name: missing for name in ("lowest", "highest") if getattr(wording, name) is None}
        if wording.highest is not None and wording.highest > SCALE_END:
            faults["highest"] = gettext("A scale goes up to %(end)s at most; ask for a number instead.") % {
                "end": SCALE_END
            }
    # Nobody is asked for less than 0.
    if wording.highest is not None and (wording.lowest or 0) >= wording.highest:
        faults["highest"] = gettext("It must be larger than the lowest.")
    if wording.type == QuestionType.SINGLE_CHOICE:
        faults |= _find_faults_of_choices(wording)
    return faults


def _find_faults_of_choices(wording: Wording) -> dict[str, str]:
    faults = {}
    for name in ("choices_en", "choices_it"):
        choices = getattr(wording, name)
        if choices and not LEAST_CHOICES <= len(choices) <= MOST_CHOICES:
            text = gettext("Write %(least)s to %(most)s choices, one a line.")
            faults[name] = text % {"least": LEAST_CHOICES, "most": MOST_CHOICES}
        elif len({choice.casefold() for choice in choices}) < len(choices):
            faults[name] = gettext("A choice stands there twice.")
    if not faults and wording.choices_en and wording.choices_it and len(wording.choices_en) != len(wording.choices_it):
        faults["choices_it"] = gettext("Write as many choices as in English, in the same order.")
    return faults


def find_missing_texts(wording: Wording, languages: Iterable[Language]) -> dict[str, str]:
    """What is still to be written before it can be asked in these languages, by the name of the field."""
    missing = {}
    for language in languages:
        if not wording.text_in(language).strip():
            missing[f"text_{language}"] = gettext("It has no text in %(language)s.") % {"language": language.label}
        if wording.type == QuestionType.SINGLE_CHOICE and not wording.choices_in(language):
            text = gettext("It has no choices in %(language)s.")
            missing[f"choices_{language}"] = text % {"language": language.label}
    return missing


def find_question_problems(campaign: Campaign) -> list[str]:
    """Why its questions cannot be asked as they are stored, each a sentence."""
    questions = list_questions(campaign)
    problems = [] if questions else [gettext("It asks nothing: write at least one question.")]
    for number, question in enumerate(questions, start=1):
        found = find_faults(question) | find_missing_texts(question, campaign.spoken_languages)
        for problem in found.values():
            problems.append(gettext("Question %(number)s: %(problem)s") % {"number": number, "problem": problem})
    return problems


def list_questions(campaign: Campaign) -> Sequence[Question]:
    """In the order in which they are asked."""
    return list(campaign.questions.filter(is_withdrawn=False))


def list_versions(campaign: Campaign) -> Sequence[QuestionVersion]:
    """The questions as they are asked now, in order; empty until it has run."""
    last = QuestionVersion.objects.filter(question__campaign=campaign, question__is_withdrawn=False)
    versions = last.order_by("question_id", "-number").distinct("question_id").select_related("question")
    return sorted(versions, key=lambda version: (version.question.position, version.question.pk))


def freeze_questions(campaign: Campaign) -> int:
    """Make a version of each question that has changed since its last one; returns how many.

    To be called in the transaction that starts the campaign, or that edits one that has run.
    """
    with transaction.atomic():
        # One after the other, or two would give the same number.
        questions = list(campaign.questions.select_for_update(no_key=True).filter(is_withdrawn=False).order_by("pk"))
        asked = {version.question_id: version for version in list_versions(campaign)}
        new = []
        for question in questions:
            content, last = _content_of(question), asked.get(question.pk)
            if last is None or _content_of(last) != content:
                number = 1 + (last.number if last else 0)
                new.append(QuestionVersion(question=question, number=number, **content))
        QuestionVersion.objects.bulk_create(new)
    return len(new)


def questions_edited(campaign: Campaign, *, saved: Iterable[Question], removed: Iterable[Question]) -> None:
    """Store what an operator has edited; where calls may be going on it is asked like that from now on.

    To be called in the transaction of the edit, which has the campaign locked.
    """
    places = {question.pk: question.position for question in list_questions(campaign)}
    for question in removed:
        _withdraw(question)
    saved = list(saved)
    for question in saved:
        question.save()
    _number_questions(campaign, moved=[each for each in saved if each.position != places.get(each.pk)])
    if Campaign.objects.filter(pk=campaign.pk, status__in=ASKING).exists():
        freeze_questions(campaign)


def _withdraw(question: Question) -> None:
    """Ask it no more; one that was never asked goes away."""
    if question.versions.exists():
        Question.objects.filter(pk=question.pk).update(is_withdrawn=True)
    else:
        question.delete()


def copy_questions(campaign: Campaign, to: Campaign) -> None:
    Question.objects.bulk_create(
        Question(campaign=to, position=question.position, **_content_of(question))
        for question in list_questions(campaign)
    )


def _number_questions(campaign: Campaign, *, moved: Sequence[Question]) -> None:
    """Give them the positions 1, 2, 3: whoever was moved gets the wanted one, the others stay in their order."""
    wanted = {question.pk: question.position for question in moved}
    questions = list_questions(campaign)
    order = [question for question in questions if question.pk not in wanted]
    for question in sorted((each for each in questions if each.pk in wanted), key=lambda each: wanted[each.pk]):
        order.insert(max(0, wanted[question.pk] - 1), question)
    for position, question in enumerate(order, start=1):
        question.position = position
    Question.objects.bulk_update(order, ["position"])


def _content_of(wording: Wording) -> dict[str, object]:
    return {name: getattr(wording, name) for name in CONTENT}
