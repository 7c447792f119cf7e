import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
import requests

from .phone_network import running_client_server, running_phone_network, wait_until

ALL_EVENTS = ["initiated", "ringing", "answered", "completed"]
ANSWERS, BUSY, SILENT, FAILS, LEAVES = (f"+1202555011{n}" for n in range(5))
CALLER = "+12025550100"
BEHAVIOURS = {ANSWERS: "answers", BUSY: "busy", SILENT: "no_answer", FAILS: "failed", LEAVES: "hangs_up"}
SHORT = "<Response><Say>one two three four five</Say></Response>"
LONG = "<Response><Pause length='20'/></Response>"


@pytest.fixture
def client():
    with running_client_server() as client:
        client.documents = {"/twiml": SHORT, "/long": LONG}
        yield client


@pytest.fixture(scope="module")
def network():
    with running_phone_network(speed=100, behaviours=BEHAVIOURS) as network:
        yield network


def start(network, client, to=ANSWERS, call_id="c1", twiml="/twiml", **changes):
    order = {
        "To": to,
        "From": CALLER,
        "Url": f"{client.base_url}{twiml}?call_id={call_id}",
        "StatusCallback": f"{client.base_url}/told?call_id={call_id}&x=a%20b",
        "StatusCallbackEvent": ALL_EVENTS,
    }
    response = requests.post(
        f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/Calls.json",
        data=order | changes,
        auth=(network.account_sid, network.auth_token),
        timeout=5,
    )
    assert response.status_code == 201, response.text
    return response.json()["sid"]


def wait_for_end(network, sid):
    """Return the call's ended line, after its last callback had time to arrive."""
    wait_until(lambda: lines_of(network, sid, "ended"))
    time.sleep(0.05)
    return lines_of(network, sid, "ended")[0]


def lines_of(network, sid, kind):
    return [line for line in network.ledger() if line["kind"] == kind and line["sid"] == sid]


def test_an_answered_call_is_told_in_order_and_signed(network, client):
    sid = start(network, client)
    wait_for_end(network, sid)
    assert client.statuses_told() == ["initiated", "ringing", "in-progress", "completed"]
    assert [callback.form["SequenceNumber"] for callback in client.callbacks()] == ["0", "1", "2", "3"]
    assert all(request.is_signed for request in client.received)
    assert all(callback.query == {"call_id": "c1", "x": "a b"} for callback in client.callbacks())


def test_a_callback_carries_what_twilios_do(network, client):
    sid = start(network, client)
    wait_for_end(network, sid)
    first, *_, last = [callback.form for callback in client.callbacks()]
    told_at = parsedate_to_datetime(first.pop("Timestamp"))
    assert abs((datetime.now(UTC) - told_at).total_seconds()) < 5
    assert first == {
        "CallSid": sid,
        "AccountSid": network.account_sid,
        "From": CALLER,
        "To": ANSWERS,
        "CallStatus": "initiated",
        "SequenceNumber": "0",
        "CallbackSource": "call-progress-events",
        "Direction": "outbound-api",
        "ApiVersion": "2010-04-01",
    }
    assert set(last) - set(first) == {"Timestamp", "CallDuration", "SipResponseCode"}
    assert last["SipResponseCode"] == "200"


@pytest.mark.parametrize(
    ("to", "status", "sip_code"),
    [(BUSY, "busy", "486"), (SILENT, "no-answer", "487"), (FAILS, "failed", "404")],
)
def test_a_call_that_nobody_answers_ends_with_the_reason(network, client, to, status, sip_code):
    ended = wait_for_end(network, start(network, client, to=to))
    assert (ended["status"], ended["heard_to_end"]) == (status, False)
    assert client.statuses_told() == ["initiated", "ringing", status]
    assert client.callbacks()[-1].form["CallDuration"] == "0"
    assert client.callbacks()[-1].form["SipResponseCode"] == sip_code
    assert client.fetches() == []


