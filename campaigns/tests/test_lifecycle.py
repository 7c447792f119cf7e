import threading
from datetime import UTC, datetime, time, timedelta
from unittest.mock import Mock
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils.translation import override
from uuid_utils.compat import uuid7

from calls.tests.threads import in_thread
from campaigns import lifecycle
from campaigns.lifecycle import LifecycleError, calling_rules_changed, campaign_changed
from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import AskingCampaignFactory, CampaignFactory
from contacts.arming import add_contact
from contacts.models import Rearming
from contacts.phones import calling_zones_of
from contacts.tests.factories import ContactFactory

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
EARLIER = NOW - timedelta(hours=1)
HOLIDAY = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)  # in Bulgaria

pytestmark = pytest.mark.django_db


def make_campaign(status=CampaignStatus.DRAFT, **fields):
    """One that could ring somebody."""
    campaign = AskingCampaignFactory(status=status, **fields)
    ContactFactory(campaign=campaign)
    return campaign


def make_never_callable(campaign, **fields):
    """In zones whose working hours never meet."""
    return ContactFactory(campaign=campaign, calling_zone="Europe/Rome Pacific/Auckland", **fields)


def status_of(campaign):
    return Campaign.objects.values_list("status", flat=True).get(pk=campaign.pk)


def problems_of(campaign, step=lifecycle.activate):
    with pytest.raises(LifecycleError) as caught:
        step(campaign, now=NOW)
    return caught.value.problems


@pytest.fixture
def changes():
    """The campaigns whose change was announced."""
    heard = []

    def hear(campaign, **_kwargs):
        heard.append(campaign.pk)

    campaign_changed.connect(hear)
    yield heard
    campaign_changed.disconnect(hear)


@pytest.fixture
def rules():
    receiver = Mock(return_value=lifecycle.Moved(2))
    calling_rules_changed.connect(receiver)
    yield receiver
    calling_rules_changed.disconnect(receiver)


def test_a_draft_that_is_activated_runs():
    campaign = make_campaign()
    assert lifecycle.activate(campaign, now=NOW).status == CampaignStatus.RUNNING
    assert status_of(campaign) == CampaignStatus.RUNNING


def test_a_campaign_whose_start_is_to_come_is_scheduled():
    campaign = make_campaign(starts_at=LATER)
    assert lifecycle.activate(campaign, now=NOW).status == CampaignStatus.SCHEDULED


@pytest.mark.parametrize("status", [CampaignStatus.RUNNING, CampaignStatus.SCHEDULED])
def test_what_runs_or_is_scheduled_can_be_paused(status):
    assert lifecycle.pause(make_campaign(status), now=NOW).status == CampaignStatus.PAUSED


def test_a_pause_ends_where_it_began():
    assert lifecycle.resume(make_campaign(CampaignStatus.PAUSED), now=NOW).status == CampaignStatus.RUNNING
    later = make_campaign(CampaignStatus.PAUSED, starts_at=LATER)
    assert lifecycle.resume(later, now=NOW).status == CampaignStatus.SCHEDULED


@pytest.mark.parametrize("status", [CampaignStatus.RUNNING, CampaignStatus.PAUSED])
def test_an_operator_can_complete_what_has_begun(status):
    assert lifecycle.complete(make_campaign(status), now=NOW).status == CampaignStatus.COMPLETED


def test_a_completed_campaign_can_be_activated_again_when_somebody_waits():
    assert lifecycle.activate(make_campaign(CampaignStatus.COMPLETED), now=NOW).status == CampaignStatus.RUNNING


@pytest.mark.parametrize("status", sorted(set(CampaignStatus) - {CampaignStatus.COMPLETED, CampaignStatus.CANCELLED}))
def test_whatever_is_not_over_can_be_cancelled(status):
    assert lifecycle.cancel(make_campaign(status), now=NOW).status == CampaignStatus.CANCELLED


