"""TwilioProvider against the simulated phone network, over HTTP; and against servers that answer nonsense."""

import socket
import ssl
import struct
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode
from uuid import UUID

import pytest
import requests
from twilio.request_validator import RequestValidator
from urllib3.exceptions import MaxRetryError, SSLError

from calls.providers import get_provider
from calls.providers.base import (
    Answerer,
    CallProgress,
    CallRejected,
    CallRequest,
    Detection,
    InvalidSignature,
    MalformedEvent,
    NotSent,
    PlacementUnknown,
    ProviderError,
    ProviderMisconfigured,
    ProviderUnavailable,
)
from calls.providers.twilio import CODES_OF_BAD_NUMBERS, TwilioProvider

from .phone_network import ACCOUNT_SID, AUTH_TOKEN, running_phone_network, wait_until

ANNE, BEN, CARL, CALLER, REFUSED = (f"+120255501{n}" for n in (23, 24, 25, 10, 99))
PUBLIC_URL = "https://calls.example.org/webhooks/telephony"
HALF_AN_HOUR = 1800


@pytest.fixture(scope="module")
def running_network():
    """Anne answers, Ben lets it ring, Carl is engaged. A second of theirs lasts 50 ms, and nobody is called back."""
    with running_phone_network(
        speed=20,
        behaviours={ANNE: "answers", BEN: "no_answer", CARL: "busy"},
        refused_callers=frozenset({REFUSED}),
        api_key_sid="SK00000000000000000000000000000000",
        api_key_secret="the-secret-of-the-key",
        callback_base_url="http://127.0.0.1:9",
    ) as network:
        yield network


@pytest.fixture
def network(running_network):
    yield running_network
    running_network.clear_faults()


@pytest.fixture
def slow_network():
    """One call is dialled every hundred seconds, the others wait in the provider's queue."""
    with running_phone_network(calls_per_second=0.01, callback_base_url="http://127.0.0.1:9") as network:
        yield network


