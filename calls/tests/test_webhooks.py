"""What the provider says over HTTP, and what strangers try; through all of Django, as in production."""

import itertools
from datetime import timedelta
from urllib.parse import urlencode

import psycopg2
import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import reverse
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from calls import callback_urls, providers, webhooks
from calls.models import CallAttempt
from calls.providers import get_provider
from calls.providers.base import InvalidSignature, MalformedEvent
from calls.states import AttemptStatus
from contacts.models import CallOutcome, Contact, ContactState

from .conftest import NOON
from .factories import CallAttemptFactory

pytestmark = pytest.mark.django_db

AUTH_TOKEN = "the-auth-token"
PUBLIC_URL = "https://calls.example.org"
EVENTS, VOICE, CONSENT = "telephony-events", "telephony-voice", "telephony-voice-consent"
VIEWS = [EVENTS, VOICE, CONSENT, "telephony-voice-question"]
FORM = "application/x-www-form-urlencoded"
SID = "CA1"


@pytest.fixture(autouse=True)
def account(settings):
    settings.PUBLIC_BASE_URL = PUBLIC_URL
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC1", AUTH_TOKEN
    settings.SECURE_SSL_REDIRECT = False
    get_provider.cache_clear()
    yield
    get_provider.cache_clear()


@pytest.fixture(autouse=True)
def clock(clock, monkeypatch):
    """The database's; what the machine's says must not matter."""
    monkeypatch.setattr(webhooks, "shared_clock", clock)
    with time_machine.travel(NOON - timedelta(days=100), tick=False):
        yield clock


@pytest.fixture
def client():
    """Shows what a server would: an exception is an answer with status 500."""
    return Client(raise_request_exception=False)


@pytest.fixture
def attempt():
    """The provider has been asked for it a moment ago."""
    return CallAttemptFactory(
        status=AttemptStatus.PLACING,
        provider_call_id="",
        contact__state=ContactState.IN_PROGRESS,
        contact__attempts_count=1,
        contact__next_attempt_at=None,
        contact__campaign__intro_script="Good day.",
    )


def address(view, call_id="", query=None):
    return f"{reverse(view)}?{urlencode({'call_id': call_id}) if query is None else query}"


def sign(path, form, token=AUTH_TOKEN, base=PUBLIC_URL):
    return RequestValidator(token).compute_signature(f"{base}{path}", form)


def post(client, path, form, signature=None, **headers):
    """A request as the provider sends it, with a genuine signature unless another one is given."""
    signature = sign(path, form) if signature is None else signature
    return client.post(path, urlencode(form), content_type=FORM, headers={"X-Twilio-Signature": signature} | headers)


def tell(client, attempt, status, sid=SID, view=EVENTS, **more):
    return post(client, address(view, attempt.call_id), {"CallSid": sid, "CallStatus": status, **more})


def state_of(attempt):
    attempt.refresh_from_db()
    contact = Contact.objects.get(pk=attempt.contact_id)
    return attempt.status, attempt.outcome, contact.state


RINGING_STATE = (AttemptStatus.RINGING, "", ContactState.IN_PROGRESS)


# Who may speak


def test_a_signed_callback_moves_the_attempt(client, attempt):
    assert tell(client, attempt, "ringing").status_code == 200
    assert state_of(attempt) == RINGING_STATE
    assert (attempt.provider_call_id, attempt.provider_raw_status) == (SID, "ringing")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("signature", [None, "", "wrong", "A" * 27 + "=", "\xe9" * 28])
def test_a_request_without_the_providers_signature_is_refused_and_changes_nothing(client, attempt, view, signature):
    before = CallAttempt.objects.values().get()
    path, form = address(view, attempt.call_id), {"CallSid": SID, "CallStatus": "in-progress"}
    headers = {} if signature is None else {"X-Twilio-Signature": signature}
    response = client.post(path, urlencode(form), content_type=FORM, headers=headers)
    assert response.status_code == 403
    assert CallAttempt.objects.values().get() == before


def test_a_signature_by_another_token_is_refused(client, attempt):
    path, form = address(EVENTS, attempt.call_id), {"CallSid": SID, "CallStatus": "ringing"}
    assert post(client, path, form, sign(path, form, token="another")).status_code == 403
    assert attempt.status == AttemptStatus.PLACING