@pytest.mark.parametrize(
    ("step", "status", "problem"),
    [
        (lifecycle.activate, "cancelled", "It is cancelled and cannot be activated. Make a new campaign instead."),
        (lifecycle.resume, "cancelled", "It is cancelled and cannot be resumed. Make a new campaign instead."),
        (lifecycle.cancel, "cancelled", "It is cancelled and cannot be cancelled. Make a new campaign instead."),
        (lifecycle.cancel, "completed", "It is completed and cannot be cancelled. It can be activated."),
        (lifecycle.pause, "draft", "It is draft and cannot be paused. It can be activated or cancelled."),
        (lifecycle.resume, "draft", "It is draft and cannot be resumed. It can be activated or cancelled."),
        (lifecycle.complete, "scheduled", "It is scheduled and cannot be completed. It can be paused or cancelled."),
        (
            lifecycle.activate,
            "running",
            "It is running and cannot be activated. It can be paused or completed or cancelled.",
        ),
        (
            lifecycle.activate,
            "paused",
            "It is paused and cannot be activated. It can be resumed or completed or cancelled.",
        ),
    ],
)
def test_a_step_from_the_wrong_status_says_what_can_be_done_instead(step, status, problem):
    campaign = make_campaign(status)
    assert problems_of(campaign, step) == [problem]
    assert status_of(campaign) == status


@pytest.mark.parametrize("status", CampaignStatus)
def test_what_can_be_done_instead_are_the_steps_from_that_status(status):
    ways_on = [str(lifecycle.STEPS[step][0]) for step in lifecycle.possible_steps(status)]
    advice = f"It can be {' or '.join(ways_on)}." if ways_on else "Make a new campaign instead."
    assert lifecycle.REFUSALS[status] == f"It is {status} and cannot be %(done)s. {advice}"


@pytest.mark.parametrize(
    ("step", "status", "problem"),
    [
        (lifecycle.pause, "draft", "È una bozza e non può essere messa in pausa. Può essere attivata o annullata."),
        (
            lifecycle.activate,
            "paused",
            "È in pausa e non può essere attivata. Può essere ripresa, completata o annullata.",
        ),
        (lifecycle.resume, "cancelled", "È annullata e non può essere ripresa. Creare invece una nuova campagna."),
    ],
)
def test_it_says_so_in_italian(step, status, problem):
    campaign = make_campaign(status)
    with override("it"):
        assert problems_of(campaign, step) == [problem]


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        (1, "1 contatto non può mai essere chiamato in questi orari: il suo numero può trovarsi"),
        (2, "2 contatti non possono mai essere chiamati in questi orari: i loro numeri possono trovarsi"),
    ],
)
def test_who_can_never_be_called_is_counted_in_italian(count, sentence):
    campaign = make_campaign(allowed_call_start=time(9), allowed_call_end=time(17))
    for _ in range(count):
        make_never_callable(campaign)
    with override("it"):
        assert lifecycle.find_warnings(campaign, NOW)[0].startswith(sentence)


def test_the_status_that_counts_is_the_one_in_the_database():
    campaign = make_campaign(CampaignStatus.RUNNING)
    stale = Campaign.objects.get(pk=campaign.pk)
    lifecycle.cancel(campaign, now=NOW)
    assert problems_of(stale, lifecycle.pause)


def test_without_contacts_it_does_not_start():
    assert problems_of(AskingCampaignFactory(status="draft")) == ["It has no contacts: import some."]


def test_with_nobody_waiting_it_does_not_start():
    campaign = AskingCampaignFactory(status="completed")
    ContactFactory(campaign=campaign, state="completed", next_attempt_at=None)
    assert problems_of(campaign) == ["Nobody is waiting to be called: add contacts, or allow more attempts."]


def test_a_pause_can_end_while_the_last_contact_is_still_in_a_call():
    campaign = AskingCampaignFactory(status="paused")
    ContactFactory(campaign=campaign, state="in_progress", next_attempt_at=None)
    assert lifecycle.resume(campaign, now=NOW).status == CampaignStatus.RUNNING


def test_without_an_intro_script_it_does_not_start():
    problems = problems_of(make_campaign(intro_script=" \n"))
    assert problems == ["It has no intro script: write what is said first."]


