"""Pages in the zone that the operator's browser names."""

import re
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from calls.tests.factories import CallAttemptFactory
from campaigns.tests.factories import CampaignFactory
from campaigns.tests.test_admin import form_of
from surveycalls.operator_zone import COOKIE

pytestmark = pytest.mark.django_db


def open_call(client):
    attempt = CallAttemptFactory(claimed_at=datetime(2026, 7, 1, 12, tzinfo=UTC))
    return client.get(f"/admin/calls/callattempt/{attempt.pk}/change/").content.decode()


def test_times_are_in_the_zone_of_the_browser_which_every_page_names(admin_client):
    admin_client.cookies[COOKIE] = "Europe/Rome"
    page = open_call(admin_client)
    assert "1 Jul 2026, 14:00:00" in page
    assert "Times are in Europe/Rome" in page


@pytest.mark.parametrize("cookie", [None, "", "Nowhere/Else", "../../etc/passwd", "\x00", "x" * 5000])
def test_without_a_zone_of_this_world_they_are_in_that_of_the_settings(admin_client, settings, cookie):
    settings.TIME_ZONE = "Asia/Tokyo"
    timezone.get_default_timezone.cache_clear()
    if cookie is not None:
        admin_client.cookies[COOKIE] = cookie
    page = open_call(admin_client)
    timezone.get_default_timezone.cache_clear()
    assert "1 Jul 2026, 21:00:00" in page
    assert "Times are in Asia/Tokyo" in page


def test_the_zone_ends_with_the_request(admin_client):
    admin_client.cookies[COOKIE] = "Europe/Rome"
    open_call(admin_client)
    assert timezone.get_current_timezone_name() == "UTC"


def test_the_browser_is_asked_on_every_page_and_already_on_that_of_the_login(client, admin_client):
    for page in (client.get("/admin/login/"), admin_client.get("/admin/")):
        assert "surveycalls/time_zone.js" in page.content.decode()


def test_a_campaigns_dates_are_written_in_that_zone(admin_client):
    campaign = CampaignFactory(status="draft", starts_at=datetime(2026, 7, 1, 12, tzinfo=UTC))
    admin_client.cookies[COOKIE] = "Europe/Rome"
    page = f"/admin/campaigns/campaign/{campaign.pk}/change/"
    shown = dict(re.findall(r'name="(starts_at_\d)" value="([^"]*)"', admin_client.get(page).content.decode()))
    assert (shown["starts_at_1"], shown["starts_at_2"].split()[0]) == ("14:00:00", "Europe/Rome")
    response = admin_client.post(page, form_of(campaign) | shown | {"starts_at_1": "15:00"})
    assert response.status_code == 302, response.context["errors"]
    campaign.refresh_from_db()
    assert campaign.starts_at == datetime(2026, 7, 1, 13, tzinfo=UTC)
