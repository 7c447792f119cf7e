from datetime import time, timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils.translation import override

from calls.forecast import CALLS_THAT_TELL, Pace, forecast, see_pace
from calls.forecast_admin import summarise
from calls.tests.conftest import NOON
from calls.tests.factories import CallAttemptFactory, ProviderConfigFactory
from campaigns.tests.factories import CampaignFactory
from contacts.models import Contact, ContactState
from contacts.tests.factories import ContactFactory

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider():
    return ProviderConfigFactory(max_concurrent_calls=9, calls_per_second=2)


def ring(count, *, campaign=None, seconds=30, **values):
    """So many calls that have ended, each so long after its start."""
    for _ in range(count):
        contact = ContactFactory(
            state="completed", next_attempt_at=None, **({"campaign": campaign} if campaign else {})
        )
        CallAttemptFactory(
            contact=contact, claimed_at=NOON - HOUR, ended_at=NOON - HOUR + timedelta(seconds=seconds), **values
        )


def test_people_are_counted_by_zone_with_its_next_opening(provider):
    campaign = CampaignFactory(status="draft", allowed_call_start=time(9), allowed_call_end=time(18), time_zone="")
    ContactFactory.create_batch(3, campaign=campaign, calling_zone="Europe/Rome")
    ContactFactory.create_batch(2, campaign=campaign, calling_zone="America/New_York")
    ContactFactory(campaign=campaign, calling_zone="Europe/Rome Pacific/Auckland")
    ContactFactory(campaign=campaign, calling_zone="")
    ContactFactory(campaign=campaign, state=ContactState.EXCLUDED, do_not_call=True, next_attempt_at=None)
    found = forecast(campaign, now=NOON)
    assert [(zone.calling_zone, zone.contacts, zone.opens_at) for zone in found.zones] == [
        ("Europe/Rome", 3, NOON),
        ("America/New_York", 2, NOON + 2 * HOUR),
        ("", 1, None),
        ("Europe/Rome Pacific/Auckland", 1, None),
    ]
    assert (found.callable, found.never, found.excluded, found.starts_at) == (5, 2, 1, NOON)


def test_it_begins_no_sooner_than_the_campaign(provider):
    campaign = CampaignFactory(starts_at=NOON + 3 * HOUR, max_attempts=1)
    ContactFactory(campaign=campaign)
    found = forecast(campaign, now=NOON)
    assert found.starts_at == NOON + 3 * HOUR
    assert NOON + 3 * HOUR < found.ends_at < NOON + 4 * HOUR


def test_whoever_is_not_rung_before_the_end_is_not_counted_on(provider):
    campaign = CampaignFactory(allowed_call_start=time(9), allowed_call_end=time(18), ends_at=NOON + 2 * HOUR)
    ContactFactory(campaign=campaign, calling_zone="Europe/Rome")
    ContactFactory(campaign=campaign, calling_zone="America/New_York")
    found = forecast(campaign, now=NOON)
    assert (found.callable, found.never, found.starts_at) == (1, 1, NOON)
    assert found.ends_at < campaign.ends_at


def test_who_waits_for_the_next_try_is_rung_then_as_often_as_is_left(provider):
    tomorrow = NOON + 18 * HOUR
    campaign = CampaignFactory(max_attempts=2, retry_no_answer="next day", time_zone="UTC")
    tried = {"campaign": campaign, "state": ContactState.NOT_REACHED}
    ContactFactory.create_batch(16, attempts_count=1, next_attempt_at=tomorrow, **tried)
    ContactFactory.create_batch(3, attempts_count=2, next_attempt_at=NOON, **tried)  # the rules have changed
    found = forecast(campaign, now=NOON)
    assert (found.callable, found.starts_at, found.calls) == (16, tomorrow, 16)
    assert found.ends_at - tomorrow == timedelta(seconds=16 * 45 / 9)
    assert found.zones[0].opens_at == NOON