ALL_MESSAGES = {"machine_message": "We try again.", "machine_message_other": "Riproviamo."}


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, ["machine_message"]),
        ({"machine_message": " "}, ["machine_message"]),
        ({"machine_message_other": "Riproviamo."}, ["machine_message"]),
        ({"intro_script_other": "Buongiorno."}, ["machine_message", "machine_message_other"]),
        ({"intro_script_other": "Buongiorno.", "machine_message": "We try again."}, ["machine_message_other"]),
        ({"intro_script_other": "Good day.", "language": "it", "machine_message_other": "."}, ["machine_message"]),
        ({"intro_script_other": "Buongiorno."} | ALL_MESSAGES, []),
        ({"machine_message": "We try again."}, []),
        ({"machine_detection": "hang_up", "intro_script_other": "Buongiorno."}, []),
        ({"machine_detection": "off", "intro_script_other": "Buongiorno."}, []),
    ],
)
def test_without_the_message_that_machines_are_to_be_left_it_does_not_start(values, fields):
    campaign = make_campaign(**{"machine_detection": "leave_message"} | values)
    assert list(lifecycle.find_setting_problems(campaign, NOW)) == fields


def test_a_missing_message_for_machines_is_told_with_its_language():
    problem = "There is no message for answering machines in Italian: write it, or hang up instead."
    assert problem in problems_of(make_campaign(machine_detection="leave_message", language="it"))


def test_without_a_weekday_it_does_not_start():
    (problem,) = problems_of(make_campaign(weekdays=[]))
    assert problem.startswith("Its calling hours and weekdays never open: tick a weekday")


def test_hours_that_are_no_window_are_named():
    campaign = make_campaign()
    campaign.allowed_call_start, campaign.allowed_call_end = time(18), time(9)
    (problem,) = lifecycle.find_problems(campaign, NOW)
    assert "a start that is before the end" in problem


@pytest.mark.parametrize("ends_at", [EARLIER, NOW])
def test_after_its_end_it_does_not_start(ends_at):
    (problem,) = problems_of(make_campaign(ends_at=ends_at))
    assert problem.startswith("It ended on 4 Mar")
    assert problem.endswith("set a later end, or none.")


def test_contacts_without_any_zone_are_counted():
    campaign = AskingCampaignFactory(status="draft", time_zone="")
    ContactFactory(campaign=campaign, calling_zone="Europe/Rome")
    ContactFactory(campaign=campaign)
    assert problems_of(campaign) == [
        "1 contact has no time zone and the campaign has none either: choose the campaign's time zone."
    ]
    ContactFactory(campaign=campaign)
    assert problems_of(campaign)[0].startswith("2 contacts have no time zone")


def test_contacts_that_have_their_own_zones_need_none_of_the_campaign():
    campaign = AskingCampaignFactory(status="draft", time_zone="")
    ContactFactory(campaign=campaign, calling_zone="Europe/Rome")
    assert lifecycle.activate(campaign, now=NOW).status == CampaignStatus.RUNNING


WORKING_HOURS = {"allowed_call_start": time(9), "allowed_call_end": time(17)}


def test_it_does_not_start_when_nobody_who_waits_can_ever_be_rung():
    campaign = AskingCampaignFactory(status="draft", **WORKING_HOURS)
    make_never_callable(campaign)
    assert problems_of(campaign) == [
        "1 contact can never be rung in these hours: their numbers may lie in time zones that are never open "
        "together; give them a time zone or widen the hours."
    ]


def test_a_toll_free_number_can_not_be_rung_in_working_hours_and_can_all_day():
    campaign = AskingCampaignFactory(status="draft", **WORKING_HOURS)
    ContactFactory(campaign=campaign, calling_zone=calling_zones_of("+18005550100"))
    assert problems_of(campaign)[0].startswith("1 contact can never be rung in these hours")
    Campaign.objects.update(allowed_call_start=None, allowed_call_end=None)
    assert lifecycle.activate(campaign, now=NOW).status == CampaignStatus.RUNNING


def test_some_who_can_never_be_rung_are_a_warning_and_no_problem():
    campaign = make_campaign(**WORKING_HOURS)
    for _ in range(2):
        make_never_callable(campaign)
    assert lifecycle.find_problems(campaign, NOW) == []
    (warning,) = lifecycle.find_warnings(campaign, NOW)
    assert warning.startswith("2 contacts can never be rung in these hours")
    assert lifecycle.activate(campaign, now=NOW).status == CampaignStatus.RUNNING


