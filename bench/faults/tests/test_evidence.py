"""What is read from files and tables; and that the judge reads nothing else."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.db import connection

from bench.faults.evidence import (
    CallingRules,
    CampaignStatus,
    ClockStep,
    DoNotCall,
    Limits,
    OperatorLog,
    Person,
    read_operator_log,
    read_witness,
)
from bench.faults.history import EvidenceError, History, Setting
from bench.faults.tables import read_snapshot
from calls.simulator.ledger import Ledger, read_ledger
from calls.tests.factories import CallAttemptFactory
from contacts.tests.factories import DoNotCallEntryFactory
from surveycalls.tests.processes import ROOT
from surveycalls.tests.test_architecture import PROJECT, imports_of, is_within

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
OTHERS_ARITHMETIC = ("django", "zoneinfo", "pytz", "dateutil")


def at(seconds):
    return NOON + timedelta(seconds=seconds)


# The operators' log

CHANGES = [
    Limits(lines=10, calls_per_second=2.5),
    CampaignStatus(campaign="c", status="paused"),
    CallingRules(
        campaign="c",
        start=time(9),
        end=time(17, 30, 15),
        weekdays=frozenset({1, 7}),
        blocked=frozenset({date(2026, 3, 5), date(2026, 3, 4)}),
        max_attempts=3,
        retry_seconds=60,
        max_concurrent_calls=None,
    ),
    DoNotCall(phone_number="+3532091000001", listed=True),
    Person(contact="a", campaign="c", phone_number="+3532091000001", zone="Europe/Rome Asia/Tokyo"),
    ClockStep(seconds=61.0),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "operators.jsonl"


def test_what_was_written_is_read(path):
    log = OperatorLog(path)
    for change in CHANGES:
        log.write(change, from_=at(0), to=at(1))
    log.close()
    assert read_operator_log(path) == [Setting(from_=at(0), to=at(1), value=change) for change in CHANGES]


def test_a_line_says_from_and_to_and_what_with_its_values(path):
    OperatorLog(path).write(CHANGES[2], from_=at(0), to=at(1))
    assert path.read_text() == (
        '{"from": "2026-03-04T12:00:00.000000+00:00", "to": "2026-03-04T12:00:01.000000+00:00", "what": "rules", '
        '"campaign": "c", "start": "09:00", "end": "17:30:15", "weekdays": [1, 7], '
        '"blocked": ["2026-03-04", "2026-03-05"], "max_attempts": 3, '
        '"retry_seconds": 60, "max_concurrent_calls": null}\n'
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        '{"from": "2026-03-04T12:00:00", "to": null, "what": "clock_step", "seconds": 1}',
        '{"from": "2026-03-04T12:00:00Z", "to": null, "what": "clock_step", "seconds": 1, "more": 1}',
        '{"from": "2026-03-04T12:00:00Z", "to": null, "what": "clock_step", "seconds": -1}',
        '{"from": "2026-03-04T12:00:00Z", "to": null, "what": "holiday"}',
    ],
)
def test_a_line_without_sense_is_an_error(path, line):
    path.parent.mkdir()
    path.write_text(f"{line}\n")
    with pytest.raises(EvidenceError):
        read_operator_log(path)


@pytest.mark.parametrize("zone", ["", "Europe/Paris", "Europe/Rome Europe/Paris"])
def test_a_contact_in_a_zone_without_a_law_is_refused_when_it_is_written(zone):
    with pytest.raises(EvidenceError):
        Person(contact="a", campaign="c", phone_number="+3532091000001", zone=zone)


# What may have been in force


def setting(value, from_, to):
    return Setting(from_=at(from_), to=None if to is None else at(to), value=value)


@pytest.mark.parametrize(
    ("from_", "to", "values"),
    [
        (-5, 9.9, ["a"]),
        (0, 10, ["a", "b"]),  # b may be in force from the instant before its transaction
        (11, 12, ["a", "b"]),
        (12.1, 20, ["b"]),  # and a until the instant after it
    ],
)
def test_during_a_change_either_value_may_be_in_force(from_, to, values):
    history = History("x", [setting("a", -10, -9), setting("b", 10, 12)])
    assert history.possible(at(from_), at(to)) == values


def test_a_change_that_may_not_have_been_committed_ends_nothing():
    history = History("x", [setting("a", -10, -9), setting("b", 10, None), setting("c", 20, 21)])
    assert history.possible(at(15), at(16)) == ["a", "b"]
    assert history.possible(at(22), at(23)) == ["c"]


def test_of_two_changes_at_once_nobody_knows_which_came_last():
    history = History("x", [setting("a", 0, 2), setting("b", 1, 3)])
    assert history.possible(at(9), at(9)) == ["a", "b"]


def test_before_the_first_change_there_is_what_was_initially_or_an_error():
    changes = [setting(True, 0, 1)]
    assert History("x", changes, initially=False).possible(at(-9), at(-8)) == [False]
    with pytest.raises(EvidenceError):
        History("x", changes).possible(at(-9), at(-8))


# The ledger


def test_the_witness_knows_who_rang_what_was_asked_for_and_who_was_refused(tmp_path):
    facts = {"sid": "CA1", "to": "+3532091000001", "from": "+3532091099999", "call_id": "a"}
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.write("call", at(0), **facts)
    ledger.write("ringing", at(1), **facts)
    ledger.write("twiml", at(2), **facts, answer=200)
    ledger.write("call", at(3), **facts | {"sid": "CA2", "call_id": "b"})
    refused = {"method": "POST", "answer": 400, "from": None, "sid": None, "call_id": None, "fault": "refuse"}
    ledger.write("request", at(4), path="/2010-04-01/Accounts/AC1/Calls.json", to="+3532091000002", **refused)
    ledger.write("request", at(4), path="/2010-04-01/Accounts/AC1/Calls/CA1.json", to="+3532091000001", **refused)
    ledger.close()
    witness = read_witness(read_ledger(tmp_path / "ledger.jsonl"))
    assert [call.sid for call in witness.calls] == ["CA1", "CA2"]
    assert (witness.rang, witness.refused) == ({"CA1"}, {"+3532091000002"})


# The tables


@pytest.mark.django_db
def test_the_snapshot_has_what_the_models_wrote():
    attempt = CallAttemptFactory(error_code="lost")
    entry = DoNotCallEntryFactory()
    connection.ensure_connection()
    snapshot = read_snapshot(connection.connection)
    contact, campaign = attempt.contact, attempt.campaign
    (campaign_row,), (contact_row,), (row,) = snapshot.campaigns, snapshot.contacts, snapshot.attempts
    assert (campaign_row.id, campaign_row.status) == (str(campaign.pk), "running")
    assert (contact_row.id, contact_row.campaign_id) == (str(contact.pk), str(campaign.pk))
    assert (contact_row.state, contact_row.next_attempt_at) == ("pending", contact.next_attempt_at)
    assert (row.id, row.contact_id, row.campaign_id) == (str(attempt.pk), str(contact.pk), str(campaign.pk))
    assert (row.call_id, row.status, row.outcome, row.error_code) == (attempt.call_id, "ended", "no_answer", "lost")
    assert (row.claimed_at, row.ended_at, row.is_open) == (attempt.claimed_at, attempt.ended_at, False)
    assert snapshot.do_not_call == {entry.phone_number}
    assert snapshot.read_at.tzinfo is not None


# The judge is sealed


# Of bench/faults these judge, and are judged by nobody else's code; the runner beside them may import what it likes.
SEALED = (
    "aftermath", "calling", "evidence", "figures", "history", "judge", "reckoning", "tables", "violations", "zones"
)  # fmt: skip


@pytest.mark.parametrize("module", SEALED)
def test_the_judge_imports_nothing_of_what_it_judges_but_the_reader_of_the_ledger(module):
    allowed = ["calls.simulator.ledger", *(f"bench.faults.{name}" for name in SEALED)]
    wrong = [
        text
        for text, name in imports_of(ROOT / "bench" / "faults" / f"{module}.py")
        if name.split(".")[0] in OTHERS_ARITHMETIC
        or (name.split(".")[0] in {*PROJECT, "bench"} and not any(is_within(name, other) for other in allowed))
    ]
    assert wrong == []
