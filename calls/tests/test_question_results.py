"""What was answered to a question, ready to be drawn."""

from collections import Counter

import pytest

from calls.question_results import describe_questions
from calls.results import OWN_WORDS, list_asked
from calls.tests.surveyed import AGE, COLOURS, WORDS, YES_NO, ask, change
from campaigns.models import Question
from campaigns.tests.factories import CampaignFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign():
    return CampaignFactory()


def describe(campaign, answers, **more):
    counts = {version.pk: Counter(counted) for version, counted in answers.items()}
    return list(describe_questions(list_asked(campaign), counts, **{"language": "en"} | more))


def bars(part):
    return [(bar.label, bar.count, round(bar.share)) for bar in part.bars]


def test_a_scale_has_a_bar_for_each_of_its_numbers_and_what_was_passed_over_is_no_answer(campaign):
    version = ask(campaign).versions.get()
    (one,) = describe(campaign, {version: {"4": 3, "1": 1, "": 2}})
    (part,) = one.parts
    assert bars(part) == [("1", 1, 25), ("2", 0, 0), ("3", 0, 0), ("4", 3, 75), ("5", 0, 0)]
    assert (part.answers, part.passed_over, one.answers, one.passed_over) == (4, 2, 4, 2)
    assert (part.summary.mean, part.summary.median) == (3.25, 4)


def test_yes_and_no_and_choices_are_told_by_their_names_in_their_order(campaign):
    again, colour = (ask(campaign, **values).versions.get() for values in (YES_NO, COLOURS))
    first, second = describe(campaign, {again: {"no": 1}, colour: {"2": 3, "1": 1}})
    assert bars(first.parts[0]) == [("Yes", 0, 0), ("No", 1, 100)]
    assert bars(second.parts[0]) == [("Red", 1, 25), ("Blue", 3, 75)]
    assert second.parts[0].summary is None


def test_choices_of_several_versions_are_added_up_by_their_names(campaign):
    question = ask(campaign, **COLOURS)
    old = question.versions.get()
    new = change(question, choices_en=["Green", "blue", "Red"])
    (one,) = describe(campaign, {old: {"1": 10, "2": 1}, new: {"1": 2, "2": 4, "3": 20}})
    assert bars(one.parts[0]) == [("Green", 2, 5), ("blue", 5, 14), ("Red", 30, 81)]
    newest = change(question, choices_en=["Green", "Grey"])
    (one,) = describe(campaign, {old: {"1": 1}, newest: {"2": 1}})
    assert [(label, count) for label, count, _ in bars(one.parts[0])] == [
        ("Green", 0),
        ("Grey", 1),
        ("blue", 0),
        ("Red", 1),
    ]


def test_choices_are_matched_in_the_campaigns_language(campaign):
    question = ask(campaign, **COLOURS, choices_it=["Rosso", "Blu"])
    old = question.versions.get()
    new = change(question, choices_en=["Blue", "Red"], choices_it=["Azzurro", "Rosso"])
    counts = {old: {"1": 1, "2": 2}, new: {"1": 4, "2": 8}}
    assert [(label, count) for label, count, _ in bars(describe(campaign, counts)[0].parts[0])] == [
        ("Blue", 6),
        ("Red", 9),
    ]
    in_italian = describe(campaign, counts, language="it")[0].parts[0]
    assert [(label, count) for label, count, _ in bars(in_italian)] == [("Azzurro", 4), ("Rosso", 9), ("Blu", 2)]


def test_answers_to_other_scales_or_types_are_parts_of_their_own(campaign):
    question = ask(campaign)
    first = question.versions.get()
    reworded = change(question, text_en="And how was it?")
    longer = change(question, lowest=0, highest=10)
    number = change(question, type="numeric")
    (one,) = describe(campaign, {first: {"5": 1}, reworded: {"5": 2, "": 1}, longer: {"5": 4}, number: {"70": 1}})
    assert [[version.number for version in part.versions] for part in one.parts] == [[4], [3], [1, 2]]
    assert [(part.answers, part.passed_over) for part in one.parts] == [(1, 0), (4, 0), (3, 1)]
    assert one.parts[0].numbers == {70: 1}
    assert one.parts[0].bars == []
    assert (one.answers, one.text, one.chosen) == (8, "And how was it?", None)


def test_the_way_in_which_it_is_asked_now_is_shown_before_there_are_answers(campaign):
    question = ask(campaign)
    old = question.versions.get()
    change(question, lowest=0, highest=10)
    (one,) = describe(campaign, {old: {"5": 1}})
    assert [(part.last.highest, part.answers) for part in one.parts] == [(10, 0), (5, 1)]
    change(question, lowest=0, highest=7)
    (one,) = describe(campaign, {old: {"5": 1}})
    assert [part.last.highest for part in one.parts] == [7, 5]


def test_one_version_can_be_told_of_alone(campaign):
    question, other = ask(campaign, text_en="How was it?"), ask(campaign)
    old = question.versions.get()
    change(question, text_en="And how was it?")
    first, second = describe(campaign, {old: {"5": 1}, other.versions.get(): {"2": 1}}, chosen={old.pk})
    assert (first.chosen, first.text, first.answers) == (old, "How was it?", 1)
    assert (second.chosen, second.answers) == (None, 1)


def test_numbers_and_own_words_have_no_bars(campaign):
    age, words = (ask(campaign, **values).versions.get() for values in (AGE, WORDS))
    first, second = describe(campaign, {age: {"30": 2, "31": 1, "": 1}, words: {OWN_WORDS: 3, "": 1}})
    assert (first.parts[0].bars, first.parts[0].numbers, first.passed_over) == ([], {30: 2, 31: 1}, 1)
    assert (second.parts[0].bars, second.answers, second.passed_over) == ([], 3, 1)


def test_a_withdrawn_question_is_told_of_if_it_has_answers(campaign):
    answered, unanswered = ask(campaign), ask(campaign)
    Question.objects.update(is_withdrawn=True)
    (one,) = describe(campaign, {answered.versions.get(): {"1": 1}})
    assert one.question == answered
    assert describe(campaign, {unanswered.versions.get(): {}}) == []
