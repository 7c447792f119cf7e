"""Each sentence, provoked; and that it is the scheduler's own reason."""

from datetime import time, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from calls import claiming, why
from calls.claiming import Reason, claim_calls
from calls.clock import DatabaseClock
from calls.models import CallAttempt, ProviderConfig
from calls.providers.messages import translate_message
from calls.tests.conftest import NOON
from calls.tests.factories import CallAttemptFactory
from calls.wording import say_time, say_time_there
from campaigns import counting
from campaigns.lifecycle import pause
from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.exclusion import keep_as_hash
from contacts.models import Contact, ContactState
from contacts.tests.factories import ContactFactory

LINES = 10

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def noon(time_machine, clock):
    """A Wednesday, in UTC, which is where the operators are."""
    time_machine.move_to(NOON, tick=False)
    ProviderConfig.objects.update(
        scheduler_seen_at=NOON, scheduler_expected_by=NOON + timedelta(minutes=3), max_concurrent_calls=LINES
    )
    return clock


@pytest.fixture
def ask(clock):
    return lambda campaign: why.explain(Campaign.objects.get(pk=campaign.pk), clock=clock)


def make_campaign(contacts=1, *, zone="UTC", due=timedelta(0), **values):
    campaign = CampaignFactory(**values)
    ContactFactory.create_batch(contacts, campaign=campaign, calling_zone=zone, next_attempt_at=NOON + due)
    return campaign


def ring(count, **values):
    """So many calls that are going on."""
    for _ in range(count):
        CallAttemptFactory(
            ringing=True, contact__state=ContactState.IN_PROGRESS, contact__next_attempt_at=None, **values
        )


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (CampaignStatus.DRAFT, "It is a draft, and rings nobody before it is activated."),
        (CampaignStatus.PAUSED, "Paused at 12:00; it rings nobody until it is resumed."),
        (CampaignStatus.COMPLETED, "Completed at 12:00; nobody is called any more."),
        (CampaignStatus.CANCELLED, "Cancelled at 12:00, for ever."),
    ],
)
def test_a_status_in_which_nobody_is_rung(ask, status, sentence):
    assert ask(make_campaign(status=status)) == sentence


def test_who_paused_it_and_when(ask, admin_user):
    campaign = pause(make_campaign(), now=NOON - timedelta(minutes=58), by=admin_user)
    assert ask(campaign) == "Paused at 11:02 by admin; it rings nobody until it is resumed."


@pytest.mark.parametrize(("days", "sentence"), [(0, "It begins at 15:00."), (3, "It begins on 7 Mar 2026, 15:00:00.")])
def test_it_is_to_begin_later(ask, days, sentence):
    begins = NOON + timedelta(hours=3, days=days)
    assert ask(make_campaign(status=CampaignStatus.SCHEDULED, starts_at=begins)) == sentence
    assert ask(make_campaign(starts_at=begins)) == sentence


def test_it_has_ended(ask):
    assert ask(make_campaign(ends_at=NOON - timedelta(hours=1))) == "It ended at 11:00."


def test_no_scheduler(ask):
    campaign = make_campaign()
    ProviderConfig.objects.update(scheduler_seen_at=NOON - timedelta(minutes=4), scheduler_expected_by=NOON)
    assert ask(campaign) == "No scheduler has reported for 4 min: ask whoever runs this site to start it."
    ProviderConfig.objects.update(scheduler_seen_at=None, scheduler_expected_by=None)
    assert ask(campaign) == "No scheduler has ever reported: ask whoever runs this site to start it."


