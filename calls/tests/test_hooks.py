import re
import threading
import time
from functools import partial

import pytest
import structlog
from django.db import transaction

from calls import hooks, outcomes, signals
from calls.hooks import Messenger
from calls.metrics import counting
from calls.models import CallAttempt
from calls.tests.conftest import NOON
from calls.tests.test_counting import end, make_attempt, take_part, value_of
from contacts.models import CallOutcome, Contact
from contacts.tests.factories import ContactFactory
from surveycalls.tests.processes import ROOT, run_manage, run_python


@pytest.fixture
def messenger(monkeypatch):
    messenger = Messenger(waiting=3)
    monkeypatch.setattr(hooks, "_messenger", messenger)
    return messenger


@pytest.fixture
def listen():
    connected = []

    def connect(signal, receiver):
        signal.connect(receiver, weak=False)
        connected.append((signal, receiver))

    yield connect
    for signal, receiver in connected:
        signal.disconnect(receiver)


@pytest.mark.django_db(transaction=True)
def test_a_call_is_announced_from_its_claim_to_its_end(messenger, listen, make_scheduler):
    heard = []
    for name in ("attempt_claimed", "attempt_placed", "attempt_ended"):
        listen(getattr(signals, name), lambda name=name, **facts: heard.append((name, facts)))
    contact = ContactFactory()
    make_scheduler().run_once()
    attempt = CallAttempt.objects.get()
    end(attempt)
    assert messenger.drain()
    assert [name for name, _ in heard] == ["attempt_claimed", "attempt_placed", "attempt_ended"]
    for _, facts in heard:
        assert facts["sender"] is CallAttempt
        assert facts["attempt_id"] == attempt.pk
        assert facts["call_id"] == attempt.call_id
        assert facts["attempt_number"] == 1
        assert facts["contact_id"] == contact.pk
        assert facts["campaign_id"] == contact.campaign_id
        assert contact.phone_number not in str(facts)
    assert heard[1][1]["provider_call_id"] == attempt.provider_call_id
    assert (heard[2][1]["outcome"], heard[2][1]["given_back"]) == ("busy", False)


@pytest.mark.django_db(transaction=True)
def test_a_completed_call_that_was_told_as_no_answer_is_told_once_more(messenger, listen):
    heard, attempt = [], make_attempt()
    listen(signals.attempt_ended, lambda outcome, corrected, **_: heard.append((outcome, corrected)))
    end(attempt, CallOutcome.NO_ANSWER)
    take_part(attempt)
    assert messenger.drain()
    assert heard == [("no_answer", False), ("completed", True)]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_announced(messenger, listen):
    heard, attempt = [], make_attempt()
    listen(signals.attempt_ended, lambda **facts: heard.append(facts))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        outcomes.give_back(attempt, code="x", message="x", now=NOON)
        raise ZeroDivisionError
    assert messenger.drain()
    assert heard == []


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_hangs_holds_up_no_call_and_what_it_misses_is_counted(messenger, listen):
    go_on, before = threading.Event(), value_of(counting.hooks_dropped)
    listen(signals.attempt_ended, lambda **_: go_on.wait(20))
    for _ in range(6):  # one is with the receiver, three wait
        end(make_attempt())
    assert CallAttempt.objects.open().count() == 0
    assert value_of(counting.hooks_dropped) - before in (2, 3)
    assert not messenger.drain(0.05)
    go_on.set()
    assert messenger.drain()


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_hangs_is_told_of_long_before_anything_is_lost(messenger, listen, monkeypatch):
    monkeypatch.setattr(hooks, "SLOW_SECONDS", 0.05)
    go_on, is_hanging = threading.Event(), threading.Event()
    listen(signals.attempt_ended, lambda **_: is_hanging.set() or go_on.wait(20))
    end(make_attempt())
    is_hanging.wait(20)
    time.sleep(0.1)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            end(make_attempt())
    assert [log["waiting"] for log in logs if log["event"] == "hooks.slow"] == [0]
    go_on.set()
    assert messenger.drain()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_a_receiver_that_fails_keeps_nobody_from_hearing_the_next_news(messenger, listen, error):
    heard = []

    def fail_once(**facts):
        heard.append(facts)
        if len(heard) == 1:
            raise error

    listen(signals.attempt_ended, fail_once)
    for _ in range(2):
        end(make_attempt())
    assert messenger.drain()
    assert len(heard) == 2


FAIL_TWICE = """
import django
django.setup()
from calls import hooks
from django.dispatch import Signal
signal = Signal()
class Crm:
    def tell(self, **_):
        raise ValueError("crm is away")
crm = Crm()
signal.connect(crm.tell)
for _ in range(2):
    hooks._messenger.tell(signal, {})
"""


