"""What is shown when a page cannot be."""

import pytest
from django.http import Http404
from django.test import Client

from surveycalls import error_pages

HOME = 'href="/admin/"'
CAMPAIGNS = "http://testserver/admin/campaigns/campaign/"


def check(response, status, sentence):
    page = response.content.decode()
    assert response.status_code == status
    assert sentence in page
    assert HOME in page
    assert "surveycalls/accessibility.css" in page
    assert "--color-primary-600" in page
    return page


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/nowhere/", "/admin/nowhere/", "/admin/campaigns/campaign/add/"])
def test_a_page_that_is_missing_or_forbidden_leads_back_to_where_somebody_came_from(client, django_user_model, path):
    client.force_login(django_user_model.objects.create_user("viewer", is_staff=True))
    response = client.get(path, headers={"Referer": CAMPAIGNS})
    is_missing = "nowhere" in path
    sentence = "There is no such page" if is_missing else "You may not do this"
    assert f'href="{CAMPAIGNS}"' in check(response, 404 if is_missing else 403, sentence)


@pytest.mark.parametrize(
    "came_from",
    ["", "http://elsewhere.example/admin/", "javascript:alert(1)", "http://testserver/nowhere/?again", "//["],
)
def test_no_other_site_and_no_page_that_is_the_same_is_led_back_to(rf, came_from):
    response = error_pages.show_missing(rf.get("/nowhere/", headers={"Referer": came_from}), Http404())
    assert "To the page before" not in check(response, 404, "There is no such page")


@pytest.mark.django_db
def test_a_form_that_comes_without_its_cookies_is_told_what_to_do(admin_user):
    client = Client(enforce_csrf_checks=True)
    page = "http://testserver/admin/campaigns/campaign/add/"
    response = client.post(page, {"name": "Autumn"}, headers={"Referer": page})
    assert f'href="{page}"' in check(response, 403, "Nothing was saved")


def test_a_host_that_is_not_ours_is_refused_with_a_page(client):
    check(client.get("/admin/", headers={"Host": "elsewhere.example"}), 400, "This was not understood")


def test_the_page_of_a_fault_asks_no_database(rf):
    """This test may not ask it."""
    response = error_pages.show_failure(rf.get("/admin/"))
    assert "it is in the log" in check(response, 500, "Something went wrong")


@pytest.mark.django_db
def test_a_fault_is_told_with_its_page(admin_client, monkeypatch):
    monkeypatch.setattr("campaigns.admin.CampaignAdmin.get_queryset", None)
    admin_client.raise_request_exception = False
    check(admin_client.get(CAMPAIGNS), 500, "Something went wrong")
