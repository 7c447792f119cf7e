"""Home and the campaign's page, as each role sees them, and what their scripts ask for."""

from datetime import timedelta
from pathlib import Path
from re import findall

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.contrib.staticfiles import finders
from django.utils import timezone
from django.utils.translation import override

from calls import live_pages
from calls.models import ProviderConfig
from calls.templatetags.figures import grouped, rate
from calls.tests.tallied import make_attempt
from campaigns.models import Campaign
from campaigns.tests.factories import CampaignFactory
from contacts.tests.factories import ContactFactory

HOME, FIGURES = "/admin/", "/admin/live/"
ROLES = ("viewer", "campaign_manager", "admin")

pytestmark = pytest.mark.django_db


@pytest.fixture
def log_in(client):
    def log_in(role=None):
        user = User.objects.create_user(f"a-{role}", password="-", is_staff=True)
        if role:
            user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def campaign():
    """With a call that is over and one that goes on."""
    campaign = CampaignFactory(name="Town library")
    now = timezone.now()
    make_attempt(now - timedelta(minutes=10), "busy", campaign=campaign)
    contact = ContactFactory(campaign=campaign, state="in_progress", next_attempt_at=None)
    make_attempt(now - timedelta(seconds=5), contact=contact, ringing=True)
    return campaign


def page_of(campaign):
    return f"/admin/campaigns/campaign/{campaign.pk}/change/"


def figures_of(campaign):
    return f"{FIGURES}{campaign.pk}/"


def get(client, url):
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("role", ROLES)
def test_every_role_sees_the_figures_of_home_and_of_a_campaign(log_in, role, campaign):
    client = log_in(role)
    for page, figures in ((HOME, FIGURES), (page_of(campaign), figures_of(campaign))):
        whole, part = get(client, page), get(client, figures)
        assert f'data-live="{figures}"' in whole
        for text in (whole, part):
            assert "Town library" in text
            assert "Answer rate" in text
        assert "<html" not in part


def test_home_has_no_list_of_apps_any_more(admin_client):
    page = get(admin_client, HOME)
    assert "<title> Home | surveycalls" in page
    assert "app-campaigns" not in page and "Recent actions" not in page


def test_who_may_see_no_campaign_is_told_so_and_gets_no_figures(log_in, campaign):
    client = log_in()
    page = get(client, HOME)
    assert "may not see any campaign" in page
    assert "data-live=" not in page and "Town library" not in page
    for url in (FIGURES, figures_of(campaign)):
        response = client.get(url)
        assert response.status_code == 403
        assert b"Town library" not in response.content


@pytest.mark.parametrize("missing", ["campaigns.view_campaign", "calls.view_callattempt"])
def test_both_permissions_are_needed(log_in, missing):
    client = log_in("viewer")
    app, code = missing.split(".")
    Group.objects.get(name="viewer").permissions.remove(
        *Group.objects.get(name="viewer").permissions.filter(codename=code, content_type__app_label=app)
    )
    assert client.get(FIGURES).status_code == 403


def test_who_is_not_signed_in_is_refused_without_being_sent_to_a_page_for_it(client, campaign):
    for url in (FIGURES, figures_of(campaign)):
        response = client.get(url)
        assert response.status_code == 401
        assert b"Town library" not in response.content


def test_who_is_no_operator_is_refused(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("guest", password="-"))
    assert client.get(FIGURES).status_code == 401


def test_a_campaign_that_there_is_not_has_no_figures(admin_client):
    gone = CampaignFactory.build()
    assert admin_client.get(figures_of(gone)).status_code == 404


def test_a_page_that_is_open_keeps_nobody_signed_in(log_in, campaign):
    client = log_in("viewer")
    ends = timezone.now() + timedelta(minutes=1)
    for url in (FIGURES, figures_of(campaign)):
        Session.objects.update(expire_date=ends)
        response = client.get(url, headers={"HX-Request": "true"})
        assert response.status_code == 200
        assert Session.objects.get().expire_date == ends
        assert not response.cookies
        assert response["Cache-Control"] == "no-store"
    get(client, HOME)
    assert Session.objects.get().expire_date > ends
    assert '"HX-Request": "true"' in Path(finders.find("surveycalls/live.js")).read_text()


def test_a_new_installation_is_told_what_to_do_first(log_in):
    page = get(log_in("campaign_manager"), HOME)
    assert "Your first campaign, in three steps" in page
    assert 'href="/admin/campaigns/campaign/add/"' in page


