"""What a site looks like that has been calling for a day: written into its database, for pictures of it."""

import random
from datetime import time, timedelta

from django.contrib.auth.models import Group, User
from django.utils import timezone

from calls.models import CallAttempt, ProviderConfig
from calls.states import AttemptStatus
from calls.tallies import count_over
from calls.tests.tallied import make_id
from campaigns.lifecycle import activate, pause
from campaigns.models import Campaign, CampaignStatus
from contacts.exclusion import add_numbers_to_do_not_call
from contacts.models import CallOutcome, Contact, ContactState, DoNotCallSource
from contacts.tests.factories import make_number

ERRORS = {
    "13224": "The number is not valid or cannot be reached from this account.",
    "13225": "The number is blocked for outgoing calls.",
}
SCRIPT = "Good day. This is the town library, with a question about its opening hours. It takes a minute."
OPEN = range(9, 20)
BEST = range(17, 20)


def fill(password):
    """Campaigns in every state, of which two are calling, and a manager; the same every time, up to this moment."""
    luck, now = random.Random(7), timezone.now()
    manager = User.objects.create_user("manager", password=password, is_staff=True)
    manager.groups.add(Group.objects.get(name="campaign_manager"))
    ProviderConfig.objects.update(max_concurrent_calls=12, calls_per_second=5)

    library = make_campaign("Town library: new opening hours", max_concurrent_calls=9)
    tell_past(library, add_people(library, range(3000)), luck, since=now - timedelta(hours=27), now=now, share=0.6)
    commuters = make_campaign("Commuters of the north line", max_concurrent_calls=3)
    tell_past(
        commuters, add_people(commuters, range(3000, 3800)), luck, since=now - timedelta(hours=27), now=now, share=0.5
    )
    museum = make_campaign("Museum visitors, autumn")
    tell_past(museum, add_people(museum, range(3800, 4200)), luck, since=now - timedelta(days=4), now=now, share=0.5)
    fair = make_campaign("Visitors of the book fair", starts_at=now + timedelta(days=9))
    add_people(fair, range(4200, 4500))
    for campaign in (library, commuters, museum, fair):
        activate(campaign, now=now)
    pause(museum, now=now)
    market = make_campaign(
        "Christmas market",
        allowed_call_start=time(10),
        allowed_call_end=time(19, 30),
        weekdays=[1, 2, 3, 4, 5, 6],
        retry_busy="5 min, 2 h, next day",
        default_country="IE",
    )
    add_numbers_to_do_not_call({make_number(place) for place in range(2980, 3000)}, source=DoNotCallSource.IMPORT)
    add_people(market, range(4500, 6000), ["Europe/Dublin", "Europe/Rome", "Europe/Rome", "America/New_York"])
    count_over(now=now)


def make_campaign(name, **values):
    return Campaign.objects.create(
        name=name,
        status=CampaignStatus.DRAFT,
        intro_script=SCRIPT,
        retry_interval_minutes=120,
        time_zone="Europe/Rome",
        **values,
    )


def add_people(campaign, places, zones=("Europe/Dublin", "Europe/Rome", "Europe/Rome")):
    """With Irish numbers wherever they are: many of those are kept for fiction."""
    return Contact.objects.bulk_create(
        Contact(
            campaign=campaign,
            phone_number=make_number(place),
            external_contact_id=f"P-{place:05}",
            calling_zone=zones[place % len(zones)],
            next_attempt_at=timezone.now(),
        )
        for place in places
    )


def tell_past(campaign, people, luck, *, since, now, share):
    """Calls of so many of the people, in the hours in which one calls, with answers mostly in the evening."""
    called, attempts = people[: round(len(people) * share)], []
    for person in called:
        at = draw_instant(luck, since, now)
        for number in range(1, campaign.max_attempts + 1):
            if not is_open(at) or at > now - timedelta(minutes=2):
                break
            attempts.append(make_attempt(person, number, at, luck))
            at += timedelta(hours=2 + luck.random())
            if person.state == ContactState.COMPLETED:
                break
    CallAttempt.objects.bulk_create(attempts)
    Contact.objects.bulk_update(
        called, ["state", "attempts_count", "last_outcome", "last_attempt_at", "next_attempt_at"]
    )


def draw_instant(luck, since, until):
    while not is_open(at := since + (until - since) * luck.random()):
        pass
    return at


def is_open(at):
    return timezone.localtime(at).hour in OPEN


def make_attempt(person, number, at, luck):
    """The attempt; the person is left as it leaves them."""
    likely = 0.5 if timezone.localtime(at).hour in BEST else 0.35
    answered = luck.random() < likely
    if answered and luck.random() < 0.8:
        outcome = CallOutcome.COMPLETED
    elif answered:
        outcome = CallOutcome.NO_ANSWER
    else:
        outcome = luck.choices([CallOutcome.NO_ANSWER, CallOutcome.BUSY, CallOutcome.FAILED], [70, 24, 6])[0]
    error = luck.choice([*ERRORS]) if outcome == CallOutcome.FAILED else ""
    ended_at = at + timedelta(seconds=40)
    is_completed = outcome == CallOutcome.COMPLETED
    person.state = ContactState.COMPLETED if is_completed else ContactState.NOT_REACHED
    person.attempts_count, person.last_outcome, person.last_attempt_at = number, outcome, ended_at
    is_last = is_completed or number == person.campaign.max_attempts
    person.next_attempt_at = None if is_last else ended_at + timedelta(hours=2)
    call = make_id(at)
    return CallAttempt(
        id=call,
        contact=person,
        campaign=person.campaign,
        phone_number=person.phone_number,
        attempt_number=number,
        call_id=call.hex,
        status=AttemptStatus.ENDED,
        outcome=outcome,
        claimed_at=at,
        start_at=at,
        send_before=at + timedelta(seconds=5),
        started_at=at,
        check_at=at + timedelta(minutes=1),
        answered_at=at + timedelta(seconds=8) if answered else None,
        decided_at=ended_at if is_completed else None,
        ended_at=ended_at,
        provider_call_id=f"CA{call.hex}",
        error_code=error,
        error_message=ERRORS.get(error, ""),
    )
