"""What a campaign has found out: read in a fixed number of queries, whatever it asks and however many have answered."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Prefetch
from django.utils import timezone

from calls.clock import Clock
from calls.dispositions import BROKE_OFF, IS_UNFINISHED
from calls.erased_words import IS_ANSWERED
from calls.recollection import recollection
from calls.tallies import read_campaigns
from campaigns.models import Campaign, Question, QuestionType, QuestionVersion
from contacts.arrays import write_array
from contacts.models import CallOutcome, ContactState

# As the answers to a version are counted: by their value, but for own words, of which no two are the same.
PASSED_OVER, OWN_WORDS = "", "words"

_COUNT_ANSWERS = f"""
    SELECT version_id, CASE
        WHEN NOT version_id = ANY (%(of_words)s::uuid[]) THEN value
        WHEN {IS_ANSWERED} THEN %(words)s
        ELSE %(passed_over)s END AS told, count(*)
    FROM calls_answer WHERE question_id = ANY (%(questions)s::uuid[]) AND is_current GROUP BY version_id, told
"""
# By the day of the reader's calendar and the seconds that it took; none of one that was completed without questions.
_COUNT_COMPLETED = """
    SELECT (decided_at AT TIME ZONE %(zone)s)::date AS day,
        round(extract(epoch FROM decided_at - consented_at))::int AS seconds, count(*)
    FROM calls_callattempt WHERE campaign_id = %(campaign)s AND outcome = 'completed' GROUP BY day, seconds
"""
_BROKEN_OFF = f"""
    SELECT contact_id, max(ended_at) AS broken_off_at, count(*) AS calls FROM calls_callattempt
    WHERE campaign_id = %(campaign)s AND {BROKE_OFF}
    GROUP BY contact_id
"""
# Those of them which were completed in a later call, by the seconds that this took.
_COUNT_RESUMED = f"""
    SELECT round(extract(epoch FROM decided_at - consented_at))::int AS seconds, count(*)
    FROM calls_callattempt AS attempt JOIN ({_BROKEN_OFF}) AS broken USING (contact_id)
    WHERE campaign_id = %(campaign)s AND outcome = 'completed' AND consented_at IS NOT NULL GROUP BY seconds
"""
_COUNT_REFUSED = """
    SELECT count(*), count(consented_at)
    FROM calls_callattempt WHERE campaign_id = %(campaign)s AND outcome = 'refused'
"""
# Of each contact the first question without an answer, of those that were asked at the time if there is one.
_COUNT_BROKEN_OFF = f"""
    SELECT asked.question_id, coalesce(sum(calls), 0), count(*) FILTER (WHERE is_left),
        count(*) FILTER (WHERE is_left AND ({IS_UNFINISHED}))
    FROM ({_BROKEN_OFF}) AS broken JOIN contacts_contact AS contact ON contact.id = broken.contact_id
    CROSS JOIN LATERAL (SELECT NOT contact.state = ANY (%(over)s) AS is_left) AS state
    LEFT JOIN LATERAL (
        SELECT question_id
        FROM unnest(%(asked)s::uuid[], %(since)s::timestamptz[]) WITH ORDINALITY AS one (question_id, since, place)
        WHERE is_left AND NOT EXISTS (
            SELECT FROM calls_answer AS answer
            WHERE answer.contact_id = contact.id AND answer.question_id = one.question_id AND is_current)
        ORDER BY since > broken_off_at, place LIMIT 1
    ) AS asked ON true
    GROUP BY asked.question_id
