import pytest

from calls.simulator.twiml import Gather, Hangup, Listen, Redirect, TwimlError, parse_twiml


@pytest.mark.parametrize(
    ("content", "verbs"),
    [
        ("", []),
        ("<Say>one two three four five</Say>", [Listen(2.0)]),
        ("<Say>one <emphasis>two</emphasis> three <break/> four five</Say>", [Listen(2.0)]),
        ("<Pause/>", [Listen(1.0)]),
        ('<Pause length="7"/>', [Listen(7.0)]),
        ("<Redirect>/next?step=2</Redirect>", [Redirect("/next?step=2", "POST")]),
        ('<Redirect method="get"> /next </Redirect>', [Redirect("/next", "GET")]),
        ("<Hangup/>", [Hangup()]),
        ("<Reject/>", [Hangup()]),
        # A verb that is not known is skipped with all that is in it.
        ("<Dial><Number>+12025550123</Number></Dial><Pause/>", [Listen(1.0)]),
        ("<Pause/><Hangup/><Pause/>", [Listen(1.0), Hangup(), Listen(1.0)]),
    ],
)
def test_verbs_are_read_in_order(content, verbs):
    assert parse_twiml(f"<Response>{content}</Response>") == verbs


@pytest.mark.parametrize("document", ["", "sorry", "<Response>", "<html/>", "<Response><Pause length='x'/></Response>"])
def test_what_is_not_twiml_is_an_error(document):
    with pytest.raises(TwimlError):
        parse_twiml(document)


def test_the_encoding_that_a_document_declares_is_used():
    document = '<?xml version="1.0" encoding="iso-8859-1"?><Response><Say>für Sie</Say></Response>'
    assert parse_twiml(document.encode("iso-8859-1")) == [Listen(0.8)]


def test_what_is_heard_has_its_words():
    document = "<Response><Say>one <emphasis>two</emphasis>\n  three</Say><Pause/></Response>"
    assert [verb.text for verb in parse_twiml(document)] == ["one two three", ""]


DEFAULTS = Gather(prompt=())


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", DEFAULTS),
        ('input="speech"', Gather(prompt=(), inputs=frozenset({"speech"}))),
        ('input="dtmf speech"', Gather(prompt=(), inputs=frozenset({"dtmf", "speech"}))),
        ('action="/next?step=2" method="get"', Gather(prompt=(), action="/next?step=2", method="GET")),
        # Without an own one, the silence after speech is the time-out's.
        ('timeout="9"', Gather(prompt=(), timeout=9, speech_timeout=9)),
        ('timeout="9" speechTimeout="2"', Gather(prompt=(), timeout=9, speech_timeout=2)),
        ('speechTimeout="auto"', Gather(prompt=(), speech_timeout=1)),
        ('numDigits="2"', Gather(prompt=(), num_digits=2)),
        ('finishOnKey="*"', Gather(prompt=(), finish_on_key="*")),
        ('finishOnKey=""', Gather(prompt=(), finish_on_key="")),
        ('language="it-IT" hints="sì, no"', Gather(prompt=(), language="it-IT", hints="sì, no")),
        ('actionOnEmptyResult="true"', Gather(prompt=(), action_on_empty_result=True)),
        # What changes nothing here may be said.
        ('profanityFilter="false" speechModel="x" enhanced="true"', DEFAULTS),
    ],
)
def test_a_gather_is_read_with_its_attributes(attributes, expected):
    assert parse_twiml(f"<Response><Gather {attributes}/></Response>") == [expected]


def test_a_gather_is_heard_while_it_waits():
    nested = "<Say>one two three</Say><Pause length='2'/><Play>jingle.mp3</Play><Say>four five</Say>"
    (gather,) = parse_twiml(f"<Response><Gather>{nested}</Gather></Response>")
    assert (gather.words, gather.seconds) == ("one two three four five", 4.0)


@pytest.mark.parametrize(
    "attributes",
    [
        'input="keys"',
        'input=""',
        'input="dtmf,speech"',
        'method="PUT"',
        'timeout="0"',
        'timeout="2.5"',
        'timeout="auto"',
        'speechTimeout="soon"',
        'numDigits="0"',
        'numDigits="many"',
        'finishOnKey="##"',
        'finishOnKey="x"',
        'actionOnEmptyResult="yes"',
        'num_digits="1"',
    ],
)
def test_a_gather_with_what_it_cannot_have_is_an_error(attributes):
    with pytest.raises(TwimlError):
        parse_twiml(f"<Response><Gather {attributes}/></Response>")


def test_only_what_is_heard_may_be_nested_in_a_gather():
    with pytest.raises(TwimlError, match="Redirect"):
        parse_twiml("<Response><Gather><Redirect>/next</Redirect></Gather></Response>")
