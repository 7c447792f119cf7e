"""Checks of the tables after the run: what they say of the calls, and what became of the contacts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import product

from bench.faults.evidence import CampaignStatus, Evidence
from bench.faults.history import BEGINNING
from bench.faults.reckoning import CLOCK_TOLERANCE, changes_about, decided_between, is_open, known_calls
from bench.faults.tables import AnswerRow, AttemptRow, CampaignRow, ContactRow
from bench.faults.violations import Kind, Violation, name_call
from calls.simulator.ledger import LedgerCall

# What may be stored for the questions that operators ask, by position and key.
VALUES = {1: {key: key for key in "12345"}, 2: {"1": "yes", "2": "no"}}
LOST = "lost"  # the error code of an attempt of which nothing was ever heard
SEARCH = timedelta(days=14)  # a weekly pattern that opens at all opens within it, whatever the clocks do
MINUTE = timedelta(minutes=1)


# What the tables say of it


def find_unknown_calls(evidence: Evidence) -> Iterator[Violation]:
    for call in evidence.witness.calls:
        attempt = evidence.attempts.get(call.call_id)
        if attempt is None:
            yield Violation(Kind.UNKNOWN_CALL, f"{name_call(call)} to {call.to}: no attempt is {call.call_id}")
            continue
        people = evidence.people[attempt.contact_id].possible(*decided_between(evidence, call))
        if attempt.phone_number != call.to or call.to not in [person.phone_number for person in people]:
            text = f"{name_call(call)} went to {call.to}, its attempt and its contact to {attempt.phone_number}"
            yield Violation(Kind.UNKNOWN_CALL, f"{text}, {people[-1].phone_number}")


def find_given_back_but_rang(evidence: Evidence) -> Iterator[Violation]:
    """A call that was cancelled in the network's own queue has not rung; one that is still in it will."""
    for call, attempt in known_calls(evidence):
        if attempt.given_back and (call.sid in evidence.witness.rang or call.status != "canceled"):
            yield Violation(Kind.GIVEN_BACK_BUT_RANG, f"{name_call(call)}: its attempt was given back ({call.status})")


def find_wrong_outcomes(evidence: Evidence) -> Iterator[Violation]:
    for attempt in evidence.snapshot.attempts:
        calls = evidence.calls_of.get(attempt.call_id, [])
        if attempt.is_open or len(calls) > 1:
            continue
        call = calls[0] if calls else None
        allowed = _possible_outcomes(evidence, attempt, call)
        if attempt.outcome not in allowed:
            seen = f"{call.sid} {call.status}" if call else "no call"
            text = f"attempt {attempt.call_id} is {attempt.outcome!r} ({attempt.error_code or 'no error code'})"
            yield Violation(Kind.WRONG_OUTCOME, f"{text}, the network saw {seen}: {sorted(allowed)} would be right")
        elif call and _ended_before(attempt, call):
            text = f"attempt {attempt.call_id} ended at {attempt.ended_at}, before {name_call(call)} was over"
            yield Violation(Kind.WRONG_OUTCOME, f"{text} at {call.ended_at}")


def _possible_outcomes(evidence: Evidence, attempt: AttemptRow, call: LedgerCall | None) -> set[str]:
    if attempt.given_back:
        return {"failed"}
    if attempt.error_code == LOST:
        is_over = _is_over(evidence, attempt)
        return (_possible_decisions(call) if call else set()) | {"failed"} if is_over else set()
    if call is None:
        return {"failed"} if attempt.phone_number in evidence.witness.refused else set()
    match call.status:
        case "completed":
            decided = _possible_decisions(call)
            return decided if decided and _is_certain(call) else decided | {"no_answer"}
        case "busy":
            return {"busy"}
        case "no-answer":
            return {"no_answer"}
        case "failed" | "canceled":
            return {"failed"}
    return set()


def _possible_decisions(call: LedgerCall) -> set[str]:
    """What the person may have decided by what was said in the call."""
    last = call.gathered[-1] if call.gathered else None
    meant = call.last_word or (last.meant if last and last.is_clear else None)
    return {"consent": {"completed"}, "answer": {"completed"}, "refuse": {"refused"}, "opt_out": {"refused"}}.get(
        meant, set()
    )


def _is_certain(call: LedgerCall) -> bool:
    """Whether the site has said that it has it, and no further question can have been on its way when the call ended.

    Without an answer of the site it may or may not have been written down.
    """
    return call.last_word in ("refuse", "opt_out") or (call.last_word is not None and call.heard_to_end)


