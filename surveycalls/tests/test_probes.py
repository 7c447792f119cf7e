import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
import requests
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from calls.demo.processes import ChildProcesses
from calls.metrics import counting, facts
from calls.metrics.exposition import write_metrics
from calls.models import ProviderConfig
from calls.tests.factories import CallAttemptFactory
from calls.tests.phone_network import wait_until
from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.models import Contact, ContactState
from contacts.tests.factories import ContactFactory
from surveycalls import probes
from surveycalls.tests.processes import ROOT

TOKEN = "the-token-of-prometheus"


def read_samples(text):
    families = text_string_to_metric_families(text)
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for f in families for sample in f.samples}


@pytest.fixture
def scrape(db):
    return lambda: read_samples(write_metrics().decode())


@pytest.fixture
def scrape_site(client, settings, transactional_db):
    """As Prometheus does: the site asks over a connection of its own, and so sees only what is committed."""
    settings.METRICS_TOKEN = TOKEN

    def get():
        response = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 200
        return read_samples(response.text)

    return get


def value(samples, metric, /, **labels):
    return samples.get((f"surveycalls_{metric}", tuple(sorted(labels.items()))))


def show_a_scheduler(seconds=60):
    now = timezone.now()
    ProviderConfig.objects.update(scheduler_seen_at=now, scheduler_expected_by=now + timedelta(seconds=seconds))


@pytest.fixture
def silent_database(transactional_db, monkeypatch):
    """As one that is frozen: it lets everybody in and says nothing. This thread's connection is to the real one."""
    connection.ensure_connection()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        lead_elsewhere(monkeypatch, listener.getsockname()[1])
        yield listener
        monkeypatch.undo()


@pytest.fixture
def no_database(transactional_db, monkeypatch):
    connection.ensure_connection()
    with socket.socket() as bound:  # but it does not listen
        bound.bind(("127.0.0.1", 0))
        lead_elsewhere(monkeypatch, bound.getsockname()[1])
        yield
        monkeypatch.undo()


def lead_elsewhere(monkeypatch, port):
    options = connection.settings_dict["OPTIONS"] | {"connect_timeout": 3}
    for name, value in {"HOST": "127.0.0.1", "PORT": port, "OPTIONS": options}.items():
        monkeypatch.setitem(connection.settings_dict, name, value)


def test_healthz_asks_nobody(client):
    response = client.get("/healthz")  # the database is barred in a test that does not ask for it
    assert (response.status_code, response.text) == (200, "The process answers.\n")


@pytest.mark.django_db(transaction=True)
def test_readyz_is_content_with_a_database_and_a_live_scheduler(client):
    show_a_scheduler()
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seconds", [None, -1])
def test_readyz_says_that_no_scheduler_lives(client, seconds):
    if seconds:
        show_a_scheduler(seconds)
    response = client.get("/readyz")
    assert (response.status_code, response.text) == (503, "No scheduler has given a sign of life in time.\n")


@pytest.mark.django_db(transaction=True)
def test_readyz_says_that_migrations_are_missing(client):
    show_a_scheduler()
    missing = MigrationRecorder.Migration.objects.filter(app="calls").latest("id")
    MigrationRecorder.Migration.objects.filter(pk=missing.pk).delete()
    try:
        response = client.get("/readyz")
    finally:
        missing.save(force_insert=True)
    assert response.status_code == 503
    assert response.text == "Migrations are not applied: 1 of them. Run manage.py migrate.\n"


def test_readyz_says_that_the_database_is_away_and_nothing_about_it(client, no_database):
    response = client.get("/readyz")
    assert (response.status_code, response.text) == (503, "The database cannot be reached.\n")


def test_readyz_gives_up_a_frozen_database_though_its_thread_has_a_connection(client, silent_database):
    response = client.get("/readyz")
    assert (response.status_code, response.text) == (503, "The database cannot be reached.\n")


def count_others(cursor, mine):
    cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s", mine)
    return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_a_probe_leaves_no_connection_of_its_own_and_that_of_its_thread_as_it_was(client):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        before = cursor.fetchone()
        client.get("/readyz")
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone() == before
        wait_until(lambda: count_others(cursor, before) == 0, seconds=5)  # a thread of a test before may have one yet


@contextmanager
def somebody_who_waits_for(silent_database, path):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, path)
        accepted, _ = silent_database.accept()
        with accepted:
            time.sleep(probes.PATIENCE_SECONDS)
            yield
            assert not waiting.done()


def ask(path):
    return Client().get(path, headers={"authorization": f"Bearer {TOKEN}"})


def test_while_one_waits_for_a_frozen_database_readyz_says_so_at_once(silent_database):
    with somebody_who_waits_for(silent_database, "/readyz"):
        for _ in range(3):
            response = ask("/readyz")
            assert (response.status_code, response.text) == (503, "The database does not answer.\n")


