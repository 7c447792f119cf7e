"""When to try again, in every zone of the world, against campaigns/tests/zone_oracle.py."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from campaigns.models import Campaign
from campaigns.tests.test_windows_properties import TWO_WEEKS, weekly_rules, zones_and_instant
from campaigns.tests.zone_oracle import DAY, find_first_opening, to_datetime, to_instant
from campaigns.windows import CallingHours, is_open
from contacts.models import Contact, ContactState
from contacts.rearming import next_attempt_after, next_attempt_of

intervals = st.integers(0, 14 * 24 * 60) | st.sampled_from([0, 1, 15, 60, 24 * 60])
BETWEEN = timedelta(minutes=7)


def make_campaign(rules, interval, **values):
    return Campaign(
        allowed_call_start=rules.get("start"),
        allowed_call_end=rules.get("end"),
        weekdays=sorted(rules["weekdays"]),
        retry_interval_minutes=interval,
        **values,
    )


def find_next_attempt(campaign, zone, ended_at):
    return next_attempt_after(campaign, Contact(calling_zone=zone, attempts_count=1), ended_at)


@given(rules=weekly_rules(), where=zones_and_instant(most=3), interval=intervals)
def test_the_next_attempt_is_the_first_opening_after_the_interval(rules, where, interval):
    hours = CallingHours.weekly(**rules)
    zones, instant = where
    ended_at = to_datetime(instant)
    found = find_next_attempt(make_campaign(rules, interval), " ".join(zones), ended_at)
    earliest = ended_at + timedelta(minutes=interval)
    assert found >= earliest
    first = find_first_opening(hours, zones, to_instant(earliest), 15 * DAY)
    if first is None or (first - to_instant(earliest) > TWO_WEEKS and found == earliest):
        assert found == earliest  # whoever claims looks at the window again
    else:
        assert to_instant(found) == first
        assert is_open(hours, zones, found)


@given(
    rules=weekly_rules(),
    where=zones_and_instant(most=2),
    interval=intervals,
    more_minutes=st.integers(0, 600),
    is_later=st.booleans(),
)
def test_a_later_end_or_a_longer_interval_is_never_tried_sooner(rules, where, interval, more_minutes, is_later):
    hours = CallingHours.weekly(**rules)
    zones, instant = where
    zone, ended_at, more = " ".join(zones), to_datetime(instant), timedelta(minutes=more_minutes)
    campaign = make_campaign(rules, interval)
    first = find_next_attempt(campaign, zone, ended_at)
    if not is_open(hours, zones, first):
        return  # never open within two weeks: the interval alone
    if is_later:
        second = find_next_attempt(campaign, zone, ended_at + more)
    else:
        second = find_next_attempt(make_campaign(rules, interval + more_minutes), zone, ended_at)
    # Beyond two weeks the search gives up and leaves the window to the claim.
    assert second >= min(first, ended_at + timedelta(minutes=interval) + more)
    if is_open(hours, zones, second):
        assert second >= first


@given(
    where=zones_and_instant(most=1),
    interval=intervals,
    attempts=st.integers(0, 5),
    most=st.integers(1, 5),
    state=st.sampled_from([ContactState.PENDING, ContactState.NOT_REACHED]),
    is_rejected=st.booleans(),
    is_waiting=st.booleans(),
)
def test_who_has_used_up_the_attempts_or_was_rejected_is_never_due_and_others_always_are(
    where, interval, attempts, most, state, is_rejected, is_waiting
):
    zones, instant = where
    now = to_datetime(instant)
    campaign = Campaign(max_attempts=most, retry_interval_minutes=interval)
    contact = Contact(
        state=state,
        attempts_count=attempts,
        number_rejected=is_rejected,
        calling_zone=zones[0],
        last_attempt_at=now - BETWEEN if attempts else None,
        next_attempt_at=now + BETWEEN if is_waiting else None,
    )
    found = next_attempt_of(campaign, contact, now)
    if is_rejected or attempts >= most:
        assert found is None
    elif state == ContactState.PENDING:
        assert found == (now + BETWEEN if is_waiting else now)
    else:
        assert found >= (contact.last_attempt_at or now) + timedelta(minutes=interval)