def test_a_pause_can_end_while_somebody_is_in_a_call_and_the_others_can_never_be_rung():
    campaign = AskingCampaignFactory(status="paused", **WORKING_HOURS)
    make_never_callable(campaign)
    ContactFactory(campaign=campaign, state="in_progress", next_attempt_at=None)
    assert lifecycle.resume(campaign, now=NOW).status == CampaignStatus.RUNNING


EVENING = {"allowed_call_start": time(18), "allowed_call_end": time(19)}


@pytest.mark.parametrize("dates", [{}, {"starts_at": NOW + timedelta(minutes=30)}])
def test_it_does_not_start_when_it_ends_before_it_ever_opens(dates):
    campaign = make_campaign(ends_at=LATER, **EVENING, **dates)
    assert lifecycle.find_setting_problems(campaign, NOW) == {
        "ends_at": "1 contact cannot be rung before the campaign ends on 4 Mar 2026, 13:00:00: set a later end, or "
        "widen the hours."
    }
    assert len(problems_of(campaign)) == 1


def test_some_who_are_not_rung_before_the_end_are_a_warning_and_told_apart_from_those_who_never_are():
    campaign = make_campaign(ends_at=LATER, **WORKING_HOURS)
    make_never_callable(campaign)
    ContactFactory.create_batch(2, campaign=campaign, calling_zone="America/Los_Angeles")
    assert lifecycle.find_problems(campaign, NOW) == []
    never, late = lifecycle.find_warnings(campaign, NOW)
    assert never.startswith("1 contact can never be rung in these hours")
    assert late.startswith("2 contacts cannot be rung before the campaign ends on")


def test_a_campaign_is_done_when_nobody_who_waits_is_rung_before_its_end():
    campaign = make_campaign("running", ends_at=LATER, **EVENING)
    assert lifecycle.complete_if_done(campaign.pk, NOW) is True


def test_without_a_weekday_the_weekday_alone_is_the_problem():
    campaign = AskingCampaignFactory(status="draft", weekdays=[])
    make_never_callable(campaign)
    assert len(lifecycle.find_problems(campaign, NOW)) == 1
    assert lifecycle.find_warnings(campaign, NOW) == []


def test_there_are_no_warnings_when_everybody_can_be_rung():
    assert lifecycle.find_warnings(make_campaign(**WORKING_HOURS), NOW) == []


def test_contacts_without_any_zone_are_a_warning_while_it_runs():
    campaign = make_campaign("running", time_zone="")
    assert lifecycle.find_warnings(campaign, NOW)[0].startswith("1 contact has no time zone")


@pytest.mark.parametrize("contacts", [1, 5])
def test_the_questions_about_zones_are_as_few_for_many_contacts_and_zones(contacts, django_assert_num_queries):
    campaign = CampaignFactory(**WORKING_HOURS)
    for other in ("Africa/Cairo", "Asia/Tokyo", "Europe/Rome", "Europe/Paris", "Indian/Maldives")[:contacts]:
        make_never_callable(campaign)
        ContactFactory(campaign=campaign, calling_zone=other)
    with django_assert_num_queries(2):
        lifecycle.find_warnings(campaign, NOW)


def test_every_problem_is_named_at_once():
    campaign = AskingCampaignFactory(status="draft", intro_script="", weekdays=[], ends_at=EARLIER)
    assert len(problems_of(campaign)) == 4
    assert len(problems_of(make_campaign("paused", intro_script="", time_zone=""), lifecycle.resume)) == 2


def test_starting_is_announced_after_the_commit(changes, django_capture_on_commit_callbacks):
    campaign = make_campaign()
    with django_capture_on_commit_callbacks(execute=True):
        lifecycle.activate(campaign, now=NOW)
        assert changes == []
    assert changes == [campaign.pk]


