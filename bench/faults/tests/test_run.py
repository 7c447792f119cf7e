"""When a run is over."""

import pytest
from django.db import connection

from bench.faults.run import look_around
from calls.models import CallAttempt
from calls.tests.factories import CallAttemptFactory
from campaigns.models import CampaignStatus
from contacts.models import Contact, ContactState
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db(transaction=True)


def test_who_is_claimed_during_the_look_is_seen_as_waiting():
    contact = ContactFactory(campaign__status=CampaignStatus.RUNNING)
    other = connection.copy()

    def claim_after_it(execute, sql, *rest):
        result = execute(sql, *rest)
        if "calls_callattempt" in sql:
            with other.cursor() as cursor:
                cursor.execute("UPDATE contacts_contact SET state = 'in_progress', next_attempt_at = NULL")
        return result

    with connection.execute_wrapper(claim_after_it):
        is_ringing, waiting = look_around()
    other.close()
    assert Contact.objects.get().state == ContactState.IN_PROGRESS
    assert (is_ringing, waiting) == (False, [contact])


def test_who_is_in_a_call_is_seen():
    CallAttemptFactory(ringing=True)
    assert CallAttempt.objects.open().exists()
    is_ringing, _ = look_around()
    assert is_ringing
