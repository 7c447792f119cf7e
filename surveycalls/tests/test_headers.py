"""What browsers are told about pages, and how long sessions last."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from calls.tests.factories import CallAttemptFactory
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(
    params=["/admin/login/", "/admin/", "/admin/contacts/contact/", "/admin/calls/callattempt/", "/nowhere/"]
)
def page(request, client, admin_client):
    return (client if request.param == "/admin/login/" else admin_client).get(request.param)


def read_policy(response):
    policy = response.headers["Content-Security-Policy"]
    return {name: set(sources) for name, *sources in (directive.split() for directive in policy.split("; "))}


def test_a_page_runs_scripts_of_files_of_this_site_alone(page):
    policy = read_policy(page)
    assert policy["default-src"] == {"'none'"}
    assert policy["script-src"] == {"'self'", "'unsafe-eval'"}
    assert policy["base-uri"] == {"'none'"}


def test_a_page_is_shown_in_no_frame_and_sends_its_forms_nowhere_else(page):
    assert read_policy(page)["frame-ancestors"] == {"'none'"}
    assert read_policy(page)["form-action"] == {"'self'"}
    assert page.headers["X-Frame-Options"] == "DENY"


def test_a_page_may_use_no_device_and_tells_other_sites_nothing(page):
    assert "microphone=()" in page.headers["Permissions-Policy"]
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_no_browser_keeps_a_page_about_people(admin_client):
    contact = ContactFactory()
    attempt = CallAttemptFactory(contact=contact)
    for address in (
        f"/admin/contacts/contact/{contact.pk}/change/",
        f"/admin/calls/callattempt/{attempt.pk}/change/",
        "/admin/contacts/donotcallentry/",
        f"/admin/contacts/contact/export/{contact.campaign_id}/",
    ):
        assert "no-store" in admin_client.get(address).headers["Cache-Control"], address


def test_the_session_is_a_cookie_that_no_script_and_no_other_sites_form_has(admin_client):
    cookie = admin_client.get("/admin/").cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_who_rests_for_longer_than_a_shift_signs_in_anew(admin_client, settings):
    rest = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    start = timezone.now()
    with time_machine.travel(start) as clock:
        admin_client.get("/admin/")
        for _ in range(3):
            clock.shift(rest - timedelta(minutes=1))
            assert admin_client.get("/admin/").status_code == 200
        clock.shift(rest + timedelta(minutes=1))
        assert admin_client.get("/admin/").headers["Location"].startswith("/admin/login/")


def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(admin_client, settings):
    with time_machine.travel(timezone.now()) as clock:
        admin_client.get("/admin/")
        clock.shift(timedelta(seconds=settings.SESSION_COOKIE_AGE - 60))
        assert admin_client.get("/admin/", headers={"HX-Request": "true"}).status_code == 200
        clock.shift(timedelta(minutes=2))
        assert admin_client.get("/admin/").headers["Location"].startswith("/admin/login/")
