from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.translation import override

from calls import wakeups
from calls.admin import show_dialling
from calls.models import CallAttempt, ProviderConfig
from calls.scheduler import LATE
from calls.tests.factories import CallAttemptFactory, ProviderConfigFactory

ATTEMPTS = "/admin/calls/callattempt/"
PROVIDERS = "/admin/calls/providerconfig/"

pytestmark = pytest.mark.django_db


def page_of(row, what="change"):
    return f"/admin/calls/{row._meta.model_name}/{row.pk}/{what}/"


def get(client, url):
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def count_queries(client, url):
    client.get(url)  # fills the cache of content types
    with CaptureQueriesContext(connection) as queries:
        get(client, url)
    return len(queries)


def form_of(provider, **changes):
    fields = {
        "adapter": "twilio",
        "outbound_number": provider.outbound_number,
        "max_concurrent_calls": provider.max_concurrent_calls,
        "calls_per_second": provider.calls_per_second,
    }
    return fields | changes


def press(client, provider, button):
    """Press a button of the provider's page and confirm; returns the page that follows."""
    response = client.post(page_of(provider, button), {"_form_submitted": "True"})
    assert response.headers["HX-Redirect"] == page_of(provider)
    return get(client, page_of(provider))


def test_the_list_and_the_page_open(admin_client):
    attempt = CallAttemptFactory(outcome="failed", error_code="21211")
    page = get(admin_client, ATTEMPTS)
    assert "21211" in page
    assert page_of(attempt) in page
    assert attempt.call_id in get(admin_client, page_of(attempt))


def test_instants_are_shown_to_the_second_by_a_clock_of_24_hours(admin_client):
    attempt = CallAttemptFactory(claimed_at=datetime(2026, 3, 4, 19, 5, 7, tzinfo=UTC))
    assert "4 Mar 2026, 19:05:07" in get(admin_client, ATTEMPTS)
    page = get(admin_client, page_of(attempt))
    assert "4 Mar 2026, 19:05:07" in page and "p.m." not in page


def test_an_attempt_that_never_rang_says_so(admin_client):
    CallAttemptFactory(outcome="failed", given_back=True)
    assert "Never rang" in get(admin_client, ATTEMPTS)


@pytest.mark.parametrize("state", ["claimed", "ringing", "answered"])
def test_an_open_attempt_opens(admin_client, state):
    attempt = CallAttemptFactory(**{state: True})
    assert state.capitalize() in get(admin_client, ATTEMPTS)
    get(admin_client, page_of(attempt))


def test_the_length_of_a_talk_is_shown(admin_client):
    attempt = CallAttemptFactory(answered=True)
    ended_at = attempt.answered_at + timedelta(seconds=95)
    CallAttempt.objects.update(status="ended", outcome="completed", decided_at=ended_at, ended_at=ended_at)
    assert "1:35" in get(admin_client, ATTEMPTS)


def test_the_list_takes_the_same_number_of_queries_for_many_attempts(admin_client):
    CallAttemptFactory.create_batch(2)
    few = count_queries(admin_client, ATTEMPTS)
    CallAttemptFactory.create_batch(18)
    assert count_queries(admin_client, ATTEMPTS) == few


def test_attempts_are_only_read(admin_client):
    attempt = CallAttemptFactory()
    assert admin_client.get(f"{ATTEMPTS}add/").status_code == 403
    assert admin_client.post(f"{ATTEMPTS}add/", {"status": "ended"}).status_code == 403
    assert admin_client.post(page_of(attempt), {"outcome": "completed"}).status_code == 403
    assert admin_client.post(page_of(attempt, "delete"), {"post": "yes"}).status_code == 403
    admin_client.post(ATTEMPTS, {"action": "delete_selected", "_selected_action": [attempt.pk], "post": "yes"})
    assert CallAttempt.objects.get().outcome == "no_answer"


@pytest.mark.parametrize(
    "query",
    ["?outcome__exact=no_answer", "?status__exact=ended", "?given_back__exact=0", "?q=%2B353+2+091-00001", "?q=found"],
)
def test_filters_and_searches_of_the_list(admin_client, query):
    CallAttemptFactory(phone_number="+353209100001", call_id="found")
    assert "353209100001" in get(admin_client, ATTEMPTS + query)


def test_the_status_filter_finds_calls_that_are_open(admin_client):
    CallAttemptFactory(phone_number="+353209100001")
    CallAttemptFactory(phone_number="+353209100002", ringing=True)
    page = get(admin_client, f"{ATTEMPTS}?status__exact=ringing")
    assert "353209100002" in page and "353209100001" not in page


