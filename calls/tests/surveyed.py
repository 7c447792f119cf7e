"""Surveys that have been answered, for tests of what is made of them."""

from datetime import timedelta

from calls.tests.conftest import NOON
from calls.tests.factories import AnswerFactory, CallAttemptFactory
from campaigns.questions import freeze_questions
from campaigns.tests.factories import QuestionFactory
from contacts.models import ContactState
from contacts.tests.factories import ContactFactory

NO_LIMITS = {"lowest": None, "highest": None}
COLOURS = {"type": "single_choice", "text_en": "Which?", "choices_en": ["Red", "Blue"], **NO_LIMITS}
YES_NO = {"type": "yes_no", "text_en": "Again?", **NO_LIMITS}
AGE = {"type": "numeric", "text_en": "How old?", **NO_LIMITS}
WORDS = {"type": "free_text", "text_en": "What else?", **NO_LIMITS}

STATES = {"completed": ContactState.COMPLETED, "refused": ContactState.REFUSED}


def ask(campaign, **values):
    """A question with its first version, asked since before all calls of the tests."""
    question = QuestionFactory(campaign=campaign, **values)
    freeze_questions(campaign)
    question.versions.update(created_at=NOON - timedelta(days=30))
    return question


def change(question, **values):
    """Returns the new version."""
    for name, value in values.items():
        setattr(question, name, value)
    question.save()
    freeze_questions(question.campaign)
    return question.versions.last()


def survey(campaign, outcome="completed", answers=(), *, at=NOON, seconds=60, contact=None, number=1, **values):
    """A call of somebody who agreed to take part: it took so long to the decision. Answers are (version, value)."""
    state = STATES.get(outcome, ContactState.NOT_REACHED)
    contact = contact or ContactFactory(campaign=campaign)
    contact.state, contact.next_attempt_at = state, values.pop("next_attempt_at", None)
    contact.save()
    times = {"claimed_at": at - timedelta(seconds=20), "answered_at": at - timedelta(seconds=10), "consented_at": at}
    if outcome in STATES:
        times["decided_at"] = at + timedelta(seconds=seconds)
    times["ended_at"] = at + timedelta(seconds=seconds + 3)
    attempt = CallAttemptFactory(contact=contact, outcome=outcome, attempt_number=number, **times | values)
    for version, value in answers:
        AnswerFactory(attempt=attempt, version=version, value=value)
    return attempt
