"""Whole surveys: the scheduler rings people of the simulated phone network, who hear and answer over real HTTP."""

from collections import defaultdict

import pytest

from calls.models import Answer, CallAttempt
from calls.providers import get_provider
from calls.scheduler import CallScheduler, CallSchedulerConfig
from campaigns.questions import freeze_questions
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.exclusion import numbers_on_do_not_call
from contacts.models import Contact
from contacts.tests.factories import ContactFactory

from .phone_network import ACCOUNT_SID, AUTH_TOKEN, running_phone_network, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = {
    "consents": "+12025550140",
    "refuses": "+12025550141",
    "opts_out": "+12025550142",
    "breaks_off": "+12025550143",
    "silent": "+12025550144",
}


@pytest.fixture(params=["en", "it"])
def called(request, lines, live_server, settings):
    """Everybody was called as often as the campaign allows; what the network has written down, by behaviour."""
    settings.PUBLIC_BASE_URL = live_server.url
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT_SID, AUTH_TOKEN
    campaign = CampaignFactory(
        language=request.param, intro_script="Hello from the library.", max_attempts=2, retry_interval_minutes=0
    )
    QuestionFactory(campaign=campaign, position=1, text_it="Quanto è soddisfatto?")
    QuestionFactory(
        campaign=campaign, position=2, type="yes_no", text_en="Again?", text_it="Ancora?", lowest=None, highest=None
    )
    freeze_questions(campaign)
    for number in PEOPLE.values():
        ContactFactory(campaign=campaign, phone_number=number)
    with running_phone_network(speed=200, behaviours={number: name for name, number in PEOPLE.items()}) as network:
        settings.TWILIO_API_BASE_URL = network.base_url
        get_provider.cache_clear()
        scheduler = CallScheduler(CallSchedulerConfig())

        def is_over():
            scheduler.run_once()
            return not Contact.objects.unfinished().exists() and not CallAttempt.objects.open().exists()

        wait_until(is_over, seconds=60)
        scheduler.close()
        ledger = defaultdict(list)
        for line in network.ledger():
            ledger[line.get("to")].append(line)
    yield {name: ledger[number] for name, number in PEOPLE.items()}
    get_provider.cache_clear()


def lines_of(lines, kind):
    return [line for line in lines if line["kind"] == kind]


def contact_of(name):
    return Contact.objects.get(phone_number=PEOPLE[name])


def test_everybody_hears_who_calls_before_anything_is_asked_and_what_they_say_becomes_of_them(called):
    for name, lines in called.items():
        first_of_calls = [line for line in lines_of(lines, "gathered") if line["question"] == 0]
        for number, line in enumerate(first_of_calls):
            is_again = name == "silent" and number % 2
            assert line["asked"].startswith("Hello from the library.") != is_again, line
        assert {line["answer"] for line in lines_of(lines, "twiml")} == {200}
    states = {name: contact_of(name).state for name in PEOPLE}
    assert states == {
        "consents": "completed",
        "refuses": "refused",
        "opts_out": "refused",
        "breaks_off": "completed",  # by the second call
        "silent": "not_reached",
    }

    # Whoever says no hears one more document, which ends the call, and is not called again.
    for name in ("refuses", "opts_out"):
        (ended,), documents = lines_of(called[name], "ended"), lines_of(called[name], "twiml")
        assert (ended["status"], ended["heard_to_end"], len(documents)) == ("completed", True, 2)
    assert numbers_on_do_not_call(PEOPLE.values()) == {PEOPLE["opts_out"]}

    # All answers are there, each with the call in which it was given.
    attempts = {
        name: list(CallAttempt.objects.filter(phone_number=number, given_back=False).order_by("id"))
        for name, number in PEOPLE.items()
    }
    for name, lines in called.items():
        given = [line for line in lines_of(lines, "gathered") if line["meant"] == "answer"]
        stored = Answer.objects.filter(contact=contact_of(name)).order_by("id").values_list("attempt__call_id", "raw")
        assert list(stored) == [(line["call_id"], line["digits"]) for line in given]
    assert Answer.objects.filter(contact=contact_of("consents")).count() == 2

    # A break-off is called again, and is asked what was left.
    first, second = attempts["breaks_off"]
    assert (first.outcome, second.outcome) == ("no_answer", "completed")
    assert [answer.attempt for answer in Answer.objects.filter(contact=first.contact).order_by("id")] == [first, second]
    assert all(attempt.consented_at for attempt in (first, second))

    # Nobody who says nothing is called more often than the campaign allows.
    assert [attempt.outcome for attempt in attempts["silent"]] == ["no_answer", "no_answer"]
    assert contact_of("silent").next_attempt_at is None