@pytest.mark.parametrize("view", VIEWS)
def test_a_provider_reads_whatever_headers_it_signs_with(client, attempt, view, monkeypatch):
    class OtherProvider:
        def parse_webhook_event(self, url, parameters, headers):
            assert url == f"{PUBLIC_URL}{address(view, attempt.call_id)}"
            raise InvalidSignature if headers["x-other-signature"] != "other" else MalformedEvent("Other.")

    monkeypatch.setitem(providers._MAKERS, "twilio", OtherProvider)
    for signature, status in {"wrong": 403, "other": 400}.items():
        response = post(client, address(view, attempt.call_id), {}, **{"X-Other-Signature": signature})
        assert response.status_code == status


@pytest.mark.parametrize("view", VIEWS)
def test_a_stranger_does_not_reach_the_database(client, attempt, view, django_assert_num_queries):
    form = {"CallSid": SID, "CallStatus": "ringing"}
    with django_assert_num_queries(0):
        assert post(client, address(view, attempt.call_id), form, "wrong").status_code == 403


def test_a_genuine_signature_is_not_good_for_another_call_or_another_view(client, attempt):
    form = {"CallSid": SID, "CallStatus": "in-progress"}
    signature = sign(address(EVENTS, attempt.call_id), form)
    assert post(client, address(EVENTS, "another"), form, signature).status_code == 403
    assert post(client, address(CONSENT, attempt.call_id), form, signature).status_code == 403


def test_without_an_auth_token_everything_is_refused(client, attempt, settings):
    settings.TWILIO_AUTH_TOKEN = ""
    get_provider.cache_clear()
    path, form = address(EVENTS, attempt.call_id), {"CallSid": SID, "CallStatus": "ringing"}
    assert post(client, path, form, sign(path, form, token="")).status_code == 403


@pytest.mark.parametrize(
    ("base", "host", "https"),
    [
        ("https://calls.example.org", "127.0.0.1:8000", False),  # a proxy that ends TLS and names itself
        ("https://calls.example.org", "localhost", True),
        ("https://calls.example.org:8443", "localhost", False),
        ("http://calls.example.org", "testserver", True),
        ("https://example.org/calls", "localhost", False),  # and one that takes off a prefix
    ],
)
def test_behind_a_proxy_the_public_address_counts(client, attempt, settings, base, host, https):
    settings.PUBLIC_BASE_URL = base
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
    path, form = address(EVENTS, attempt.call_id), {"CallSid": SID, "CallStatus": "ringing"}
    response = client.post(
        path,
        urlencode(form),
        content_type=FORM,
        secure=https,
        headers={"Host": host, "X-Twilio-Signature": sign(path, form, base=base)},
    )
    assert response.status_code == 200
    assert state_of(attempt) == RINGING_STATE


def test_what_the_request_says_of_its_own_host_does_not_count(client, attempt, settings):
    settings.ALLOWED_HOSTS = ["*"]
    path, form = address(EVENTS, attempt.call_id), {"CallSid": SID, "CallStatus": "ringing"}
    signature = sign(path, form, base="https://evil.example")
    response = post(client, path, form, signature, **{"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("make", "view"),
    [
        (callback_urls.events_url, EVENTS),
        (callback_urls.answer_url, VOICE),
    ],
)
def test_the_addresses_that_the_provider_is_given_are_public_and_name_the_call(make, view):
    assert make("call-1") == f"{PUBLIC_URL}{address(view, 'call-1')}"


def test_calls_are_not_asked_for_a_csrf_token(attempt):
    assert tell(Client(enforce_csrf_checks=True), attempt, "ringing").status_code == 200


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_nothing_but_a_post_is_accepted(client, attempt, view, method):
    assert getattr(client, method)(address(view, attempt.call_id)).status_code == 405


# What makes no sense


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("", {"CallSid": SID, "CallStatus": "ringing"}),
        ("call_id=", {"CallSid": SID, "CallStatus": "ringing"}),
        ("call_id=a%20b", {"CallSid": SID, "CallStatus": "ringing"}),
        ("call_id=call-1", {"CallStatus": "ringing"}),
        ("call_id=call-1", {"CallSid": SID}),
        ("call_id=call-1", {"CallSid": "", "CallStatus": ""}),
        ("call_id=call-1", {}),
    ],
)
def test_a_signed_request_without_sense_is_malformed(client, view, query, form):
    response = post(client, address(view, query=query) if query else reverse(view), form)
    assert response.status_code == 400
    assert response["Content-Type"] == "text/plain"


def test_a_call_that_we_do_not_know_is_no_error_but_logged(client):
    form = {"CallSid": SID, "CallStatus": "completed"}
    with capture_logs() as logs:
        assert post(client, address(EVENTS, "never-made"), form).status_code == 200
    (line,) = [line for line in logs if line["event"] == "call.event"]
    assert (line["call_id"], line["result"], line["provider_status"]) == ("never-made", "unknown_call", "completed")


