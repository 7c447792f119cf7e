import pytest

from calls.simulator.answering import Reply
from calls.simulator.gathering import Gathered, collect
from calls.simulator.twiml import Gather, Listen

BOTH, SPEECH = frozenset({"dtmf", "speech"}), frozenset({"speech"})


def gather(**changes):
    return Gather(prompt=(Listen(10.0, "one two"),), **changes)


def pressing(keys, **changes):
    return Reply(meant="answer", keys=keys, **changes)


def saying(words, **changes):
    return Reply(meant="answer", speech=words, confidence=0.9, **changes)


@pytest.mark.parametrize(
    ("keys", "changes", "digits", "seconds"),
    [
        ("1", {"num_digits": 1}, "1", 10.4),
        ("1", {}, "1", 15.4),  # more might follow
        ("1", {"timeout": 2}, "1", 12.4),
        ("12", {"num_digits": 1}, "1", 10.8),
        ("12#", {}, "12", 11.2),
        ("12#", {"num_digits": 3}, "12", 11.2),
        ("12#", {"finish_on_key": "*"}, "12#", 16.2),
        ("12#", {"finish_on_key": ""}, "12#", 16.2),
        ("1*2", {"finish_on_key": "*"}, "1", 11.2),
        ("#12", {"num_digits": 2}, "12", 11.2),  # behind nothing it finishes nothing
        ("1", {"num_digits": 1, "inputs": BOTH}, "1", 10.4),
    ],
)
def test_keys_are_over_with_the_last_the_finishing_one_or_the_timeout(keys, changes, digits, seconds):
    gathered = collect(gather(**changes), pressing(keys))
    assert (gathered.digits, gathered.speech, gathered.goes_on) == (digits, None, False)
    assert gathered.seconds == pytest.approx(seconds)
    assert gathered.form == {"Digits": digits}


def test_speech_is_over_when_nobody_has_spoken_for_a_while():
    gathered = collect(gather(inputs=SPEECH, speech_timeout=2), saying("a b c d e"))
    assert gathered == Gathered(seconds=14.0, speech="a b c d e", confidence=0.9)
    assert gathered.form == {"SpeechResult": "a b c d e", "Confidence": "0.9"}


@pytest.mark.parametrize(
    ("reply", "inputs"),
    [
        (Reply(meant="silent"), BOTH),
        (saying("yes"), frozenset({"dtmf"})),
        (pressing("1"), SPEECH),
        (pressing("#"), BOTH),
        (pressing("1", thinks=5.1), BOTH),  # too late
    ],
)
@pytest.mark.parametrize("posts_nothing_too", [False, True])
def test_what_is_not_noticed_is_silence(reply, inputs, posts_nothing_too):
    gathered = collect(gather(inputs=inputs, action_on_empty_result=posts_nothing_too), reply)
    assert gathered == Gathered(seconds=15.0, goes_on=not posts_nothing_too)
    assert gathered.form == {"Digits": ""}


def test_an_answer_may_come_before_the_end_of_the_prompt():
    assert collect(gather(num_digits=1), pressing("1", hears=0.5)).seconds == pytest.approx(5.4)


def test_who_hangs_up_does_not_wait():
    assert collect(gather(), Reply(meant="hang_up", thinks=1.0)) == Gathered(seconds=11.0)