def test_while_one_waits_for_a_frozen_database_other_scrapes_say_that_it_is_down(silent_database, settings):
    settings.METRICS_TOKEN = TOKEN
    with somebody_who_waits_for(silent_database, "/metrics"):
        samples = read_samples(ask("/metrics").text)
    assert value(samples, "database_up") == 0
    assert value(samples, "calls_started_total") is not None


@pytest.mark.django_db(transaction=True)
def test_two_that_come_at_once_are_both_answered(client):
    show_a_scheduler()
    with ThreadPoolExecutor(1) as pool:
        with probes._readiness_turn.take():
            other = pool.submit(ask, "/readyz")
            time.sleep(0.1)
        assert other.result().status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_scrape_that_takes_its_time_does_not_deny_readiness(client):
    show_a_scheduler()
    with probes._scrape_turn.take():
        time.sleep(probes.PATIENCE_SECONDS)
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("path, status", [("/healthz", 200), ("/metrics", 403), ("/admin/", 400)])
def test_probes_come_over_http_with_any_host_and_other_pages_do_not(client, settings, path, status):
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["calls.example.org"]
    assert client.get(path, headers={"host": "10.1.2.3:8000"}).status_code == status


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_are_only_read(client, path):
    response = client.post(path)
    assert (response.status_code, response.text) == (405, "Only GET and HEAD are answered here.\n")


def test_a_head_has_no_body_and_the_headers_of_a_get():
    get, head = (probes.answer_probe(getattr(RequestFactory(), method)("/healthz")) for method in ("get", "head"))
    assert head.content == b""
    assert head.headers == get.headers
    assert int(head["Content-Length"]) == len(get.content)


@pytest.mark.parametrize("path", ["/healthz/", "/metricsx", "/readyz/x"])
def test_nothing_else_is_a_probe(client, path):
    assert client.get(path).status_code == 404


def test_metrics_are_refused_to_everybody_without_a_token_in_the_settings(client, settings):
    settings.METRICS_TOKEN = ""
    for header in ({}, {"authorization": "Bearer "}):
        assert client.get("/metrics", headers=header).status_code == 403


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer \u20ac"])
def test_metrics_are_refused_without_the_token(client, settings, sent):
    settings.METRICS_TOKEN = TOKEN
    assert client.get("/metrics", headers={"authorization": sent}).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.django_db(transaction=True)
def test_metrics_are_shown_to_who_has_the_token_however_the_scheme_is_written(client, settings, scheme):
    settings.METRICS_TOKEN = TOKEN
    assert client.get("/metrics", headers={"authorization": f"{scheme} {TOKEN}"}).status_code == 200


def test_a_scrape_shows_lines_campaigns_and_who_is_due(scrape):
    show_a_scheduler()
    ProviderConfig.objects.update(max_concurrent_calls=7, calls_per_second=3)
    campaign = CampaignFactory(status=CampaignStatus.RUNNING)
    ContactFactory.create_batch(3, campaign=campaign, next_attempt_at=timezone.now() - timedelta(minutes=5))
    ContactFactory(campaign=campaign, next_attempt_at=timezone.now() + timedelta(minutes=5))
    busy = ContactFactory(campaign=campaign, state=ContactState.IN_PROGRESS, next_attempt_at=None)
    CallAttemptFactory(ringing=True, contact=busy)
    Campaign.objects.filter(pk=campaign.pk).update(allowed_call_start=None, allowed_call_end=None)
    samples, pk = scrape(), str(campaign.pk)
    assert value(samples, "calls_allowed") == 7
    assert value(samples, "calls_per_second_allowed") == 3
    assert value(samples, "calls_open", status="ringing") == 1
    assert value(samples, "calls_open", status="queued") == 0
    due = [value(samples, "contacts_due", campaign=pk, hours=hours) for hours in ("open", "closed")]
    assert sum(due) == 3
    if due[0]:
        assert 299 < value(samples, "oldest_due_contact_age_seconds", campaign=pk) < 400
    assert value(samples, "scheduler_alive") == 1
    assert value(samples, "dialling_enabled") == 1
    assert value(samples, "breaker_open") == 0


def test_large_numbers_of_due_contacts_are_counted_up_to_a_limit(scrape, monkeypatch):
    monkeypatch.setattr(facts, "COUNTED_CONTACTS", 4)
    campaign = CampaignFactory(status=CampaignStatus.RUNNING)
    ContactFactory.create_batch(6, campaign=campaign, calling_zone="Europe/Rome")
    due_since = timezone.now() - timedelta(minutes=5)
    Contact.objects.update(next_attempt_at=due_since)
    samples = scrape()
    due = [value(samples, "contacts_due", campaign=str(campaign.pk), hours=hours) for hours in ("open", "closed")]
    assert sum(due) == 4