def test_forged_and_malformed_requests_are_logged(client, attempt):
    path = address(EVENTS, attempt.call_id)
    with capture_logs() as logs:
        post(client, path, {"CallSid": SID, "CallStatus": "ringing"}, "wrong")
        post(client, path, {"CallSid": SID})
        post(client, address(EVENTS, "x" * 99), {"CallSid": SID}, "wrong")
    assert [(line["event"], line["address"]) for line in logs] == [
        ("webhook.forged", path),
        ("webhook.malformed", path),
        ("webhook.forged", address(EVENTS, "x" * 99)[:100]),
    ]


STRANGE_BODIES = [
    (b"", FORM),
    (b"", ""),
    (b"\x00", FORM),
    (b"CallStatus=%00&CallSid=%00", FORM),
    (b"CallStatus=\xff\xfe&%ff=%fe", FORM),
    (b"CallStatus=ringing&CallSid=CA1", f"{FORM}; charset=utf-16"),
    (b"CallStatus=ringing&CallSid=CA1", f"{FORM}; charset=nonsense"),
    (b"CallStatus=" + b"x" * 3_000_000, FORM),
    (b"&".join(b"a%d=1" % n for n in range(2000)), FORM),
    (b"=" * 1000 + b"&" * 500 + b";", FORM),
    (b'{"CallStatus": "ringing", "CallSid": "CA1"}', "application/json"),
    (b"[" * 100_000, "application/json"),
    (b"<xml/>", "text/xml"),
    (b"garbage", "multipart/form-data"),
    (b"garbage", "multipart/form-data; boundary="),
    (b"garbage", "multipart/form-data; boundary=\xe9"),
    (b"--b\r\ngarbage", "multipart/form-data; boundary=b"),
    (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--', "multipart/form-data; boundary=b"),
    (
        b'--b\r\nContent-Disposition: form-data; name="CallSid"\r\n\r\nCA1\r\n--b--\r\n',
        "multipart/form-data; boundary=b; charset=idna",
    ),
    (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="a\x00b"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n!\r\n--b--\r\n",
        "multipart/form-data; boundary=b",
    ),
    (b"x", "\x00"),
    (b"x", "é"),
]


@pytest.mark.parametrize(("body", "content_type"), STRANGE_BODIES, ids=range(len(STRANGE_BODIES)))
@pytest.mark.parametrize("signature", ["wrong", "genuine"])
def test_no_body_brings_the_server_down(client, attempt, body, content_type, signature):
    path = address(EVENTS, attempt.call_id)
    signature = sign(path, {}) if signature == "genuine" else signature
    response = client.generic("POST", path, body, content_type, headers={"X-Twilio-Signature": signature})
    assert response.status_code in {400, 403, 413}
    assert state_of(attempt)[0] == AttemptStatus.PLACING


@pytest.mark.parametrize(
    "query",
    [
        "call_id=%00",
        "call_id=%ff%fe",
        "call_id[]=1&call_id[a]=2",
        "call_id=a&call_id=b",
        "?" * 100,
        "%",
        "a" * 50_000,
        "&".join(f"a{n}=1" for n in range(3000)),
        "bodySHA256=x&call_id=a",
        "call_id=\xe9\u2028",
        "call_id='; DROP TABLE calls_callattempt; --",
        "call_id=//[::1",
    ],
    ids=range(12),
)
@pytest.mark.parametrize("signature", ["wrong", "genuine"])
def test_no_query_brings_the_server_down(client, query, signature):
    path, form = reverse(EVENTS), {"CallSid": SID, "CallStatus": "completed"}
    response = client.generic(
        "POST",
        path,
        urlencode(form),
        content_type=FORM,
        QUERY_STRING=query,
        headers={"X-Twilio-Signature": sign(f"{path}?{query}", form) if signature == "genuine" else "wrong"},
    )
    assert response.status_code in {200, 400, 403}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "odd",
    [
        {"CallStatus": "\0"},
        {"CallStatus": "x" * 10_000},
        {"CallStatus": "in-progress\0"},
        {"CallStatus": "failed", "ErrorCode": "\0"},
        {"CallStatus": "failed", "ErrorCode": "9" * 10_000},
        {"CallStatus": "failed", "ErrorCode": "\u2028\U0001f4de"},
        {"CallSid": "\0"},
        {"CallSid": "C" * 10_000},
        {"CallSid": "CA\u2028"},
        {"To": "\0", "From": "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")},
        {"": ""},
        {"\0": "\0"},
        {"CallDuration": "-1", "SequenceNumber": "many", "Timestamp": "never"},
        {f"Name{n}": "" for n in range(500)},
    ],
    ids=range(14),
)
def test_odd_values_in_a_genuine_callback_do_not_bring_the_server_down(client, attempt, view, odd):
    form = {"CallSid": SID, "CallStatus": "ringing"} | odd
    assert post(client, address(view, attempt.call_id), form).status_code in {200, 400}