@pytest.mark.parametrize(("timeout", "rings_for"), [(10, 10), (60, 25)])
def test_an_unanswered_phone_rings_until_the_timeout_or_the_networks_own(network, client, timeout, rings_for):
    sid = start(network, client, to=SILENT, Timeout=timeout)
    wait_for_end(network, sid)
    (ringing,), (ended,) = lines_of(network, sid, "ringing"), lines_of(network, sid, "ended")
    rang = datetime.fromisoformat(ended["at"]) - datetime.fromisoformat(ringing["at"])
    assert rings_for <= rang.total_seconds() * 100 < 2 * rings_for


def test_who_is_slower_than_the_timeout_has_not_answered(network, client):
    assert wait_for_end(network, start(network, client, Timeout=1))["status"] == "no-answer"


def test_twiml_is_asked_for_with_a_signed_post(network, client):
    sid = start(network, client)
    wait_for_end(network, sid)
    (fetch,) = client.fetches()
    assert fetch.is_signed
    assert fetch.form == {
        "CallSid": sid,
        "AccountSid": network.account_sid,
        "From": CALLER,
        "To": ANSWERS,
        "CallStatus": "in-progress",
        "Direction": "outbound-api",
        "ApiVersion": "2010-04-01",
    }


def test_redirects_are_followed_and_the_talk_heard_to_the_end(network, client):
    client.documents |= {
        "/one": "<Response><Say>hello</Say><Redirect>two?step=2</Redirect><Pause length='9999'/></Response>",
        "/two": "<Response><Say>goodbye</Say><Hangup/><Pause length='9999'/></Response>",
    }
    ended = wait_for_end(network, start(network, client, twiml="/one"))
    assert (ended["status"], ended["heard_to_end"]) == ("completed", True)
    assert [(fetch.path, fetch.query) for fetch in client.fetches()] == [
        ("/one", {"call_id": "c1"}),
        ("/two", {"step": "2"}),
    ]
    assert all(fetch.is_signed for fetch in client.fetches())


def test_words_take_their_time(network, client):
    client.documents["/speech"] = f"<Response><Say>{'word ' * 50}</Say></Response>"
    wait_for_end(network, start(network, client, twiml="/speech"))
    assert 20 <= int(client.callbacks()[-1].form["CallDuration"]) <= 60


def test_who_hangs_up_early_hears_no_redirect(network, client):
    client.documents["/one"] = "<Response><Pause length='5'/><Redirect>/twiml</Redirect></Response>"
    ended = wait_for_end(network, start(network, client, to=LEAVES, twiml="/one"))
    assert (ended["status"], ended["heard_to_end"]) == ("completed", False)
    assert [fetch.path for fetch in client.fetches()] == ["/one"]


def test_the_time_limit_ends_a_call(network, client):
    ended = wait_for_end(network, start(network, client, twiml="/long", TimeLimit=3))
    assert (ended["status"], ended["heard_to_end"]) == ("completed", False)


def test_documents_that_redirect_to_each_other_for_ever_end(network, client):
    client.documents["/loop"] = "<Response><Redirect>/loop</Redirect></Response>"
    assert wait_for_end(network, start(network, client, twiml="/loop"))["heard_to_end"] is False


@pytest.mark.parametrize(
    ("twiml", "answer"),
    [("http://127.0.0.1:9/", "ClientConnectorError"), ("/missing", 404), ("/broken", "not TwiML")],
)
def test_twiml_that_cannot_be_had_ends_the_call(network, client, twiml, answer):
    client.documents["/broken"] = "<html>"
    client.statuses = [404] * 9
    url = twiml if twiml.startswith("http") else client.base_url + twiml
    sid = start(network, client, Url=url)
    ended = wait_for_end(network, sid)
    assert (ended["status"], ended["heard_to_end"]) == ("completed", False)
    assert [line["answer"] for line in lines_of(network, sid, "twiml")] == [answer]


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (["completed"], ["completed"]),
        (["ringing", "answered"], ["ringing", "in-progress"]),
        (None, ["completed"]),
        # Joined by a space they are the name of no event: Twilio takes the call and tells nothing.
        (["initiated ringing answered completed"], []),
    ],
)
def test_only_the_events_that_were_asked_for_are_told(network, client, events, told):
    wait_for_end(network, start(network, client, StatusCallbackEvent=events))
    assert client.statuses_told() == told


