from datetime import timedelta

import pytest

from calls.tests.factories import ProviderConfigFactory
from campaigns import lifecycle
from campaigns.tests.factories import CampaignFactory
from contacts.exclusion import keep_as_hash

from .conftest import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def all_is_well(settings):
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = f"AC{'0' * 32}", "secret"
    ProviderConfigFactory(scheduler_expected_by=NOON + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("provider", "caller_id", "word"),
    [
        ({"outbound_number": ""}, "", "no number to show"),
        ({"dialing_enabled": False}, "", "switched off"),
        ({"scheduler_expected_by": NOON - timedelta(seconds=1)}, "", "No scheduler is at work"),
        ({"scheduler_expected_by": None}, "", "No scheduler is at work"),
    ],
)
def test_what_stands_in_the_way_of_every_call_is_a_warning_of_each_campaign(provider, caller_id, word):
    ProviderConfigFactory(**provider)
    (warning,) = lifecycle.find_warnings(CampaignFactory(caller_id=caller_id), NOON)
    assert word in warning


@pytest.mark.parametrize(("number", "caller_id"), [("+12025550199", ""), ("", "+12025550177")])
def test_a_number_of_the_provider_or_of_the_campaign_is_enough(number, caller_id):
    ProviderConfigFactory(outbound_number=number)
    assert lifecycle.find_warnings(CampaignFactory(caller_id=caller_id), NOON) == []


@pytest.mark.parametrize("name", ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"])
def test_without_credentials_nobody_can_be_rung(settings, name):
    setattr(settings, name, "")
    (warning,) = lifecycle.find_warnings(CampaignFactory(), NOON)
    assert warning == "The provider's credentials are missing: ask whoever runs this site to set them."


def test_numbers_of_the_list_that_cannot_be_recognised_keep_everybody_from_being_rung(settings):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    keep_as_hash(["+12025550123"])
    assert lifecycle.find_warnings(CampaignFactory(), NOON) == []
    settings.DO_NOT_CALL_HASH_KEY = ""
    (warning,) = lifecycle.find_warnings(CampaignFactory(), NOON)
    assert "ask whoever runs this site to set their key to what it was before" in warning