def test_a_refused_start_is_not_announced(changes, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(LifecycleError):
        lifecycle.activate(AskingCampaignFactory(status="draft"), now=NOW)
    assert changes == []


def test_scheduled_campaigns_start_when_their_time_has_come():
    due = make_campaign(CampaignStatus.SCHEDULED, starts_at=NOW)
    undated = make_campaign(CampaignStatus.SCHEDULED)
    early = make_campaign(CampaignStatus.SCHEDULED, starts_at=LATER)
    paused = make_campaign(CampaignStatus.PAUSED, starts_at=EARLIER)
    assert lifecycle.start_scheduled(NOW) == 2
    assert [status_of(one) for one in (due, undated, early, paused)] == ["running", "running", "scheduled", "paused"]


def test_starting_the_scheduled_takes_one_statement_in_a_transaction_of_its_own(django_assert_num_queries):
    make_campaign(CampaignStatus.SCHEDULED, starts_at=NOW)
    with django_assert_num_queries(3):
        lifecycle.start_scheduled(NOW)


@pytest.mark.django_db(transaction=True)
def test_schedulers_do_not_wait_for_a_scheduled_campaign_that_is_being_edited():
    edited, other = CampaignFactory.create_batch(2, status=CampaignStatus.SCHEDULED, starts_at=NOW)
    with transaction.atomic():
        Campaign.objects.filter(pk=edited.pk).update(name="Another name")
        started = in_thread(lambda: lifecycle.start_scheduled(NOW))
        assert started(timeout=10) == 1
    assert [status_of(edited), status_of(other)] == ["scheduled", "running"]
    assert lifecycle.start_scheduled(NOW) == 1


def test_only_running_campaigns_past_their_end_are_overdue():
    overdue = CampaignFactory(ends_at=NOW)
    CampaignFactory(ends_at=LATER)
    CampaignFactory()
    CampaignFactory(ends_at=EARLIER, status="paused")
    assert lifecycle.find_overdue(NOW) == [overdue.pk]


@pytest.mark.parametrize(
    ("contact", "ends_at", "done"),
    [
        ({"state": "completed", "next_attempt_at": None}, None, True),
        ({"state": "not_reached", "next_attempt_at": None}, LATER, True),
        ({"state": "pending"}, None, False),
        ({"state": "not_reached"}, LATER, False),
        ({"state": "in_progress", "next_attempt_at": None}, None, False),
        ({"state": "pending"}, EARLIER, True),  # nobody may be rung after the end
        ({"state": "in_progress", "next_attempt_at": None}, EARLIER, False),
    ],
)
def test_a_campaign_is_done_when_nobody_is_left_to_call(contact, ends_at, done):
    campaign = CampaignFactory(ends_at=ends_at)
    ContactFactory(campaign=campaign, **contact)
    assert lifecycle.complete_if_done(campaign.pk, NOW) is done
    assert status_of(campaign) == (CampaignStatus.COMPLETED if done else CampaignStatus.RUNNING)


def test_a_campaign_is_done_when_all_who_wait_can_never_be_rung_and_they_keep_waiting():
    campaign = CampaignFactory(**WORKING_HOURS)
    make_never_callable(campaign)
    assert lifecycle.complete_if_done(campaign.pk, NOW) is True
    assert campaign.contacts.waiting().count() == 1


@pytest.mark.parametrize(
    "other", [{"calling_zone": "Pacific/Auckland"}, {"state": "in_progress", "next_attempt_at": None}]
)
def test_it_is_not_done_while_somebody_else_can_be_rung_or_is_in_a_call(other):
    campaign = CampaignFactory(**WORKING_HOURS)
    make_never_callable(campaign)
    ContactFactory(campaign=campaign, **other)
    assert lifecycle.complete_if_done(campaign.pk, NOW) is False


def test_a_campaign_whose_people_sleep_is_found_not_done_by_one_question_about_zones(django_assert_num_queries):
    campaign = CampaignFactory(**WORKING_HOURS)
    for zone in ("Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland"):
        ContactFactory.create_batch(3, campaign=campaign, calling_zone=zone)
    with django_assert_num_queries(6):  # a savepoint and its release, the lock, new rules, calls in progress, zones
        assert lifecycle.complete_if_done(campaign.pk, NOW) is False


def test_a_step_bears_the_time_at_which_it_was_taken():
    campaign = lifecycle.pause(make_campaign("running"), now=LATER)
    campaign.refresh_from_db()
    assert campaign.updated_at == LATER


@pytest.mark.parametrize("status", sorted(set(CampaignStatus) - {CampaignStatus.CANCELLED}))
def test_every_campaign_takes_contacts_but_a_cancelled_one(status):
    campaign = CampaignFactory(status=status)
    assert lifecycle.admit_contacts(campaign) == campaign
    Campaign.objects.update(status="cancelled")  # by somebody else
    with pytest.raises(lifecycle.CampaignIsCancelled, match="is cancelled; it takes no more contacts"):
        lifecycle.admit_contacts(campaign)


@pytest.mark.parametrize("status", sorted(set(CampaignStatus) - {CampaignStatus.RUNNING}))
def test_only_a_running_campaign_becomes_completed_by_itself(status):
    campaign = CampaignFactory(status=status)
    assert lifecycle.complete_if_done(campaign.pk, NOW) is False
    assert status_of(campaign) == status


@pytest.mark.django_db(transaction=True)
def test_a_campaign_is_not_completed_under_a_contact_that_is_not_committed_yet():
    campaign = CampaignFactory()
    added, finish = threading.Event(), threading.Event()

    def add_slowly():
        with transaction.atomic():
            add_contact(ContactFactory.build(campaign=campaign), now=NOW)
            added.set()
            finish.wait(10)
        connection.close()

    adding = threading.Thread(target=add_slowly)
    adding.start()
    try:
        assert added.wait(10)
        assert lifecycle.complete_if_done(campaign.pk, NOW) is False
    finally:
        finish.set()
        adding.join()
    assert campaign.contacts.count() == 1
    assert lifecycle.complete_if_done(campaign.pk, NOW) is False


def test_new_calling_rules_are_told_at_once_with_the_old_number_of_attempts(rules):
    campaign = CampaignFactory(max_attempts=5)
    lifecycle.campaign_edited(campaign, changed_fields=["name", "max_attempts"], now=NOW)
    told = rules.call_args.kwargs
    assert (told["campaign"], told["now"]) == (campaign, NOW)


@pytest.mark.parametrize("field", sorted(lifecycle.CALLING_RULES))
def test_each_calling_rule_counts(rules, field):
    lifecycle.campaign_edited(CampaignFactory(), changed_fields=[field], now=NOW)
    assert rules.call_count == 1


def test_another_text_changes_no_rule(rules, changes, django_capture_on_commit_callbacks):
    campaign = CampaignFactory()
    with django_capture_on_commit_callbacks(execute=True):
        lifecycle.campaign_edited(campaign, changed_fields=["name"], now=NOW)
    assert not rules.called
    assert changes == [campaign.pk]


def test_saving_without_a_change_does_nothing(rules, changes, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        lifecycle.campaign_edited(CampaignFactory(), changed_fields=[], now=NOW)
    assert not rules.called
    assert changes == []


def test_contacts_are_armed_again_when_a_campaign_allows_another_attempt():
    campaign = CampaignFactory(max_attempts=3)
    contact = ContactFactory(
        campaign=campaign, state="not_reached", attempts_count=2, next_attempt_at=None, last_attempt_at=EARLIER
    )
    assert lifecycle.campaign_edited(campaign, changed_fields=["max_attempts"], now=NOW) == (1, True)
    contact.refresh_from_db()
    assert contact.next_attempt_at is not None
    assert lifecycle.campaign_edited(campaign, changed_fields=["name"], now=NOW) == (0, True)


def test_who_may_still_be_brought_back_by_new_rules_keeps_a_campaign_from_being_done_and_lets_it_start():
    campaign = make_campaign("running")
    campaign.contacts.update(state="not_reached", attempts_count=3, next_attempt_at=None)
    Rearming.objects.create(campaign=campaign, done_to=UUID(int=0))
    assert lifecycle.complete_if_done(campaign.pk, NOW) is False
    assert lifecycle.find_problems(campaign, NOW) == []
    Rearming.objects.all().delete()
    assert lifecycle.complete_if_done(campaign.pk, NOW) is True


def test_the_rules_that_another_operator_has_saved_meanwhile_are_not_undone():
    campaign = CampaignFactory(max_attempts=1)
    contact = ContactFactory(
        campaign=campaign, state="not_reached", attempts_count=1, next_attempt_at=None, last_attempt_at=EARLIER
    )
    stale = Campaign.objects.get()
    Campaign.objects.update(max_attempts=5)
    stale.retry_interval_minutes = 30
    stale.save(update_fields=["retry_interval_minutes"])
    lifecycle.campaign_edited(stale, changed_fields=["retry_interval_minutes"], now=NOW)
    contact.refresh_from_db()
    assert contact.next_attempt_at == EARLIER + timedelta(minutes=30)


@pytest.mark.parametrize("status", sorted(lifecycle.ACTIVE))
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"intro_script": " "}, "intro_script"),
        ({"weekdays": []}, "weekdays"),
        ({"ends_at": NOW}, "ends_at"),
        ({"time_zone": ""}, "time_zone"),
        ({"machine_detection": "leave_message"}, "machine_message"),
    ],
)
def test_an_edit_may_not_take_from_an_active_campaign_what_activation_asks_for(status, changes, field):
    campaign = make_campaign(status)
    edited = Campaign.objects.get()
    for name, value in changes.items():
        setattr(edited, name, value)
    assert list(lifecycle.find_edit_problems(edited, NOW)) == [field]
    assert lifecycle.find_edit_problems(campaign, NOW) == {}


