"""Answering machines of the phone network: how they are described, what they record, what they do not answer."""

import time

import pytest
import requests

from .phone_network import running_client_server, running_phone_network, wait_until
from .test_simulator_talk import CALLER, gather, gathered, heard_to_end, lines_of, say, seconds_talked

SPEED = 100
MACHINE, PERSON = "+12025550140", "+12025550141"
SHORT = f"<Response>{say('We try again tomorrow.')}</Response>"
ASKING = gather("May we ask you something?", 'input="dtmf speech" action="/voice" actionOnEmptyResult="true"')


@pytest.fixture
def client():
    with running_client_server() as client:
        client.documents["/voice"] = SHORT
        yield client


@pytest.fixture(scope="module")
def network():
    with running_phone_network(speed=SPEED, behaviours={MACHINE: "machine", PERSON: "consents"}) as network:
        yield network


def place(network, client, to=MACHINE, **changes):
    return requests.post(
        f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/Calls.json",
        data={"To": to, "From": CALLER, "Url": f"{client.base_url}/voice?call_id=c1"} | changes,
        auth=(network.account_sid, network.auth_token),
        timeout=5,
    )


def call(network, client, to=MACHINE, **changes):
    """Return the call's sid after its end."""
    response = place(network, client, to, **changes)
    assert response.status_code == 201, response.text
    sid = response.json()["sid"]
    wait_until(lambda: lines_of(network, sid, "ended"))
    return sid


def show(network, sid):
    url = f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/Calls/{sid}.json"
    return requests.get(url, auth=(network.account_sid, network.auth_token), timeout=5).json()


def recorded(network, sid):
    return [line["words"] for line in lines_of(network, sid, "recorded")]


@pytest.mark.parametrize(
    ("to", "ordered", "described"),
    [
        (MACHINE, "Enable", "machine_start"),
        (MACHINE, "DetectMessageEnd", "machine_end_beep"),
        (MACHINE, None, None),
        (PERSON, "Enable", "human"),
        (PERSON, "DetectMessageEnd", "human"),
        (PERSON, None, None),
    ],
)
def test_who_has_answered_is_told_with_the_first_document_if_that_was_ordered(network, client, to, ordered, described):
    sid = call(network, client, to, **({"MachineDetection": ordered} if ordered else {}))
    assert [fetch.form.get("AnsweredBy") for fetch in client.fetches()] == [described]
    assert show(network, sid)["answered_by"] == described
    (answered,) = lines_of(network, sid, "answered")
    assert answered["by"] == ("machine" if to == MACHINE else "person")


@pytest.mark.parametrize("word", ["enable", "true", "Detect"])
def test_another_word_for_detection_is_refused(network, client, word):
    response = place(network, client, MachineDetection=word)
    assert (response.status_code, response.json()["code"]) == (400, 20001)


def test_a_message_is_recorded_when_the_greeting_was_waited_for(network, client):
    sid = call(network, client, MachineDetection="DetectMessageEnd")
    assert recorded(network, sid) == ["We try again tomorrow."]
    assert seconds_talked(network, sid) > 6 + 4 / 2.5


@pytest.mark.parametrize("order", [{"MachineDetection": "Enable"}, {}])
def test_what_is_said_into_the_greeting_is_not_recorded(network, client, order):
    assert recorded(network, call(network, client, **order)) == []


def test_a_message_that_does_not_come_to_its_end_is_not_recorded(network, client):
    client.documents["/voice"] = f"<Response>{say('again ' * 100)}</Response>"
    sid = call(network, client, MachineDetection="DetectMessageEnd", TimeLimit=30)
    assert client.fetches()
    assert recorded(network, sid) == []


def test_people_record_nothing(network, client):
    assert recorded(network, call(network, client, PERSON, MachineDetection="DetectMessageEnd")) == []


@pytest.mark.parametrize(("detection", "seconds"), [("Enable", 4), ("DetectMessageEnd", 6)])
def test_it_takes_a_while_to_tell_a_machine_from_people(network, client, detection, seconds):
    client.documents["/voice"] = "<Response><Hangup/></Response>"
    assert seconds_talked(network, call(network, client, MachineDetection=detection)) >= seconds


def test_no_machine_hears_a_call_to_its_end(network, client):
    assert not heard_to_end(network, call(network, client, MachineDetection="DetectMessageEnd"))
    assert heard_to_end(network, call(network, client, PERSON))


def test_a_machine_that_nobody_looks_for_answers_no_question(network, client):
    client.documents["/voice"] = lambda request: ASKING if "Digits" not in request.form else SHORT
    sid = call(network, client)
    assert gathered(network, sid, "meant", "digits", "speech", "answer") == [("silent", None, None, 200)]
    assert [fetch.form.get("Digits") for fetch in client.fetches()] == [None, ""]


def test_a_call_that_is_over_before_the_machine_is_recognised_asks_for_no_document(network, client):
    sid = call(network, client, MachineDetection="DetectMessageEnd", TimeLimit=2)
    time.sleep(0.05)
    assert client.fetches() == []
    assert show(network, sid)["answered_by"] is None
