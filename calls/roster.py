"""The roster: which campaigns may ring and in which lanes somebody waits, kept by a scheduler between its claims.

Reading it takes as long as there are running campaigns and zones; a claim should not. It says where to look and
in what order, never who may be rung: of whoever is chosen by it everything is checked again under the lock. So an
old roster can make somebody wait, and no more; and a claim that gets nobody has read a new one before it says so.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import OuterRef, Subquery

from calls.lanes import Lane, Openings, find_lanes, read_heads
from calls.models import CallAttempt
from calls.repository import OpenCall
from calls.sharing import Demand, allot_lines
from campaigns.models import Campaign

# So long may a new lane, or somebody who became due before others that were claimed already, stay unseen
# while there are others to ring.
READ_AGAIN = timedelta(seconds=2)

_NEVER = datetime.min.replace(tzinfo=UTC)


class Roster:
    def __init__(self) -> None:
        self.read_at: datetime | None = None
        self.campaigns: dict[UUID, Campaign] = {}
        self._lanes: dict[UUID, list[Lane]] = {}
        self._open: dict[UUID, list[Lane]] = {}  # of the campaigns that have any
        self._served: dict[UUID, datetime] = {}  # the latest start of each campaign
        self._order: dict[UUID, None] = {}  # the campaigns of _open, those first that were served longest ago
        self.passed_over: set[UUID] = set()  # campaigns, until they are read anew
        self._claims: int | None = None
        self._open_calls: dict[UUID, OpenCall] = {}  # by their attempts, as they were at that claim

    def is_current(self, now: datetime) -> bool:
        return self.read_at is not None and timedelta(0) <= now - self.read_at < READ_AGAIN

    def forget(self) -> None:
        self.read_at = self._claims = None

    def count_open(self, claims: int, now: datetime) -> tuple[dict[UUID, int], dict[UUID, datetime]]:
        """The open calls of each campaign, and the latest start among them. Exact; under the provider's lock.

        ``claims`` is the provider's count of them. While it is the one that this scheduler's last claim left,
        nobody else has claimed, so whatever is open is among the attempts that were open then: it is only asked
        which of those have ended. A look through all open attempts also passes the dead index entries of those that
        have ended, which are many when an old transaction keeps vacuum from them.
        """
        if self._claims == claims and self.is_current(now):
            for attempt in CallAttempt.objects.find_ended(self._open_calls):
                del self._open_calls[attempt]
        else:
            self._open_calls = {call.attempt: call for call in CallAttempt.objects.read_open()}
        self._claims = claims
        calls = self._open_calls.values()
        return Counter(call.campaign for call in calls), {call.campaign: call.start_at for call in calls}

    def note_claimed(self, attempts: Sequence[CallAttempt], claims: int) -> None:
        """The attempts of the claim that has just been committed, which was the provider's ``claims``th."""
        for attempt in attempts:
            self._open_calls[attempt.pk] = OpenCall.of(attempt)
        self._claims = claims
        self.note_served({attempt.campaign_id: attempt.start_at for attempt in attempts})
        claimed = {attempt.contact_id for attempt in attempts}
        for pk in {attempt.campaign_id for attempt in attempts}:
            for lane in self._open.get(pk, []):
                lane.resume_after(claimed)

    def read(self, openings: Openings, now: datetime) -> None:
        newest = CallAttempt.objects.filter(campaign=OuterRef("pk")).order_by("-id").values("start_at")[:1]
        campaigns = Campaign.objects.dialling(now).with_version().order_by("id").annotate(newest_start=Subquery(newest))
        self.campaigns = {campaign.pk: campaign for campaign in campaigns}
        self._served = {pk: campaign.newest_start or _NEVER for pk, campaign in self.campaigns.items()}
        self._lanes = {pk: [] for pk in self.campaigns}
        self._open = {}
        for lane in find_lanes(list(self.campaigns.values()), openings):
            self._lanes[lane.campaign.pk].append(lane)
            if lane.is_open:
                self._open.setdefault(lane.campaign.pk, []).append(lane)
        self.passed_over = set()
        self._order = dict.fromkeys(sorted(self._open, key=self._served.__getitem__))
        self.read_at = now

    def note_served(self, starts: dict[UUID, datetime]) -> None:
        """The latest start of each campaign that is known of; schedulers beside this one have served some."""
        for campaign, start in starts.items():
            if start > self._served.get(campaign, start):
                self._served[campaign] = start
                if campaign in self._order:
                    self._order[campaign] = self._order.pop(campaign)

    def pass_over(self, contacts: Set[UUID]) -> None:
        """Nobody else of their campaigns is chosen until they are read anew: whoever has locked them may have all."""
        if not contacts:
            return
        locked = {
            pk for pk, lanes in self._open.items() if any(head[0] in contacts for lane in lanes for head in lane.heads)
        }
        self.passed_over |= locked
        for pk in locked:
            del self._open[pk], self._order[pk]

    def lanes_of(self, campaign: UUID) -> list[Lane]:
        return self._lanes[campaign]

    def all_lanes(self) -> list[Lane]:
        return [lane for lanes in self._lanes.values() for lane in lanes]

    def state_demands(self, open_calls: dict[UUID, int], lines: int, now: datetime) -> list[Demand]:
        """Who is due, of as many campaigns as it takes to fill the lines, whose turn it is first.

        Lines are allotted as if everybody who was not asked yet had plenty of contacts due. Who gets any is asked,
        and it is done again, until no answer is missing. Each time more are asked at once.
        """
        turns = _Turns(self._take_turns(open_calls), len(self._open), open_calls, self.campaigns)
        asked: dict[int, int] = {}
        reach = lines
        while _find_unasked(turns, asked, lines, lines):
            unasked = _find_unasked(turns, asked, reach, lines)
            depth = max(unasked.values())
            lanes = [lane for place in unasked for lane in self._open[turns[place].campaign]]
            read_heads(lanes, depth, besides=self._list_numbers())
            for place in unasked:
                asked[place] = depth
                due = _first_due(self._open[turns[place].campaign], depth, now)
                is_all = len(due) < depth or depth == lines
                turns.answer(place, due, may_have_more=not is_all)
            reach *= 4
        return [turns[place] for place in sorted(asked)]

    def _take_turns(self, open_calls: dict[UUID, int]) -> Iterator[UUID]:
        """The fewest open calls first, and of equals who was served longest ago. Few are looked at."""
        yield from (pk for pk in self._order if pk not in open_calls)
        yield from sorted(open_calls.keys() & self._open.keys(), key=lambda pk: (open_calls[pk], self._served[pk]))

    def find_due(self, campaigns: Iterable[UUID], now: datetime) -> set[UUID]:
        """Those of the campaigns that have somebody due in an open lane."""
        lanes = [lane for pk in campaigns for lane in self._open.get(pk, [])]
        if lanes:
            read_heads(lanes, 1, besides=self._list_numbers())
        return {lane.campaign.pk for lane in lanes if lane.heads and lane.heads[0][2] <= now}

    def _list_numbers(self) -> list[str]:
        return [call.phone_number for call in self._open_calls.values()]


