"""Whole talks over HTTP: a client's server asks, people answer, and the ledger has what they said."""

import time
from datetime import datetime

import pytest
import requests

from calls.simulator.answering import Prompt, answer
from calls.simulator.people import INTENTS, person_for

from .phone_network import running_client_server, running_phone_network, wait_until

CALLER = "+12025550100"
SPEED = 100
PEOPLE = {intent: f"+1202555012{place}" for place, intent in enumerate(INTENTS)} | {
    "hangs_up": "+12025550130",
    "answers": "+12025550131",
}

CONSENT = {
    "en": "May we ask you something? Press 1 for yes, 2 for no. Press 9 to never be called again.",
    "it": "Possiamo farle qualche domanda? Prema 1 per sì, 2 per no. Per non essere più chiamato prema 9.",
}
QUESTIONS = {
    "en": ["How likely is it, from 0 to 10?", "Which? Press 1 for red, 2 for blue.", "What should we do better?"],
    "it": ["Da 0 a 10, quanto è probabile?", "Quale? Prema 1 per rosso, 2 per blu.", "Che cosa possiamo migliorare?"],
}


def say(words):
    return f"<Say>{words}</Say>"


def gather(words, attributes='numDigits="1"', then=""):
    return f"<Response><Gather {attributes}>{say(words)}</Gather>{then}</Response>"


@pytest.fixture
def client():
    with running_client_server() as client:
        yield client


@pytest.fixture(scope="module")
def network():
    behaviours = {number: behaviour for behaviour, number in PEOPLE.items()}
    with running_phone_network(speed=SPEED, behaviours=behaviours) as network:
        yield network


def call(network, client, who, document=None, **changes):
    """Return the call's sid after its end."""
    if document is not None:
        client.documents["/voice"] = document
    response = requests.post(
        f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/Calls.json",
        data={"To": PEOPLE[who], "From": CALLER, "Url": f"{client.base_url}/voice?call_id=c1"} | changes,
        auth=(network.account_sid, network.auth_token),
        timeout=5,
    )
    assert response.status_code == 201, response.text
    sid = response.json()["sid"]
    wait_until(lambda: lines_of(network, sid, "ended"))
    return sid


def lines_of(network, sid, kind):
    return [line for line in network.ledger() if line["kind"] == kind and line["sid"] == sid]


def gathered(network, sid, *names):
    return [tuple(line[name] for name in names) for line in lines_of(network, sid, "gathered")]


def heard_to_end(network, sid):
    return lines_of(network, sid, "ended")[0]["heard_to_end"]


def seconds_talked(network, sid):
    (answered,), (ended,) = lines_of(network, sid, "answered"), lines_of(network, sid, "ended")
    return (datetime.fromisoformat(ended["at"]) - datetime.fromisoformat(answered["at"])).total_seconds() * SPEED


def ask_survey(client, language):
    """Serve a small survey from one address; return the answers it gets, by question."""
    answers = {}

    def write_document(request):
        step = int(request.query["step"])
        given = request.form.get("SpeechResult") or request.form.get("Digits")
        if step > 0:
            answers[step - 1] = given
        if given in ("2", "no") and step == 1:
            return f"<Response>{say('Goodbye.')}</Response>"
        if given == "9" and step != 2:
            return f"<Response>{say('Never again.')}<Hangup/></Response>"
        prompts = [CONSENT[language], *QUESTIONS[language]]
        if step == len(prompts):
            return f"<Response>{say('Thank you.')}</Response>"
        attributes = f'input="dtmf speech" speechTimeout="auto" language="{language}" action="/voice?step={step + 1}"'
        return gather(prompts[step], attributes)

    client.documents["/voice"] = write_document
    return answers


def call_survey(network, client, who):
    return call(network, client, who, Url=f"{client.base_url}/voice?step=0&call_id=c1")


@pytest.mark.parametrize("language", ["en", "it"])
def test_who_consents_answers_every_question_to_the_end(network, client, language):
    answers = ask_survey(client, language)
    sid = call_survey(network, client, "consents")
    assert heard_to_end(network, sid)
    assert answers[0] == "1"
    assert int(answers[1]) in range(11)
    assert answers[2] in ("1", "2")
    assert len(answers[3].split()) > 2
    said = gathered(network, sid, "question", "meant", "answer")
    assert said == [(0, "consent", 200), (1, "answer", 200), (2, "answer", 200), (3, "answer", 200)]
    assert [digits or speech for digits, speech in gathered(network, sid, "digits", "speech")] == list(answers.values())


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize(
    ("who", "said", "is_heard_to_end"),
    [
        ("refuses", [("refuse", "2")], True),
        ("opts_out", [("opt_out", "9")], True),
        ("silent", [("silent", None)], True),
    ],
)
def test_who_does_not_take_part_says_so_once(network, client, who, said, is_heard_to_end, language):
    ask_survey(client, language)
    sid = call_survey(network, client, who)
    assert gathered(network, sid, "meant", "digits") == said
    assert heard_to_end(network, sid) is is_heard_to_end