def test_a_campaign_is_shown_for_an_hour_after_its_end(scrape):
    campaign = CampaignFactory(status=CampaignStatus.COMPLETED)
    counting.attempts_ended.labels(str(campaign.pk), "busy").inc()
    assert value(scrape(), "attempts_ended_total", campaign=str(campaign.pk), outcome="busy") == 1
    Campaign.objects.update(updated_at=timezone.now() - timedelta(hours=2))
    assert not any(str(campaign.pk) in str(labels) for _, labels in scrape())


def test_a_campaign_that_is_not_there_is_not_shown(scrape):
    unknown = str(uuid4())
    counting.attempts_ended.labels(unknown, "busy").inc()
    assert not any(unknown in str(labels) for _, labels in scrape())


def test_a_scrape_asks_as_many_questions_however_many_there_are(scrape):
    CampaignFactory(status=CampaignStatus.RUNNING)
    with CaptureQueriesContext(connection) as for_none:
        scrape()
    for _ in range(3):
        ContactFactory.create_batch(5, campaign=CampaignFactory(status=CampaignStatus.RUNNING))
    with CaptureQueriesContext(connection) as for_many:
        scrape()
    assert len(for_many) <= len(for_none) + 1  # lanes are asked for who is due when there are any


def test_a_scrape_holds_no_phone_number_and_no_name_of_anybody_or_any_campaign(scrape):
    campaign = CampaignFactory(name="Patients of Dr. Bianchi", status=CampaignStatus.RUNNING)
    contact = ContactFactory(campaign=campaign, phone_number="+12025550147", external_contact_id="Maria Rossi")
    CallAttemptFactory(ringing=True, contact=contact)
    ProviderConfig.objects.update(outbound_number="+12025550199", last_error="a call to +12025550147 failed")
    text = str(scrape())
    assert str(campaign.pk) in text
    for secret in ("2025550147", "2025550199", "Maria", "Bianchi"):
        assert secret not in text


@contextmanager
def contacts_that_cannot_be_read(monkeypatch):
    """Locked by somebody else, as by a migration, for longer than a scrape waits."""
    monkeypatch.setattr(facts, "STATEMENT_TIMEOUT", "200ms")
    locked, done = threading.Event(), threading.Event()

    def lock():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE contacts_contact IN ACCESS EXCLUSIVE MODE")
            locked.set()
            done.wait(20)
        connection.close()

    thread = threading.Thread(target=lock)
    thread.start()
    assert locked.wait(20)
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_too_slow_is_up_and_shows_what_it_has_answered(scrape_site, monkeypatch):
    show_a_scheduler()
    campaign = CampaignFactory(status=CampaignStatus.RUNNING)
    ContactFactory(campaign=campaign)
    counting.attempts_ended.labels(str(campaign.pk), "busy").inc()
    complete = scrape_site()
    with contacts_that_cannot_be_read(monkeypatch):
        samples = scrape_site()
    assert (value(complete, "database_up"), value(complete, "facts_complete")) == (1, 1)
    assert (value(samples, "database_up"), value(samples, "facts_complete")) == (1, 0)
    assert value(samples, "scheduler_alive") == 1
    assert value(samples, "calls_open", status="queued") == 0
    assert value(samples, "attempts_ended_total", campaign=str(campaign.pk), outcome="busy") == 1
    assert not any(name == "surveycalls_contacts_due" for name, _ in samples)
    assert set(samples) < set(complete)


@pytest.mark.django_db
def test_a_database_whose_migrations_are_not_applied_is_up_and_facts_are_left_out(scrape):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE calls_providerconfig DROP COLUMN scheduler_expected_by")
    samples = scrape()
    assert (value(samples, "database_up"), value(samples, "facts_complete")) == (1, 0)
    assert value(samples, "calls_started_total") is not None


def test_without_the_database_a_scrape_says_so_and_shows_what_was_counted(no_database, scrape_site):
    samples = scrape_site()
    assert value(samples, "database_up") == 0
    assert value(samples, "facts_complete") is None
    assert value(samples, "calls_started_total") is not None
    assert value(samples, "calls_allowed") is None


def test_the_exporter_answers_for_its_health_while_readiness_waits_for_a_frozen_database(tmp_path):
    with ChildProcesses(tmp_path) as children, socket.create_server(("127.0.0.1", 0)) as frozen:
        frozen.settimeout(20)
        url = f"postgres://postgres@127.0.0.1:{frozen.getsockname()[1]}/surveycalls"
        manage = [str(ROOT / "manage.py"), "serve_metrics", "--port=0"]
        exporter = children.start("exporter", manage, {"DATABASE_URL": url})
        site = f"http://127.0.0.1:{children.wait_for_line(exporter, 'listening on 127.0.0.1 ')}"
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(requests.get, f"{site}/readyz", timeout=20)
            accepted, _ = frozen.accept()
            with accepted:
                assert requests.get(f"{site}/healthz", timeout=3).status_code == 200
                assert not waiting.done()
            assert waiting.result().status_code == 503