def test_a_receiver_that_fails_is_named_in_a_line_each_time_and_traced_once():
    lines = run_python(FAIL_TWICE, DJANGO_SETTINGS_MODULE="surveycalls.settings").stderr.splitlines()
    failures = [line for line in lines if "hooks.failed" in line]
    assert len(failures) == 2
    assert all("receiver=__main__.Crm.tell" in line and "ValueError: crm is away" in line for line in failures)
    assert len([line for line in lines if line.startswith("Traceback")]) == 1


@pytest.mark.django_db(transaction=True)
def test_a_receiver_without_a_name_of_its_own_is_counted_like_any_other(messenger, listen):
    before = value_of(counting.hooks_failed)
    listen(signals.attempt_ended, partial(int, "no number"))
    end(make_attempt())
    assert messenger.drain()
    assert value_of(counting.hooks_failed) - before == 1


@pytest.mark.django_db(transaction=True)
def test_what_a_receiver_leaves_open_in_the_database_is_closed(messenger, listen):
    attempt = make_attempt()

    def lock_and_forget(**_):
        transaction.set_autocommit(False)
        Contact.objects.select_for_update().get(pk=attempt.contact_id)

    listen(signals.attempt_ended, lock_and_forget)
    end(attempt)
    assert messenger.drain()
    with transaction.atomic():
        assert Contact.objects.select_for_update(nowait=True).get(pk=attempt.contact_id)


@pytest.mark.django_db(transaction=True)
def test_without_receivers_there_is_no_thread(messenger):
    end(make_attempt())
    assert messenger._thread is None


END_WITH_NEWS = """
import os, sys, time
import django
django.setup()
from calls import hooks
from django.dispatch import Signal
signal = Signal()
def tell(number, **_):
    time.sleep(float(sys.argv[1]))
    print("heard", number, flush=True)
signal.connect(tell)
def end():
    for number in range(3):
        hooks._messenger.tell(signal, {"number": number})
if sys.argv[2] == "fork":
    hooks._messenger.tell(signal, {"number": "in the parent"})
    import multiprocessing
    child = multiprocessing.get_context("fork").Process(target=end)
    child.start(); child.join()
else:
    end()
"""


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_a_process_that_ends_lets_its_receivers_hear_what_waits(how):
    output = run_to_the_end("0.05", how)
    assert output.stdout.count("heard") == (4 if how == "fork" else 3), output.stderr


def test_a_process_ends_though_a_receiver_hangs_and_says_how_much_was_left():
    output = run_to_the_end("60", "alone")
    assert output.returncode == 0
    (line,) = [line for line in output.stderr.splitlines() if "hooks.undelivered" in line]
    assert "left=3" in line


@pytest.mark.django_db(transaction=True)
def test_what_is_left_at_the_end_is_counted(messenger, listen):
    go_on, before = threading.Event(), value_of(counting.hooks_dropped)
    listen(signals.attempt_ended, lambda **_: go_on.wait(20))
    for _ in range(2):
        end(make_attempt())
    messenger.end(0.05)
    assert value_of(counting.hooks_dropped) - before == 2
    go_on.set()
    assert messenger.drain()
    messenger.end()
    assert value_of(counting.hooks_dropped) - before == 2


def run_to_the_end(*arguments):
    return run_python(END_WITH_NEWS, *arguments, timeout=30, DJANGO_SETTINGS_MODULE="surveycalls.settings")


def read_examples():
    """The files in the documentation by their path below the app's directory."""
    examples = re.findall(r"```python\n(# /srv/crm/(\S+\.py).*?)```", (ROOT / "docs/hooks.md").read_text(), re.DOTALL)
    return {path: code for code, path in examples}


def test_the_app_in_the_documentation_is_installed_by_its_settings(tmp_path):
    for path, code in read_examples().items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(code)
    (tmp_path / "crm/__init__.py").touch()
    show = "from calls.signals import attempt_ended; print(attempt_ended.receivers)"
    environment = {"DJANGO_SETTINGS_MODULE": "crm_settings", "PYTHONPATH": tmp_path}
    output = run_manage("shell", "--no-imports", f"--command={show}", **environment)
    assert "tell_crm" in output.stdout, output.stderr


@pytest.mark.django_db(transaction=True)
def test_the_example_in_the_documentation_works(messenger, monkeypatch):
    posted = []
    monkeypatch.setattr("requests.post", lambda url, **arguments: posted.append((url, arguments)))
    names = {"__name__": "crm.receivers"}
    exec(read_examples()["crm/receivers.py"], names)
    attempt = make_attempt()
    try:
        end(attempt)
        assert messenger.drain()
    finally:
        signals.attempt_ended.disconnect(names["tell_crm"])
    ((_, arguments),) = posted
    call = {"attempt": str(attempt.pk), "outcome": "busy", "corrected": False}
    assert arguments["json"] == {"contact": attempt.contact.external_contact_id, **call}
    assert arguments["timeout"]