def provider_at(base_url, **changes):
    options = {"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN, "connect_timeout": 0.2, "read_timeout": 5}
    return TwilioProvider(base_url=base_url, **options | changes)


@pytest.fixture
def provider(network):
    return provider_at(network.base_url)


def request_call(to=ANNE, **changes):
    values = {
        "call_id": "call-1",
        "to": to,
        "from_": CALLER,
        "answer_url": f"{PUBLIC_URL}/voice?call_id=call-1",
        "events_url": f"{PUBLIC_URL}/events?call_id=call-1",
        "ring_timeout": HALF_AN_HOUR,
        "time_limit": 60,
    }
    return CallRequest(**values | changes)


def place(provider, to=ANNE, **changes):
    return provider.initiate_call(request_call(to, **changes), leave=lambda: None).provider_call_id


def place_long_call(network, to):
    """With ten minutes of silence of the network's own; other calls end as soon as they are answered."""
    order = {"To": to, "From": CALLER, "Twiml": "<Response><Pause length='600'/></Response>"}
    url = f"{network.base_url}/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json"
    return requests.post(url, data=order, auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=5).json()["sid"]


def starts_at(network):
    """Every POST for a call that the network has got, answered or not."""
    return [
        line
        for line in network.ledger()
        if line["kind"] == "request" and line["method"] == "POST" and line["path"].endswith("/Calls.json")
    ]


class Answering:
    """A server that gives every request the same answer, and keeps what it was sent."""

    def __init__(self, status, body, headers):
        self.answer, self.requests = (status, body, headers), []
        answering = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answering.requests.append((self.command, self.path, self.headers, parse_qs(body.decode())))
                status, body, headers = answering.answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, format, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def answering(status=201, body=b'{"sid": "CA1", "status": "queued"}', headers=None):
    server = Answering(status, body, headers or {})
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join(timeout=5)


# Placing


def test_a_call_is_placed(network, provider):
    placed = provider.initiate_call(request_call(), leave=lambda: None)
    call = network.calls()[-1]
    assert (placed.provider_call_id, placed.raw_status) == (call.sid, "queued")
    assert (call.to, call.from_, call.call_id) == (ANNE, CALLER, "call-1")


def test_the_provider_is_told_all_that_it_must_know_and_every_event_by_itself():
    with answering() as server:
        provider_at(server.base_url).initiate_call(request_call(ring_timeout=25, time_limit=300), leave=lambda: None)
    ((method, path, _, form),) = server.requests
    assert (method, path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json")
    assert form == {
        "To": [ANNE],
        "From": [CALLER],
        "Url": [f"{PUBLIC_URL}/voice?call_id=call-1"],
        "Timeout": ["25"],
        "TimeLimit": ["300"],
        "StatusCallback": [f"{PUBLIC_URL}/events?call_id=call-1"],
        "StatusCallbackMethod": ["POST"],
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
    }


@pytest.mark.parametrize(
    ("detection", "words"),
    [(Detection.NONE, None), (Detection.MACHINE, ["Enable"]), (Detection.END_OF_GREETING, ["DetectMessageEnd"])],
)
def test_the_provider_is_told_whether_to_find_out_who_answers(detection, words):
    with answering() as server:
        provider_at(server.base_url).initiate_call(request_call(detection=detection), leave=lambda: None)
    ((_method, _path, _, form),) = server.requests
    assert form.get("MachineDetection") == words


def test_what_may_not_leave_any_more_is_not_placed_though_a_connection_was_open(network, provider):
    def refuse():
        raise NotSent

    before = len(network.calls())
    for _ in range(2):  # over a new connection, and over one that was kept
        with pytest.raises(NotSent):
            provider.initiate_call(request_call(ANNE), leave=refuse)
        place(provider, BEN)
    assert [call.to for call in network.calls()[before:]] == [BEN, BEN]


def test_a_request_leaves_when_there_is_a_connection_and_not_sooner():
    left = []
    with pytest.raises(ProviderUnavailable):
        provider_at("http://127.0.0.1:9").initiate_call(request_call(), leave=lambda: left.append(True))
    assert left == []


def test_a_slow_answer_is_waited_for(network, provider):
    network.inject({"kind": "slow", "seconds": 0.2})
    assert place(provider) == network.calls()[-1].sid


# Credentials


@pytest.mark.parametrize("missing", ["account_sid", "auth_token"])
def test_without_credentials_nobody_is_asked(network, missing):
    before = len(starts_at(network))
    with pytest.raises(ProviderMisconfigured, match="TWILIO_ACCOUNT_SID"):
        place(provider_at(network.base_url, **{missing: ""}))
    assert len(starts_at(network)) == before


def test_an_api_key_is_used_for_requests_and_the_auth_token_for_callbacks(network):
    key = ("SK00000000000000000000000000000000", "the-secret-of-the-key")
    provider = provider_at(network.base_url, api_key=key)
    assert provider.fetch_call(place(provider))
    assert parse(provider).progress == CallProgress.RINGING
    with pytest.raises(InvalidSignature):
        parse(provider, token=key[1])


def test_a_wrong_api_key_is_refused_though_the_auth_token_is_right(network):
    with pytest.raises(ProviderMisconfigured):
        place(provider_at(network.base_url, api_key=("SK1", "wrong")))


def test_credentials_of_this_machines_user_are_not_used(network, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    with monkeypatch.context() as environment:
        environment.setenv("NETRC", str(netrc))
        environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        assert place(provider_at(network.base_url))


@pytest.mark.parametrize(
    ("key", "user"),
    [(("", ""), ACCOUNT_SID), (("SK1", ""), ACCOUNT_SID), (("", "secret"), ACCOUNT_SID), (("SK1", "secret"), "SK1")],
)
def test_the_settings_make_the_provider(settings, key, user):
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT_SID, AUTH_TOKEN
    settings.TWILIO_API_KEY_SID, settings.TWILIO_API_KEY_SECRET = key
    get_provider.cache_clear()
    try:
        assert get_provider()._session.auth[0] == user
        assert get_provider() is get_provider()
    finally:
        get_provider.cache_clear()


# What goes wrong


def test_a_refused_connection_means_certainly_not_placed():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ProviderUnavailable):
            place(provider_at(f"http://127.0.0.1:{unused.getsockname()[1]}"))


def test_an_unknown_host_means_certainly_not_placed():
    with pytest.raises(ProviderUnavailable):
        place(provider_at("http://nowhere.invalid"))


def test_a_connection_that_does_not_come_about_in_time_means_certainly_not_placed():
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())  # nobody accepts it, so there is no room for a second
        asked_at = time.monotonic()
        with pytest.raises(ProviderUnavailable):
            place(provider_at(f"http://127.0.0.1:{full.getsockname()[1]}"))
        assert 0.2 <= time.monotonic() - asked_at < 1


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (ssl.SSLCertVerificationError("certificate verify failed"), ProviderUnavailable),
        # This one may come with the answer, after the request has gone out.
        (ssl.SSLError("decryption failed or bad record mac"), PlacementUnknown),
    ],
)
def test_a_wrong_certificate_is_found_before_anything_is_sent_and_other_troubles_may_come_later(
    monkeypatch, trouble, error
):
    def fail(*args, **kwargs):
        raise requests.exceptions.SSLError(MaxRetryError(None, "/", SSLError(trouble)))

    provider = provider_at("https://127.0.0.1")
    monkeypatch.setattr(provider._session, "send", fail)
    with pytest.raises(error):
        place(provider)