def find_lost_answers(evidence: Evidence) -> Iterator[Violation]:
    """What the site has said that it has."""
    stored = Counter((answer.attempt_id, answer.raw) for answer in evidence.snapshot.answers)
    for call, attempt in known_calls(evidence):
        answers = Counter((attempt.id, one.digits or one.speech) for one in call.answers)
        for (_, answer), times in (answers - stored).items():
            text = f"{answer!r} was answered and is not stored, or not as often ({times})"
            yield Violation(Kind.LOST_ANSWER, f"{name_call(call)}: {text}")


def find_wrong_answers(evidence: Evidence) -> Iterator[Violation]:
    """Each question has its own values, and must be answered; of several answers the last one is current."""
    last: dict[tuple[str, int], AnswerRow] = {}
    for answer in evidence.snapshot.answers:
        values = VALUES[answer.position]
        right = {values[answer.raw]} if answer.raw in values else {*values.values()}
        if answer.value not in right:
            text = f"attempt {answer.attempt_id}: {answer.raw!r} to question {answer.position}"
            yield Violation(Kind.WRONG_ANSWER, f"{text} is {answer.value!r}: {sorted(right)} would be right")
        last[answer.contact_id, answer.position] = answer
    for answer in evidence.snapshot.answers:
        if answer.is_current != (last[answer.contact_id, answer.position] is answer):
            text = f"{answer.raw!r} of contact {answer.contact_id} to question {answer.position}"
            yield Violation(Kind.WRONG_ANSWER, f"{text} is {'' if answer.is_current else 'not '}current")


def find_not_listed(evidence: Evidence) -> Iterator[Violation]:
    """Who wants no calls at all is on the list, unless operators have had a hand in it."""
    for call, _ in known_calls(evidence):
        listed = evidence.snapshot.do_not_call.union(evidence.do_not_call)
        if call.last_word == "opt_out" and call.to not in listed:
            yield Violation(Kind.NOT_LISTED, f"{name_call(call)}: {call.to} wants no calls and is not on the list")


def _ended_before(attempt: AttemptRow, call: LedgerCall) -> bool:
    """Whether its outcome was written while the network could not know it; who was given up, or back, needs none."""
    if attempt.given_back or attempt.error_code == LOST or not (attempt.ended_at and call.ended_at):
        return False
    return attempt.ended_at < call.ended_at - CLOCK_TOLERANCE


def _is_over(evidence: Evidence, attempt: AttemptRow) -> bool:
    """Whether the longest call that there could be was over when the attempt was given up."""
    if attempt.started_at is None or attempt.ended_at is None:
        return False
    lasted = attempt.ended_at - attempt.started_at
    return lasted >= timedelta(seconds=evidence.terms.longest_call) - CLOCK_TOLERANCE


# What becomes of the contacts


def find_wrong_contact_states(evidence: Evidence) -> Iterator[Violation]:
    for contact in evidence.snapshot.contacts:
        attempts = evidence.attempts_of.get(contact.id, [])
        counted = sum(not attempt.given_back for attempt in attempts)
        if contact.attempts_count != counted:
            text = f"contact {contact.id} counts {contact.attempts_count} attempts and has {counted}"
            yield Violation(Kind.WRONG_CONTACT_STATE, text)
        is_listed = contact.phone_number in evidence.snapshot.do_not_call
        right = _right_states(attempts, is_listed=is_listed)
        if not contact.do_not_call and _may_be_bare(evidence, contact):
            right, is_listed = _right_states(attempts, is_listed=False), False
        if contact.state not in right or contact.do_not_call != is_listed:
            text = f"contact {contact.id} is {contact.state}, {'on' if is_listed else 'not on'} the list, "
            yield Violation(Kind.WRONG_CONTACT_STATE, f"{text}do_not_call={contact.do_not_call}; right: {right}")


def _may_be_bare(evidence: Evidence, contact: ContactRow) -> bool:
    """Whether the number may be on the list without its contacts knowing."""
    history = evidence.do_not_call.get(contact.phone_number)
    return history is not None and all(one.bare for one in history.values if one.listed)


def _right_states(attempts: Sequence[AttemptRow], *, is_listed: bool) -> set[str]:
    """One, but for who was given back after real attempts: to be rung again by either name."""
    outcomes = [attempt.outcome for attempt in attempts if not attempt.given_back]
    if final := {"completed", "refused"}.intersection(outcomes):
        return final
    if any(attempt.is_open for attempt in attempts):
        return {"in_progress"}
    if is_listed:
        return {"excluded"}
    if not outcomes:
        return {"pending"}
    return {"not_reached", "pending"} if attempts[-1].given_back else {"not_reached"}