def test_callbacks_can_be_had_by_get(network, client):
    wait_for_end(network, start(network, client, StatusCallbackMethod="GET"))
    assert [callback.query["CallStatus"] for callback in client.callbacks()][-1] == "completed"
    assert all(callback.is_signed for callback in client.callbacks())


def test_the_call_id_is_on_every_line_about_the_call(network, client):
    sid = start(network, client, call_id="only-here")
    wait_for_end(network, sid)
    lines = [line for line in network.ledger() if line.get("sid") == sid]
    assert {line["kind"] for line in lines} == {
        "request",
        "call",
        "ringing",
        "answered",
        "twiml",
        "ended",
        "callback",
    }
    assert {(line["call_id"], line["to"]) for line in lines} == {("only-here", ANSWERS)}


def test_a_callback_is_tried_again_once_after_a_server_error(network, client):
    client.statuses = [503, 503]
    sid = start(network, client, StatusCallbackEvent="completed")
    wait_until(lambda: len(lines_of(network, sid, "callback")) == 2)
    wait_for_end(network, sid)
    assert [(line["attempt"], line["answer"]) for line in lines_of(network, sid, "callback")] == [
        (1, 503),
        (2, 503),
    ]


def test_a_callback_is_tried_again_once_after_a_failed_connection(network, client):
    sid = start(network, client, StatusCallback="http://127.0.0.1:9/", StatusCallbackEvent="completed")
    wait_until(lambda: len(lines_of(network, sid, "callback")) == 2)
    assert {line["answer"] for line in lines_of(network, sid, "callback")} == {"ClientConnectorError"}


def test_a_callback_that_is_refused_is_not_tried_again(network, client):
    client.statuses = [403]
    sid = start(network, client, StatusCallbackEvent="completed")
    wait_for_end(network, sid)
    assert [line["answer"] for line in lines_of(network, sid, "callback")] == [403]


def test_slow_callbacks_do_not_hold_up_the_call(network, client):
    client.answer_after = 0.3
    sid = start(network, client, to=BUSY)
    wait_until(lambda: lines_of(network, sid, "ended"))
    assert len(client.callbacks()) <= 1
    wait_until(lambda: len(client.callbacks()) == 3)
    assert client.statuses_told() == ["initiated", "ringing", "busy"]


def test_a_call_cancelled_while_queued_fires_no_callback(client):
    with running_phone_network(speed=100, calls_per_second=0.01, behaviours=BEHAVIOURS) as network:
        start(network, client, StatusCallback="")
        sid = start(network, client)
        end(network, sid, "canceled")
        wait_for_end(network, sid)
    assert client.callbacks() == []


def test_a_call_cancelled_while_ringing_tells_so(network, client):
    sid = start(network, client, to=SILENT)
    wait_until(lambda: lines_of(network, sid, "ringing"))
    end(network, sid, "canceled")
    wait_for_end(network, sid)
    assert client.statuses_told() == ["initiated", "ringing", "canceled"]


def end(network, sid, status):
    requests.post(
        f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/Calls/{sid}.json",
        data={"Status": status},
        auth=(network.account_sid, network.auth_token),
        timeout=5,
    ).raise_for_status()


def test_callbacks_reach_a_client_behind_a_proxy_signed_for_its_public_name():
    public_url = "https://calls.example.org"
    with running_client_server(public_url=public_url) as client:
        client.documents["/twiml"] = SHORT
        with running_phone_network(speed=100, behaviours=BEHAVIOURS, callback_base_url=client.base_url) as network:
            sid = start(
                network,
                client,
                Url=f"{public_url}/twiml?call_id=c1",
                StatusCallback=f"{public_url}/told?call_id=c1",
            )
            assert wait_for_end(network, sid)["heard_to_end"] is True
    assert len(client.received) == 5
    assert all(request.is_signed for request in client.received)