def test_numbers_that_were_rung_as_often_as_they_may_be_are_rung_when_they_may_again(provider):
    provider.calls_per_number_per_day = 1
    provider.save()
    campaign = CampaignFactory(max_attempts=2)
    for contact in ContactFactory.create_batch(4, campaign=campaign):
        rung = ContactFactory(phone_number=contact.phone_number, state=ContactState.COMPLETED, next_attempt_at=None)
        CallAttemptFactory(contact=rung, claimed_at=NOON - 2 * HOUR)
    found = forecast(campaign, now=NOON)
    assert (found.callable, found.starts_at) == (4, NOON + 22 * HOUR)
    # After the step of the first call the day has to pass again.
    assert found.ends_at - found.starts_at > timedelta(days=1)


@pytest.mark.parametrize(
    ("limit", "others", "lines", "per_second"), [(None, 0, 9, 2), (4, 0, 4, 2), (None, 2, 3, 2 / 3), (4, 2, 3, 2 / 3)]
)
def test_lines_and_calls_per_second_are_shared_with_the_campaigns_that_run(provider, limit, others, lines, per_second):
    campaign = CampaignFactory(status="draft", max_concurrent_calls=limit)
    CampaignFactory.create_batch(others)
    CampaignFactory(status="paused")
    found = forecast(campaign, now=NOON)
    assert (found.lines, found.calls_per_second, found.others) == (lines, per_second, others)


def test_the_schedulers_own_limit_counts_too(provider, settings):
    settings.SCHEDULER_MAX_CONCURRENT_CALLS = 5
    assert forecast(CampaignFactory(), now=NOON).lines == 5


def test_how_long_it_takes_follows_from_the_lines_and_the_rate(provider):
    campaign = CampaignFactory(max_attempts=1)
    ContactFactory.create_batch(10, campaign=campaign)
    ring(CALLS_THAT_TELL, campaign=campaign, seconds=90, outcome="completed")
    by_lines = forecast(campaign, now=NOON)
    assert by_lines.ends_at - NOON == timedelta(seconds=100)  # nine lines of 90 seconds are a call in ten
    provider.calls_per_second = 0.05
    provider.save()
    assert forecast(campaign, now=NOON).ends_at - NOON == timedelta(seconds=200)


def test_what_calls_are_like_is_seen_in_the_campaign_then_in_others_then_assumed():
    campaign = CampaignFactory()
    assert see_pace(campaign) == Pace()
    ring(CALLS_THAT_TELL - 1, campaign=campaign, outcome="no_answer")
    assert see_pace(campaign).seen_in == ""
    ring(1, seconds=50, outcome="refused")
    found = see_pace(campaign)
    assert (found.seen_in, found.calls, found.settled) == ("other campaigns", CALLS_THAT_TELL, 1 / CALLS_THAT_TELL)
    assert found.seconds == pytest.approx(31)
    ring(1, campaign=campaign, outcome="completed", seconds=230)
    found = see_pace(campaign)
    assert (found.seen_in, found.seconds) == ("this campaign", 40)


def test_calls_that_never_rang_or_go_on_say_nothing():
    campaign = CampaignFactory()
    ring(CALLS_THAT_TELL, campaign=campaign, given_back=True, outcome="failed")
    for _ in range(CALLS_THAT_TELL):
        CallAttemptFactory(contact=ContactFactory(campaign=campaign), ringing=True)
    assert see_pace(campaign) == Pace()


def test_nothing_is_written(provider):
    campaign = CampaignFactory()
    ContactFactory.create_batch(3, campaign=campaign)
    before = list(Contact.objects.values())
    forecast(campaign, now=NOON)
    assert list(Contact.objects.values()) == before


# The page


def test_the_summary_says_who_and_until_when(provider, settings):
    settings.TIME_ZONE = "UTC"
    campaign = CampaignFactory(max_attempts=1)
    assert summarise(forecast(campaign, now=NOON), campaign) == "Nobody can be rung as it stands."
    ContactFactory.create_batch(2, campaign=campaign)
    text = summarise(forecast(campaign, now=NOON), campaign)
    assert text == "2 contacts can be rung, the first at once; all are done Wed 4 Mar, 12:00, 1 min later."


