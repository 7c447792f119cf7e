from datetime import UTC, date, datetime, time, timedelta

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
        ("campaign_machine_detection_is_known", {"machine_detection": ""}),
        ("campaign_machine_detection_is_known", {"machine_detection": "sing"}),
        ("campaign_weekday_hours_are_none_or_seven", {"weekday_hours": ["09:00-12:00"]}),
        ("campaign_dates_are_in_years_of_calls", {"ends_at": datetime(9999, 12, 31, 17, tzinfo=UTC)}),
        ("campaign_dates_are_in_years_of_calls", {"starts_at": datetime(1, 1, 1, tzinfo=UTC)}),
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
        {"machine_detection": "hang_up"},
        {"machine_detection": "leave_message"},
        {"weekday_hours": ["09:00-12:00"] * 7},
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
        ("weekday_hours", ["", "", "", "", "", "12-9", ""]),
        ("holidays_of", "Italy"),
        ("retry_busy", "soon"),
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


def test_a_campaigns_turn_comes_in_its_hours_from_its_start_on_and_never_at_its_end_or_later():
    campaign = CampaignFactory.build(allowed_call_start=time(9), allowed_call_end=time(18))
    assert campaign.next_turn_for("America/New_York", NOW) == NOW + 2 * HOUR
    campaign.starts_at = NOW + 3 * HOUR
    assert campaign.next_turn_for("America/New_York", NOW) == NOW + 3 * HOUR
    campaign.starts_at, campaign.ends_at = None, NOW + 2 * HOUR
    assert campaign.next_turn_for("America/New_York", NOW) is None
    assert campaign.next_turn_for("Europe/Rome", NOW) == NOW


def test_a_weekday_has_its_own_hours_where_they_are_given_and_none_where_it_is_not_ticked():
    campaign = Campaign(
        allowed_call_start=time(9),
        allowed_call_end=time(18),
        weekdays=[1, 2, 6],
        weekday_hours=["", "09:00-12:00, 15:00-24:00", "10:00-11:00", "", "", "10:00-13:00", ""],
        blocked_dates=[date(2026, 3, 7)],
        holidays_of="IT",
    )
    usual, tuesday, saturday = (time(9), time(18)), ((time(9), time(12)), (time(15), None)), (time(10), time(13))
    assert campaign.hours.days == ((usual,), tuesday, (), (), (), (saturday,), ())
    assert campaign.hours.spans_on(date(2026, 3, 14)) == (saturday,)
    assert campaign.hours.spans_on(date(2026, 3, 7)) == ()  # a Saturday that is blocked
    assert campaign.hours.spans_on(date(2026, 6, 2)) == ()  # a Tuesday, and the day of the republic


def test_the_interval_after_an_outcome_is_its_own_or_the_usual_one():
    campaign = Campaign(retry_interval_minutes=30, retry_busy="5 min, 2 h")
    assert campaign.delays_after("busy") == (timedelta(minutes=5), timedelta(hours=2))
    assert campaign.delays_after("no_answer") == (timedelta(minutes=30),)
    assert campaign.delays_after("") == (timedelta(minutes=30),)