# In whatever order


def test_a_callback_that_comes_twice_counts_once(client, attempt, clock):
    tell(client, attempt, "busy")
    first = CallAttempt.objects.values().get()
    clock.sleep(300)
    assert tell(client, attempt, "busy").status_code == 200
    assert CallAttempt.objects.values().get() == first


@pytest.mark.parametrize("order", [*itertools.permutations(["initiated", "ringing", "in-progress", "busy"])])
def test_callbacks_in_any_order_end_the_same(client, attempt, order):
    assert {tell(client, attempt, status).status_code for status in order} == {200}
    assert state_of(attempt) == (AttemptStatus.ENDED, CallOutcome.BUSY, ContactState.NOT_REACHED)


def test_everything_that_a_callback_writes_is_dated_by_the_databases_clock(client, attempt):
    tell(client, attempt, "in-progress")
    tell(client, attempt, "completed")
    attempt.refresh_from_db()
    contact = Contact.objects.get(pk=attempt.contact_id)
    times = (attempt.answered_at, attempt.ended_at, contact.last_attempt_at, contact.updated_at)
    assert set(times) == {NOON}


def test_a_callback_may_come_before_the_answer_to_the_request_is_recorded(client, attempt):
    tell(client, attempt, "ringing")
    assert state_of(attempt) == RINGING_STATE
    assert attempt.provider_call_id == SID


def test_a_callback_for_another_call_of_the_providers_is_ignored(client, attempt):
    tell(client, attempt, "ringing", sid="CA1")
    assert tell(client, attempt, "busy", sid="CA2").status_code == 200
    assert state_of(attempt) == RINGING_STATE


def test_a_callback_whose_call_belongs_to_another_attempt_is_ignored(client, attempt):
    CallAttemptFactory(ringing=True, provider_call_id="CA2")
    assert tell(client, attempt, "busy", sid="CA2").status_code == 200
    assert state_of(attempt)[0] == AttemptStatus.PLACING


@pytest.mark.parametrize("status", ["initiated", "ringing", "in-progress", "completed", "failed"])
def test_a_callback_after_the_end_changes_nothing(client, attempt, status):
    tell(client, attempt, "no-answer")
    ended = CallAttempt.objects.values().get()
    assert tell(client, attempt, status).status_code == 200
    assert CallAttempt.objects.values().get() == ended


def test_the_length_of_a_call_is_kept(client, attempt):
    tell(client, attempt, "completed", CallDuration="12", SipResponseCode="200")
    attempt.refresh_from_db()
    assert attempt.metadata == {"call_duration": "12", "sip_response_code": "200"}


def test_a_call_named_by_a_uuid_is_heard(client, attempt):
    sid = "b3877c40-da60-4998-90ad-b792e98472ca"
    assert tell(client, attempt, "ringing", sid=sid).status_code == 200
    attempt.refresh_from_db()
    assert (attempt.status, attempt.provider_call_id) == (AttemptStatus.RINGING, sid)


def test_the_code_of_a_failure_is_kept(client, attempt):
    tell(client, attempt, "failed", ErrorCode="13224")
    attempt.refresh_from_db()
    assert attempt.error_code == "13224"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("view", [EVENTS, VOICE])
def test_a_report_that_meets_a_lost_connection_is_taken_over_another(client, attempt, view):
    tell(client, attempt, "ringing")
    lose_connection()
    assert tell(client, attempt, "in-progress", view=view).status_code == 200
    assert state_of(attempt)[0] == AttemptStatus.ANSWERED


def lose_connection():
    other = psycopg2.connect(**{**connection.get_connection_params(), "cursor_factory": None, "context": None})
    with other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    other.close()


@pytest.mark.django_db(transaction=True)
def test_a_report_costs_one_question_and_a_repetition_one_and_an_end_three(client, attempt, django_assert_num_queries):
    for status in ("ringing", "completed"):
        # Prepares the statements, and makes the campaign known.
        other = CallAttemptFactory(contact__campaign=attempt.campaign, status="placing", provider_call_id="")
        tell(client, other, status, sid=status)
    for status, questions in [("ringing", 1), ("ringing", 1), ("completed", 3), ("ringing", 1), ("completed", 1)]:
        with django_assert_num_queries(questions):
            tell(client, attempt, status)