@pytest.mark.parametrize("starts_at", [None, NOON, NOON - timedelta(hours=3)])
def test_its_start_has_come_and_whoever_sets_it_running_is_alive_or_not(ask, starts_at):
    campaign = make_campaign(status=CampaignStatus.SCHEDULED, starts_at=starts_at)
    assert ask(campaign) == "Its start has come: it begins as soon as the scheduler looks again."
    ProviderConfig.objects.update(scheduler_seen_at=NOON - timedelta(hours=5), scheduler_expected_by=NOON)
    assert ask(campaign) == "No scheduler has reported for 5 h: ask whoever runs this site to start it."


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"dialing_enabled": False}, "Dialling is switched off on the provider's page."),
        (
            {
                "dialing_enabled": False,
                "halted_reason": "The provider refuses our credentials.",
                "last_error_at": NOON - timedelta(minutes=89),
            },
            "Dialling is off since 10:31: The provider refuses our credentials.",
        ),
        (
            {"consecutive_failures": 8, "paused_until": NOON + timedelta(seconds=70), "last_error": "It answered 503."},
            "The provider has failed 8 times in a row, and is tried again at 12:01. It said last: It answered 503.",
        ),
    ],
)
def test_what_keeps_everybody_from_being_rung(ask, values, sentence):
    campaign = make_campaign()
    ProviderConfig.objects.update(**values)
    assert ask(campaign) == sentence


def test_numbers_of_the_list_that_cannot_be_recognised(ask, settings):
    settings.DO_NOT_CALL_HASH_KEY = "a-key-for-tests-0123456789abcdefghij"
    keep_as_hash(["+12025550123"])
    settings.DO_NOT_CALL_HASH_KEY = ""
    assert ask(make_campaign()) == (
        "Nobody is rung, because numbers of erased people on the do-not-call list cannot be recognised: "
        "ask whoever runs this site to set their key to what it was before."
    )


def test_all_lines_are_in_use(ask):
    campaign = make_campaign()
    ring(LINES)
    assert ask(campaign) == "All 10 lines are in use."


def test_all_lines_of_the_campaign_are_in_use(ask):
    campaign = make_campaign(max_concurrent_calls=2)
    ring(2, contact__campaign=campaign)
    assert ask(campaign) == "All 2 lines of this campaign are in use."


def test_as_fast_as_is_allowed(ask):
    campaign = make_campaign()
    ProviderConfig.objects.update(next_call_at=NOON + timedelta(seconds=3), calls_per_second=0.4)
    assert ask(campaign) == "Calls start as fast as is allowed, 0.4 a second."


def test_one_closed_zone(ask):
    campaign = make_campaign(312, zone="America/Los_Angeles", **hours("09:00", "17:00"))
    assert ask(campaign) == "All 312 contacts wait in America/Los_Angeles, which opens at 09:00 there, in 5 h."


@pytest.mark.parametrize(
    ("zone", "weekdays", "opens"),
    [
        ("Asia/Tokyo", [1, 2, 3, 4, 5, 6, 7], "on Thursday at 09:00 there, in 12 h."),
        ("UTC", [2], "on Tuesday at 09:00 there, in 5 d 21 h."),
    ],
)
def test_a_zone_that_opens_on_another_day(ask, zone, weekdays, opens):
    campaign = make_campaign(2, zone=zone, weekdays=weekdays, **hours("09:00", "12:00"))
    assert ask(campaign) == f"All 2 contacts wait in {zone}, which opens {opens}"


def test_several_closed_zones(ask):
    campaign = make_campaign(2, zone="America/Los_Angeles", **hours("09:00", "17:00"))
    ContactFactory(campaign=campaign, calling_zone="America/New_York", next_attempt_at=NOON)
    assert ask(campaign) == (
        "All 3 contacts wait in 2 time zones that are closed now; the first, America/New_York, opens at 09:00 there, "
        "in 2 h."
    )


def test_retries(ask):
    campaign = make_campaign(3, due=timedelta(hours=3, minutes=20))
    assert ask(campaign) == "All 3 contacts wait for the next try, the first at 15:20."


def test_retries_in_an_open_zone_beside_people_who_are_due_in_a_closed_one(ask):
    campaign = make_campaign(3, due=timedelta(hours=2), **hours("09:00", "17:00"))
    for _ in range(2):
        ContactFactory(campaign=campaign, calling_zone="America/Los_Angeles", next_attempt_at=NOON - timedelta(hours=9))
    assert ask(campaign) == (
        "3 contacts wait for the next try, the first at 14:00. The others wait in time zones that are closed now."
    )


