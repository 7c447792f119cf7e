"""The admin's lists of contacts, attempts and the do-not-call list, when they are long."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from calls.models import CallAttempt
from campaigns import long_lists
from campaigns.models import Campaign
from campaigns.tests.factories import CampaignFactory
from contacts.models import Contact, DoNotCallEntry
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory

CONTACTS = "/admin/contacts/contact/"
ATTEMPTS = "/admin/calls/callattempt/"
ENTRIES = "/admin/contacts/donotcallentry/"
LONG_TABLES = (Contact, CallAttempt, DoNotCallEntry)
READ_THROUGH_INDEXES = (*LONG_TABLES, LogEntry)
ROWS = 120_000

# Twenty campaigns, one after the other; one state and one outcome in a thousand are rare.
_FILL = f"""
    INSERT INTO contacts_contact (id, campaign_id, phone_number, external_contact_id, email, preferred_language,
        has_prior_consent, do_not_call, number_rejected, calling_zone, state, attempts_count, last_outcome,
        next_attempt_at, created_at, updated_at)
    SELECT md5(n::text)::uuid, campaigns[1 + n * 20 / {ROWS + 1}], '+1999' || 1000000 + n, 'person-' || n,
        'Person' || n || '@example.org', 'auto', n % 2 = 0, false, false, '',
        CASE WHEN n % 1000 = 0 THEN 'refused' WHEN n % 3 = 0 THEN 'not_reached' ELSE 'completed' END, 1,
        CASE WHEN n % 3 = 0 THEN 'busy' ELSE 'completed' END,
        CASE WHEN n % 1000 > 0 AND n % 3 = 0 THEN now() END, now(), now()
    FROM generate_series(1, {ROWS}) AS n, (SELECT array_agg(id ORDER BY id) AS campaigns FROM campaigns_campaign) AS c;
    INSERT INTO calls_callattempt (id, contact_id, campaign_id, phone_number, attempt_number, call_id, start_at,
        send_before, check_at, claimed_at, ended_at, decided_at, status, outcome, given_back, provider_call_id,
        provider_raw_status, error_code, error_message, metadata)
    SELECT id, id, campaign_id, phone_number, 1, 'call-' || external_contact_id, at, at, at, at,
        CASE WHEN rare % 6000 > 0 THEN at END,
        CASE WHEN rare % 6000 > 0 AND (state = 'refused' OR last_outcome = 'completed') THEN at END,
        CASE WHEN rare % 6000 > 0 THEN 'ended' ELSE 'ringing' END,
        CASE WHEN rare % 6000 = 0 THEN '' WHEN state = 'refused' THEN 'refused' ELSE last_outcome END,
        rare % 2000 = 1, 'CA' || external_contact_id, '', CASE WHEN rare % 2000 = 1 THEN '21211' ELSE '' END, '',
        jsonb_build_object()
    FROM (SELECT *, substr(external_contact_id, 8)::int AS rare,
        now() - interval '1 minute' * ({ROWS} - substr(external_contact_id, 8)::int) AS at
        FROM contacts_contact ORDER BY substr(external_contact_id, 8)::int) AS contact;
    INSERT INTO contacts_donotcallentry (id, phone_number, reason, source, created_at)
    SELECT id, phone_number, '', CASE WHEN state = 'refused' THEN 'manual' ELSE 'import' END, created_at
    FROM contacts_contact;
    INSERT INTO django_admin_log (action_time, user_id, content_type_id, object_id, object_repr, action_flag,
        change_message)
    SELECT now(), {{user}}, type.id, contact.id, contact.phone_number, 2, ''
    FROM contacts_contact AS contact, django_content_type AS type
    WHERE type.app_label = 'contacts' AND type.model IN ('contact', 'donotcallentry');
    ANALYZE contacts_contact, calls_callattempt, contacts_donotcallentry, django_admin_log
