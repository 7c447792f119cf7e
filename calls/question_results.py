"""What was answered to a question, ready to be drawn.

Answers to versions that were not asked in the same way are never added up: a scale with other ends or another type is a
part of its own. Choices are added up by their names, because a choice may have another number in another version.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from calls.answer_wording import list_choices, say_question, say_value
from calls.distributions import Summary, summarise_numbers
from calls.hearing import NO, YES
from calls.results import OWN_WORDS, PASSED_OVER
from campaigns.models import Question, QuestionType, QuestionVersion

WITH_NUMBERS = {QuestionType.SCALE, QuestionType.NUMERIC}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """``share`` in percent of the answers, without what was passed over."""

    label: str
    count: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """Versions that were asked in the same way. ``numbers``: how often there is each, of those that can be reckoned."""

    versions: Sequence[QuestionVersion]
    answers: int
    passed_over: int
    bars: Sequence[Bar]
    numbers: Counter[int]

    @property
    def last(self) -> QuestionVersion:
        return self.versions[-1]

    @property
    def summary(self) -> Summary | None:
        return summarise_numbers(self.numbers)


@dataclass(frozen=True, kw_only=True)
class QuestionResult:
    """``chosen``: the one version of which it tells; None: all of them."""

    question: Question
    text: str
    versions: Sequence[QuestionVersion]
    chosen: QuestionVersion | None
    parts: Sequence[Part]

    @property
    def answers(self) -> int:
        return sum(part.answers for part in self.parts)

    @property
    def passed_over(self) -> int:
        return sum(part.passed_over for part in self.parts)


def describe_questions(
    questions: Sequence[Question],
    answers: Mapping[UUID, Counter[str]],
    *,
    language: str,
    chosen: Collection[UUID] = (),
) -> Iterator[QuestionResult]:
    """In their order; withdrawn ones only with answers. ``chosen``: versions to tell of alone, of their questions."""
    for question in questions:
        versions = list(question.versions.all())
        if question.is_withdrawn and not any(answers.get(version.pk) for version in versions):
            continue
        one = next((version for version in versions if version.pk in chosen), None)
        yield QuestionResult(
            question=question,
            text=say_question(one or versions[-1], language),
            versions=versions,
            chosen=one,
            parts=_make_parts([one] if one else versions, answers, language),
        )


def _make_parts(
    versions: Sequence[QuestionVersion], answers: Mapping[UUID, Counter[str]], language: str
) -> Sequence[Part]:
    """The way in which it is asked now comes first; of the others those that have answers."""
    by_way: dict[tuple[object, ...], list[QuestionVersion]] = {}
    for version in versions:
        by_way.setdefault(_name_way(version), []).append(version)
    ways = sorted(by_way.values(), key=lambda way: -way[-1].number)
    parts = [_make_part(way, answers, language) for way in ways]
    return [part for place, part in enumerate(parts) if place == 0 or part.answers or part.passed_over]


def _name_way(version: QuestionVersion) -> tuple[object, ...]:
    """The same for versions whose answers may be added up."""
    is_scale = version.type == QuestionType.SCALE
    return (version.type, version.lowest, version.highest) if is_scale else (version.type,)


def _make_part(versions: Sequence[QuestionVersion], answers: Mapping[UUID, Counter[str]], language: str) -> Part:
    values = sum((answers.get(version.pk, Counter()) for version in versions), Counter[str]())
    passed_over = values.pop(PASSED_OVER, 0)
    total = values.total()
    counts = _count_labels(versions, answers, language)
    return Part(
        versions=versions,
        answers=total,
        passed_over=passed_over,
        bars=[Bar(label=label, count=count, share=100 * count / (total or 1)) for label, count in counts.items()],
        numbers=Counter({int(value): many for value, many in values.items()})
        if versions[-1].type in WITH_NUMBERS
        else Counter(),
    )


def _count_labels(
    versions: Sequence[QuestionVersion], answers: Mapping[UUID, Counter[str]], language: str
) -> dict[str, int]:
    """Of each bar, in order. The newest version's come first, also those that nobody has given."""
    names: dict[str, str] = {}
    counts = Counter[str]()
    for version in reversed(versions):
        for value in _list_values(version, language):
            name = say_value(version, value, language)
            names.setdefault(name.casefold(), name)
        for value, many in answers.get(version.pk, Counter()).items():
            if value not in (PASSED_OVER, OWN_WORDS) and version.type != QuestionType.NUMERIC:
                name = say_value(version, value, language)
                names.setdefault(name.casefold(), name)
                counts[name.casefold()] += many
    return {name: counts[key] for key, name in names.items()}


def _list_values(version: QuestionVersion, language: str) -> list[str]:
    """What may be answered, where that is told by bars."""
    if version.type == QuestionType.SCALE:
        return [str(number) for number in range(version.lowest, version.highest + 1)]
    if version.type == QuestionType.YES_NO:
        return [YES, NO]
    if version.type == QuestionType.SINGLE_CHOICE:
        return [str(number) for number, _ in enumerate(list_choices(version, language), start=1)]
    return []