def test_who_breaks_off_answers_the_first_question_and_hangs_up_at_the_second(network, client):
    answers = ask_survey(client, "en")
    sid = call_survey(network, client, "breaks_off")
    assert gathered(network, sid, "meant", "answer") == [("consent", 200), ("answer", 200), ("hang_up", None)]
    assert set(answers) == {0, 1}
    (ended,) = lines_of(network, sid, "ended")
    assert (ended["status"], ended["heard_to_end"]) == ("completed", False)


def test_an_answer_is_posted_with_what_every_request_says(network, client):
    client.documents["/next"] = "<Response/>"
    document = gather(CONSENT["en"], 'numDigits="1" action="next?step=2"')
    sid = call(network, client, "consents", document)
    first, second = client.fetches()
    assert (second.path, second.query, second.is_signed) == ("/next", {"step": "2"}, True)
    assert second.form == first.form | {"CallSid": sid, "Digits": "1"}


def test_speech_is_posted_with_its_confidence(network, client):
    client.documents["/next"] = "<Response/>"
    call(network, client, "consents", gather(CONSENT["en"], 'input="speech" action="/next"'))
    form = client.fetches()[1].form
    assert form["SpeechResult"] == "yes"
    assert 0.5 < float(form["Confidence"]) < 1
    assert "Digits" not in form


def test_an_answer_can_be_had_by_get(network, client):
    client.documents["/next"] = "<Response/>"
    call(network, client, "consents", gather(CONSENT["en"], 'numDigits="1" method="GET" action="/next?a=b"'))
    fetch = client.fetches()[1]
    assert (fetch.query["a"], fetch.query["Digits"], fetch.form, fetch.is_signed) == ("b", "1", {}, True)


def test_without_an_action_the_answer_goes_to_the_document_itself(network, client):
    def write_document(request):
        return "<Response/>" if "Digits" in request.form else gather(CONSENT["en"])

    sid = call(network, client, "consents", write_document)
    assert [(fetch.path, fetch.query) for fetch in client.fetches()] == [("/voice", {"call_id": "c1"})] * 2
    assert heard_to_end(network, sid)


def test_what_follows_a_gather_is_heard_by_who_is_silent_only(network, client):
    client.documents |= {"/next": "<Response/>", "/silence": "<Response/>"}
    document = gather(CONSENT["en"], 'numDigits="1" action="/next"', then="<Redirect>/silence</Redirect>")
    call(network, client, "consents", document)
    call(network, client, "silent", document)
    assert [fetch.path for fetch in client.fetches()] == ["/voice", "/next", "/voice", "/silence"]


def test_silence_is_posted_too_where_it_is_asked_for(network, client):
    client.documents["/next"] = "<Response/>"
    sid = call(network, client, "silent", gather(CONSENT["en"], 'actionOnEmptyResult="true" action="/next"'))
    assert client.fetches()[1].form["Digits"] == ""
    assert gathered(network, sid, "digits", "speech", "answer") == [(None, None, 200)]


def test_two_gathers_may_stand_in_a_document(network, client):
    document = f"<Response><Gather>{say('One?')}</Gather><Pause/><Gather>{say('Two?')}</Gather></Response>"
    sid = call(network, client, "silent", document)
    assert gathered(network, sid, "asked", "question") == [("One?", 0), ("Two?", 0)]
    assert heard_to_end(network, sid)


def test_a_request_for_consent_in_other_words_is_one_until_it_is_answered(network, client):
    """People make mistakes, by seed; this finds somebody who misses the request for consent once."""
    intro, again = f"Hello. {CONSENT['en']}", f"Sorry. {CONSENT['en']}"
    attributes = 'numDigits="1" action="/next"'
    client.documents["/next"] = gather("Which? Press 1 for red, 2 for blue.", 'numDigits="1" action="/end"')
    client.documents |= {"/again": gather(again, attributes), "/end": "<Response/>"}

    def misses_it_once(number):
        person = person_for(1, number, 0)
        meant = [
            answer(person, Prompt(words=words, inputs=frozenset({"dtmf"}), number=0, times_before=times)).meant
            for times, words in enumerate((intro, again))
        ]
        return meant == ["silent", "consent"] and person.reaction == "answers" and not person.hangs_up_after_seconds

    number = next(number for number in (f"+44207946{n:04d}" for n in range(1000)) if misses_it_once(number))
    sid = call(network, client, "consents", gather(intro, attributes, then="<Redirect>/again</Redirect>"), To=number)
    said = gathered(network, sid, "question", "meant")
    assert said[:2] == [(0, "silent"), (0, "consent")]
    assert said[2][0] == 1


