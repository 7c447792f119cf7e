from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import CampaignFactory

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("campaign_max_attempts_is_1_to_5", {"max_attempts": 0}),
        ("campaign_max_attempts_is_1_to_5", {"max_attempts": 6}),
        ("campaign_hours_are_a_window", {"allowed_call_start": time(9)}),
        ("campaign_hours_are_a_window", {"allowed_call_end": time(18)}),
        ("campaign_hours_are_a_window", {"allowed_call_start": time(9), "allowed_call_end": time(9)}),
        ("campaign_hours_are_a_window", {"allowed_call_start": time(22), "allowed_call_end": time(6)}),
        ("campaign_ends_after_it_starts", {"starts_at": NOW, "ends_at": NOW}),
        ("campaign_ends_after_it_starts", {"starts_at": NOW, "ends_at": NOW - HOUR}),
        ("campaign_lines_are_positive", {"max_concurrent_calls": 0}),
    ],
)
def test_the_database_refuses_what_a_constraint_forbids(constraint, values):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        CampaignFactory(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"max_attempts": 1},
        {"max_attempts": 5},
        {"allowed_call_start": time(9), "allowed_call_end": time(18)},
        {"starts_at": NOW},
        {"ends_at": NOW},
        {"starts_at": NOW, "ends_at": NOW + HOUR},
        {"max_concurrent_calls": 1},
    ],
)
def test_the_database_takes_what_the_constraints_allow(values):
    assert CampaignFactory(**values).pk


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_zone", "Rome"),
        ("default_country", "Italy"),
        ("caller_id", "0612345678"),
        ("max_attempts", 6),
        ("weekdays", [0]),
    ],
)
def test_a_form_refuses_what_could_not_work(field, value):
    with pytest.raises(ValidationError) as refused:
        CampaignFactory.build(**{field: value}).full_clean()
    assert field in refused.value.message_dict


@pytest.mark.parametrize("status", [status for status in CampaignStatus if status != CampaignStatus.RUNNING])
def test_only_a_running_campaign_is_dialling(status):
    CampaignFactory(status=status)
    running = CampaignFactory()
    assert list(Campaign.objects.dialling(NOW)) == [running]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"starts_at": NOW + HOUR}, False),
        ({"starts_at": NOW}, True),
        ({"ends_at": NOW}, False),
        ({"ends_at": NOW + HOUR}, True),
    ],
)
def test_a_campaign_is_dialling_between_its_dates(values, expected):
    CampaignFactory(**values)
    assert Campaign.objects.dialling(NOW).exists() is expected


def test_a_contacts_own_zone_comes_before_the_campaigns():
    campaign = CampaignFactory.build(time_zone="Europe/Rome")
    assert campaign.zones_of("America/New_York America/Toronto") == ["America/New_York", "America/Toronto"]
    assert campaign.zones_of("") == ["Europe/Rome"]


def test_nobody_without_any_zone_is_ever_open():
    campaign = CampaignFactory.build(time_zone="")
    assert campaign.next_opening_for("", NOW) is None


def test_a_campaigns_hours_are_asked_in_the_contacts_zone():
    campaign = CampaignFactory.build(allowed_call_start=time(9), allowed_call_end=time(18))
    assert campaign.next_opening_for("Europe/Rome", NOW) == NOW
    assert campaign.next_opening_for("America/New_York", NOW) == NOW + 2 * HOUR