@pytest.mark.parametrize(
    ("fault", "error", "code", "placed"),
    [
        ({"kind": "rate_limited"}, ProviderUnavailable, "20429", 0),
        ({"kind": "reset"}, PlacementUnknown, "", 0),
        ({"kind": "reset_after_placing"}, PlacementUnknown, "", 1),
        ({"kind": "hang", "seconds": 0.3}, PlacementUnknown, "", 0),
        ({"kind": "hang_after_placing", "seconds": 0.3}, PlacementUnknown, "", 1),
        ({"kind": "server_error"}, PlacementUnknown, "20500", 0),
        ({"kind": "server_error_after_placing"}, PlacementUnknown, "20500", 1),
        ({"kind": "wrong_json"}, PlacementUnknown, "", 1),
        ({"kind": "unauthorized"}, ProviderMisconfigured, "20003", 0),
        ({"kind": "refuse", "code": 21211}, CallRejected, "21211", 0),
        ({"kind": "refuse", "code": 21215}, ProviderMisconfigured, "21215", 0),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_a_fault_has_one_meaning_and_the_request_is_never_sent_twice(network, fault, error, code, placed):
    starts, calls = len(starts_at(network)), len(network.calls())
    network.inject(fault)
    with pytest.raises(ProviderError) as raised:
        place(provider_at(network.base_url, read_timeout=0.15))
    assert (type(raised.value), raised.value.code) == (error, code)
    wait_until(lambda: len(starts_at(network)) > starts)
    assert (len(starts_at(network)) - starts, len(network.calls()) - calls) == (1, placed)


@pytest.mark.parametrize("kind", ["reset", "hang", "server_error", "rate_limited"])
def test_a_fault_on_a_connection_that_was_used_before_does_not_send_twice_either(network, kind):
    provider = provider_at(network.base_url, read_timeout=0.15)
    place(provider)
    starts = len(starts_at(network))
    network.inject({"kind": kind, "seconds": 0.3})
    with pytest.raises(ProviderError):
        place(provider)
    wait_until(lambda: len(starts_at(network)) > starts)
    assert len(starts_at(network)) == starts + 1


def test_a_connection_that_the_provider_has_closed_meanwhile_is_not_used_for_a_call():
    with answering() as server:
        provider = provider_at(server.base_url)
        for _ in range(3):
            assert place(provider) == "CA1"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("order", "error", "code"),
    [
        ({"to": "+0"}, CallRejected, "21211"),
        ({"to": ""}, CallRejected, "21201"),
        ({"from_": REFUSED}, ProviderMisconfigured, "21212"),
        ({"from_": ""}, ProviderMisconfigured, "21213"),
        ({"answer_url": "voice"}, ProviderMisconfigured, "21205"),
    ],
)
def test_an_order_is_refused_for_its_number_or_for_what_every_call_has(provider, order, error, code):
    with pytest.raises(error) as raised:
        provider.initiate_call(request_call(**order), leave=lambda: None)
    assert raised.value.code == code


@pytest.mark.parametrize("code", sorted(CODES_OF_BAD_NUMBERS))
def test_a_bad_number_is_rejected_for_good(network, provider, code):
    network.inject({"kind": "refuse", "code": int(code)})
    with pytest.raises(CallRejected) as raised:
        place(provider)
    assert raised.value.code == code


@pytest.mark.parametrize("code", [10002, 10004, 20001, 20403, 21205, 21210, 21212, 21213, 21215, 21216, 21219])
def test_any_other_refusal_may_be_true_of_every_call_and_stops_dialling(network, provider, code):
    network.inject({"kind": "refuse", "code": code})
    with pytest.raises(ProviderMisconfigured) as raised:
        place(provider)
    assert raised.value.code == str(code)


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ({"kind": "unauthorized"}, "TWILIO_AUTH_TOKEN"),
        ({"kind": "refuse", "code": 21212}, "the campaign's own"),
        ({"kind": "refuse", "code": 21215}, "Allow calls to that country"),
        ({"kind": "refuse", "code": 21219}, "trial account"),
        ({"kind": "refuse", "code": 10002}, "documentation"),
    ],
)
def test_what_stops_dialling_says_which_call_why_and_what_to_do(network, provider, fault, advice):
    network.inject(fault)
    with pytest.raises(ProviderMisconfigured, match=advice) as raised:
        place(provider)
    assert str(raised.value).startswith(f"The provider refused a call to {ANNE} from {CALLER}: ")
    assert f" (code {raised.value.code}). " in str(raised.value)
    assert str(raised.value).endswith(".")