def test_an_edit_may_not_close_an_active_campaign_to_everybody():
    campaign = CampaignFactory()
    make_never_callable(campaign)
    campaign.allowed_call_start, campaign.allowed_call_end = time(9), time(17)
    assert list(lifecycle.find_edit_problems(campaign, NOW)) == ["allowed_call_start"]


@pytest.mark.parametrize("status", sorted(set(CampaignStatus) - lifecycle.ACTIVE))
def test_a_campaign_that_is_not_active_may_be_edited_freely(status):
    campaign = make_campaign(status)
    campaign.intro_script = ""
    assert lifecycle.find_edit_problems(campaign, NOW) == {}


def test_an_edit_is_not_blamed_for_what_was_wrong_before():
    campaign = make_campaign("running", ends_at=EARLIER)
    campaign.name = "Another name"
    assert lifecycle.find_edit_problems(campaign, NOW) == {}


@pytest.mark.parametrize(
    "rules",
    [
        {"max_attempts": 1},
        {"retry_interval_minutes": 90},
        {"retry_busy": "5 min"},
        {"retry_no_answer": "5 min"},
        {"retry_failed": "5 min"},
        {"allowed_call_start": time(20), "allowed_call_end": time(21)},
        {"weekdays": [7]},
        {"weekday_hours": ["20:00-21:00"] * 7},
        {"blocked_dates": [HOLIDAY.date()]},
        {"holidays_of": "BG"},
        {"time_zone": "Pacific/Auckland", "weekdays": [1]},
    ],
    ids=lambda rules: next(iter(rules)),
)
def test_whatever_decides_when_somebody_is_tried_again_moves_those_who_wait(rules):
    outcome = {"retry_busy": "busy", "retry_failed": "failed"}.get(next(iter(rules)), "no_answer")
    campaign = CampaignFactory(max_attempts=3)
    contact = ContactFactory(
        campaign=campaign,
        calling_zone="",
        state="not_reached",
        attempts_count=1,
        last_outcome=outcome,
        last_attempt_at=HOLIDAY,
        next_attempt_at=HOLIDAY + timedelta(hours=1),
    )
    for name, value in rules.items():
        setattr(campaign, name, value)
    campaign.save()
    assert lifecycle.campaign_edited(campaign, changed_fields=[next(iter(rules))], now=HOLIDAY).contacts == 1
    contact.refresh_from_db()
    assert contact.next_attempt_at != HOLIDAY + timedelta(hours=1)


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_is_asked_for_twice_at_the_same_time_is_made_once():
    campaign, copy_id = make_campaign(), uuid7()
    with transaction.atomic():
        copy, is_new = lifecycle.duplicate(campaign, copy_id=copy_id)
        second = in_thread(lambda: lifecycle.duplicate(campaign, copy_id=copy_id))
        assert second(timeout=0.5) == "still at it"
    assert is_new and second(timeout=10) == (copy, False)
