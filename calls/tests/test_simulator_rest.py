import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from .phone_network import ACCOUNT_SID, AUTH_TOKEN, running_phone_network, wait_until

ANNE, BEN, CALLER, REFUSED = "+12025550123", "+12025550124", "+12025550100", "+12025550199"
ORDER = {"To": ANNE, "From": CALLER, "Twiml": "<Response><Pause length='600'/></Response>"}
CALLS_PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls"


@pytest.fixture(scope="module")
def network():
    with running_phone_network(
        speed=100,
        behaviours={ANNE: "answers", BEN: "no_answer"},
        refused_callers=frozenset({REFUSED}),
        api_key_sid="SK1",
        api_key_secret="the-secret-of-the-key",
    ) as network:
        yield network


@pytest.fixture
def slow_network():
    """One call is dialled every hundred seconds, the others wait in the provider's queue."""
    with running_phone_network(calls_per_second=0.01, speed=100, behaviours={ANNE: "answers"}) as network:
        yield network


def start(network, auth=(ACCOUNT_SID, AUTH_TOKEN), **changes):
    order = {name: value for name, value in (ORDER | changes).items() if value is not None}
    return requests.post(f"{network.base_url}{CALLS_PATH}.json", data=order, auth=auth, timeout=5)


def get(network, path=f"{CALLS_PATH}.json", **query):
    return requests.get(f"{network.base_url}{path}", params=query, auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=5)


def show(network, sid):
    return get(network, f"{CALLS_PATH}/{sid}.json").json()


def update(network, sid, status):
    return requests.post(
        f"{network.base_url}{CALLS_PATH}/{sid}.json",
        data={"Status": status},
        auth=(ACCOUNT_SID, AUTH_TOKEN),
        timeout=5,
    )


def sids(response):
    return [call["sid"] for call in response.json()["calls"]]


def test_a_call_is_created_as_twilio_creates_it(network):
    response = start(network)
    call = response.json()
    assert response.status_code == 201
    assert re.fullmatch("CA[0-9a-f]{32}", call["sid"])
    assert call["uri"] == f"{CALLS_PATH}/{call['sid']}.json"
    assert datetime.now(UTC) - parsedate_to_datetime(call["date_created"]) < timedelta(seconds=3)
    assert {name: call[name] for name in ("status", "to", "from", "direction", "account_sid")} == {
        "status": "queued",
        "to": ANNE,
        "from": CALLER,
        "direction": "outbound-api",
        "account_sid": ACCOUNT_SID,
    }
    assert [call[name] for name in ("start_time", "end_time", "duration", "answered_by")] == [None] * 4


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": None}, 21201),
        ({"From": None}, 21213),
        ({"To": "12025550123"}, 21211),
        ({"To": "+0"}, 21211),
        ({"To": "client:anne"}, 21211),
        ({"From": REFUSED}, 21212),
        ({"From": "anne"}, 21212),
        ({"Twiml": None}, 21205),
        ({"Twiml": None, "Url": "twiml.xml"}, 21205),
        ({"Timeout": "soon"}, 20001),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused(network, changes, code):
    response = start(network, **changes)
    assert response.status_code == 400
    assert response.json()["code"] == code
    assert response.json()["status"] == 400


@pytest.mark.parametrize("source", [{"Url": "http://127.0.0.1:9/"}, {"ApplicationSid": "AP1"}])
def test_an_order_names_one_source_of_twiml(network, source):
    assert start(network, Twiml=None, **source).status_code == 201


@pytest.mark.parametrize("auth", [None, (ACCOUNT_SID, "wrong"), ("AC1", AUTH_TOKEN), ("SK1", AUTH_TOKEN)])
def test_wrong_credentials_are_refused(network, auth):
    response = start(network, auth=auth)
    assert response.status_code == 401
    assert response.json() == {
        "code": 20003,
        "message": "Authenticate",
        "more_info": "https://www.twilio.com/docs/errors/20003",
        "status": 401,
    }


def test_an_api_key_is_as_good_as_the_token(network):
    assert start(network, auth=("SK1", "the-secret-of-the-key")).status_code == 201


def test_without_an_api_key_configured_an_empty_one_does_not_help(slow_network):
    assert start(slow_network, auth=("", "")).status_code == 401


def test_the_account_of_somebody_else_is_closed(network):
    assert get(network, "/2010-04-01/Accounts/AC1/Calls.json").status_code == 401