def test_a_rejected_number_and_its_reason_are_named(network, provider):
    with pytest.raises(CallRejected) as raised:
        place(provider, "+0")
    assert str(raised.value) == (
        f"The provider refused a call to +0 from {CALLER}: The 'To' number is not a valid phone number (code 21211)."
    )


@pytest.mark.parametrize(("said", "kept"), [("a" * 999, "a" * 300), ("No.", "No"), ("", "no explanation")])
def test_the_providers_words_are_kept_at_a_sensible_length(said, kept):
    body = f'{{"code": 21211, "message": "{said}"}}'.encode()
    with answering(400, body) as server, pytest.raises(CallRejected, match=f": {kept} \\(code 21211\\)"):
        place(provider_at(server.base_url))


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (429, b"slow down", ProviderUnavailable, "429"),
        (500, b"<html>", PlacementUnknown, "500"),
        (503, b"", PlacementUnknown, "503"),
        (503, b'{"code": 21211}', PlacementUnknown, "21211"),  # what a broken server says of a number means nothing
        (401, b"", ProviderMisconfigured, "401"),
        (403, b"[]", ProviderMisconfigured, "403"),
        (404, b'{"code": null, "message": null}', ProviderMisconfigured, "404"),
        (301, b"", ProviderMisconfigured, "301"),
        (307, b"", ProviderMisconfigured, "307"),
        (400, b'{"code": "21211"}', CallRejected, "21211"),
        (400, b'{"code": "' + b"9" * 99 + b'", "message": "no\\u0000"}', ProviderMisconfigured, "9" * 40),
        (201, b"", PlacementUnknown, ""),
        (201, b"[]", PlacementUnknown, ""),
        (201, b"null", PlacementUnknown, ""),
        (201, b"{}", PlacementUnknown, ""),
        (201, b'{"sid": null}', PlacementUnknown, ""),
        (201, b'{"sid": 7}', PlacementUnknown, ""),
        (201, b'{"sid": ""}', PlacementUnknown, ""),
        (201, b'{"sid": "CA1/../2"}', PlacementUnknown, ""),
        (201, b'{"sid": "CA1?2"}', PlacementUnknown, ""),
        (201, b'{"sid": "CA' + b"1" * 99 + b'"}', PlacementUnknown, ""),
    ],
)
def test_an_answer_of_any_shape_has_a_meaning(status, body, error, code):
    headers = {"Location": f"http://127.0.0.1:9/{status}"}
    with answering(status, body, headers) as server, pytest.raises(ProviderError) as raised:
        place(provider_at(server.base_url))
    assert (type(raised.value), raised.value.code) == (error, code)
    assert len(server.requests) == 1
    assert "\0" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "kept"),
    [('"queued"', "queued"), ("null", ""), (f'"{"x" * 99}"', "x" * 40), (r'"a\u0000\ud800"', "a??")],
)
def test_the_status_of_a_placed_call_can_be_stored(status, kept):
    with answering(201, f'{{"sid": "CA1", "status": {status}}}'.encode()) as server:
        assert provider_at(server.base_url).initiate_call(request_call(), leave=lambda: None).raw_status == kept