class _Turns(Sequence[Demand]):
    """What each campaign would like to add, in the order of their turns; made when it is looked at, few are."""

    def __init__(
        self, order: Iterator[UUID], count: int, open_calls: dict[UUID, int], campaigns: dict[UUID, Campaign]
    ) -> None:
        self._order, self._count, self._open_calls, self._campaigns = order, count, open_calls, campaigns
        self._made: list[Demand] = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> Demand:
        while len(self._made) <= place:
            pk = next(self._order)
            limit = self._campaigns[pk].max_concurrent_calls
            self._made.append(Demand(campaign=pk, open_calls=self._open_calls.get(pk, 0), limit=limit))
        return self._made[place]

    def answer(self, place: int, waiting: list[tuple[UUID, str]], *, may_have_more: bool) -> None:
        self._made[place] = replace(self[place], waiting=waiting, may_have_more=may_have_more)


def _find_unasked(turns: Sequence[Demand], asked: dict[int, int], reach: int, lines: int) -> dict[int, int]:
    """Whom to ask for how many, by their places, when so many lines were to be filled."""
    wanted = {place: min(count, lines) for place, count in allot_lines(turns, reach).items()}
    return {
        place: count for place, count in wanted.items() if count > asked.get(place, 0) and turns[place].may_have_more
    }


def _first_due(lanes: list[Lane], wanted: int, now: datetime) -> list[tuple[UUID, str]]:
    due = sorted((due_at, contact, number) for lane in lanes for contact, number, due_at in lane.heads if due_at <= now)
    return [(contact, number) for _, contact, number in due[:wanted]]