"""
_NOT_BROKEN_OFF = [ContactState.COMPLETED, ContactState.REFUSED]
_NOT_DECIDED = {CallOutcome.NO_ANSWER, CallOutcome.BUSY, CallOutcome.FAILED}


@dataclass(frozen=True, kw_only=True)
class Results:
    """``answers`` are the current ones, by version and then by what is told (``PASSED_OVER``, ``OWN_WORDS``).

    ``by_day``: completed surveys. ``seconds``: how many took so long from the consent to the last answer; the
    ``resumed`` ones, which took several calls, are not among them. ``refused_midway``: after the consent.

    ``broken_off``: contacts that once agreed to take part and neither completed nor refused since, by the question that
    they did not answer; None: what was left to ask them is asked no more. ``called_again``: those who still wait for a
    call, or are in one. ``at_consent``: calls that were over before the person agreed.
    """

    as_of: datetime
    answers: Mapping[UUID, Counter[str]]
    by_day: Counter[date]
    seconds: Counter[int]
    resumed: int
    refused: int
    refused_midway: int
    broken_off: Counter[UUID | None]
    called_again: int
    at_consent: int

    @property
    def completed(self) -> int:
        return self.by_day.total()


def list_asked(campaign: Campaign) -> Sequence[Question]:
    """All questions that have been asked, each with its ``versions``: in their order, then the withdrawn ones."""
    versions = Prefetch("versions", QuestionVersion.objects.order_by("number"))
    questions = campaign.questions.prefetch_related(versions).order_by("is_withdrawn", "position", "pk")
    return [question for question in questions if question.versions.all()]


def recall_results(campaign: Campaign, questions: Sequence[Question], *, clock: Clock) -> Results:
    """Of this moment or a little old; days are those of the current time zone."""
    key = ("results", campaign.pk, timezone.get_current_timezone_name())
    return recollection.recall(key, lambda: read_results(campaign, questions, clock=clock))


def read_results(campaign: Campaign, questions: Sequence[Question], *, clock: Clock) -> Results:
    """``questions``: those of `list_asked`."""
    now = clock.synchronise()
    of_campaign = {"campaign": campaign.pk, "zone": timezone.get_current_timezone_name()}
    by_day, seconds = _count_completed(of_campaign)
    resumed = _count_seconds(_fetch(_COUNT_RESUMED, of_campaign))
    ((refused, refused_midway),) = _fetch(_COUNT_REFUSED, of_campaign)
    broken_off, called_again, interrupted = _count_broken_off(of_campaign, questions)
    counts = read_campaigns([campaign], now=now).counts
    undecided = sum(count.answered for count in counts if count.rang and count.outcome in _NOT_DECIDED)
    return Results(
        as_of=now,
        answers=_count_answers(questions),
        by_day=by_day,
        seconds=seconds - resumed,
        resumed=resumed.total(),
        refused=refused,
        refused_midway=refused_midway,
        broken_off=broken_off,
        called_again=called_again,
        at_consent=max(0, undecided - interrupted),
    )


def _count_answers(questions: Collection[Question]) -> Mapping[UUID, Counter[str]]:
    versions = [version for question in questions for version in question.versions.all()]
    values = {
        "questions": write_array(question.pk for question in questions),
        "of_words": write_array(version.pk for version in versions if version.type == QuestionType.FREE_TEXT),
        "words": OWN_WORDS,
        "passed_over": PASSED_OVER,
    }
    counts = defaultdict[UUID, Counter[str]](Counter)
    for version, told, many in _fetch(_COUNT_ANSWERS, values):
        counts[version][told] += many
    return counts


def _count_completed(of_campaign: Mapping[str, Any]) -> tuple[Counter[date], Counter[int]]:
    rows = _fetch(_COUNT_COMPLETED, of_campaign)
    by_day = Counter[date]()
    for day, _, many in rows:
        by_day[day] += many
    return by_day, _count_seconds((seconds, many) for _, seconds, many in rows)


def _count_seconds(rows: Iterable[tuple[int | None, int]]) -> Counter[int]:
    """A consent that was written down late, after the end of the call, has taken no time."""
    counts = Counter[int]()
    for seconds, many in rows:
        if seconds is not None:
            counts[max(0, seconds)] += many
    return counts


def _count_broken_off(
    of_campaign: Mapping[str, Any], questions: Collection[Question]
) -> tuple[Counter[UUID | None], int, int]:
    """By question; how many are called again; how many calls broke off, also of those who completed later."""
    asked = [question for question in questions if not question.is_withdrawn]
    values = {
        "asked": write_array(question.pk for question in asked),
        "since": write_array(question.versions.all()[0].created_at for question in asked),
        "over": _NOT_BROKEN_OFF,
    }
    rows = _fetch(_COUNT_BROKEN_OFF, {**of_campaign, **values})
    at = Counter({question: people for question, _, people, _ in rows if people})
    return at, sum(again for *_, again in rows), sum(calls for _, calls, *_ in rows)


def _fetch(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()
