from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.caps import Caps, find_capped
from calls.tests.conftest import NOON
from calls.tests.factories import CallAttemptFactory
from calls.turns import Turn, count_turns
from campaigns.tests.factories import CampaignFactory
from contacts.models import ContactState
from contacts.tests.factories import ContactFactory

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ROME = "Europe/Rome"
UNLIMITED = Caps()

pytestmark = pytest.mark.django_db


def add(campaign, count=1, *, due=timedelta(0), **values):
    values = {"calling_zone": ROME, "next_attempt_at": NOON + due} | values
    return ContactFactory.create_batch(count, campaign=campaign, **values)


def look(campaign, caps=UNLIMITED):
    return sorted(count_turns([campaign.pk], caps, now=NOON)[campaign.pk], key=str)


def rung(number, *ago):
    for span in ago:
        contact = ContactFactory(phone_number=number, state=ContactState.COMPLETED, next_attempt_at=None)
        CallAttemptFactory(contact=contact, claimed_at=NOON - span)


def test_who_is_due_comes_up_now_and_others_by_the_end_of_their_quarter():
    campaign = CampaignFactory()
    add(campaign, 2, due=-HOUR)
    add(campaign, due=HOUR)
    add(campaign, due=HOUR + MINUTE)
    add(campaign, due=HOUR + 15 * MINUTE)
    ContactFactory(next_attempt_at=NOON)
    assert look(campaign) == [
        Turn(ROME, 0, NOON, NOON, 2),
        Turn(ROME, 0, NOON + HOUR, NOON + HOUR, 1),
        Turn(ROME, 0, NOON + HOUR + MINUTE, NOON + HOUR + 15 * MINUTE, 2),
    ]


def test_people_are_told_apart_by_zone_and_tries_and_those_in_a_call_have_no_turn():
    campaign = CampaignFactory()
    add(campaign)
    add(campaign, calling_zone="Asia/Tokyo")
    add(campaign, state=ContactState.NOT_REACHED, attempts_count=2)
    add(campaign, state=ContactState.IN_PROGRESS, next_attempt_at=None, attempts_count=1)
    add(campaign, state=ContactState.COMPLETED, next_attempt_at=None)
    assert look(campaign) == [
        Turn("Asia/Tokyo", 0, NOON, NOON, 1),
        Turn(ROME, 0, NOON, NOON, 1),
        Turn(ROME, 1, None, None, 1),
        Turn(ROME, 2, NOON, NOON, 1),
    ]


@pytest.mark.parametrize("caps", [Caps(1), Caps(2), Caps(None, 1), Caps(None, 3), Caps(2, 3), UNLIMITED])
@pytest.mark.parametrize("ago", [(), (2 * HOUR,), (3 * HOUR, HOUR), (24 * HOUR,), (200 * HOUR, 30 * HOUR, HOUR)])
def test_whoever_was_rung_as_often_as_the_caps_allow_comes_up_when_a_claim_would_ring(caps, ago):
    campaign = CampaignFactory()
    (contact,) = add(campaign)
    rung(contact.phone_number, *ago)
    until = find_capped([contact.phone_number], caps, NOON).get(contact.phone_number, NOON)
    (turn,) = look(campaign, caps)
    assert turn.first_at == turn.all_by == until


def test_calls_that_never_rang_and_those_of_others_do_not_count():
    campaign = CampaignFactory()
    (contact,) = add(campaign)
    rung("+12025550199", HOUR)
    CallAttemptFactory(contact=contact, claimed_at=NOON - HOUR, given_back=True, outcome="failed")
    assert look(campaign, Caps(per_day=1)) == [Turn(ROME, 0, NOON, NOON, 1)]


def test_it_is_one_question_for_all_campaigns():
    campaigns = CampaignFactory.create_batch(3)
    for campaign in campaigns:
        add(campaign)
    with CaptureQueriesContext(connection) as queries:
        turns = count_turns([one.pk for one in campaigns], Caps(1, 2), now=NOON)
    assert (len(turns), len(queries)) == (3, 1)
