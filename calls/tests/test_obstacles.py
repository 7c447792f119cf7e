import pytest

from calls.tests.factories import ProviderConfigFactory
from campaigns import lifecycle
from campaigns.tests.factories import CampaignFactory

from .conftest import NOON

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("provider", "caller_id", "word"),
    [
        ({"outbound_number": ""}, "", "no number to show"),
        ({"dialing_enabled": False}, "", "switched off"),
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
