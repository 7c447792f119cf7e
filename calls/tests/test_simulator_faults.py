import pytest

from calls.simulator.faults import Fault, FaultBox, FaultError, read_fault

ANNE, BEN = "+12025550123", "+12025550124"
SLOW = frozenset({"slow"})
LOST = frozenset({"callback_lost"})


@pytest.mark.parametrize(
    ("description", "fault"),
    [
        ({"kind": "slow"}, Fault(kind="slow", count=1, seconds=5.0)),
        ({"kind": "slow", "count": None}, Fault(kind="slow", count=None, seconds=5.0)),
        ({"kind": "hang"}, Fault(kind="hang", seconds=30.0)),
        ({"kind": "refuse", "code": 21215, "to": ANNE}, Fault(kind="refuse", code=21215, to=ANNE)),
        ({"kind": "callback_lost", "event": "completed"}, Fault(kind="callback_lost", event="completed")),
    ],
)
def test_a_fault_is_read_from_json(description, fault):
    assert read_fault(description) == fault


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"kind": "earthquake"},
        {"kind": "slow", "count": 0},
        {"kind": "slow", "count": "3"},
        {"kind": "slow", "seconds": "soon"},
        {"kind": "slow", "number": ANNE},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(description):
    with pytest.raises(FaultError):
        read_fault(description)


def test_a_fault_happens_as_often_as_it_was_asked_for():
    box = FaultBox()
    box.inject(Fault(kind="slow", count=2))
    assert [box.take(SLOW, to=ANNE) is not None for _ in range(3)] == [True, True, False]


def test_a_fault_without_a_count_happens_until_it_is_cleared():
    box = FaultBox()
    box.inject(Fault(kind="slow", count=None))
    assert all(box.take(SLOW, to=ANNE) for _ in range(10))
    box.clear()
    assert box.take(SLOW, to=ANNE) is None


def test_a_fault_for_one_number_spares_the_others():
    box = FaultBox()
    box.inject(Fault(kind="slow", to=ANNE))
    assert box.take(SLOW, to=BEN) is None
    assert box.take(SLOW, to=ANNE) is not None


def test_a_fault_of_one_event_spares_the_others():
    box = FaultBox()
    box.inject(Fault(kind="callback_lost", event="completed"))
    assert box.take(LOST, to=ANNE, event="ringing") is None
    assert box.take(LOST, to=ANNE, event="completed") is not None


def test_a_fault_of_another_kind_is_left_alone():
    box = FaultBox()
    box.inject(Fault(kind="callback_lost"))
    assert box.take(SLOW, to=ANNE) is None
    assert [fault["kind"] for fault in box.list_faults()] == ["callback_lost"]
