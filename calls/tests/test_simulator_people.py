import hashlib
from collections import Counter

import pytest

from calls.simulator.people import BEHAVIOURS, PATIENCE_SECONDS, person_for, person_told_to

NUMBERS = [f"+44207946{n:04d}" for n in range(1000)]


def test_the_same_seed_number_and_call_give_the_same_person():
    assert person_for(7, NUMBERS[0], 0) == person_for(7, NUMBERS[0], 0)


def test_people_do_not_change_with_the_process_they_run_in():
    """Recorded once; a change here changes every recorded demo and benchmark."""
    assert [person_for(1, number, 0).reaction for number in NUMBERS[:4]] == [
        "answers",
        "answers",
        "answers",
        "answers",
    ]


def test_who_is_no_machine_is_who_always_was_there():
    """Recorded before there were machines, which took the places of some who did not answer."""
    people = [person_for(1, number, call) for number in NUMBERS for call in range(2)]
    lines = [
        f"{one.reaction} {one.ring_seconds:.6f} {one.hangs_up_after_seconds} {one.intent} {one.turns_at} "
        f"{one.makes_mistakes}"
        for one in people
        if one.reaction != "no_answer" and not one.is_machine
    ]
    assert len(lines) == 1590
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest().startswith("8b7402c149df0b59")


def test_a_machine_answers_after_a_while_and_before_the_network_loses_patience():
    people = [person_for(1, number, call) for number in NUMBERS for call in range(10)]
    machines = [person for person in people if person.is_machine]
    assert {(one.reaction, one.intent, one.makes_mistakes, one.hangs_up_after_seconds) for one in machines} == {
        ("answers", "silent", False, None)
    }
    assert all(12 <= one.ring_seconds < 20 and 6 <= one.greeting_seconds < 15 for one in machines)
    assert {one.greeting_seconds for one in people if not one.is_machine} == {0.0}


def test_a_number_can_be_told_to_be_a_machine():
    assert [person_told_to("machine", 1, number, 0).is_machine for number in NUMBERS[:20]] == [True] * 20


@pytest.mark.parametrize(
    ("other_seed", "other_call"),
    [(2, 0), (1, 1)],
    ids=["another seed", "another call to the number"],
)
def test_people_differ_with(other_seed, other_call):
    here = [person_for(1, number, 0) for number in NUMBERS]
    there = [person_for(other_seed, number, other_call) for number in NUMBERS]
    assert sum(a.reaction != b.reaction for a, b in zip(here, there, strict=True)) > 300


def test_shares_are_realistic():
    people = [person_for(1, number, call) for number in NUMBERS for call in range(10)]
    counts = Counter(person.reaction for person in people)
    answered = [person for person in people if person.reaction == "answers"]
    leaving = [person for person in answered if person.hangs_up_after_seconds is not None]
    machines = [person for person in answered if person.is_machine]
    assert (counts["answers"] - len(machines)) / len(people) == pytest.approx(0.63, abs=0.02)
    assert (counts["no_answer"] + len(machines)) / len(people) == pytest.approx(0.20, abs=0.02)
    assert len(machines) / len(people) == pytest.approx(0.06, abs=0.01)
    assert counts["busy"] / len(people) == pytest.approx(0.13, abs=0.02)
    assert counts["failed"] / len(people) == pytest.approx(0.04, abs=0.01)
    assert len(leaving) / (len(answered) - len(machines)) == pytest.approx(0.12, abs=0.02)


def test_nobody_rings_longer_than_the_network_is_patient():
    rings = [person_for(1, number, 0).ring_seconds for number in NUMBERS]
    assert min(rings) > 0
    assert max(rings) == PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("behaviour", "reaction", "leaves_after"),
    [
        ("answers", "answers", None),
        ("hangs_up", "answers", 1.0),
        ("busy", "busy", None),
        ("no_answer", "no_answer", None),
        ("failed", "failed", None),
        ("consents", "answers", None),
        ("refuses", "answers", None),
        ("opts_out", "answers", None),
        ("breaks_off", "answers", None),
        ("silent", "answers", None),
        ("machine", "answers", None),
    ],
)
def test_a_number_can_be_told_what_to_do(behaviour, reaction, leaves_after):
    people = [person_told_to(behaviour, 1, NUMBERS[0], call) for call in range(20)]
    assert {person.reaction for person in people} == {reaction}
    assert {person.hangs_up_after_seconds for person in people} == {leaves_after}


def test_an_unknown_behaviour_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=", ".join(BEHAVIOURS)):
        person_told_to("sings", 1, NUMBERS[0], 0)
