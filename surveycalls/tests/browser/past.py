"""What a site looks like that has been calling for a day: written into its database, for pictures of it."""

import random
from datetime import time, timedelta

from django.contrib.auth.models import Group, User
from django.utils import timezone

from calls.demo.campaign import QUESTIONS
from calls.models import Answer, AnswerMeans, CallAttempt, ProviderConfig
from calls.states import AttemptStatus
from calls.tallies import count_over
from calls.tests.tallied import make_id
from campaigns.lifecycle import activate, pause
from campaigns.models import Campaign, CampaignStatus, Question
from campaigns.questions import freeze_questions, list_versions
from contacts.exclusion import add_numbers_to_do_not_call
from contacts.models import CallOutcome, Contact, ContactState, DoNotCallSource
from contacts.tests.factories import make_number

ERRORS = {
    "13224": "The number is not valid or cannot be reached from this account.",
    "13225": "The number is blocked for outgoing calls.",
}
SCRIPT = "Good day. This is the town library, with six questions about your last visit. They take two minutes."
WORDS = [
    "Longer opening hours on Saturdays.",
    "Nothing, I always find what I look for.",
    "More places to sit and read.",
    "It is too cold in the reading room.",
    "The new machines for returning books are hard to use.",
    "Open earlier, please.",
]
STATES = {CallOutcome.COMPLETED: ContactState.COMPLETED, CallOutcome.REFUSED: ContactState.REFUSED}
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
    campaign = Campaign.objects.create(
        name=name,
        status=CampaignStatus.DRAFT,
        intro_script=SCRIPT,
        retry_interval_minutes=120,
        time_zone="Europe/Rome",
        **values,
    )
    Question.objects.bulk_create(
        Question(campaign=campaign, position=position, **question)
        for position, question in enumerate(QUESTIONS, start=1)
    )
    freeze_questions(campaign)
    return campaign


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
    called, attempts, answers = people[: round(len(people) * share)], [], []
    versions = list_versions(campaign)
    for person in called:
        at = draw_instant(luck, since, now)
        for number in range(1, campaign.max_attempts + 1):
            if not is_open(at) or at > now - timedelta(minutes=2):
                break
            attempts.append(make_attempt(person, number, at, luck))
            answers += make_answers(attempts[-1], versions, luck)
            at += timedelta(hours=2 + luck.random())
            if person.state != ContactState.NOT_REACHED:
                break
    CallAttempt.objects.bulk_create(attempts)
    Answer.objects.bulk_create(answers, ignore_conflicts=True)
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
    if answered:
        outcome = luck.choices([CallOutcome.COMPLETED, CallOutcome.REFUSED, CallOutcome.NO_ANSWER], [66, 16, 18])[0]
    else:
        outcome = luck.choices([CallOutcome.NO_ANSWER, CallOutcome.BUSY, CallOutcome.FAILED], [70, 24, 6])[0]
    error = luck.choice([*ERRORS]) if outcome == CallOutcome.FAILED else ""
    is_decided = outcome in STATES
    has_agreed = outcome == CallOutcome.COMPLETED or (answered and not is_decided and luck.random() < 0.6)
    ended_at = at + timedelta(seconds=luck.uniform(75, 190) if has_agreed else 40)
    person.state = STATES.get(outcome, ContactState.NOT_REACHED)
    person.attempts_count, person.last_outcome, person.last_attempt_at = number, outcome, ended_at
    is_last = is_decided or number == person.campaign.max_attempts
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
        consented_at=at + timedelta(seconds=28) if has_agreed else None,
        decided_at=ended_at - timedelta(seconds=4) if is_decided else None,
        ended_at=ended_at,
        provider_call_id=f"CA{call.hex}",
        error_code=error,
        error_message=ERRORS.get(error, ""),
    )


def make_answers(attempt, versions, luck):
    """All of them, or those before it broke off."""
    if attempt.consented_at is None:
        return []
    end = len(versions) if attempt.outcome == CallOutcome.COMPLETED else luck.randrange(1, len(versions) - 1)
    return [make_answer(attempt, version, luck) for version in versions[:end]]


def make_answer(attempt, version, luck):
    value = draw_value(version, luck)
    means = AnswerMeans.SPEECH if version.type == "free_text" or luck.random() < 0.2 else AnswerMeans.KEYS
    return Answer(
        contact_id=attempt.contact_id,
        attempt=attempt,
        question_id=version.question_id,
        version=version,
        means=means if value else AnswerMeans.NOTHING,
        raw=value,
        value=value,
        confidence=round(luck.uniform(0.7, 0.98), 2) if value and means == AnswerMeans.SPEECH else None,
        answered_at=attempt.consented_at + timedelta(seconds=8 * version.question.position),
    )


def draw_value(version, luck):
    if version.type == "free_text":
        return luck.choice([*WORDS, "", ""])
    if version.type == "yes_no":
        return luck.choices(["yes", "no"], [7, 3])[0]
    if version.type == "single_choice":
        return str(luck.choices(range(1, 5), [50, 12, 25, 13])[0])
    if version.type == "numeric":
        return str(min(version.highest, 1 + int(luck.expovariate(0.12))))
    likely = round(luck.gauss(version.lowest + 0.72 * (version.highest - version.lowest), version.highest / 5))
    return str(min(max(likely, version.lowest), version.highest))
