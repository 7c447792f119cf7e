"""What the local clocks show in the zones of the fault plan, worked out from the laws themselves.

On purpose without zoneinfo, and without a line in common with what it judges: a wrong table or a wrong sum of
ours must not hide itself. Holds from 2020 on, as far as laws can be foreseen.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SUNDAY = 6  # of date.weekday()
SUMMER = timedelta(hours=1)
LAST = -1


@dataclass(frozen=True, kw_only=True)
class Change:
    """The clocks are changed on a Sunday of a month, at an hour of the zone's standard time."""

    month: int
    sunday: int  # 1 is the month's first, LAST its last
    hour: int

    def in_year(self, year: int) -> datetime:
        """The naive instant in standard time."""
        if self.sunday == LAST:
            first_of_next = datetime(year + self.month // 12, self.month % 12 + 1, 1)
            day = first_of_next - timedelta(days=first_of_next.weekday() + 1)
        else:
            first = datetime(year, self.month, 1)
            day = first + timedelta(days=(SUNDAY - first.weekday()) % 7 + 7 * (self.sunday - 1))
        return day.replace(hour=self.hour)


@dataclass(frozen=True, kw_only=True)
class Law:
    """Standard time, and from when to when it is summer time; a southern summer goes on over the new year."""

    standard: timedelta
    summer_begins: Change | None = None
    summer_ends: Change | None = None


def _european(hours: int) -> Law:
    """Directive 2000/84/EC, articles 2 and 3: last Sundays of March and October, at 1:00 UTC everywhere.

    The United Kingdom keeps the same instants: Summer Time Order 2002 (SI 2002/262).
    """
    return Law(
        standard=timedelta(hours=hours),
        summer_begins=Change(month=3, sunday=LAST, hour=1 + hours),
        summer_ends=Change(month=10, sunday=LAST, hour=1 + hours),
    )


def _american(hours: int) -> Law:
    """Energy Policy Act of 2005, section 110 (15 U.S.C. 260a): second Sunday of March to first of November.

    Both at 2:00 by the clock in use, which in November is 1:00 of standard time.
    """
    return Law(
        standard=timedelta(hours=hours),
        summer_begins=Change(month=3, sunday=2, hour=2),
        summer_ends=Change(month=11, sunday=1, hour=1),
    )


LAWS = {
    "UTC": Law(standard=timedelta(0)),
    "Europe/London": _european(0),
    "Europe/Rome": _european(1),
    "Europe/Helsinki": _european(2),
    "America/New_York": _american(-5),
    "America/Los_Angeles": _american(-8),
    # Arizona Revised Statutes 1-242: standard time all year.
    "America/Phoenix": Law(standard=timedelta(hours=-7)),
    # Decreto 9.772 of 25 April 2019: no more summer time in Brazil.
    "America/Sao_Paulo": Law(standard=timedelta(hours=-3)),
    # Indian Standard Time, UTC+5:30 since 1906, kept by the National Physical Laboratory; no summer time since 1945.
    "Asia/Kolkata": Law(standard=timedelta(hours=5, minutes=30)),
    # Imperial Ordinance 167 of 1895, the meridian of 135 degrees east; none since 1952.
    "Asia/Tokyo": Law(standard=timedelta(hours=9)),
    # Standard Time Act 1987 (New South Wales), as in force since 2008: first Sunday of October to first of April,
    # both at 2:00 of standard time.
    "Australia/Sydney": Law(
        standard=timedelta(hours=10),
        summer_begins=Change(month=10, sunday=1, hour=2),
        summer_ends=Change(month=4, sunday=1, hour=2),
    ),
    # New Zealand Daylight Time Order 2007 (SR 2007/185): last Sunday of September to first of April, both at 2:00
    # of standard time.
    "Pacific/Auckland": Law(
        standard=timedelta(hours=12),
        summer_begins=Change(month=9, sunday=LAST, hour=2),
        summer_ends=Change(month=4, sunday=1, hour=2),
    ),
}


def to_local(zone: str, instant: datetime) -> datetime:
    """What calendar and clock show in the zone at an aware instant, as a naive datetime.

    Raises KeyError for a zone that is not in LAWS.
    """
    law = LAWS[zone]
    standard = instant.astimezone(UTC).replace(tzinfo=None) + law.standard
    return standard + SUMMER if _is_summer(law, standard) else standard


def _is_summer(law: Law, standard: datetime) -> bool:
    if law.summer_begins is None or law.summer_ends is None:
        return False
    begins, ends = law.summer_begins.in_year(standard.year), law.summer_ends.in_year(standard.year)
    if begins < ends:
        return begins <= standard < ends
    return not ends <= standard < begins
