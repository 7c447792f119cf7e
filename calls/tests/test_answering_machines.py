"""An answering machine at the other end, from the scheduler over the network to the story that operators read."""

import pytest

from calls.models import CallAttempt
from calls.providers import get_provider
from calls.scheduler import CallScheduler, CallSchedulerConfig
from calls.timeline import tell_attempt
from campaigns.questions import freeze_questions
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.models import ContactState
from contacts.tests.factories import ContactFactory

from .phone_network import ACCOUNT_SID, AUTH_TOKEN, running_phone_network, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ANNE = "+12025550123"
MESSAGES = {"machine_message": "We try again tomorrow.", "machine_message_other": "Riproviamo domani."}


@pytest.fixture
def ring(lines, live_server, settings):
    """Rings a campaign's contact, and returns the attempt and the ledger when the call is over."""
    settings.PUBLIC_BASE_URL = live_server.url
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT_SID, AUTH_TOKEN

    def ring_contact(behaviour, language="auto", **campaign):
        campaign = CampaignFactory(intro_script_other="Buongiorno.", **MESSAGES | campaign)
        QuestionFactory(campaign=campaign, text_it="Come è stato?")
        freeze_questions(campaign)
        ContactFactory(campaign=campaign, phone_number=ANNE, preferred_language=language)
        with running_phone_network(speed=200, behaviours={ANNE: behaviour}) as network:
            settings.TWILIO_API_BASE_URL = network.base_url
            get_provider.cache_clear()
            scheduler = CallScheduler(CallSchedulerConfig())
            wait_until(lambda: scheduler.run_once().placed, seconds=20)  # a busy machine misses starts
            rung = CallAttempt.objects.select_related("contact", "campaign").filter(given_back=False)
            wait_until(lambda: rung.filter(status="ended").exists(), seconds=20)
            scheduler.close()
            return rung.get(), network.ledger()

    yield ring_contact
    get_provider.cache_clear()


def lines_of(ledger, kind, name):
    return [line[name] for line in ledger if line["kind"] == kind]


@pytest.mark.parametrize(
    ("treatment", "language", "metadata", "recorded", "asked", "told"),
    [
        ("off", "auto", {}, [], 2, "before the person agreed"),
        ("hang_up", "auto", {"answered_by": "machine_start"}, [], 0, "A machine had answered;"),
        (
            "leave_message",
            "auto",
            {"answered_by": "machine_end_beep", "left_message": True},
            ["We try again tomorrow."],
            0,
            "the message was left on it",
        ),
        (
            "leave_message",
            "it",
            {"answered_by": "machine_end_beep", "left_message": True},
            ["Riproviamo domani."],
            0,
            "the message was left on it",
        ),
    ],
)
def test_a_machine_is_not_reached_and_gets_what_the_campaign_wants(
    ring, treatment, language, metadata, recorded, asked, told
):
    attempt, ledger = ring("machine", language, machine_detection=treatment)
    assert (attempt.outcome, attempt.contact.state) == ("no_answer", ContactState.NOT_REACHED)
    own = {name: attempt.metadata[name] for name in ("answered_by", "left_message") if name in attempt.metadata}
    assert own == metadata
    assert len(lines_of(ledger, "gathered", "asked")) == asked
    assert [words for words in lines_of(ledger, "recorded", "words") if words in MESSAGES.values()] == recorded
    assert told in tell_attempt(attempt)[-1].text


@pytest.mark.parametrize("treatment", ["off", "hang_up", "leave_message"])
def test_a_person_takes_part_whatever_becomes_of_machines(ring, treatment):
    attempt, ledger = ring("consents", machine_detection=treatment)
    assert (attempt.outcome, attempt.contact.state) == ("completed", ContactState.COMPLETED)
    assert attempt.metadata.get("answered_by") == (None if treatment == "off" else "human")
    assert len(lines_of(ledger, "gathered", "asked")) == 2
