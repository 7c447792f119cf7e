"""What a campaign has found out, against answers made by hand."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calls import conversation, outcomes
from calls.erasure import anonymise
from calls.models import Answer
from calls.providers.base import CallEvent, CallProgress, Said
from calls.results import OWN_WORDS, PASSED_OVER, list_asked, read_results
from calls.tests.conftest import NOON, FakeClock
from calls.tests.factories import AnswerFactory, CallAttemptFactory
from calls.tests.surveyed import AGE, COLOURS, WORDS, YES_NO, ask, change, survey
from campaigns.models import Question
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.models import Contact, ContactState
from contacts.tests.factories import ContactFactory

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign():
    return CampaignFactory()


def read(campaign):
    return read_results(campaign, list_asked(campaign), clock=FakeClock(NOON + DAY))


def version_of(campaign, **values):
    return ask(campaign, **values).versions.get()


# Answers


def test_answers_are_counted_by_version_and_value_with_those_that_were_passed_over(campaign):
    scale, colour = version_of(campaign), version_of(campaign, **COLOURS)
    survey(campaign, answers=[(scale, "4"), (colour, "1")])
    survey(campaign, answers=[(scale, "4"), (colour, "")])
    survey(campaign, "no_answer", [(scale, "1")])
    assert read(campaign).answers == {scale.pk: {"4": 2, "1": 1}, colour.pk: {"1": 1, PASSED_OVER: 1}}


def test_of_several_answers_of_a_person_the_current_one_counts(campaign):
    scale = version_of(campaign)
    attempt = survey(campaign, answers=[(scale, "4")])
    Answer.objects.update(is_current=False)
    AnswerFactory(attempt=attempt, version=scale, value="2")
    assert read(campaign).answers == {scale.pk: {"2": 1}}


def test_answers_to_other_campaigns_do_not_count(campaign):
    scale, other = version_of(campaign), version_of(CampaignFactory())
    survey(other.question.campaign, answers=[(other, "4")])
    survey(other.question.campaign, "refused")
    survey(other.question.campaign, "no_answer")
    found = read(campaign)
    assert (found.answers, found.completed, found.refused, found.broken_off) == ({}, 0, 0, {})
    assert scale.question in list_asked(campaign)


def test_own_words_are_counted_as_answers_also_once_the_person_is_erased(campaign):
    words = version_of(campaign, **WORDS)
    for value in ("All good.", "Too loud.", ""):
        survey(campaign, answers=[(words, value)])
    AnswerFactory(attempt=survey(campaign), version=words, value="", raw="7")
    before = read(campaign)
    assert before.answers == {words.pk: {OWN_WORDS: 2, PASSED_OVER: 2}}
    anonymise(list(Contact.objects.all()), now=NOON)
    assert not Answer.objects.exclude(value="").exists()
    assert read(campaign).answers == before.answers


def test_questions_come_in_their_order_and_the_withdrawn_ones_after_them(campaign):
    questions = [ask(campaign, position=position) for position in (3, 1, 2)]
    Question.objects.filter(pk=questions[1].pk).update(is_withdrawn=True)
    QuestionFactory(campaign=campaign, position=4)  # never asked
    assert list_asked(campaign) == [questions[2], questions[0], questions[1]]


# Completed surveys


def test_completed_surveys_are_told_by_the_day_of_the_readers_calendar(campaign):
    for at in (NOON, NOON + HOUR, datetime(2026, 3, 4, 23, 30, tzinfo=UTC)):
        survey(campaign, at=at)
    survey(campaign, "no_answer")
    with timezone.override(ZoneInfo("Europe/Rome")):
        assert read(campaign).by_day == {date(2026, 3, 4): 2, date(2026, 3, 5): 1}
    assert (read(campaign).by_day, read(campaign).completed) == ({date(2026, 3, 4): 3}, 3)


def test_a_duration_is_that_from_the_consent_to_the_decision(campaign):
    for seconds in (60, 60, 95):
        survey(campaign, seconds=seconds)
    survey(campaign, "refused", seconds=10)
    survey(campaign, "no_answer", seconds=30)
    late = survey(campaign, seconds=-5)
    CallAttemptFactory(contact=ContactFactory(campaign=campaign), outcome="completed", consented_at=None)
    found = read(campaign)
    assert late.decided_at < late.consented_at
    assert (found.seconds, found.completed) == (Counter({60: 2, 95: 1, 0: 1}), 5)


def test_a_survey_that_took_several_calls_is_none_of_the_durations(campaign):
    survey(campaign, seconds=60)
    contact = survey(campaign, "no_answer", at=NOON - DAY).contact
    survey(campaign, seconds=60, contact=contact, number=2)
    found = read(campaign)
    assert (found.completed, found.resumed, found.seconds, found.broken_off) == (2, 1, {60: 1}, {})


def test_who_refuses_is_counted_also_apart_after_the_consent(campaign):
    survey(campaign, "refused")
    survey(campaign, "refused", consented_at=None)
    found = read(campaign)
    assert (found.refused, found.refused_midway) == (2, 1)


# Break-offs


def test_who_breaks_off_is_counted_at_the_first_question_without_an_answer(campaign):
    first, second, third = (version_of(campaign, position=position) for position in (1, 2, 3))
    survey(campaign, "no_answer")
    survey(campaign, "no_answer", [(first, "4")])
    survey(campaign, "no_answer", [(first, "")])
    survey(campaign, "failed", [(third, "4"), (first, "4")])
    assert read(campaign).broken_off == {first.question_id: 1, second.question_id: 3}


def test_who_completed_or_refused_later_or_is_in_the_first_such_call_has_not_broken_off(campaign):
    version_of(campaign)
    for outcome in ("completed", "refused"):
        contact = survey(campaign, "no_answer", at=NOON - DAY).contact
        survey(campaign, outcome, contact=contact, number=2)
    first_call = CallAttemptFactory(contact=ContactFactory(campaign=campaign), answered=True, consented_at=NOON)
    Contact.objects.filter(pk=first_call.contact_id).update(state=ContactState.IN_PROGRESS, next_attempt_at=None)
    assert read(campaign).broken_off == {}


def test_who_is_in_a_call_again_has_broken_off_until_that_is_decided(campaign):
    version = version_of(campaign)
    contact = survey(campaign, "no_answer", at=NOON - DAY).contact
    CallAttemptFactory(contact=contact, attempt_number=2, answered=True, consented_at=NOON)
    Contact.objects.filter(pk=contact.pk).update(state=ContactState.IN_PROGRESS, next_attempt_at=None)
    found = read(campaign)
    assert (found.broken_off, found.called_again) == ({version.question_id: 1}, 1)


def test_a_later_call_in_vain_does_not_undo_a_break_off_and_nobody_is_counted_twice(campaign):
    version = version_of(campaign)
    contact = survey(campaign, "no_answer", at=NOON - DAY).contact
    survey(campaign, "no_answer", contact=contact, number=2)
    CallAttemptFactory(contact=contact, attempt_number=3)
    assert read(campaign).broken_off == {version.question_id: 1}


def test_who_waits_for_another_call_is_counted_apart(campaign):
    version_of(campaign)
    survey(campaign, "no_answer", next_attempt_at=NOON + DAY)
    survey(campaign, "no_answer")
    found = read(campaign)
    assert (found.broken_off.total(), found.called_again) == (2, 1)


def test_calls_that_end_before_the_consent_are_no_break_offs(campaign):
    version = version_of(campaign)
    for values in ({"answered_at": NOON}, {}, {"outcome": "busy"}):
        CallAttemptFactory(contact=ContactFactory(campaign=campaign), **values)
    survey(campaign, "no_answer")
    survey(campaign)
    survey(campaign, "refused", consented_at=None)
    found = read(campaign)
    assert (found.broken_off, found.at_consent) == ({version.question_id: 1}, 1)


def test_a_question_that_came_later_is_not_where_anybody_broke_off(campaign):
    old = version_of(campaign, position=2)
    new = ask(campaign, position=1)
    new.versions.update(created_at=NOON + HOUR)
    survey(campaign, "no_answer")
    survey(campaign, "no_answer", at=NOON + 2 * HOUR)
    assert read(campaign).broken_off == {old.question_id: 1, new.pk: 1}


def test_who_broke_off_at_a_question_that_is_withdrawn_since_is_counted_there_no_more(campaign):
    kept, gone = version_of(campaign), ask(campaign)
    survey(campaign, "no_answer", [(kept, "4")])
    Question.objects.filter(pk=gone.pk).update(is_withdrawn=True)
    assert read(campaign).broken_off == {None: 1}


# Over the telephone


def test_what_is_pressed_in_calls_is_what_the_results_tell(campaign):
    scale, again = ask(campaign, position=1).versions.get(), ask(campaign, position=2, **YES_NO).versions.get()

    def call(consent, *keys):
        contact = ContactFactory(campaign=campaign, state=ContactState.IN_PROGRESS, next_attempt_at=None)
        attempt = CallAttemptFactory(contact=contact, ringing=True, provider_call_id="")
        heard = {"call_id": attempt.call_id, "provider_call_id": f"CA{attempt.pk}"}

        def hear(key):
            said = Said(keys=key)
            return CallEvent(progress=CallProgress.ANSWERED, raw_status="in-progress", said=said, **heard)

        conversation.begin(hear(""), now=NOON)
        conversation.hear_consent(hear(consent), is_again=False, now=NOON)
        for seconds, (version, key) in enumerate(zip((scale, again), keys, strict=False), start=1):
            at = NOON + timedelta(seconds=10 * seconds)
            conversation.hear_answer(hear(key), version.pk, is_again=False, now=at)
        hung_up = CallEvent(progress=CallProgress.HUNG_UP, raw_status="completed", **heard)
        outcomes.apply_event(hung_up, now=NOON + timedelta(seconds=60))

    call("1", "4", "2")
    call("1", "5", "1")
    call("1", "3")
    call("1", "3", "9")
    call("2")
    found = read(campaign)
    assert found.answers == {scale.pk: {"4": 1, "5": 1, "3": 2}, again.pk: {"no": 1, "yes": 1}}
    assert (found.completed, found.refused, found.refused_midway) == (2, 2, 1)
    assert (found.seconds, found.broken_off) == ({20: 2}, {again.question_id: 1})
    assert found.called_again == 1


# How much is asked of the database


def test_it_takes_as_many_queries_whatever_is_asked_and_however_many_have_answered(campaign):
    def count():
        read(campaign)  # which moves the tallies on
        with CaptureQueriesContext(connection) as queries:
            read(campaign)
        return len(queries)

    version = version_of(campaign)
    few = count()
    for values in (YES_NO, COLOURS, AGE, WORDS, {}):
        change(ask(campaign, **values), text_en="Otherwise?")
    for outcome in ("completed", "refused", "no_answer"):
        for _ in range(4):
            survey(campaign, outcome, [(version, "3")])
    assert count() == few


def explain(sql):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())


def test_break_offs_are_found_without_a_look_at_all_calls(campaign):
    found = explain(f"""
        SELECT contact_id FROM calls_callattempt WHERE campaign_id = '{campaign.pk}'
            AND consented_at IS NOT NULL AND decided_at IS NULL AND ended_at IS NOT NULL
    """)
    assert "attempt_broken_off" in found
