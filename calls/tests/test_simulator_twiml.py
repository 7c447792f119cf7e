import pytest

from calls.simulator.twiml import Hangup, Listen, Redirect, TwimlError, parse_twiml


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
        ("<Gather><Say>one two</Say></Gather><Pause/>", [Listen(1.0)]),
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
