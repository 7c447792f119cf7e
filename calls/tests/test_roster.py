"""What a scheduler remembers between claims may make somebody wait, and must never ring somebody."""

from datetime import time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.claiming import Reason, claim_calls
from calls.lanes import Lane
from calls.models import CallAttempt, ProviderConfig
from calls.outcomes import end_attempt
from calls.repository import CallAttemptRepository
from calls.roster import READ_AGAIN, Roster
from calls.tests.conftest import NOON
from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.models import CallOutcome
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def claim(lines, clock):
    roster = Roster()

    def claim(batch_size=1, roster=roster):
        return claim_calls(max_concurrent_calls=None, batch_size=batch_size, room=50, clock=clock, roster=roster)

    return claim


@pytest.fixture
def campaign(claim):
    """It has been served, so that the roster knows it, and has four contacts left."""
    campaign = CampaignFactory(time_zone="UTC")
    ContactFactory.create_batch(5, campaign=campaign)
    assert len(claim().attempts) == 1
    return campaign


@pytest.mark.parametrize(
    "edit",
    [
        {"status": CampaignStatus.PAUSED},
        {"starts_at": NOON + timedelta(hours=1)},
        {"ends_at": NOON + timedelta(seconds=1)},
        {"allowed_call_start": time(13), "allowed_call_end": time(14)},
        {"max_concurrent_calls": 1},
        {"max_attempts": 0},
    ],
)
def test_a_campaign_is_claimed_from_as_it_is_now(claim, campaign, edit):
    if "max_attempts" in edit:
        campaign.contacts.update(attempts_count=campaign.max_attempts)
    else:
        Campaign.objects.filter(pk=campaign.pk).update(**edit)
    assert claim().attempts == []


def test_a_roster_is_not_the_reason_why_nobody_is_rung(claim, campaign):
    claim(batch_size=4)
    other = ContactFactory()
    assert [attempt.contact for attempt in claim().attempts] == [other]


def test_a_campaign_that_is_started_is_rung_though_none_was_running_just_before(claim):
    contact = ContactFactory(campaign__status=CampaignStatus.PAUSED)
    assert claim().blocked == Reason.NO_CAMPAIGN
    Campaign.objects.update(status=CampaignStatus.RUNNING)
    assert [attempt.contact for attempt in claim().attempts] == [contact]


def test_a_new_campaign_is_seen_after_some_seconds_however_much_there_is_to_do(claim, clock, campaign):
    other = ContactFactory()
    assert claim().attempts[0].contact != other
    clock.sleep(READ_AGAIN.total_seconds())
    assert claim().attempts[0].contact == other


def test_who_becomes_due_before_those_that_were_claimed_is_seen_after_some_seconds(claim, clock, campaign):
    claim()
    early = ContactFactory(campaign=campaign, next_attempt_at=NOON - timedelta(days=999))
    clock.sleep(READ_AGAIN.total_seconds())
    assert claim().attempts[0].contact == early


def test_calls_that_another_scheduler_has_claimed_are_counted(claim, campaign):
    ProviderConfig.objects.update(max_concurrent_calls=2)
    assert len(claim(roster=Roster()).attempts) == 1
    assert claim().blocked == Reason.LINES_BUSY


def test_a_line_that_became_free_is_known_without_a_look_at_all_attempts(claim, campaign, monkeypatch):
    ProviderConfig.objects.update(max_concurrent_calls=1)
    monkeypatch.setattr(CallAttemptRepository, "read_open", None)
    assert claim().blocked == Reason.LINES_BUSY
    end_attempt(CallAttempt.objects.get(), CallOutcome.BUSY, now=NOON)
    assert len(claim().attempts) == 1


def test_lines_go_to_the_campaigns_that_others_have_not_served(claim, clock, campaign):
    second, third = CampaignFactory.create_batch(2)
    for one in (second, third):
        ContactFactory.create_batch(3, campaign=one)
    clock.sleep(READ_AGAIN.total_seconds())
    served = {claim(roster=roster).attempts[0].campaign_id for roster in (Roster(), Roster())}
    assert served == {second.pk, third.pk}


def test_turns_are_taken_with_what_another_scheduler_has_served_meanwhile(claim, clock, campaign):
    end_attempt(CallAttempt.objects.get(), CallOutcome.BUSY, now=NOON)
    other = CampaignFactory()
    ContactFactory.create_batch(3, campaign=other)
    clock.sleep(READ_AGAIN.total_seconds())
    served = []
    for roster in ({}, {"roster": Roster()}, {}):
        served.append(claim(**roster).attempts[0].campaign_id)
        clock.sleep(0.1)
    assert served == [other.pk, campaign.pk, other.pk]


def test_a_lane_goes_on_behind_those_who_were_claimed_and_passes_over_nobody_else(campaign):
    heads = [(contact.pk, contact.phone_number, NOON) for contact in campaign.contacts.order_by("pk")[:4]]
    lane = Lane(campaign=campaign, calling_zone="", is_open=True, heads=heads)
    lane.resume_after({heads[0][0], heads[1][0], heads[3][0]})
    assert lane.resume_at == (NOON, heads[1][0])


def test_a_claim_asks_the_same_few_questions_however_many_campaigns_have_nobody_due(claim, clock, campaign):
    for one in CampaignFactory.create_batch(60):
        ContactFactory(campaign=one, state="not_reached", attempts_count=1, next_attempt_at=NOON + timedelta(hours=1))
    clock.sleep(READ_AGAIN.total_seconds())
    claim()
    with CaptureQueriesContext(connection) as queries:
        assert len(claim().attempts) == 1
    assert len(queries) < 25
