"""How a campaign would go, against the same with the calling hours asked about at each step."""

from datetime import timedelta
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from calls import rehearsal
from calls.rehearsal import Group, Plan, rehearse
from campaigns.spellings import NEXT_DAY
from campaigns.tests.test_windows_properties import hours_with_closed_days, zones_and_instant
from campaigns.tests.zone_oracle import to_datetime
from campaigns.windows import is_open, next_opening


class AskedAtEachStep:
    def __init__(self, hours, begin):
        self._hours = hours

    def closed_until(self, zones, now):
        if is_open(self._hours, zones, now):
            return now
        return next_opening(self._hours, zones, now) or now + timedelta(days=365)


@st.composite
def plans(draw):
    zones, instant = draw(zones_and_instant(most=6))
    begin = to_datetime(instant)
    groups = st.builds(
        Group, st.lists(st.sampled_from(zones), min_size=1, max_size=3, unique=True).map(tuple), st.integers(0, 2)
    )
    some = st.dictionaries(groups, st.integers(1, 300), max_size=4)
    dues = st.timedeltas(timedelta(0), timedelta(days=3)).map(lambda later: begin + later)
    return Plan(
        due=draw(st.dictionaries(dues, some, max_size=3)),
        in_call={Group(zones, tries + 1): people for (zones, tries), people in draw(some).items()},
        hours=draw(hours_with_closed_days(instant)),
        delays=draw(st.sampled_from([[timedelta(hours=1)], [timedelta(minutes=7), NEXT_DAY]])),
        max_attempts=3,
        calls_per_second=draw(st.sampled_from([0.0005, 0.01, 1])),
        settled=draw(st.sampled_from([0.0, 0.4, 1.0])),
        begin=begin,
        end=begin + timedelta(days=12),
    )


@given(plan=plans())
def test_it_goes_as_if_the_hours_were_asked_about_at_each_step(plan):
    course = rehearse(plan)
    with patch.object(rehearsal, "_Outlook", AskedAtEachStep):
        assert rehearse(plan) == course