def test_words_before_a_gather_belong_to_the_question(network, client):
    client.documents["/next"] = "<Response/>"
    document = f'<Response>{say(CONSENT["en"])}<Gather numDigits="1" action="/next"/></Response>'
    sid = call(network, client, "refuses", document)
    assert gathered(network, sid, "asked", "digits") == [(CONSENT["en"], "2")]


def test_long_prompts_are_shortened_in_the_ledger(network, client):
    sid = call(network, client, "silent", gather("word " * 100))
    assert [len(asked) for (asked,) in gathered(network, sid, "asked")] == [200]


@pytest.mark.parametrize(
    ("document", "told"),
    [(None, 404), ("<html/>", "not TwiML"), ("<Response><Gather input='x'/></Response>", "not TwiML")],
)
def test_an_answer_that_the_server_cannot_take_ends_the_call(network, client, document, told):
    client.statuses = [404]
    if document:
        client.documents["/next"] = document
    sid = call(network, client, "consents", gather(CONSENT["en"], 'numDigits="1" action="/next"'))
    assert not heard_to_end(network, sid)
    assert gathered(network, sid, "digits", "answer") == [("1", told)]


def test_listening_and_waiting_take_their_time(network, client):
    sid = call(network, client, "silent", gather("word " * 25, 'timeout="10"'))
    assert 20 <= seconds_talked(network, sid) < 60


def test_the_servers_own_time_uses_up_no_patience(network, client):
    client.documents["/next"] = "<Response/>"
    client.answer_after = 0.2  # 20 seconds of the simulated world
    sid = call(network, client, "consents", gather("Press 1.", 'numDigits="1" action="/next"'), TimeLimit=5)
    assert heard_to_end(network, sid)


@pytest.mark.parametrize(("who", "changes"), [("silent", {"TimeLimit": 3}), ("hangs_up", {})])
def test_who_has_no_time_left_answers_nothing(network, client, who, changes):
    sid = call(network, client, who, gather("word " * 25), **changes)
    assert not heard_to_end(network, sid)
    assert gathered(network, sid, "meant", "digits", "speech", "answer") == [(None, None, None, None)]


def test_talks_may_go_on_longer_than_was_ordered(client):
    client.documents["/next"] = "<Response/>"
    document = gather("word " * 25, 'numDigits="1" action="/next"')
    patience = {"least_time_limit": 60, "least_ring_timeout": 20}
    with running_phone_network(speed=SPEED, behaviours={PEOPLE["consents"]: "consents"}, **patience) as network:
        assert heard_to_end(network, call(network, client, "consents", document, TimeLimit=3, Timeout=1))


def test_more_questions_than_documents_may_redirect_are_answered(network, client):
    def write_document(request):
        step = int(request.query["step"]) + 1
        return "<Response/>" if step > 120 else gather("Press 1.", f'numDigits="1" action="/voice?step={step}"')

    with running_phone_network(speed=5000, behaviours={PEOPLE["consents"]: "consents"}) as fast:
        client.documents["/voice"] = write_document
        sid = call_survey(fast, client, "consents")
        assert heard_to_end(fast, sid)
        assert len(lines_of(fast, sid, "gathered")) == 120


def test_a_call_that_is_ended_in_the_middle_of_a_question_has_its_line(network, client):
    client.documents["/voice"] = gather("word " * 100)
    auth = (network.account_sid, network.auth_token)
    calls_url = f"{network.base_url}/2010-04-01/Accounts/{network.account_sid}/Calls"
    order = {"To": PEOPLE["silent"], "From": CALLER, "Url": f"{client.base_url}/voice"}
    sid = requests.post(f"{calls_url}.json", data=order, auth=auth, timeout=5).json()["sid"]
    wait_until(lambda: lines_of(network, sid, "twiml"))
    time.sleep(0.05)
    requests.post(f"{calls_url}/{sid}.json", data={"Status": "completed"}, auth=auth, timeout=5).raise_for_status()
    wait_until(lambda: lines_of(network, sid, "gathered"))
    assert gathered(network, sid, "meant", "answer") == [(None, None)]


def test_what_people_are_up_to_can_be_set_while_the_network_runs(client):
    ask_survey(client, "en")
    with running_phone_network(speed=SPEED) as network:
        network.set_behaviours({PEOPLE["answers"]: "refuses"})
        assert gathered(network, call_survey(network, client, "answers"), "meant") == [("refuse",)]


def test_the_same_seed_says_the_same(client):
    def run():
        answers = ask_survey(client, "en")
        with running_phone_network(speed=SPEED, seed=7, behaviours={PEOPLE["answers"]: "answers"}) as network:
            call_survey(network, client, "answers")
        return answers

    assert run() == run() != {}