def test_one_retry_and_very_many(ask, monkeypatch):
    campaign = make_campaign(1, due=timedelta(hours=1))
    assert ask(campaign) == "1 contact waits for the next try, the first at 13:00."
    monkeypatch.setattr(counting, "MOST_COUNTED", 3)
    ContactFactory.create_batch(5, campaign=campaign, calling_zone="UTC", next_attempt_at=NOON + timedelta(hours=2))
    assert ask(campaign).startswith("More than 3 contacts wait for the next try")


def test_the_first_retry_of_several_zones_is_the_first_of_the_heads_of_their_lanes(ask):
    campaign = make_campaign(30, due=timedelta(hours=3))
    for zone, due in (("Europe/Rome", timedelta(hours=2)), ("Asia/Tokyo", timedelta(hours=4))):
        ContactFactory.create_batch(30, campaign=campaign, calling_zone=zone, next_attempt_at=NOON + due)
    with CaptureQueriesContext(connection) as queries:
        assert ask(campaign) == "All 90 contacts wait for the next try, the first at 14:00."
    asked = [query["sql"] for query in queries]
    assert not any("MIN(" in sql for sql in asked)  # reads all who wait in these zones
    assert any("LATERAL" in sql and "LIMIT 1\n" in sql for sql in asked)


@pytest.fixture
def ring_before(lines):
    """No number may be rung twice a day, and these were rung, in another campaign, so long ago."""
    ProviderConfig.objects.update(calls_per_number_per_day=1)

    def ring(campaign, hours=2, **values):
        for contact in campaign.contacts.filter(**values):
            rung = ContactFactory(phone_number=contact.phone_number, state="completed", next_attempt_at=None)
            CallAttemptFactory(contact=rung, claimed_at=NOON - timedelta(hours=hours))

    return ring


def test_people_who_were_never_rung_and_are_held_by_a_cap(ask, ring_before, clock):
    campaign = make_campaign(3)
    ring_before(campaign)
    claim_calls(max_concurrent_calls=None, batch_size=50, room=50, clock=clock)
    assert ask(campaign) == (
        "All 3 contacts wait because their numbers were rung as often as is allowed in 24 hours or in 7 days; the "
        "first may be rung again on 5 Mar 2026, 10:00:00."
    )


def test_one_who_is_held_by_a_cap_beside_a_closed_zone(ask, ring_before):
    campaign = make_campaign(due=timedelta(hours=1), **hours("09:00", "17:00"))
    ring_before(campaign)
    ContactFactory(campaign=campaign, calling_zone="America/Los_Angeles", next_attempt_at=NOON)
    assert ask(campaign) == (
        "1 contact waits because its number was rung as often as is allowed in 24 hours or in 7 days; it may be rung "
        "again on 5 Mar 2026, 10:00:00. The others wait in time zones that are closed now."
    )


def test_the_next_try_is_told_as_the_cap_lets_it_be(ask, ring_before):
    campaign = make_campaign(2, due=timedelta(hours=1))
    ring_before(campaign, next_attempt_at=NOON + timedelta(hours=1))
    ContactFactory(campaign=campaign, calling_zone="UTC", next_attempt_at=NOON + timedelta(hours=3))
    assert ask(campaign) == (
        "All 3 contacts wait for the next try, the first at 15:00. 2 of them wait because their numbers were rung as "
        "often as is allowed in 24 hours or in 7 days."
    )


def test_a_retry_that_is_later_than_the_cap_is_not_told_as_held_by_it(ask, ring_before):
    campaign = make_campaign(1, due=timedelta(hours=30))
    ring_before(campaign)
    assert ask(campaign) == "1 contact waits for the next try, the first on 5 Mar 2026, 18:00:00."