# Looking up


@pytest.mark.parametrize(
    ("to", "progress", "raw_status"),
    [
        (ANNE, CallProgress.ANSWERED, "in-progress"),
        (BEN, CallProgress.RINGING, "ringing"),
        (CARL, CallProgress.BUSY, "busy"),
    ],
)
def test_a_call_is_fetched_as_it_stands(network, provider, to, progress, raw_status):
    sid = place_long_call(network, to)
    wait_until(lambda: provider.fetch_call(sid).progress == progress)
    event = provider.fetch_call(sid)
    assert (event.provider_call_id, event.raw_status, event.call_id) == (sid, raw_status, "")


def test_a_call_that_the_provider_does_not_know_is_none(provider):
    assert provider.fetch_call("CA00000000000000000000000000000000") is None


def find(provider, to, since=timedelta(seconds=-1), known=()):
    event = provider.find_call(to, since=datetime.now(UTC) + since, known=known)
    return event and event.provider_call_id


def test_a_call_is_found_by_its_number(slow_network):
    provider = provider_at(slow_network.base_url)
    sid = place(provider, ANNE)
    place(provider, BEN)
    assert find(provider, ANNE) == sid
    assert find(provider, CARL) is None


def test_calls_in_the_providers_queue_are_found_too(slow_network):
    provider = provider_at(slow_network.base_url)
    place(provider, BEN)
    sid = place(provider, ANNE)
    event = provider.find_call(ANNE, since=datetime.now(UTC), known=[])
    assert (event.provider_call_id, event.progress) == (sid, CallProgress.QUEUED)


def test_known_calls_are_not_found_and_of_the_others_the_first_one(slow_network):
    provider = provider_at(slow_network.base_url)
    sids = [place(provider, ANNE) for _ in range(3)]
    assert find(provider, ANNE) == sids[0]
    assert find(provider, ANNE, known={sids[0]}) == sids[1]
    assert find(provider, ANNE, known=set(sids)) is None


@pytest.mark.parametrize(("since", "is_found"), [(timedelta(seconds=3), True), (timedelta(seconds=7), False)])
def test_calls_from_before_are_not_found_but_clocks_may_differ_a_little(slow_network, since, is_found):
    provider = provider_at(slow_network.base_url)
    place(provider, ANNE)
    assert bool(find(provider, ANNE, since)) is is_found


def test_a_call_that_is_not_listed_yet_is_none(slow_network):
    provider = provider_at(slow_network.base_url)
    place(provider, ANNE)
    slow_network.inject({"kind": "lookup_lag", "seconds": 60})
    assert find(provider, ANNE) is None
    assert find(provider, ANNE)


@pytest.mark.parametrize("look_up", [lambda p: p.fetch_call("CA1"), lambda p: find(p, ANNE)], ids=["fetch", "find"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"7"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"sid": null, "calls": null}'),
        (200, b'{"sid": "", "calls": [{}]}'),
        (200, b'{"sid": 7, "calls": [7]}'),
        (200, b'{"sid": [], "calls": [{"sid": "CA1"}]}'),
        (200, b'{"sid": {}, "calls": [{"sid": "CA1", "date_created": "some day"}]}'),
        (200, b'{"sid": "/", "calls": [{"sid": "CA1", "date_created": null}]}'),
        (302, b'{"sid": "CA1", "status": "completed", "calls": []}'),
        (401, b""),
        (429, b""),
        (500, b'{"code": 20500, "message": "Internal Server Error"}'),
    ],
)
def test_an_answer_that_makes_no_sense_is_no_answer(look_up, status, body):
    with answering(status, body) as server, pytest.raises(ProviderUnavailable):
        look_up(provider_at(server.base_url))


