from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from calls import caps
from calls.caps import Caps, find_capped
from calls.claiming import claim_calls
from calls.models import CallAttempt, ProviderConfig
from calls.tests.conftest import NOON
from calls.tests.factories import CallAttemptFactory
from campaigns.tests.factories import CampaignFactory
from contacts.models import ContactState
from contacts.tests.factories import ContactFactory

NUMBER = "+12025550107"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def claim(lines, clock):
    return lambda: claim_calls(max_concurrent_calls=None, batch_size=50, room=50, clock=clock)


def rung(*ago, number=NUMBER, **values):
    """Its number was rung so long ago, each time in a campaign of its own; the first one is the oldest."""
    for span in sorted(ago, reverse=True):
        contact = ContactFactory(phone_number=number, state=ContactState.COMPLETED, next_attempt_at=None)
        CallAttemptFactory(contact=contact, claimed_at=NOON - span, **values)


def set_caps(**values):
    ProviderConfig.objects.update(**values)


@pytest.mark.parametrize(
    ("limits", "ago", "until"),
    [
        (Caps(per_day=1), [DAY - HOUR], HOUR),
        (Caps(per_day=1), [DAY], None),  # exactly a day ago: again
        (Caps(per_day=2), [HOUR], None),
        (Caps(per_day=2), [3 * HOUR, HOUR], DAY - 3 * HOUR),  # the older one must become a day old
        (Caps(per_day=2), [23 * HOUR, 3 * HOUR, HOUR], DAY - 3 * HOUR),  # there were more than allowed already
        (Caps(per_week=2), [6 * DAY, 2 * DAY], DAY),
        (Caps(per_week=2), [7 * DAY, 2 * DAY], None),
        (Caps(per_day=1, per_week=2), [6 * DAY, HOUR], DAY),  # both hold, to the later end: 23 hours, a day
        (Caps(per_day=1, per_week=3), [6 * DAY, HOUR], DAY - HOUR),
        (Caps(), [3 * HOUR, 2 * HOUR, HOUR], None),
    ],
)
def test_a_number_may_be_rung_so_often_in_24_hours_and_in_seven_days(limits, ago, until):
    rung(*ago)
    expected = {} if until is None else {NUMBER: NOON + until}
    assert find_capped([NUMBER, "+12025550108"], limits, NOON) == expected


def test_what_never_rang_does_not_count_and_what_is_about_to_ring_does():
    rung(HOUR, given_back=True)
    assert find_capped([NUMBER], Caps(per_day=1), NOON) == {}
    CallAttemptFactory(contact=ContactFactory(phone_number=NUMBER), claimed_at=NOON, claimed=True)
    assert find_capped([NUMBER], Caps(per_day=1), NOON) == {NUMBER: NOON + DAY}


def test_a_number_that_was_rung_often_enough_in_other_campaigns_is_put_off_and_others_are_rung(claim):
    rung(2 * HOUR)
    set_caps(calls_per_number_per_day=1)
    campaign = CampaignFactory()
    first = ContactFactory(campaign=campaign, phone_number=NUMBER, next_attempt_at=NOON - HOUR)
    other = ContactFactory(campaign=campaign, next_attempt_at=NOON)
    assert [attempt.contact for attempt in claim().attempts] == [other]
    first.refresh_from_db()
    assert (first.state, first.attempts_count) == (ContactState.PENDING, 0)
    assert first.next_attempt_at == NOON + 22 * HOUR


def test_without_caps_nobody_is_put_off_and_nothing_is_asked(claim):
    rung(2 * HOUR, HOUR)
    contact = ContactFactory(phone_number=NUMBER)
    with CaptureQueriesContext(connection) as queries:
        assert [attempt.contact for attempt in claim().attempts] == [contact]
    assert not any("find_capped" in query["sql"] for query in queries)


def test_whoever_is_put_off_comes_up_in_the_next_opening(claim):
    rung(2 * HOUR)
    set_caps(calls_per_number_per_day=1)
    campaign = CampaignFactory(holidays_of="IT", blocked_dates=[(NOON + DAY).date()])
    contact = ContactFactory(campaign=campaign, phone_number=NUMBER)
    assert claim().attempts == []
    contact.refresh_from_db()
    assert contact.next_attempt_at == (NOON + 2 * DAY).replace(hour=0)


def test_a_contact_is_rung_as_soon_as_the_caps_allow_and_no_sooner(claim, clock):
    rung(2 * HOUR)
    set_caps(calls_per_number_per_day=1)
    contact = ContactFactory(phone_number=NUMBER)
    result = claim()
    assert result.attempts == []
    clock.sleep(22 * 3600)
    (attempt,) = claim().attempts
    assert attempt.contact == contact


def test_the_same_number_in_two_campaigns_is_rung_once_when_that_is_the_cap(claim, clock):
    set_caps(calls_per_number_per_day=1)
    ContactFactory(phone_number=NUMBER)
    ContactFactory(phone_number=NUMBER)
    assert len(claim().attempts) == 1
    CallAttempt.objects.update(status="ended", outcome="no_answer", ended_at=NOON)
    clock.sleep(3600)
    assert claim().attempts == []
    assert CallAttempt.objects.count() == 1


def test_those_behind_who_are_capped_as_well_are_put_off_at_once(claim, monkeypatch):
    monkeypatch.setattr(caps, "LOOKED_AHEAD", 20)
    set_caps(calls_per_number_per_day=1)
    campaign = CampaignFactory()
    numbers = [f"+1202555{place:04}" for place in range(100, 130)]
    for place, number in enumerate(numbers):
        rung(HOUR, number=number)
        ContactFactory(
            campaign=campaign, phone_number=number, next_attempt_at=NOON - HOUR + place * timedelta(minutes=1)
        )
    ProviderConfig.objects.update(calls_per_second=1)  # one is chosen at a time
    fresh = ContactFactory(campaign=campaign, next_attempt_at=NOON)
    assert [attempt.contact for attempt in claim().attempts] == [fresh]


@pytest.mark.parametrize("field", ["calls_per_number_per_day", "calls_per_number_per_week"])
def test_the_database_refuses_a_cap_under_which_nobody_could_be_rung(lines, field):
    with pytest.raises(IntegrityError, match="provider_caps_are_positive"):
        set_caps(**{field: 0})


def test_the_caps_are_asked_through_the_index_of_the_number(lines):
    contact = ContactFactory()
    for first in range(1, 3000, 300):  # one by one they would keep the transaction idle for too long on a busy machine
        CallAttempt.objects.bulk_create(
            CallAttemptFactory.build(contact=contact, attempt_number=n, phone_number=f"+1999{n:07}")
            for n in range(first, first + 300)
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE calls_callattempt")
        find_capped([NUMBER], Caps(per_day=1, per_week=2), NOON)
        cursor.execute(f"EXPLAIN EXECUTE surveycalls_find_capped ('{{{NUMBER}}}', now(), 1, 2)")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert plan.count("attempt_of_number") == 2
    assert "Sort Key: calls_callattempt" not in plan