@pytest.mark.parametrize("path", [f"{CALLS_PATH}/CA1.json", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Queues.json"])
def test_what_does_not_exist_is_not_found(network, path):
    response = get(network, path)
    assert (response.status_code, response.json()["code"]) == (404, 20404)


def test_a_call_can_be_followed_to_its_end(network):
    sid = start(network, Twiml="<Response><Pause length='20'/></Response>").json()["sid"]
    wait_until(lambda: show(network, sid)["status"] == "in-progress")
    assert show(network, sid)["start_time"] is not None
    assert show(network, sid)["duration"] is None
    wait_until(lambda: show(network, sid)["status"] == "completed")
    assert 20 <= int(show(network, sid)["duration"]) <= 60
    assert show(network, sid)["end_time"] is not None


def test_calls_are_listed_newest_first_and_filtered():
    with running_phone_network(speed=1, behaviours={ANNE: "answers"}) as network:
        first = start(network).json()["sid"]
        second = start(network, To=BEN).json()["sid"]
        third = start(network, From="+12025550101").json()["sid"]
        assert sids(get(network)) == [third, second, first]
        assert sids(get(network, To=ANNE)) == [third, first]
        assert sids(get(network, To="+12025550142")) == []
        assert sids(get(network, From=CALLER)) == [second, first]
        assert sids(get(network, To=ANNE, From=CALLER)) == [first]
        assert sids(get(network, Status="completed")) == []


def test_a_long_list_has_pages(network):
    for _ in range(3):
        start(network, From="+12025550107")
    page = get(network, From="+12025550107", PageSize=2)
    rest = get(network, page.json()["next_page_uri"])
    assert [len(sids(page)), len(sids(rest))] == [2, 1]
    assert rest.json()["next_page_uri"] is None


def test_start_times_are_filtered_by_day_and_queued_calls_have_none(slow_network):
    dialled = start(slow_network).json()["sid"]
    queued = start(slow_network).json()["sid"]
    wait_until(lambda: show(slow_network, dialled)["status"] != "queued")
    today = datetime.now(UTC).date()
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    assert show(slow_network, queued)["start_time"] is None
    assert sids(get(slow_network)) == [queued, dialled]
    assert sids(get(slow_network, **{"StartTime>": yesterday})) == [dialled]
    assert sids(get(slow_network, **{"StartTime>": tomorrow})) == []
    assert sids(get(slow_network, **{"StartTime<": yesterday})) == []
    assert sids(get(slow_network, **{"StartTime>": yesterday, "StartTime<": tomorrow})) == [dialled]


def test_calls_above_the_providers_rate_wait_in_its_queue():
    with running_phone_network(calls_per_second=20, speed=100, behaviours={ANNE: "busy"}) as network:
        for _ in range(5):
            start(network)
        wait_until(lambda: len(network.ledger()) == 20)
        rings = [line["at"] for line in network.ledger() if line["kind"] == "ringing"]
    span = datetime.fromisoformat(rings[-1]) - datetime.fromisoformat(rings[0])
    assert 0.15 < span.total_seconds() < 1


def test_a_queued_call_is_cancelled_before_it_rings(slow_network):
    start(slow_network)
    sid = start(slow_network).json()["sid"]
    assert update(slow_network, sid, "canceled").json()["status"] == "canceled"
    assert show(slow_network, sid)["duration"] == "0"
    assert [line["kind"] for line in slow_network.ledger() if line.get("sid") == sid] == [
        "call",
        "request",
        "ended",
        "request",
        "request",
    ]


def test_a_ringing_call_can_be_cancelled(network):
    sid = start(network, To=BEN).json()["sid"]
    wait_until(lambda: show(network, sid)["status"] == "ringing")
    assert update(network, sid, "canceled").json()["status"] == "canceled"


def test_cancelling_leaves_a_call_in_progress_alone_and_completing_ends_it(network):
    sid = start(network).json()["sid"]
    wait_until(lambda: show(network, sid)["status"] == "in-progress")
    assert update(network, sid, "canceled").json()["status"] == "in-progress"
    assert update(network, sid, "completed").json()["status"] == "completed"
    (ended,) = [line for line in network.ledger() if line["kind"] == "ended" and line["sid"] == sid]
    assert ended["heard_to_end"] is False


def test_an_ended_call_cannot_be_ended_again(network):
    sid = start(network).json()["sid"]
    update(network, sid, "completed")
    response = update(network, sid, "completed")
    assert (response.status_code, response.json()["code"]) == (400, 21220)


def test_every_request_is_on_record_with_its_arrival_and_answer():
    with running_phone_network() as network:
        before = datetime.now(UTC)
        start(network, To="nobody")
        sid = start(network, StatusCallback="http://127.0.0.1:9/told?call_id=first").json()["sid"]
        start(network, auth=None)
        wait_until(lambda: sum(line["kind"] == "request" for line in network.ledger()) == 3)
        refused, placed, unknown = [line for line in network.ledger() if line["kind"] == "request"]
        (call,) = network.calls()
        content = network.ledger_path.read_text()
    assert (refused["answer"], refused["to"], refused["sid"]) == (400, "nobody", None)
    assert (placed["answer"], placed["sid"], placed["call_id"]) == (201, sid, "first")
    assert (unknown["answer"], unknown["path"]) == (401, f"{CALLS_PATH}.json")
    assert (call.sid, call.call_id, call.to, call.from_) == (sid, "first", ANNE, CALLER)
    assert before < call.started_at == datetime.fromisoformat(placed["at"])
    assert AUTH_TOKEN not in content


def test_a_hundred_calls_at_once_are_no_burden():
    with running_phone_network(speed=20) as network, requests.Session() as session:
        session.auth = (ACCOUNT_SID, AUTH_TOKEN)
        for i in range(150):
            session.post(
                f"{network.base_url}{CALLS_PATH}.json",
                data=ORDER | {"To": f"+44207946{i:04d}", "Twiml": "<Response/>"},
                timeout=5,
            ).raise_for_status()
        wait_until(lambda: all(call.ended_at for call in network.calls()))
        assert len(network.calls()) == 150
