"""What the page of a campaign's results shows, ready for its template."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from calls.answer_wording import list_choices, say_question
from calls.clock import Clock
from calls.distributions import Summary, summarise_numbers
from calls.question_results import Part, QuestionResult, describe_questions
from calls.results import PASSED_OVER, Results, list_asked, recall_results
from calls.results_charts import chart_numbers, chart_responses, chart_seconds, say_length
from campaigns.models import Campaign, Question, QuestionType, QuestionVersion


def describe_results(campaign: Campaign, *, chosen: Collection[UUID], clock: Clock) -> dict[str, Any]:
    """``chosen``: versions of which it is to tell alone, of their questions."""
    questions = list_asked(campaign)
    results = recall_results(campaign, questions, clock=clock)
    responses, period = chart_responses(results.by_day)
    durations = summarise_numbers(results.seconds)
    described = describe_questions(questions, results.answers, language=campaign.language, chosen=chosen)
    return {
        "results": results,
        "broken_off": results.broken_off.total(),
        "current": count_current(questions, results),
        "completion_rate": find_completion_rate(results),
        "durations": durations and describe_durations(durations),
        "duration_chart": chart_seconds(results.seconds),
        "responses": responses,
        "period": period,
        "questions": [present_question(one, number, campaign) for number, one in enumerate(described, start=1)],
        "break_offs": list(list_break_offs(questions, results, campaign.language)),
    }


def count_current(questions: Sequence[Question], results: Results) -> int:
    """Answers, without what was passed over, to the questions as they are asked now."""
    asked = [question.versions.all() for question in questions if not question.is_withdrawn]
    counts = (results.answers.get(list(versions)[-1].pk, {}) for versions in asked)
    return sum(many for count in counts for told, many in count.items() if told != PASSED_OVER)


def find_completion_rate(results: Results) -> float | None:
    """In percent of those who agreed to take part in a call that is over; None without any."""
    completed = results.seconds.total() + results.resumed
    agreed = completed + results.refused_midway + results.broken_off.total()
    return 100 * completed / agreed if agreed else None


def describe_durations(summary: Summary) -> dict[str, str]:
    return {
        "median": say_length(summary.median),
        "first_quartile": say_length(summary.first_quartile),
        "third_quartile": say_length(summary.third_quartile),
        "lowest": say_length(summary.lowest),
        "highest": say_length(summary.highest),
        "mean": say_length(summary.mean),
    }


def present_question(one: QuestionResult, number: int, campaign: Campaign) -> dict[str, Any]:
    """With the address of each version alone, and of the list of own words."""
    page = reverse("admin:campaigns_campaign_results", args=[campaign.pk])
    anchor = f"question-{one.question.pk}"
    return {
        "result": one,
        "number": number,
        "anchor": anchor,
        "all": f"{page}#{anchor}",
        "versions": [
            {
                "version": version,
                "text": say_question(version, campaign.language),
                "way": say_way(version),
                "choices": list_choices(version, campaign.language),
                "url": f"{page}?{urlencode({'version': version.pk})}#{anchor}",
            }
            for version in one.versions
        ],
        "parts": [present_part(part, one, campaign) for part in one.parts],
    }


def present_part(part: Part, one: QuestionResult, campaign: Campaign) -> dict[str, Any]:
    words = reverse("admin:campaigns_campaign_words", args=[campaign.pk, one.question.pk])
    is_number = part.last.type == QuestionType.NUMERIC
    return {
        "part": part,
        "way": say_way(part.last),
        "numbers": ", ".join(str(version.number) for version in part.versions),
        "chart": chart_numbers(part.numbers) if is_number else None,
        "figures": list(list_figures(part)),
        "words": f"{words}?{urlencode({'version': one.chosen.pk})}" if one.chosen else words,
        "is_words": part.last.type == QuestionType.FREE_TEXT,
    }


def say_way(version: QuestionVersion) -> str:
    """Its type, and of a scale its ends."""
    if version.type == QuestionType.SCALE:
        ends = {"lowest": version.lowest, "highest": version.highest}
        return pgettext("question", "Scale from %(lowest)s to %(highest)s") % ends
    return str(version.get_type_display())


def list_figures(part: Part) -> Iterator[tuple[str, str]]:
    summary = part.summary
    if summary is None:
        return
    yield _("Median"), say_number(summary.median)
    yield _("Mean"), say_number(summary.mean)
    if part.last.type == QuestionType.NUMERIC:
        middle = {"first": say_number(summary.first_quartile), "last": say_number(summary.third_quartile)}
        yield _("Middle half"), pgettext("numbers", "%(first)s to %(last)s") % middle
        yield _("Least"), say_number(summary.lowest)
        yield _("Most"), say_number(summary.highest)


def say_number(number: float) -> str:
    """With two places at most."""
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return number_format(text, force_grouping=True)


def list_break_offs(questions: Sequence[Question], results: Results, language: str) -> Iterator[dict[str, Any]]:
    """For each question how many broke off there, of all who did and of those who got there, in percent."""
    total = results.broken_off.total()
    for number, question in enumerate((one for one in questions if not one.is_withdrawn), start=1):
        versions = list(question.versions.all())
        broken_off = results.broken_off[question.pk]
        reached = broken_off + sum(results.answers[one.pk].total() for one in versions if one.pk in results.answers)
        yield {
            "number": number,
            "text": say_question(versions[-1], language),
            "count": broken_off,
            "share": 100 * broken_off / (total or 1),
            "reached": reached,
            "rate": 100 * broken_off / reached if reached else None,
        }
    if rest := results.broken_off[None]:
        text = _("At a question that is asked no more")
        yield {"number": "", "text": text, "count": rest, "share": 100 * rest / total, "reached": None, "rate": None}
