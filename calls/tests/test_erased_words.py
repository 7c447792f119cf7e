"""What is left of answers when the person is erased, and how it is told from what was passed over."""

import pytest
from django.db.models.expressions import RawSQL

from calls.erased_words import IS_ANSWERED, erase_words
from calls.models import Answer
from calls.tests.factories import AnswerFactory, CallAttemptFactory
from calls.tests.surveyed import AGE, WORDS, ask
from campaigns.tests.factories import CampaignFactory
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db

SAID = [
    (WORDS, {"means": "speech", "raw": "I am Zoë", "value": "I am Zoë"}, True),
    (WORDS, {"means": "keys", "raw": "12", "value": "12"}, True),
    (WORDS, {"means": "speech", "raw": "what is it to you", "value": ""}, False),
    (WORDS, {"means": "nothing", "raw": "", "value": ""}, False),
    (AGE, {"means": "speech", "raw": "I am forty", "value": "40"}, True),
    (AGE, {"means": "speech", "raw": "old enough", "value": ""}, False),
    (AGE, {"means": "nothing", "raw": "", "value": ""}, False),
]


@pytest.fixture
def attempt():
    return CallAttemptFactory(contact=ContactFactory(campaign=CampaignFactory()))


def is_answered_in_sql():
    return Answer.objects.annotate(told=RawSQL(IS_ANSWERED, [])).values_list("told", flat=True).get()


@pytest.mark.parametrize(("asked", "said", "is_answered"), SAID)
def test_an_answer_stays_one_and_what_was_passed_over_stays_that_in_every_reading(attempt, asked, said, is_answered):
    AnswerFactory(attempt=attempt, version=ask(attempt.campaign, **asked).versions.get(), **said)
    assert is_answered_in_sql() == is_answered
    assert not Answer.objects.get().are_words_erased
    Answer.objects.all().erase_words()
    answer = Answer.objects.get()
    assert is_answered_in_sql() == is_answered
    assert answer.are_words_erased == (is_answered and asked is WORDS)
    assert str(answer) == (answer.value or ("Erased words" if answer.are_words_erased else "Passed over"))


@pytest.mark.parametrize(("asked", "said", "is_answered"), SAID)
def test_what_comes_after_the_erasure_is_stored_as_the_erasure_would_have_left_it(attempt, asked, said, is_answered):
    AnswerFactory(attempt=attempt, version=ask(attempt.campaign, **asked).versions.get(), **said)
    Answer.objects.all().erase_words()
    assert erase_words(said, asked["type"]) == Answer.objects.values("means", "raw", "value").get()