def test_a_look_up_that_fails_says_so(network, provider):
    sid = place(provider)
    network.inject({"kind": "lookup_error", "count": 2})
    for look_up in (lambda: provider.fetch_call(sid), lambda: find(provider, ANNE)):
        with pytest.raises(ProviderUnavailable) as raised:
            look_up()
        assert raised.value.code == "20500"


def test_listed_calls_are_looked_up_by_number_and_compared_by_their_creation():
    created_at = format_datetime(datetime(2026, 3, 4, 12, 0, tzinfo=UTC))
    body = f'{{"calls": [{{"sid": "CA1", "status": "completed", "date_created": "{created_at}"}}]}}'
    with answering(200, body.encode()) as server:
        event = provider_at(server.base_url).find_call(ANNE, since=datetime(2026, 3, 4, 12, 0, tzinfo=UTC), known=())
    ((_, path, _, _),) = server.requests
    assert path.endswith(f"/Calls.json?{urlencode({'To': ANNE, 'PageSize': 100})}")
    assert (event.provider_call_id, event.progress) == ("CA1", CallProgress.HUNG_UP)


def test_a_call_of_another_application_on_the_account_is_not_found(slow_network):
    provider = provider_at(slow_network.base_url)
    place(provider, ANNE, from_=BEN)
    sid = place(provider, ANNE)
    event = provider.find_call(ANNE, since=datetime.now(UTC), known=[], from_=CALLER)
    assert event.provider_call_id == sid
    assert provider.find_call(ANNE, since=datetime.now(UTC), known=[], from_=CARL) is None


@pytest.mark.parametrize(
    ("direction", "is_found"),
    [('"outbound-api"', True), ('"inbound"', False), ('"outbound-dial"', False), ('""', True), ("null", True)],
)
def test_a_call_that_was_not_started_over_rest_is_not_found(direction, is_found):
    created_at = format_datetime(datetime(2026, 3, 4, 12, 0, tzinfo=UTC))
    call = f'{{"sid": "CA1", "status": "completed", "date_created": "{created_at}", "direction": {direction}}}'
    with answering(200, f'{{"calls": [{call}]}}'.encode()) as server:
        event = provider_at(server.base_url).find_call(ANNE, since=datetime(2026, 3, 4, 12, 0, tzinfo=UTC), known=())
    assert bool(event) is is_found


def test_what_else_a_look_up_says_is_kept():
    body = b'{"sid": "CA1", "status": "completed", "duration": "12", "answered_by": "human", "price": null}'
    with answering(200, body) as server:
        event = provider_at(server.base_url).fetch_call("CA1")
    assert event.details == {"call_duration": "12", "answered_by": "human"}


# Servers that name their calls otherwise


@pytest.fixture
def compatible_network():
    """Names its calls with UUIDs, like SignalWire."""
    with running_phone_network(uuid_sids=True, speed=20, callback_base_url="http://127.0.0.1:9") as network:
        yield network


def test_calls_of_a_server_that_names_them_with_uuids_are_placed_found_heard_and_hung_up(compatible_network):
    provider = provider_at(compatible_network.base_url)
    sid = place(provider, BEN)
    assert str(UUID(sid)) == sid
    assert find(provider, BEN) == provider.fetch_call(sid).provider_call_id == sid
    assert parse(provider, RINGING | {"CallSid": sid}).provider_call_id == sid
    provider.hang_up(sid)
    assert provider.fetch_call(sid).progress in (CallProgress.CANCELED, CallProgress.HUNG_UP)


def test_a_sid_stays_one_step_of_its_address():
    with answering(200, b'{"sid": "a:b", "status": "completed"}') as server:
        provider_at(server.base_url).fetch_call("a:b/../c?d")
    ((_, path, _, _),) = server.requests
    assert path.endswith("/Calls/a%3Ab%2F..%2Fc%3Fd.json")


# Hanging up


@pytest.mark.parametrize(
    ("to", "is_ready", "ended_as"), [(BEN, "ringing", "canceled"), (ANNE, "in-progress", "completed")]
)
def test_a_ringing_and_a_live_call_are_hung_up(network, provider, to, is_ready, ended_as):
    sid = place_long_call(network, to)
    wait_until(lambda: provider.fetch_call(sid).raw_status == is_ready)
    provider.hang_up(sid)
    assert provider.fetch_call(sid).raw_status == ended_as


