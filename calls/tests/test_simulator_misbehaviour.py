"""Every fault that can be asked for, as a client sees it."""

import time

import pytest
import requests

from calls.simulator.faults import FAULT_KINDS
from calls.simulator.people import person_for

from .phone_network import running_client_server, running_phone_network, wait_until

ANNE, BEN, BUSY, CALLER = "+12025550123", "+12025550124", "+12025550125", "+12025550100"


@pytest.fixture(scope="module")
def running_network():
    with running_phone_network(speed=200, behaviours={ANNE: "answers", BUSY: "busy"}) as network:
        yield network


@pytest.fixture
def network(running_network):
    yield running_network
    running_network.clear_faults()


@pytest.fixture
def client():
    with running_client_server() as client:
        client.documents = {"/twiml": "<Response><Pause/></Response>"}
        yield client


def start(network, client, to=ANNE, timeout=5.0, **changes):
    order = {
        "To": to,
        "From": CALLER,
        "Url": f"{client.base_url}/twiml",
        "StatusCallback": f"{client.base_url}/told",
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
    }
    return requests.post(
        calls_url(network),
        data=order | changes,
        auth=(network.account_sid, network.auth_token),
        timeout=timeout,
    )


def look_up(network, sid=None):
    return requests.get(calls_url(network, sid), auth=(network.account_sid, network.auth_token), timeout=5)


def calls_url(network, sid=None):
    path = "Calls" if sid is None else f"Calls/{sid}"
    return f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/{path}.json"


@pytest.fixture
def count_calls(network):
    before = len(network.calls())
    return lambda: len(network.calls()) - before


def last_request(network):
    return [line for line in network.ledger() if line["kind"] == "request"][-1]


@pytest.mark.parametrize(
    ("fault", "status", "code", "placed"),
    [
        ({"kind": "rate_limited"}, 429, 20429, 0),
        ({"kind": "server_error"}, 500, 20500, 0),
        ({"kind": "server_error_after_placing"}, 500, 20500, 1),
        ({"kind": "unauthorized"}, 401, 20003, 0),
        ({"kind": "refuse", "code": 21215}, 400, 21215, 0),
    ],
)
def test_a_start_is_answered_with_an_error(network, client, count_calls, fault, status, code, placed):
    network.inject(fault)
    response = start(network, client)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert count_calls() == placed
    assert (last_request(network)["fault"], last_request(network)["answer"]) == (fault["kind"], status)


@pytest.mark.parametrize(("kind", "placed"), [("reset", 0), ("reset_after_placing", 1)])
def test_the_connection_breaks(network, client, count_calls, kind, placed):
    network.inject({"kind": kind})
    with pytest.raises(requests.ConnectionError):
        start(network, client)
    assert count_calls() == placed
    assert (last_request(network)["fault"], last_request(network)["answer"]) == (kind, "closed")


@pytest.mark.parametrize(("kind", "placed"), [("hang", 0), ("hang_after_placing", 1)])
def test_there_is_no_answer(network, client, count_calls, kind, placed):
    network.inject({"kind": kind, "seconds": 0.3})
    with pytest.raises(requests.ReadTimeout):
        start(network, client, timeout=0.1)
    assert count_calls() == placed
    wait_until(lambda: last_request(network)["fault"] == kind)
    assert last_request(network)["answer"] == "closed"


def test_the_answer_is_slow(network, client, count_calls):
    network.inject({"kind": "slow", "seconds": 0.2})
    asked_at = time.monotonic()
    assert start(network, client).status_code == 201
    assert time.monotonic() - asked_at >= 0.2
    assert count_calls() == 1


def test_the_answer_is_garbage(network, client, count_calls):
    network.inject({"kind": "wrong_json"})
    response = start(network, client)
    assert response.status_code == 201
    with pytest.raises(requests.JSONDecodeError):
        response.json()
    assert count_calls() == 1


def test_two_calls_are_answered_with_the_same_sid(network, client, count_calls):
    first = start(network, client, to=BUSY).json()["sid"]
    wait_until(lambda: network.calls()[-1].ended_at)
    network.inject({"kind": "same_sid"})
    assert start(network, client).json()["sid"] == first
    assert count_calls() == 2
    assert len({call.sid for call in network.calls()[-2:]}) == 2


def test_callbacks_come_before_the_answer(network, client):
    network.inject({"kind": "callback_before_response"})
    assert start(network, client).json()["status"] == "queued"
    assert client.statuses_told()[:2] == ["initiated", "ringing"]


def test_a_busy_call_is_over_before_the_answer(network, client):
    network.inject({"kind": "callback_before_response"})
    assert start(network, client, to=BUSY).json()["status"] == "queued"
    assert client.statuses_told() == ["initiated", "ringing", "busy"]