def test_the_only_provider_is_opened_at_once(admin_client):
    provider = ProviderConfigFactory()
    assert admin_client.get(PROVIDERS).headers["Location"] == page_of(provider)
    get(admin_client, page_of(provider))


def test_there_is_never_a_second_provider_nor_none(admin_client):
    provider = ProviderConfigFactory()
    assert admin_client.get(f"{PROVIDERS}add/").status_code == 403
    assert admin_client.post(page_of(provider, "delete"), {"post": "yes"}).status_code == 403


def test_a_provider_that_is_missing_can_be_added(admin_client):
    ProviderConfig.objects.all().delete()
    get(admin_client, PROVIDERS)
    admin_client.post(f"{PROVIDERS}add/", form_of(ProviderConfig(), outbound_number="+1 202-555-0199"))
    assert ProviderConfig.objects.get().outbound_number == "+12025550199"


def test_a_halt_is_shown_in_red_with_its_reason(admin_client):
    provider = ProviderConfigFactory(dialing_enabled=False, halted_reason="20003: Authenticate.")
    page = get(admin_client, page_of(provider))
    assert "Dialling has stopped. 20003: Authenticate." in page
    assert "Dialling has stopped" not in get(admin_client, ATTEMPTS)


def test_switching_dialling_on_again_forgets_what_had_failed(admin_client):
    provider = ProviderConfigFactory(
        dialing_enabled=False,
        halted_reason="20003: Authenticate.",
        consecutive_failures=9,
        paused_until=timezone.now() + timedelta(hours=1),
    )
    page = press(admin_client, provider, "switch_on")
    assert "Dialling is on." in page and "Dialling has stopped" not in page
    provider.refresh_from_db()
    assert provider.dialing_enabled
    assert (provider.halted_reason, provider.consecutive_failures, provider.paused_until) == ("", 0, None)
    assert LogEntry.objects.get().get_change_message() == "Dialling is on."


def test_dialling_is_switched_off_and_nothing_else_changes(admin_client):
    provider = ProviderConfigFactory(consecutive_failures=3)
    assert "Dialling is off." in press(admin_client, provider, "switch_off")
    provider.refresh_from_db()
    assert (provider.dialing_enabled, provider.halted_reason, provider.consecutive_failures) == (False, "", 3)


def test_switching_off_what_was_halted_meanwhile_keeps_the_reason(admin_client):
    provider = ProviderConfigFactory(dialing_enabled=False, halted_reason="20003: Authenticate.")
    assert "20003: Authenticate." in press(admin_client, provider, "switch_off")


@pytest.mark.parametrize(("is_on", "shown", "hidden"), [(True, "off", "on"), (False, "on", "off")])
def test_the_page_offers_to_switch_to_what_is_not_the_case(admin_client, is_on, shown, hidden):
    page = get(admin_client, page_of(ProviderConfigFactory(dialing_enabled=is_on)))
    assert f"Switch dialling {shown}" in page
    assert f"Switch dialling {hidden}" not in page


@pytest.mark.parametrize("button", ["switch_on", "switch_off"])
def test_opening_the_dialog_of_a_switch_changes_nothing(admin_client, button):
    provider = ProviderConfigFactory(dialing_enabled=button == "switch_off")
    assert 'id="dialog"' in get(admin_client, page_of(provider, button))
    assert ProviderConfig.objects.get().dialing_enabled is (button == "switch_off")


@pytest.mark.parametrize("button", ["switch_on", "switch_off"])
def test_somebody_who_may_only_look_can_switch_nothing(client, django_user_model, button):
    viewer = django_user_model.objects.create_user("viewer", password="viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_providerconfig"))
    client.force_login(viewer)
    provider = ProviderConfigFactory()
    assert "Switch dialling" not in get(client, page_of(provider))
    assert client.post(page_of(provider, button), {"_form_submitted": "True"}).status_code == 403


@pytest.mark.parametrize("button", ["switch_on", "switch_off"])
def test_switching_no_provider_is_no_error(admin_client, button):
    assert admin_client.post(f"{PROVIDERS}no-such-id/{button}/", {"_form_submitted": "True"}).status_code == 404


def test_a_page_that_was_opened_before_a_halt_does_not_switch_dialling_on(admin_client):
    provider = ProviderConfigFactory()
    ProviderConfig.objects.update(dialing_enabled=False, halted_reason="20003: Authenticate.")
    form = form_of(provider, max_concurrent_calls=7, dialing_enabled="on")
    assert admin_client.post(page_of(provider), form).status_code == 302
    provider.refresh_from_db()
    assert (provider.dialing_enabled, provider.halted_reason) == (False, "20003: Authenticate.")
    assert provider.max_concurrent_calls == 7