def test_hours_that_never_open(ask):
    campaign = make_campaign(zone="America/Los_Angeles Asia/Tokyo", **hours("12:00", "13:00"))
    assert ask(campaign).startswith("The calling hours of everybody who waits never open")


def test_it_ends_before_it_opens(ask):
    campaign = make_campaign(ends_at=NOON + timedelta(hours=2), **hours("18:00", "19:00"))
    assert ask(campaign) == (
        "It ends at 14:00, before the calling hours of anybody who waits open: set a later end, or widen the hours."
    )


def test_nobody_is_left(ask):
    campaign = make_campaign(0)
    assert ask(campaign) == "Nobody is left to call."
    ring(2, contact__campaign=campaign)
    assert ask(campaign) == "Nobody else waits; calls that go on: 2."


def test_it_is_ringing(ask):
    assert ask(make_campaign()) == "People are due and lines are free: they are rung now."


def hours(start, end):
    return {"allowed_call_start": start, "allowed_call_end": end}


@pytest.mark.parametrize(
    "prepare",
    [
        lambda: make_campaign(zone="America/Los_Angeles", **hours("09:00", "17:00")),
        lambda: make_campaign(due=timedelta(hours=1)),
        lambda: make_campaign(zone="America/Los_Angeles Asia/Tokyo", **hours("12:00", "13:00")),
        lambda: make_campaign(0),
        lambda: make_campaign(starts_at=NOON + timedelta(hours=1)),
    ],
)
def test_a_look_gives_the_reason_of_the_claim(prepare, clock):
    campaign = prepare()
    looked, _, _ = claiming.look(max_concurrent_calls=None, batch_size=50, clock=clock)
    claim = claim_calls(max_concurrent_calls=None, batch_size=50, room=50, clock=clock)
    assert looked.reasons[campaign.pk] == claim.reasons[campaign.pk]


def test_a_look_writes_nothing_and_waits_for_nobody(clock, django_assert_max_num_queries):
    make_campaign(5)
    before = list(ProviderConfig.objects.values()), list(Contact.objects.order_by("pk").values())
    with django_assert_max_num_queries(10):
        claim, _, _ = claiming.look(max_concurrent_calls=None, batch_size=50, clock=clock)
    assert set(claim.reasons.values()) == {Reason.OTHERS_FIRST}
    assert before == (list(ProviderConfig.objects.values()), list(Contact.objects.order_by("pk").values()))
    assert not CallAttempt.objects.exists()


def test_the_command_says_the_same(capsys):
    campaign = make_campaign(due=timedelta(hours=1))
    output = StringIO()
    call_command("why", campaign.name, stdout=output)
    assert output.getvalue() == why.explain(campaign, clock=DatabaseClock()) + "\n"
    with pytest.raises(CommandError, match="There is no campaign"):
        call_command("why", "unheard of")


def test_the_campaigns_page_says_it(admin_client):
    campaign = make_campaign(0, status=CampaignStatus.DRAFT)
    page = admin_client.get(f"/admin/campaigns/campaign/{campaign.pk}/change/").content.decode()
    assert "It is a draft, and rings nobody before it is activated." in page


def test_a_span_is_said_in_two_parts():
    spans = [(20, "1 min"), (134 * 60, "2 h 14 min"), (50 * 3600, "2 d 2 h"), (24 * 3600, "1 d")]
    assert [why.say_span(timedelta(seconds=seconds)) for seconds, _ in spans] == [said for _, said in spans]


def test_a_campaign_whose_zones_are_closed_does_not_wait_for_lines(ask, lines):
    closed = CampaignFactory(allowed_call_start=time(18), allowed_call_end=time(19))
    ContactFactory(campaign=closed)
    ProviderConfig.objects.update(max_concurrent_calls=1)
    CallAttemptFactory(contact__state="in_progress", contact__next_attempt_at=None, ringing=True)
    assert ask(closed).startswith("1 contact waits in UTC, which opens at 18:00 there")


def test_one_line_is_not_told_as_many(ask):
    campaign = make_campaign()
    ProviderConfig.objects.update(max_concurrent_calls=1)
    ring(1)
    assert ask(campaign) == "The only line is in use."