def test_a_viewer_of_a_new_installation_is_not_sent_where_it_may_not_go(log_in):
    page = get(log_in("viewer"), HOME)
    assert "Your first campaign, in three steps" in page
    assert "/admin/campaigns/campaign/add/" not in page


def test_with_a_campaign_the_first_steps_are_gone(admin_client, campaign):
    assert "in three steps" not in get(admin_client, HOME)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"dialing_enabled": False, "halted_reason": "The provider refuses our key."}, "The provider refuses our key."),
        ({"dialing_enabled": False}, "Nobody is rung until it is switched on."),
        ({"scheduler_seen_at": None, "scheduler_expected_by": None}, "no scheduler has ever reported"),
        ({"last_error": "Busy circuits", "last_error_at": timezone.now()}, "Busy circuits"),
    ],
)
def test_home_tells_what_is_wrong(admin_client, campaign, values, sentence):
    ProviderConfig.objects.update(**values)
    assert sentence in get(admin_client, HOME)


def test_names_and_messages_are_not_taken_for_markup(admin_client, campaign):
    Campaign.objects.update(name="<b>bold</b>")
    campaign.attempts.update(error_code="<i>code</i>", error_message="<i>message</i>")
    for url in (HOME, FIGURES, page_of(campaign), figures_of(campaign)):
        page = get(admin_client, url)
        assert "<b>bold</b>" not in page and "<i>code</i>" not in page and "<i>message</i>" not in page
        assert "&lt;b&gt;bold" in page


def test_a_campaign_that_rang_nobody_has_no_charts(admin_client):
    page = get(admin_client, page_of(CampaignFactory()))
    assert "Best hours" not in page and "Outcomes over time" not in page


def test_a_page_for_a_new_campaign_has_no_figures(admin_client):
    assert "data-live=" not in get(admin_client, "/admin/campaigns/campaign/add/")


def test_a_campaigns_page_is_of_this_moment_and_what_it_asks_for_may_be_remembered(admin_client, campaign, monkeypatch):
    monkeypatch.setattr("calls.recollection.REST", 100_000)
    assert "Town library" in get(admin_client, figures_of(campaign))
    Campaign.objects.update(name="New name")
    assert "New name" not in get(admin_client, figures_of(campaign))
    assert "New name" in get(admin_client, page_of(campaign))


def test_whose_clock_shows_another_time_gets_figures_of_its_own(monkeypatch):
    monkeypatch.setattr("calls.recollection.REST", 100_000)
    with timezone.override("Asia/Tokyo"):
        assert "time zone Asia/Tokyo" in live_pages.write_home()
    with timezone.override("Europe/Rome"):
        assert "time zone Europe/Rome" in live_pages.write_home()


def test_every_page_loads_the_script_and_the_styles(admin_client):
    page = get(admin_client, HOME)
    for name in ("surveycalls/live.js", "surveycalls/figures.css"):
        assert f"/static/{name}" in page
        assert finders.find(name)


def test_the_figures_bring_no_script_of_their_own(admin_client, campaign):
    for url in (FIGURES, figures_of(campaign)):
        page = get(admin_client, url)
        assert "<script" not in page and " on" + "click" not in page


@pytest.fixture
def get_italian(admin_client):
    def get_it(url):
        admin_client.cookies["django_language"] = "it"
        # A request leaves its language behind.
        with override("it"):
            return get(admin_client, url)

    return get_it


def test_who_reads_another_language_gets_figures_of_its_own(admin_client, get_italian, monkeypatch, campaign):
    monkeypatch.setattr("calls.recollection.REST", 100_000)
    assert "Running campaigns" in get(admin_client, FIGURES)
    page = get_italian(FIGURES)
    assert "Campagne in corso" in page and "Running campaigns" not in page
    assert "1 chiamata in corso" in page and "chiamate concluse oggi: 1; con risposta: 0" in page


def test_numbers_in_styles_and_attributes_have_no_comma_in_any_language(get_italian, campaign):
    for url in (FIGURES, figures_of(campaign)):
        numbers = findall(r'(?:style|aria-value\w+)="[^"]*"', get_italian(url))
        assert numbers and not [one for one in numbers if "," in one]


def test_large_numbers_and_rates_are_written_as_the_language_does():
    assert (grouped(1_234_567), rate(0.84), rate(12)) == ("1,234,567", "0.8", "12")
    with override("it"):
        assert (grouped(1_234_567), rate(0.84), rate(12)) == ("1.234.567", "0,8", "12")
