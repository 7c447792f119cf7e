"""Who or what has answered: said once, in our words, and read in one way."""

import pytest
from django.db.models.expressions import RawSQL

from calls.answerers import ANSWERER_SQL, list_details, read_answerer
from calls.models import CallAttempt
from calls.providers.base import Answerer, CallEvent, CallProgress
from calls.providers.twilio import ANSWERER_BY_WORD
from calls.tests.factories import CallAttemptFactory

pytestmark = pytest.mark.django_db


def make_event(**values):
    return CallEvent(call_id="x", provider_call_id="CA1", progress=CallProgress.ANSWERED, raw_status="x", **values)


def read_in_sql(metadata):
    attempt = CallAttemptFactory(metadata=metadata)
    return CallAttempt.objects.annotate(by=RawSQL(ANSWERER_SQL, [])).values_list("by", flat=True).get(pk=attempt.pk)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({"sip_response_code": "404"}, None),
        # Of calls that were made before there was a word of our own.
        *(({"answered_by": word}, answerer) for word, answerer in ANSWERER_BY_WORD.items()),
        ({"answered_by": "robot"}, Answerer.UNKNOWN),
        ({"answered_by": "machine_of_a_new_kind"}, Answerer.UNKNOWN),
        # Another provider may have other words for the same.
        *(({"answered_by": "x", "answerer": answerer.value}, answerer) for answerer in Answerer),
        ({"answered_by": "unknown", "answerer": "machine"}, Answerer.MACHINE),
    ],
)
def test_the_database_reads_it_as_the_pages_do(metadata, expected):
    assert read_answerer(metadata) == expected
    assert read_in_sql(metadata) == (expected or Answerer.UNKNOWN)


@pytest.mark.parametrize("answerer", [Answerer.PERSON, Answerer.MACHINE, Answerer.FAX])
def test_what_was_found_out_is_kept_beside_the_providers_word(answerer):
    details = list_details(make_event(details={"answered_by": "x"}, answerer=answerer))
    assert details == {"answered_by": "x", "answerer": answerer.value}
    assert read_answerer(details) == answerer


def test_where_nothing_was_found_out_nothing_is_kept():
    assert list_details(make_event(details={"call_duration": "3"})) == {"call_duration": "3"}
