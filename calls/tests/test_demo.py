"""The demo as a real process with everything that it starts, and the judgement in its report as a table."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from calls.demo.campaign import CLOSED_CONTACTS, find_do_not_call_numbers, read_contact_lines
from calls.demo.report import CallingRule, Evidence, collect_evidence, write_report
from calls.erasure import Person, erase_person
from calls.simulator.ledger import Gathering, LedgerCall
from calls.tests.factories import CallAttemptFactory
from campaigns.tests.factories import CampaignFactory
from contacts.tests.factories import ContactFactory

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 90
MONDAY_NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
PERSON = "+12025550100"
RULE = CallingRule(
    zones=("America/New_York", "America/Chicago"),
    weekdays=frozenset({1}),
    start=clock_time(6),
    end=clock_time(18),
    max_attempts=1,
)


@pytest.fixture
def demo(tmp_path):
    """Starts demos with a database server of their own; sees to it that nothing of them outlives the test."""
    started = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", *options],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
                "DATA_DIR": str(tmp_path),
                "DATABASE_NAME": "for_test",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        watchdog = threading.Timer(LONGEST_SECONDS, process.kill)
        watchdog.start()
        started.append((process, watchdog))
        return process

    yield start
    for process, watchdog in started:
        watchdog.cancel()
        process.kill()
        process.wait()
    wait_until_gone(tmp_path)


def find_processes(data_dir):
    """Every process that was started with this DATA_DIR: the demo, its children and the database's keeper."""
    marker = f"DATA_DIR={data_dir}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (directory / "environ").read_bytes().split(b"\0"):
                found.append((directory / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended meanwhile, or is another user's
    return found


def wait_until_gone(data_dir, seconds=20):
    deadline = time.monotonic() + seconds
    while processes := find_processes(data_dir):
        assert time.monotonic() < deadline, processes
        time.sleep(0.1)


def wait_until_calling(process):
    assert any(re.search("[1-9][0-9]* of 10 lines", line) for line in process.stdout), process.stderr.read()


def test_it_calls_everybody_reports_and_leaves_nothing_behind(demo, tmp_path):
    process = demo("--until-done", "--contacts=20", "--port=0", "--speed=30", "--time-limit=60")
    output, errors = process.communicate(timeout=LONGEST_SECONDS)
    report = json.loads(output.splitlines()[-1])
    assert (process.returncode, report["broken_promises"]) == (0, []), errors
    assert report["contacts"] == sum(report["contacts_by_state"].values()) == 20
    assert report["contacts_by_state"].keys() <= {"completed", "refused", "not_reached", "excluded"}
    assert report["contacts_by_state"]["excluded"] == len(find_do_not_call_numbers(read_contact_lines(20))) == 1
    assert report["outcomes"]["completed"] == report["contacts_by_state"]["completed"] == report["completed_surveys"]
    assert report["refused"] == report["contacts_by_state"].get("refused", 0)
    # One of the six questions may be passed over.
    assert report["answers"] >= 5 * report["completed_surveys"] > 0
    assert sum(report["outcomes"].values()) == report["calls_placed"] >= 19
    assert 1 < report["peak_concurrent_calls"] <= report["max_concurrent_calls"] == 10
    wait_until_gone(tmp_path)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_the_middle_with_everything_that_it_started(demo, tmp_path, stop):
    process = demo("--port=0", "--speed=1")
    wait_until_calling(process)
    process.send_signal(stop)
    output, errors = process.communicate(timeout=LONGEST_SECONDS)
    assert (process.returncode, json.loads(output.splitlines()[-1])["broken_promises"]) == (0, []), errors
    wait_until_gone(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_kill_takes_everything_with_it(demo, tmp_path):
    process = demo("--port=0")
    wait_until_calling(process)
    process.kill()
    wait_until_gone(tmp_path)


def test_a_second_demo_on_the_same_database_is_refused(demo):
    first = demo("--port=0", "--speed=1")
    wait_until_calling(first)
    second = demo("--port=0")
    _, errors = second.communicate(timeout=LONGEST_SECONDS)
    assert second.returncode == 1
    assert "demo_for_test" in errors
    assert "Traceback" not in errors
    assert first.poll() is None


@pytest.mark.parametrize("option", ["--port=-1", "--contacts=0", "--speed=0", "--lines=-1", "--calls-per-second=0"])
def test_an_option_that_cannot_work_is_refused(option):
    with pytest.raises(CommandError, match=option.split("=")[0]):
        call_command("demo", option)


def test_a_taken_port_is_refused_with_the_option_that_chooses_another(demo):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = demo(f"--port={taken.getsockname()[1]}")
        _, errors = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 1
    assert "--port 0" in errors
    assert "Traceback" not in errors


def test_the_two_campaigns_share_no_number():
    numbers = [row["phone_number"] for row in csv.DictReader(read_contact_lines(None))]
    closed = [row["phone_number"] for row in csv.DictReader(CLOSED_CONTACTS.splitlines())]
    assert len({*numbers, *closed}) == len(numbers) + len(closed)


TWICE = replace(RULE, max_attempts=2)
CONSENT = Gathering(meant="consent", digits="1", answer=200)
ANSWER = Gathering(meant="answer", digits="4", answer=200)
REFUSAL = Gathering(meant="refuse", digits="2", answer=200)


def call_at(seconds, *, to=PERSON, call_id="a", lasts=0.5, gathered=()):
    started_at = MONDAY_NOON + timedelta(seconds=seconds)
    return LedgerCall(
        sid=f"CA{seconds}{to}",
        to=to,
        from_="+442079460999",
        call_id=call_id,
        started_at=started_at,
        ended_at=started_at + timedelta(seconds=lasts),
        status="completed",
        heard_to_end=True,
        gathered=gathered,
    )


SOUND = Evidence(
    calls=[call_at(0, gathered=(CONSENT, ANSWER))],
    rules={PERSON: [RULE]},
    do_not_call=set(),
    call_ids={"a", "b"},
    stored_answers=Counter({("a", "4"): 1}),
    erased_call_ids=set(),
    contacts_by_state={"completed": 1},
    open_attempts=0,
    unfinished_contacts=0,
    max_concurrent_calls=1,
    calls_per_second=1,
    seconds=1,
)
OTHER = "+12025550101"


def test_a_sound_demo_has_broken_no_promise():
    report = write_report(SOUND)
    assert report["broken_promises"] == []
    assert (report["calls_placed"], report["outcomes"], report["contacts"]) == (1, {"completed": 1}, 1)
    assert (report["answers"], report["completed_surveys"], report["refused"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("gathered", "outcome", "answers"),
    [
        ([], "no_answer", 0),
        ([REFUSAL], "refused", 0),
        ([CONSENT, ANSWER, replace(REFUSAL, meant="opt_out")], "refused", 1),
        ([CONSENT, ANSWER, Gathering(meant=None)], "no_answer", 1),  # the call ended during the next question
        ([CONSENT, replace(ANSWER, answer=503)], "no_answer", 0),
        ([CONSENT, Gathering(meant="answer", speech="the bus", confidence=0.2, answer=200)], "no_answer", 0),
        ([CONSENT, Gathering(meant="answer", speech="four", confidence=0.9, answer=200)], "completed", 1),
        ([CONSENT, Gathering(meant="silent", digits="", answer=200)], "no_answer", 0),
        ([REFUSAL, Gathering(meant=None)], "refused", 0),  # asked again in spite of it
    ],
)
def test_what_became_of_a_call_is_taken_from_what_the_person_said(gathered, outcome, answers):
    report = write_report(replace(SOUND, calls=[call_at(0, gathered=tuple(gathered))]))
    assert (report["outcomes"], report["answers"]) == ({outcome: 1}, answers)
    assert (report["completed_surveys"], report["refused"]) == (outcome == "completed", outcome == "refused")


@pytest.mark.parametrize(
    ("broken", "evidence"),
    [
        # One call_id, two calls.
        ("duplicate_calls", {"calls": [call_at(0), call_at(5)], "rules": {PERSON: [TWICE]}}),
        # A number that is rung while it is on a call.
        (
            "duplicate_calls",
            {
                "calls": [call_at(0, lasts=9), call_at(5, call_id="b")],
                "rules": {PERSON: [TWICE]},
                "max_concurrent_calls": 2,
            },
        ),
        ("calls_outside_window", {"rules": {PERSON: [replace(RULE, start=clock_time(7, 1))]}}),  # 7:00 in New York
        ("calls_outside_window", {"rules": {PERSON: [replace(RULE, start=clock_time(6, 1))]}}),  # 6:00 in Chicago
        ("calls_outside_window", {"rules": {PERSON: [replace(RULE, end=clock_time(7))]}}),  # the end is exclusive
        ("calls_outside_window", {"rules": {PERSON: [replace(RULE, weekdays=frozenset({2}))]}}),
        # Monday noon in London is still Sunday in no zone, but Tuesday in Kiritimati.
        ("calls_outside_window", {"rules": {PERSON: [replace(RULE, zones=("Pacific/Kiritimati",))]}}),
        ("calls_outside_window", {"rules": {PERSON: [replace(RULE, zones=())]}}),
        ("do_not_call_calls", {"do_not_call": {PERSON}}),
        ("calls_beyond_max_attempts", {"calls": [call_at(0), call_at(5, call_id="b")]}),
        ("calls_without_attempt", {"call_ids": set()}),
        ("lost_answers", {"stored_answers": Counter([("a", "5"), ("b", "4")])}),
        # The same key to two questions.
        ("lost_answers", {"calls": [call_at(0, gathered=(CONSENT, ANSWER, ANSWER))]}),
        *[
            (
                "calls_after_last_word",
                {"calls": [call_at(0, gathered=(last,)), call_at(5, call_id="b")], "rules": {PERSON: [TWICE]}},
            )
            for last in (CONSENT, REFUSAL)
        ],
        ("open_attempts", {"open_attempts": 1}),
        ("unfinished_contacts", {"unfinished_contacts": 1}),
        (
            "peak_concurrent_calls",
            {
                "calls": [call_at(0, lasts=9), call_at(5, to=OTHER, call_id="b")],
                "rules": {PERSON: [RULE], OTHER: [RULE]},
            },
        ),
        (
            "peak_starts_per_second",
            {
                "calls": [call_at(0), call_at(0.9, to=OTHER, call_id="b")],
                "rules": {PERSON: [RULE], OTHER: [RULE]},
            },
        ),
    ],
)
def test_a_broken_promise_is_found_and_no_other_is_blamed(broken, evidence):
    assert write_report(replace(SOUND, **evidence))["broken_promises"] == [broken]


def test_a_number_that_is_nobodys_may_never_be_rung():
    report = write_report(replace(SOUND, rules={}))
    assert report["broken_promises"] == ["calls_outside_window", "calls_beyond_max_attempts"]


def test_calls_of_people_who_were_erased_are_counted_and_not_judged_by_rules_that_nobody_knows_any_more():
    report = write_report(replace(SOUND, rules={}, erased_call_ids={"a"}))
    assert (report["broken_promises"], report["calls_placed"], report["calls_of_erased_people"]) == ([], 1, 1)
    again = replace(SOUND, calls=[call_at(0), call_at(5, call_id="b")], erased_call_ids={"a"})
    assert write_report(again)["broken_promises"] == []  # one call of somebody who was added again
    twice = replace(SOUND, calls=[call_at(0), call_at(5)], erased_call_ids={"a"})
    assert write_report(twice)["broken_promises"] == ["duplicate_calls"]


@pytest.mark.django_db
def test_it_is_known_of_each_call_whether_its_person_was_erased():
    campaign = CampaignFactory()
    contact = ContactFactory(campaign=campaign, state="not_reached", next_attempt_at=None, attempts_count=1)
    CallAttemptFactory(contact=contact, call_id="a")
    CallAttemptFactory(contact=ContactFactory(campaign=campaign, state="completed", next_attempt_at=None), call_id="b")
    erase_person(Person(phone_number=contact.phone_number), keeps_off=False, reason="Asked.", now=MONDAY_NOON)
    evidence = collect_evidence(campaign, [], do_not_call=set(), seconds=1, was_interrupted=True)
    assert (evidence.call_ids, evidence.erased_call_ids) == ({"a", "b"}, {"a"})


def test_one_start_in_a_second_is_within_a_rate_of_less_than_one():
    assert write_report(replace(SOUND, calls_per_second=0.2))["broken_promises"] == []