def find_stuck_calls(evidence: Evidence) -> Iterator[Violation]:
    for contact in evidence.snapshot.contacts:
        still_open = [attempt for attempt in evidence.attempts_of.get(contact.id, []) if attempt.is_open]
        if still_open or contact.state == "in_progress":
            text = ", ".join(f"attempt {attempt.call_id} is {attempt.status}" for attempt in still_open)
            yield Violation(Kind.STUCK, f"contact {contact.id} is {contact.state}: {text or 'no attempt is open'}")


def find_stuck_contacts(evidence: Evidence) -> Iterator[Violation]:
    """Due for longer than the send deadline, in hours that were open all the while and are for some time yet."""
    now, terms = evidence.snapshot.read_at, evidence.terms
    since = now - timedelta(seconds=terms.send_deadline)
    soon = now + timedelta(seconds=terms.send_deadline + terms.connect)
    campaigns = {campaign.id: campaign for campaign in evidence.snapshot.campaigns}
    for contact in evidence.snapshot.contacts:
        is_due = contact.next_attempt_at is not None and contact.next_attempt_at <= since
        if not is_due or not _is_dialling(campaigns[contact.campaign_id], since, soon):
            continue
        rules = evidence.rules[contact.campaign_id].possible(since, now)
        zones = [person.zones for person in evidence.people[contact.id].possible(since, now)]
        if all(is_open(*case) for case in product(rules, zones, (since, now, soon))):
            yield Violation(Kind.STUCK, f"contact {contact.id} has been due since {contact.next_attempt_at}")


def _is_dialling(campaign: CampaignRow, since: datetime, soon: datetime) -> bool:
    has_begun = campaign.starts_at is None or campaign.starts_at <= since
    return campaign.status == "running" and has_begun and (campaign.ends_at is None or campaign.ends_at > soon)


def find_lost_contacts(evidence: Evidence) -> Iterator[Violation]:
    """Not finished, and nobody will ever ring them again."""
    now = evidence.snapshot.read_at
    for contact in evidence.snapshot.contacts:
        if contact.state not in ("pending", "not_reached") or contact.next_attempt_at is not None:
            continue
        rejected = contact.number_rejected and contact.phone_number in evidence.witness.refused
        allowed = min(one.max_attempts for one in evidence.rules[contact.campaign_id].possible(now, now))
        if not rejected and contact.attempts_count < allowed:
            text = f"contact {contact.id} is {contact.state} after {contact.attempts_count} of {allowed} attempts"
            yield Violation(Kind.LOST, f"{text} and waits for nothing")


def find_contacts_of_completed_campaigns(evidence: Evidence) -> Iterator[Violation]:
    """A campaign is completed by itself only when nobody waits who could ever be rung."""
    now = evidence.snapshot.read_at
    for campaign in evidence.snapshot.campaigns:
        was_over = campaign.ends_at is not None and campaign.ends_at <= now
        if campaign.status != "completed" or was_over or _was_completed_by_hand(evidence, campaign):
            continue
        for contact in evidence.snapshot.contacts:
            if contact.campaign_id == campaign.id and _could_be_rung(evidence, contact, campaign):
                text = f"contact {contact.id} waits for {contact.next_attempt_at}, but its campaign was completed"
                yield Violation(Kind.LOST, text)


def _was_completed_by_hand(evidence: Evidence, campaign: CampaignRow) -> bool:
    now = evidence.snapshot.read_at
    return "completed" in [one.status for one in evidence.statuses[campaign.id].possible(now, now)]


def _could_be_rung(evidence: Evidence, contact: ContactRow, campaign: CampaignRow) -> bool:
    """Who waits because an operator changed something after the completion is left to the next activation."""
    now = evidence.snapshot.read_at
    if contact.next_attempt_at is None or _may_wait_since_completion(evidence, contact, campaign):
        return False
    rules = evidence.rules[campaign.id].possible(now, now)
    zones = [person.zones for person in evidence.people[contact.id].possible(now, now)]
    start = now.replace(second=0, microsecond=0)
    minutes = (start + minute * MINUTE for minute in range(SEARCH // MINUTE))
    return any(all(is_open(*case, minute) for case in product(rules, zones)) for minute in minutes)


def _may_wait_since_completion(evidence: Evidence, contact: ContactRow, campaign: CampaignRow) -> bool:
    """The completion was not before the campaign's last call had ended, nor before its last start."""
    ended = [one.ended_at for one in evidence.snapshot.attempts if one.campaign_id == campaign.id and one.ended_at]
    statuses = [setting for setting in evidence.changes(CampaignStatus) if setting.value.campaign == campaign.id]
    started = [setting.from_ for setting in statuses if setting.value.status == "running"]
    completed_after = max([*ended, *started], default=BEGINNING)
    return any(setting.to is None or setting.to > completed_after for setting in changes_about(evidence, contact))