"""


@pytest.fixture(scope="module")
def long_tables(django_db_setup, django_db_blocker):
    """Rows for all tests of this module that want them, taken away after the last of them."""
    with django_db_blocker.unblock():
        CampaignFactory.create_batch(20)
        with connection.cursor() as cursor:
            cursor.execute(_FILL.format(user=User.objects.create_user("somebody").pk))
        yield Campaign.objects.order_by("pk")[10]
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE campaigns_campaign, contacts_donotcallentry, auth_user CASCADE")


def explain(queries):
    """The plans of what was asked of the long tables."""
    names = [f'FROM "{model._meta.db_table}"' for model in READ_THROUGH_INDEXES]
    selects = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    with connection.cursor() as cursor:
        for sql in selects:
            if any(name in sql for name in names):
                cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
                yield sql, "\n".join(line for (line,) in cursor.fetchall())


def check_plans(client, address):
    """Every question that the page asks of a long table goes through an index, and there are some."""
    with CaptureQueriesContext(connection) as queries:
        response = client.get(address)
    assert response.status_code == 200, response.headers
    plans = list(explain(queries))
    assert plans
    for sql, plan in plans:
        for model in READ_THROUGH_INDEXES:
            assert f"Seq Scan on {model._meta.db_table}" not in plan, f"{address}\n{sql}\n{plan}"


LISTS = [
    CONTACTS,
    f"{CONTACTS}?p=100",
    f"{CONTACTS}?campaign__id__exact={{campaign}}",
    f"{CONTACTS}?campaign__id__exact={{campaign}}&p=50",
    f"{CONTACTS}?campaign__id__exact={{campaign}}&state__exact=refused",
    f"{CONTACTS}?state__exact=refused",
    f"{CONTACTS}?state__exact=in_progress",
    f"{CONTACTS}?state__exact=completed",
    f"{CONTACTS}?campaign__id__exact={{campaign}}&disposition=complete",
    f"{CONTACTS}?campaign__id__exact={{campaign}}&disposition=busy",
    f"{CONTACTS}?next=due",
    f"{CONTACTS}?next=waiting",
    f"{CONTACTS}?next=never",
    f"{CONTACTS}?last_outcome__exact=busy",
    f"{CONTACTS}?preferred_language__exact=auto",
    f"{CONTACTS}?has_prior_consent__exact=1",
    f"{CONTACTS}?q=%2B1+999+1000017",
    f"{CONTACTS}?q=person-17",
    f"{CONTACTS}?q=PERSON17@example.org&campaign__id__exact={{campaign}}",
    f"{CONTACTS}?q=nobody",
    ATTEMPTS,
    f"{ATTEMPTS}?p=100",
    f"{ATTEMPTS}?campaign__id__exact={{campaign}}",
    f"{ATTEMPTS}?campaign__id__exact={{campaign}}&outcome__exact=refused",
    f"{ATTEMPTS}?outcome__exact=refused",
    f"{ATTEMPTS}?outcome__exact=busy",
    f"{ATTEMPTS}?outcome__exact=failed",
    f"{ATTEMPTS}?status__exact=ended",
    f"{ATTEMPTS}?status__exact=ringing",
    f"{ATTEMPTS}?given_back__exact=0",
    f"{ATTEMPTS}?given_back__exact=1",
    f"{ATTEMPTS}?claimed_at__gte=2020-01-01+00:00:00%2B00:00&claimed_at__lt=2100-01-01+00:00:00%2B00:00",
    f"{ATTEMPTS}?claimed_at__gte=2020-01-01+00:00:00%2B00:00&claimed_at__lt=2020-01-02+00:00:00%2B00:00",
    f"{ATTEMPTS}?q=%2B1+999+1000017",
    f"{ATTEMPTS}?q=call-person-17",
    f"{ATTEMPTS}?q=CAperson-17",
    f"{ATTEMPTS}?q=21211",
    ENTRIES,
    f"{ENTRIES}?source__exact=manual",
    f"{ENTRIES}?source__exact=import",
    f"{ENTRIES}?created_at__gte=2020-01-01+00:00:00%2B00:00&created_at__lt=2020-01-02+00:00:00%2B00:00",
    f"{ENTRIES}?q=%2B1+999+1000017",
]


@pytest.mark.django_db
@pytest.mark.parametrize("address", LISTS)
def test_no_list_reads_a_whole_table(long_tables, admin_client, address):
    check_plans(admin_client, address.format(campaign=long_tables.pk))


@pytest.mark.django_db
def test_no_page_of_a_row_reads_a_whole_table(long_tables, admin_client):
    for model in LONG_TABLES:
        page = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        check_plans(admin_client, reverse(page, args=[model.objects.first().pk]))


@pytest.mark.django_db
def test_a_long_list_says_that_there_is_more_and_ends_where_its_count_does(long_tables, admin_client):
    page = admin_client.get(CONTACTS)
    assert "More than 10,000 contacts" in page.content.decode()
    assert page.context["cl"].paginator.num_pages == 100
    assert "p=%E2%80%A6" not in page.content.decode()  # the dots between page numbers lead nowhere


@pytest.mark.django_db
def test_an_action_takes_all_of_a_list_only_when_they_are_few(long_tables, admin_client):
    chosen = {"action": "exclude_selected", "_selected_action": [Contact.objects.first().pk], "select_across": "1"}
    page = admin_client.post(CONTACTS, chosen | {"confirmed": "yes"}, follow=True)
    assert "More than 10,000 at once are too many" in page.content.decode()
    assert not Contact.objects.filter(do_not_call=True).exists()


@pytest.mark.django_db
def test_a_short_list_says_how_many_there_are(admin_client):
    campaign = CampaignFactory()
    ContactFactory.create_batch(3, campaign=campaign)
    page = admin_client.get(f"{CONTACTS}?campaign__id__exact={campaign.pk}").content.decode()
    assert "3 contacts" in page and "More than" not in page


@pytest.mark.django_db
def test_a_list_that_takes_too_long_is_given_up_with_advice(admin_client, monkeypatch):
    DoNotCallEntryFactory()
    monkeypatch.setattr(long_lists, "MOST_SECONDS", 0.05)
    slow = DoNotCallEntry.objects.extra(where=["pg_sleep(1) IS NOT NULL"])
    monkeypatch.setattr("contacts.admin.DoNotCallEntryAdmin.get_queryset", lambda self, request: slow)
    response = admin_client.get(f"{ENTRIES}?source__exact=manual")
    assert response.headers["Location"] == ENTRIES
    messages = [str(message) for message in response.wsgi_request._messages]
    assert messages == ["To find these takes too long among so many. Choose a campaign as well, or fewer filters."]