# In Italian


@pytest.fixture
def italian():
    with override("it"):
        yield


def test_in_italian_a_status_says_when_and_by_whom(italian, ask, admin_user):
    campaign = pause(make_campaign(), now=NOON - timedelta(minutes=58), by=admin_user)
    assert ask(campaign) == "Messa in pausa alle 11:02 da admin; non chiama nessuno finché non viene ripresa."
    begins = NOON + timedelta(days=3, hours=3)
    assert ask(make_campaign(starts_at=begins)) == "Inizia il 7 mar 2026, 15:00:00."


def test_in_italian_those_who_wait_are_counted_in_whole_sentences(italian, ask, monkeypatch):
    campaign = make_campaign(1, due=timedelta(hours=1))
    assert ask(campaign) == "1 contatto attende il prossimo tentativo, alle 13:00."
    ContactFactory(campaign=campaign, calling_zone="UTC", next_attempt_at=NOON + timedelta(hours=2))
    assert ask(campaign) == "Tutti e 2 i contatti attendono il prossimo tentativo, il primo alle 13:00."
    monkeypatch.setattr(counting, "MOST_COUNTED", 1)
    assert ask(campaign) == "Più di 1 contatti attendono il prossimo tentativo, il primo alle 13:00."


def test_in_italian_some_wait_for_the_next_try_and_others_for_their_hours(italian, ask):
    campaign = make_campaign(3, due=timedelta(hours=2), **hours("09:00", "17:00"))
    ContactFactory(campaign=campaign, calling_zone="America/Los_Angeles", next_attempt_at=NOON - timedelta(hours=9))
    assert ask(campaign) == (
        "3 contatti attendono il prossimo tentativo, il primo alle 14:00. "
        "Gli altri sono in attesa in fusi orari ora chiusi."
    )


def test_in_italian_zones_that_are_closed(italian, ask):
    campaign = make_campaign(1, zone="Asia/Tokyo", **hours("09:00", "12:00"))
    assert ask(campaign) == (
        "1 contatto è in attesa in Asia/Tokyo, dove si apre giovedì alle 09:00 ora locale, tra 12 h."
    )
    ContactFactory(campaign=campaign, calling_zone="America/New_York", next_attempt_at=NOON)
    assert ask(campaign) == (
        "Tutti e 2 i contatti sono in attesa in 2 fusi orari ora chiusi; il primo, America/New_York, si apre "
        "alle 09:00 ora locale, tra 2 h."
    )


def test_in_italian_lines_are_one_or_many(italian, ask):
    campaign = make_campaign(max_concurrent_calls=1)
    ring(1, contact__campaign=campaign)
    assert ask(campaign) == "L'unica linea di questa campagna è occupata."
    ring(LINES - 1)
    assert ask(make_campaign()) == "Tutte le 10 linee sono occupate."


def test_in_italian_a_rate_has_a_comma(italian, ask):
    campaign = make_campaign()
    ProviderConfig.objects.update(next_call_at=NOON + timedelta(seconds=3), calls_per_second=0.4)
    assert ask(campaign) == "Le chiamate partono alla velocità massima consentita: 0,4 al secondo."


def test_in_italian_the_article_of_a_day_and_the_units_of_a_span(italian):
    assert say_time(NOON + timedelta(days=4)) == "l'8 mar 2026, 12:00:00"
    assert say_time_there(NOON + timedelta(days=7), NOON) == "l'11 mar 2026 alle 12:00"
    assert say_time_there(NOON + timedelta(days=9), NOON) == "il 13 mar 2026 alle 12:00"
    assert why.say_span(timedelta(days=2, hours=2)) == "2 g 2 h"


def test_what_is_stored_is_translated_if_it_is_known(italian):
    assert translate_message("The call failed.") == "La chiamata non è riuscita."
    assert translate_message("Authenticate") == "Authenticate"
    assert translate_message("") == ""
