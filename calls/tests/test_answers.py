"""What the database refuses of answers."""

import pytest
from django.db import IntegrityError, connection, transaction

from calls.models import Answer
from campaigns.models import QuestionVersion
from campaigns.questions import freeze_questions, list_versions
from campaigns.tests.factories import CampaignFactory, QuestionFactory

from .factories import AnswerFactory

pytestmark = pytest.mark.django_db


def make_version():
    campaign = CampaignFactory()
    QuestionFactory(campaign=campaign)
    freeze_questions(campaign)
    (version,) = list_versions(campaign)
    return version


def refused_by(constraint):
    return pytest.raises(IntegrityError, match=constraint)


def test_a_contact_has_one_current_answer_to_a_question():
    version = make_version()
    first = AnswerFactory(version=version)
    with refused_by("answer_one_current_per_question"), transaction.atomic():
        AnswerFactory(version=version, attempt=first.attempt)
    Answer.objects.update(is_current=False)
    AnswerFactory(version=version, attempt=first.attempt)


def test_an_answer_is_to_the_question_of_its_version():
    version, other = make_version(), make_version()
    with refused_by("answer_is_of_versions_question"), transaction.atomic():
        AnswerFactory(version=version, question=other.question)
        connection.check_constraints()


def test_a_question_has_each_version_once():
    version = make_version()
    with refused_by("question_version_number_is_unique"), transaction.atomic():
        QuestionVersion.objects.create(question=version.question, number=version.number, type="yes_no")