def test_a_queued_call_is_hung_up_before_it_rings(slow_network):
    provider = provider_at(slow_network.base_url)
    place(provider, BEN)
    sid = place(provider, ANNE)
    provider.hang_up(sid)
    assert provider.fetch_call(sid).progress == CallProgress.CANCELED
    assert [
        line["kind"] for line in slow_network.ledger() if line.get("sid") == sid and line["kind"] == "ringing"
    ] == []


def test_a_call_that_is_over_needs_no_hanging_up(provider):
    sid = place(provider, CARL)
    wait_until(lambda: provider.fetch_call(sid).progress == CallProgress.BUSY)
    provider.hang_up(sid)


@pytest.mark.parametrize("status", [302, 404, 429, 500])
def test_a_hanging_up_that_was_refused_is_an_error(status):
    with answering(status, b'{"code": 20404}') as server, pytest.raises(ProviderUnavailable):
        provider_at(server.base_url).hang_up("CA1")


# Callbacks

RINGING = {"CallSid": "CA1", "CallStatus": "ringing", "To": ANNE, "From": CALLER}
EVENTS_URL = f"{PUBLIC_URL}/events?call_id=call-1"


def parse(provider=None, form=RINGING, url=EVENTS_URL, signed_url=None, signed_form=None, token=AUTH_TOKEN):
    """What the provider makes of a callback, signed as it is unless something else was signed."""
    signed_form = form if signed_form is None else signed_form
    signature = RequestValidator(token).compute_signature(signed_url or url, signed_form)
    headers = {"X-Twilio-Signature": signature}
    return (provider or provider_at("http://127.0.0.1:9")).parse_webhook_event(url, form, headers)


def test_a_genuine_callback_is_read():
    event = parse(form=RINGING | {"ErrorCode": "13224"})
    assert (event.call_id, event.provider_call_id) == ("call-1", "CA1")
    assert (event.progress, event.raw_status, event.error_code) == (CallProgress.RINGING, "ringing", "13224")


@pytest.mark.parametrize(
    "forgery",
    [
        {"token": "another-token"},
        {"signed_form": RINGING | {"CallStatus": "completed"}},
        {"signed_form": RINGING | {"To": BEN}},
        {"signed_form": {}},
        {"form": RINGING | {"More": "1"}, "signed_form": RINGING},
        {"signed_url": f"{PUBLIC_URL}/events?call_id=call-2"},
        {"signed_url": f"{PUBLIC_URL}/voice?call_id=call-1"},
        {"signed_url": f"{PUBLIC_URL}/events"},
        {"signed_url": EVENTS_URL.replace("calls.", "other.")},
        {"signed_url": EVENTS_URL.replace("https", "http")},
    ],
)
def test_a_forged_or_altered_callback_is_refused(forgery):
    with pytest.raises(InvalidSignature):
        parse(**forgery)


@pytest.mark.parametrize("signature", ["", "x", "é" * 28, "A" * 27 + "=", "\0"])
def test_what_is_no_signature_is_refused(signature):
    with pytest.raises(InvalidSignature):
        provider_at("http://127.0.0.1:9").parse_webhook_event(EVENTS_URL, RINGING, {"X-Twilio-Signature": signature})


def test_a_callback_without_a_signature_is_refused():
    with pytest.raises(InvalidSignature):
        provider_at("http://127.0.0.1:9").parse_webhook_event(EVENTS_URL, RINGING, {"Host": "calls.example.org"})


@pytest.mark.parametrize(
    ("more", "details"),
    [
        ({}, {}),
        ({"CallDuration": "", "SipResponseCode": ""}, {}),
        ({"CallDuration": "12", "SipResponseCode": "200"}, {"call_duration": "12", "sip_response_code": "200"}),
        ({"AnsweredBy": "machine_start", "Price": "-0.01"}, {"answered_by": "machine_start"}),
        ({"AnsweredBy": "x\0" * 99}, {"answered_by": "x?" * 20}),
    ],
)
def test_what_else_a_callback_says_is_kept_as_far_as_it_can_be_stored(more, details):
    assert parse(form=RINGING | more).details == details