def test_the_summary_says_when_the_end_comes_first(provider):
    provider.calls_per_second = 0.01
    provider.save()
    campaign = CampaignFactory(ends_at=NOON + MINUTE)
    ContactFactory.create_batch(200, campaign=campaign)
    text = summarise(forecast(campaign, now=NOON), campaign)
    assert text == "200 contacts can be rung, the first at once; not all of them before it ends."


def test_the_page_tells_problems_zones_and_what_it_is_reckoned_with(admin_client, provider):
    campaign = CampaignFactory(status="draft", intro_script="", time_zone="")
    ContactFactory(campaign=campaign, calling_zone="Europe/Rome")
    ContactFactory(campaign=campaign, calling_zone="")
    CampaignFactory()
    page = admin_client.get(reverse("admin:campaigns_campaign_forecast", args=[campaign.pk])).content.decode()
    assert "It has no intro script" in page
    assert "Europe/Rome" in page and "is open" in page and "never: no time zone is known" in page
    assert "assumed, because there were too few calls so far" in page
    assert (
        "It gets 4.5 lines and 1 calls a second: it shares them evenly with another campaign that is running." in page
    )


def test_the_page_tells_that_caps_are_reckoned_with_if_there_are_any(admin_client, provider):
    url = reverse("admin:campaigns_campaign_forecast", args=[CampaignFactory().pk])
    told = "No number is rung more often than the provider&#x27;s page allows"
    assert told not in admin_client.get(url).content.decode()
    provider.calls_per_number_per_week = 3
    provider.save()
    assert told in admin_client.get(url).content.decode()


def test_the_campaigns_page_leads_there_unless_it_is_cancelled(admin_client):
    draft, cancelled = CampaignFactory(status="draft"), CampaignFactory(status="cancelled")
    url = reverse("admin:campaigns_campaign_change", args=[draft.pk])
    assert "Dry run" in admin_client.get(url).content.decode()
    assert (
        "Dry run"
        not in admin_client.get(reverse("admin:campaigns_campaign_change", args=[cancelled.pk])).content.decode()
    )
    step = admin_client.get(reverse("admin:campaigns_campaign_rehearse", args=[draft.pk]))
    assert step.url == reverse("admin:campaigns_campaign_forecast", args=[draft.pk])


def test_one_and_many_in_italian(provider, settings):
    settings.TIME_ZONE = "UTC"
    campaign = CampaignFactory(max_attempts=1)
    with override("it"):
        assert summarise(forecast(campaign, now=NOON), campaign) == "Così com'è, non si può chiamare nessuno."
        ContactFactory(campaign=campaign)
        text = summarise(forecast(campaign, now=NOON), campaign)
        assert text.startswith("Si può chiamare 1 contatto, subito; le chiamate finiscono ")
        ContactFactory.create_batch(2, campaign=campaign)
        campaign.starts_at, campaign.ends_at = NOON + HOUR, NOON + 2 * HOUR
        text = summarise(forecast(campaign, now=NOON), campaign)
        assert text.startswith("Si possono chiamare 3 contatti, il primo ")
        assert text.endswith("dopo 1 min.")


@pytest.mark.parametrize(
    ("others", "told"),
    [
        (0, "Dispone di 9 linee e 2 chiamate al secondo, perché nessun'altra campagna è in corso."),
        (1, "Dispone di 4,5 linee e 1 chiamata al secondo: le divide in parti uguali con un'altra campagna in corso."),
        (2, "Dispone di 3 linee e 0,667 chiamate al secondo: le divide in parti uguali con altre 2 campagne in corso."),
    ],
)
def test_what_it_is_reckoned_with_in_italian(admin_client, provider, others, told):
    admin_client.cookies["django_language"] = "it"
    campaign = CampaignFactory(status="draft")
    CampaignFactory.create_batch(others)
    page = admin_client.get(reverse("admin:campaigns_campaign_forecast", args=[campaign.pk])).content.decode()
    assert told in unescape(page)
