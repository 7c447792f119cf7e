"""The network's doors closed for a while, and calls that it is told to forget."""

import time

import pytest
import requests

from .phone_network import running_phone_network, wait_until


@pytest.fixture
def network():
    with running_phone_network(speed=50) as network:
        yield network


def order_call(network, to="+12025550101"):
    return requests.post(
        f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/Calls.json",
        data={"To": to, "From": "+12025550199", "Twiml": "<Response/>"},
        auth=(network.account_sid, network.auth_token),
        timeout=5,
    )


def is_up(network):
    try:
        return requests.get(f"{network.base_url}/simulator/health", timeout=1).ok
    except requests.ConnectionError:
        return False


def test_nobody_gets_through_during_an_outage_and_everybody_afterwards(network):
    response = requests.post(f"{network.base_url}/simulator/outage", json={"seconds": 0.5}, timeout=5)
    assert response.status_code == 202
    time.sleep(0.1)
    with pytest.raises(requests.ConnectionError):
        order_call(network)
    wait_until(lambda: is_up(network), seconds=5)
    assert order_call(network).status_code == 201


def test_an_outage_can_follow_another(network):
    for _ in range(2):
        wait_until(lambda: is_up(network), seconds=5)
        requests.post(f"{network.base_url}/simulator/outage", json={"seconds": 0.1}, timeout=5).raise_for_status()
        wait_until(lambda: not is_up(network), seconds=5)


def test_an_outage_of_no_length_is_refused(network):
    assert requests.post(f"{network.base_url}/simulator/outage", json={}, timeout=5).status_code == 400


def test_calls_that_have_ended_can_be_forgotten_and_stay_in_the_ledger(network):
    sid = order_call(network).json()["sid"]
    wait_until(lambda: any(line["kind"] == "ended" for line in network.ledger()), seconds=5)
    requests.delete(f"{network.base_url}/simulator/calls", timeout=5).raise_for_status()
    found = requests.get(
        f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/Calls/{sid}.json",
        auth=(network.account_sid, network.auth_token),
        timeout=5,
    )
    assert found.status_code == 404
    assert [call.sid for call in network.calls()] == [sid]
