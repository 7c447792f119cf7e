"""A network whose clock is set: what it dates is dated by it, and what lasts, lasts as long as before."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from .phone_network import running_client_server, running_phone_network, wait_until

ANNE, CALLER = "+12025550123", "+12025550100"
MONTHS = 100 * 24 * 3600


@pytest.fixture
def network():
    with running_phone_network(speed=50, behaviours={ANNE: "answers"}) as network:
        yield network


def calls_url(network, name="Calls"):
    return f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/{name}.json"


def start(network, **changes):
    order = {"To": ANNE, "From": CALLER, "Twiml": "<Response><Pause length='10'/></Response>"}
    response = requests.post(
        calls_url(network), data=order | changes, auth=(network.account_sid, network.auth_token), timeout=5
    )
    assert response.status_code == 201, response.text
    return response.json()


def look_up(network, name="Calls"):
    auth = (network.account_sid, network.auth_token)
    return requests.get(calls_url(network, name), auth=auth, timeout=5).json()


def wait_for_end(network):
    wait_until(lambda: all(call.ended_at for call in network.calls()))


def is_near(moment, expected):
    return abs(moment - expected) < timedelta(seconds=30)


@pytest.mark.parametrize("offset", [MONTHS, -MONTHS, 12345.6])
def test_a_set_clock_dates_the_ledger_and_what_the_network_says(network, offset):
    network.set_clock(offset)
    then = datetime.now(UTC) + timedelta(seconds=offset)
    with running_client_server() as client:
        call = start(network, StatusCallback=f"{client.base_url}/told", StatusCallbackEvent="completed")
        wait_until(lambda: client.received)
    (told,) = client.received
    assert is_near(parsedate_to_datetime(call["date_created"]), then)
    assert is_near(parsedate_to_datetime(told.form["Timestamp"]), then)
    assert all(is_near(datetime.fromisoformat(line["at"]), then) for line in network.ledger())


def test_a_reset_clock_is_the_machines_again(network):
    network.set_clock(MONTHS)
    network.reset_clock()
    start(network)
    assert is_near(network.calls()[0].started_at, datetime.now(UTC))


def test_a_clock_that_is_set_during_a_call_changes_no_duration(network):
    sid = start(network)["sid"]
    wait_until(lambda: network.calls()[0].answered_at)
    network.set_clock(MONTHS)
    wait_for_end(network)
    assert 10 <= int(look_up(network, f"Calls/{sid}")["duration"]) < 60


def test_a_clock_that_is_set_back_hides_no_call_from_the_list(network):
    network.set_clock(MONTHS)
    sid = start(network)["sid"]
    network.reset_clock()
    assert [call["sid"] for call in look_up(network)["calls"]] == [sid]


@pytest.mark.parametrize(
    "body", ["", "[]", "5", '{"offset": 5}', '{"offset_seconds": "x"}', '{"offset_seconds": 1e99}']
)
def test_a_clock_that_makes_no_sense_is_refused(network, body):
    response = requests.post(f"{network.base_url}/simulator/clock", data=body, timeout=5)
    assert response.status_code == 400
    assert "error" in response.json()