@pytest.mark.parametrize(
    "change",
    [
        lambda client, provider: press(client, provider, "switch_on"),
        lambda client, provider: client.post(page_of(provider), form_of(provider, max_concurrent_calls=99)),
    ],
)
def test_schedulers_look_again_when_more_may_be_rung(admin_client, change, django_capture_on_commit_callbacks):
    provider = ProviderConfigFactory()
    with django_capture_on_commit_callbacks() as callbacks:
        change(admin_client, provider)
    assert wakeups._bell.ring in callbacks


def test_other_changes_keep_what_has_failed(admin_client):
    provider = ProviderConfigFactory(consecutive_failures=3)
    admin_client.post(page_of(provider), form_of(provider, max_concurrent_calls=7))
    provider.refresh_from_db()
    assert (provider.max_concurrent_calls, provider.consecutive_failures) == (7, 3)


def test_what_schedulers_write_can_not_be_written_by_hand(admin_client):
    provider = ProviderConfigFactory(consecutive_failures=3)
    admin_client.post(page_of(provider), form_of(provider, consecutive_failures=0, halted_reason="None"))
    provider.refresh_from_db()
    assert (provider.consecutive_failures, provider.halted_reason) == (3, "")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"max_concurrent_calls": 0}, "greater than or equal to 1"),
        ({"calls_per_second": 0}, "greater than or equal to 0.01"),
        ({"outbound_number": "202"}, "It has no country code"),
    ],
)
def test_limits_that_could_never_work_are_refused(admin_client, changes, error):
    provider = ProviderConfigFactory()
    assert error in admin_client.post(page_of(provider), form_of(provider, **changes)).content.decode()


@pytest.mark.parametrize(
    ("state", "label", "colour"),
    [
        ({}, "Dialling is on", "success"),
        ({"dialing_enabled": False, "scheduler_expected_by": None}, "Dialling is off", "danger"),
        ({"scheduler_expected_by": None}, "Nothing rings: no scheduler", "danger"),
        ({"scheduler_expected_by": timezone.now() - timedelta(seconds=1)}, "Nothing rings: no scheduler", "danger"),
        ({"paused_until": timezone.now() + timedelta(days=1)}, "Provider fails: waiting until", "warning"),
        ({"paused_until": timezone.now() - timedelta(days=1)}, "Dialling is on", "success"),
    ],
)
def test_every_page_says_whether_anybody_can_be_rung(admin_user, state, label, colour):
    ProviderConfigFactory(**{"scheduler_expected_by": timezone.now() + timedelta(hours=1)} | state)
    request = RequestFactory().get("/admin/")
    request.user = admin_user
    shown, shown_in = show_dialling(request)
    assert shown.startswith(label)
    assert shown_in == colour


def test_strangers_learn_nothing_of_the_provider(client):
    ProviderConfigFactory(dialing_enabled=False)
    assert "Dialling is off" not in client.get("/admin/login/").content.decode()


# In Italian


def test_a_halt_is_told_in_italian_and_switching_on_is_written_in_the_language_of_the_deployment(admin_client):
    admin_client.cookies["django_language"] = "it"
    refusal = "The provider refused a call to +12 from no number: No (code 21205). Check PUBLIC_BASE_URL."
    provider = ProviderConfigFactory(dialing_enabled=False, halted_reason=refusal, last_error=refusal)
    page = get(admin_client, page_of(provider))
    told = (
        "Il provider ha rifiutato una chiamata a +12 da nessun numero: No (codice 21205). Controllare PUBLIC_BASE_URL."
    )
    assert f"Le chiamate si sono fermate. {told} Correggere il problema" in page
    assert page.count(told) == 2
    assert "Le chiamate sono attivate." in press(admin_client, provider, "switch_on")
    assert LogEntry.objects.get().get_change_message() == "Dialling is on."


def test_why_a_call_was_given_back_is_shown_in_italian(admin_client):
    admin_client.cookies["django_language"] = "it"
    attempt = CallAttemptFactory(outcome="failed", given_back=True, error_message=LATE[1])
    assert "La chiamata sarebbe partita troppo tardi." in get(admin_client, page_of(attempt))
    page = get(admin_client, ATTEMPTS)
    assert "Non ha squillato" in page and "Conclusa" in page


def test_the_label_of_every_page_in_italian(admin_user):
    tomorrow = timezone.now() + timedelta(days=1)
    ProviderConfigFactory(paused_until=tomorrow, scheduler_expected_by=tomorrow)
    request = RequestFactory().get("/admin/")
    request.user = admin_user
    with override("it"):
        assert show_dialling(request)[0].startswith("Il provider non risponde: attesa fino alle ")