@pytest.mark.parametrize(
    ("word", "answerer"),
    [
        ("human", Answerer.PERSON),
        ("machine_start", Answerer.MACHINE),
        ("machine_end_beep", Answerer.MACHINE),
        ("machine_end_silence", Answerer.MACHINE),
        ("machine_end_other", Answerer.MACHINE),
        ("fax", Answerer.FAX),
        ("unknown", Answerer.UNKNOWN),
        ("machine", Answerer.UNKNOWN),
        ("", Answerer.UNKNOWN),
        (None, Answerer.UNKNOWN),
    ],
)
def test_who_has_answered_is_read_from_the_providers_word(word, answerer):
    assert parse(form=RINGING | ({} if word is None else {"AnsweredBy": word})).answerer == answerer


@pytest.mark.parametrize("missing", ["account_sid", "auth_token"])
def test_without_credentials_every_callback_is_refused(missing):
    provider = provider_at("http://127.0.0.1:9", **{missing: ""})
    with pytest.raises(InvalidSignature):
        parse(provider, token="" if missing == "auth_token" else AUTH_TOKEN)


def test_blank_parameters_are_signed_like_all_others():
    assert parse(form=RINGING | {"ForwardedFrom": ""}).progress == CallProgress.RINGING
    with pytest.raises(InvalidSignature):
        parse(form=RINGING | {"ForwardedFrom": ""}, signed_form=RINGING | {"CalledVia": ""})


@pytest.mark.parametrize("name", ["CallStatus", "CallSid"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_callback_without_status_or_sid_is_malformed(name, value):
    form = {key: text for key, text in (RINGING | {name: value}).items() if text is not None}
    with pytest.raises(MalformedEvent, match=name):
        parse(form=form)


@pytest.mark.parametrize("sid", ["CA 1", "../1", "CA1\n", "C" * 65, "CAé", "\0"])
def test_a_sid_of_another_shape_is_malformed(sid):
    with pytest.raises(MalformedEvent, match="CallSid"):
        parse(form=RINGING | {"CallSid": sid})


@pytest.mark.parametrize(
    "query", ["", "?call_id=", "?call_id", "?callid=1", "?call_id=a%20b", "?call_id=%00", f"?call_id={'a' * 33}"]
)
def test_a_callback_for_no_call_is_malformed(query):
    with pytest.raises(MalformedEvent, match="call_id"):
        parse(url=f"{PUBLIC_URL}/events{query}")


@pytest.mark.parametrize(
    ("status", "progress"),
    [
        ("queued", CallProgress.QUEUED),
        ("initiated", CallProgress.QUEUED),
        ("ringing", CallProgress.RINGING),
        ("in-progress", CallProgress.ANSWERED),
        ("completed", CallProgress.HUNG_UP),
        ("busy", CallProgress.BUSY),
        ("no-answer", CallProgress.NO_ANSWER),
        ("failed", CallProgress.FAILED),
        ("canceled", CallProgress.CANCELED),
        ("answered", CallProgress.OTHER),
        ("Ringing", CallProgress.OTHER),
        ("\0", CallProgress.OTHER),
        ("x" * 999, CallProgress.OTHER),
    ],
)
def test_every_word_of_the_providers_means_one_thing_and_unknown_ones_nothing(status, progress):
    assert parse(form=RINGING | {"CallStatus": status}).progress == progress


@pytest.mark.parametrize(
    ("code", "kept"), [("13224", "13224"), ("", ""), ("9" * 99, "9" * 40), ("1\0", "1?"), ("0", "0")]
)
def test_the_code_of_an_error_can_be_stored(code, kept):
    assert parse(form=RINGING | {"ErrorCode": code}).error_code == kept


def test_no_request_is_left_behind_that_may_arrive_after_it_was_given_up(network):
    provider = provider_at(network.base_url, connect_timeout=2.5)
    provider.fetch_call("CA" + "0" * 32)
    pools = provider._session.get_adapter(network.base_url).poolmanager.pools
    (host,) = pools.keys()
    kept = pools[host].pool.get().sock
    assert kept.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)
    assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500
