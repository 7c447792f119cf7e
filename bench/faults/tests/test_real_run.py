"""A run with nothing to complain of, with real processes: what is handcrafted elsewhere is what really is written."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from bench.faults.evidence import (
    CallingRules,
    CampaignStatus,
    Evidence,
    Limits,
    OperatorLog,
    Person,
    Terms,
    read_operator_log,
    read_witness,
)
from bench.faults.judge import judge
from bench.faults.tables import read_snapshot
from calls.tests.phone_network import wait_until
from calls.tests.test_processes import CALLS_PER_SECOND, LINES, is_completed, make_campaign, network, running

__all__ = ["network"]  # the fixture

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_real_run_of_several_schedulers_is_clean(network, settings, tmp_path):
    campaign = make_campaign(20)
    log_what_is_in_force(campaign, tmp_path / "operators.jsonl")
    network.inject({"kind": "reset_after_placing", "count": 1})
    network.inject({"kind": "rate_limited", "count": 1})
    network.inject({"kind": "callback_doubled", "count": 5})
    waits = {"CALL_LOOKUP_SECONDS": "1", "CALL_QUEUE_SECONDS": "1", "CALL_RING_TIMEOUT_SECONDS": "5"}
    limits = {"CALL_TIME_LIMIT_SECONDS": "14", "SCHEDULER_INTERVAL_SECONDS": "1"}
    with (
        running(network, settings, "run_scheduler", **waits, **limits),
        running(network, settings, "run_scheduler", **waits, **limits),
    ):
        wait_until(lambda: is_completed(campaign), seconds=60)
    evidence = Evidence(
        witness=read_witness(network.ledger()),
        snapshot=read_snapshot(connection.connection),
        log=read_operator_log(tmp_path / "operators.jsonl"),
        terms=Terms(send_deadline=5, longest_call=20, connect=3),
    )
    verdict = judge(evidence)
    assert verdict.violations == []
    assert verdict.figures["calls"] >= 20
    assert set(verdict.figures["contacts"]) <= {"completed", "not_reached"}


def log_what_is_in_force(campaign, path):
    log, now = OperatorLog(path), timezone.now()
    rules = CallingRules(
        campaign=str(campaign.pk),
        start=None,
        end=None,
        weekdays=frozenset(campaign.weekdays),
        max_attempts=campaign.max_attempts,
        retry_seconds=0,
        max_concurrent_calls=None,
    )
    changes = [
        Limits(lines=LINES, calls_per_second=CALLS_PER_SECOND),
        rules,
        *(
            Person(contact=str(one.pk), campaign=str(campaign.pk), phone_number=one.phone_number, zone="UTC")
            for one in campaign.contacts.all()
        ),
        CampaignStatus(campaign=str(campaign.pk), status="running"),
    ]
    for change in changes:
        log.write(change, from_=now - timedelta(minutes=1), to=now)
    log.close()