def test_a_callback_is_lost(network, client):
    network.inject({"kind": "callback_lost", "event": "ringing"})
    sid = start(network, client, to=BUSY).json()["sid"]
    wait_until(lambda: len(client.callbacks()) == 2)
    assert client.statuses_told() == ["initiated", "busy"]
    assert [callback.form["SequenceNumber"] for callback in client.callbacks()] == ["0", "2"]
    lost = [line for line in network.ledger() if line.get("sid") == sid and line["kind"] == "callback"][1]
    assert (lost["fault"], lost["answer"]) == ("callback_lost", "not sent")


def test_a_callback_is_doubled(network, client):
    network.inject({"kind": "callback_doubled", "count": None})
    start(network, client, to=BUSY)
    wait_until(lambda: len(client.callbacks()) == 6)
    assert client.statuses_told() == ["initiated", "initiated", "ringing", "ringing", "busy", "busy"]
    assert client.callbacks()[0].form == client.callbacks()[1].form


def test_callbacks_are_reordered(network, client):
    network.inject({"kind": "callback_reordered"})
    start(network, client, to=BUSY)
    wait_until(lambda: len(client.callbacks()) == 3)
    assert client.statuses_told() == ["busy", "ringing", "initiated"]


def test_a_callback_is_late_and_overtaken(network, client):
    network.inject({"kind": "callback_late", "event": "initiated", "seconds": 0.3})
    start(network, client, to=BUSY)
    wait_until(lambda: len(client.callbacks()) == 3)
    assert client.statuses_told() == ["ringing", "busy", "initiated"]


def test_a_new_call_is_missing_from_the_list_for_a_while(network, client):
    network.inject({"kind": "lookup_lag", "seconds": 0.3, "count": None})
    sid = start(network, client).json()["sid"]
    assert sid not in look_up(network).text
    assert look_up(network, sid).status_code == 200
    wait_until(lambda: sid in look_up(network).text)


def test_a_network_can_always_lag(client):
    with running_phone_network(speed=200, lookup_lag=60) as network:
        start(network, client)
        assert look_up(network).json()["calls"] == []


def test_a_look_up_fails(network, client):
    sid = start(network, client).json()["sid"]
    network.inject({"kind": "lookup_error", "count": 2})
    assert look_up(network, sid).status_code == 500
    assert look_up(network).json()["code"] == 20500
    assert look_up(network, sid).status_code == 200


def test_a_fault_for_one_number_spares_the_others(network, client):
    network.inject({"kind": "rate_limited", "to": BEN})
    assert start(network, client, to=ANNE).status_code == 201
    assert start(network, client, to=BEN).status_code == 429
    assert start(network, client, to=BEN).status_code == 201


def test_waiting_faults_are_listed_and_cleared(network):
    faults_url = f"{network.base_url}/simulator/faults"
    network.inject({"kind": "slow", "count": 2, "to": ANNE})
    (waiting,) = requests.get(faults_url, timeout=5).json()["faults"]
    assert (waiting["kind"], waiting["count"], waiting["to"]) == ("slow", 2, ANNE)
    assert requests.delete(faults_url, timeout=5).json() == {"faults": []}


@pytest.mark.parametrize("body", ['{"kind": "earthquake"}', "[]", "slow"])
def test_a_fault_that_makes_no_sense_is_refused(network, body):
    response = requests.post(f"{network.base_url}/simulator/faults", data=body, timeout=5)
    assert response.status_code == 400
    assert response.json()["error"]


def test_numbers_can_be_told_how_to_behave_while_the_network_runs(network, client):
    network.set_behaviours({BEN: "busy"})
    start(network, client, to=BEN)
    wait_until(lambda: client.statuses_told()[-1:] == ["busy"])


@pytest.mark.parametrize("body", ['{"+12025550123": "sings"}', "[]", '{"+12025550123": []}', "busy"])
def test_a_behaviour_that_nobody_has_is_refused(network, body):
    response = requests.post(f"{network.base_url}/simulator/behaviours", data=body, timeout=5)
    assert response.status_code == 400


def test_other_people_are_at_the_same_numbers_with_another_seed(client):
    other = next(seed for seed in range(100) if person_for(seed, BEN, 0).reaction == "busy")
    with running_phone_network(speed=200, behaviours={}) as network:
        assert person_for(1, BEN, 0).reaction != "busy"
        requests.post(f"{network.base_url}/simulator/seed", json={"seed": other}, timeout=5).raise_for_status()
        start(network, client, to=BEN)
        wait_until(lambda: network.calls()[0].status == "busy")


@pytest.mark.parametrize("body", ["", "7", '{"seed": "7"}', '{"seed": true}', "{}"])
def test_a_seed_that_is_none_is_refused(network, body):
    assert requests.post(f"{network.base_url}/simulator/seed", data=body, timeout=5).status_code == 400


def test_health_says_how_many_calls_there_are(network, client):
    start(network, client, to=BUSY)
    health = requests.get(f"{network.base_url}/simulator/health", timeout=5).json()
    assert health["status"] == "ok"
    assert health["calls"] == len(network.calls())


def test_every_kind_of_fault_is_tried_here():
    with open(__file__) as this_file:
        content = this_file.read()
    assert [kind for kind in sorted(FAULT_KINDS) if f'"{kind}"' not in content] == []
