"""Which disposition a contact has: histories that were judged by hand, and random ones against a second opinion."""

from datetime import timedelta
from itertools import count
from typing import NamedTuple

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from calls import dispositions
from calls.dispositions import DISPOSITIONS, add_up, count_dispositions, filter_contacts, find_dispositions, list_names
from calls.erasure import anonymise
from calls.models import Answer, CallAttempt
from calls.rates import SYMBOLS
from calls.results import list_asked, read_results
from calls.tests.conftest import NOON, FakeClock
from calls.tests.factories import CallAttemptFactory
from campaigns.models import QuestionVersion
from campaigns.questions import freeze_questions
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.models import Contact, ContactState
from contacts.tests.factories import ContactFactory, make_number

pytestmark = pytest.mark.django_db

QUESTIONS = 4  # a campaign's in these tests, and one that is asked no more

MACHINE, FAX, GONE = {"answered_by": "machine_start"}, {"answered_by": "fax"}, {"sip_response_code": "404"}
PENDING, NOT_REACHED, EXCLUDED = ContactState.PENDING, ContactState.NOT_REACHED, ContactState.EXCLUDED
LISTED = {"state": EXCLUDED, "do_not_call": True}


class Call(NamedTuple):
    """``answered`` and ``consented`` say whether; an empty outcome is that of a call that goes on."""

    outcome: str = "no_answer"
    answered: bool = False
    consented: bool = False
    metadata: dict = {}
    given_back: bool = False

    def make(self, contact, number):
        at = NOON + timedelta(hours=number)
        return CallAttemptFactory.build(
            contact=contact,
            campaign=contact.campaign,
            phone_number=contact.phone_number,
            attempt_number=number,
            call_id=f"{contact.pk.hex[-20:]}-{number}",
            provider_call_id="",
            outcome=self.outcome,
            given_back=self.given_back,
            metadata=self.metadata,
            claimed_at=at,
            answered_at=at if self.answered else None,
            consented_at=at if self.consented else None,
            status="ended" if self.outcome else "ringing",
        )


HUNG_UP = Call(answered=True)
BROKE_OFF = Call(answered=True, consented=True)
BUSY, FAILED, NOT_ANSWERED = Call("busy"), Call("failed"), Call("no_answer")
NEVER_RANG = Call("failed", given_back=True)


@pytest.fixture
def campaign():
    campaign = CampaignFactory()
    for _ in range(QUESTIONS):
        QuestionFactory(campaign=campaign)
    QuestionFactory(campaign=campaign)
    freeze_questions(campaign)
    campaign.questions.filter(pk=campaign.questions.last().pk).update(is_withdrawn=True)
    return campaign


def answer(contact, attempt, question, value="3", is_current=True):
    return Answer(
        contact=contact,
        attempt=attempt,
        question=question,
        version=question.versions.get(),
        means="keys" if value else "nothing",
        raw=value,
        value=value,
        is_current=is_current,
        answered_at=NOON,
    )


def make_contact(campaign, calls=(), answers=0, **values):
    values = {"state": NOT_REACHED, "next_attempt_at": None} | values
    contact = ContactFactory(campaign=campaign, **values)
    attempts = [CallAttempt.objects.bulk_create([call.make(contact, n)])[0] for n, call in enumerate(calls, start=1)]
    questions = campaign.questions.filter(is_withdrawn=False)[:answers]
    Answer.objects.bulk_create(answer(contact, attempts[0], question) for question in questions)
    return contact


def judge(contact):
    return find_dispositions(contact.campaign_id, [contact.pk])[contact.pk].name


JUDGED = [
    # The state decides, whatever the calls were like.
    ("complete", [HUNG_UP, Call("completed", True, True)], {"state": "completed"}),
    ("complete", [Call("completed", True, True)], {"state": "completed", "do_not_call": True}),
    ("refusal", [Call("refused", True)], {"state": "refused"}),
    # Who agreed first and then said no has said no, with however many answers.
    ("refusal", [Call("refused", True, True)], {"state": "refused", "answers": 4}),
    ("refusal", [BROKE_OFF, Call("refused", True)], {"state": "refused", "answers": 4}),
    # Two of four questions are half of them.
    ("partial", [BROKE_OFF], {"answers": 2}),
    ("break_off", [BROKE_OFF], {"answers": 1}),
    ("break_off", [BROKE_OFF], {}),
    # A later call in which nobody was reached takes nothing back.
    ("partial", [BROKE_OFF, BUSY, NOT_ANSWERED], {"answers": 3}),
    ("break_off", [NOT_ANSWERED, BROKE_OFF, FAILED], {"answers": 1, "number_rejected": True}),
    # Nor does the list what was answered before.
    ("partial", [BROKE_OFF], {"answers": 2, **LISTED}),
    ("break_off", [BROKE_OFF], {"answers": 1, **LISTED}),
    # In a call, by the calls before it.
    ("not_attempted", [Call("", True, True)], {"state": "in_progress", "answers": 1}),
    ("break_off", [BROKE_OFF, Call("", True, True)], {"state": "in_progress", "answers": 1}),
    ("not_attempted", [Call("", True)], {"state": "in_progress"}),
    ("not_attempted", [Call("")], {"state": "in_progress"}),
    ("busy", [BUSY, Call("")], {"state": "in_progress"}),
    # Put on the list after a call, and before any.
    ("refusal", [NOT_ANSWERED], LISTED),
    ("refusal", [HUNG_UP], LISTED),
    ("excluded", [], LISTED),
    ("excluded", [NEVER_RANG], LISTED),
    ("not_working", [FAILED], {**LISTED, "number_rejected": True}),
    # Answered, and nobody said yes or no.
    ("non_contact", [HUNG_UP], {}),
    ("non_contact", [Call(answered=True, metadata={"answered_by": "unknown"})], {}),
    ("non_contact", [Call(answered=True, metadata=MACHINE), HUNG_UP], {}),
    ("non_contact", [HUNG_UP, FAILED], {"number_rejected": True}),
    ("machine", [Call(answered=True, metadata=MACHINE), BUSY], {}),
    ("machine", [Call(answered=True, metadata={"answered_by": "machine_end_beep"})], {}),
    ("machine", [Call(answered=True, metadata={"answered_by": "another's word", "answerer": "machine"})], {}),
    ("fax", [Call(answered=True, metadata={"answered_by": "another's word", "answerer": "fax"})], {}),
    ("non_contact", [Call(answered=True, metadata={"answered_by": "another's word", "answerer": "person"})], {}),
    ("machine", [Call(answered=True, metadata=FAX), Call(answered=True, metadata=MACHINE)], {}),
    ("fax", [Call(answered=True, metadata=FAX), NOT_ANSWERED], {}),
    ("other", [Call("failed", answered=True)], {}),
    ("other", [HUNG_UP, Call("failed", answered=True), BUSY], {}),
    ("machine", [Call("failed", answered=True, metadata=MACHINE)], {}),
    # Nobody has answered: whoever rang through once is no number that is always busy, and so on.
    ("no_answer", [BUSY, NOT_ANSWERED, FAILED], {}),
    ("busy", [FAILED, BUSY], {}),
    ("failed", [FAILED, FAILED], {}),
    ("not_working", [FAILED], {"number_rejected": True}),
    ("not_working", [NOT_ANSWERED, FAILED], {"number_rejected": True}),
    ("not_working", [Call("failed", metadata=GONE), FAILED], {}),
    ("not_working", [Call("no_answer", metadata={"sip_response_code": "410"})], {}),
    # A number that rings is in service, whatever the network said another time.
    ("no_answer", [Call("failed", metadata=GONE), NOT_ANSWERED], {}),
    ("busy", [Call("failed", metadata=GONE), BUSY], {}),
    ("no_answer", [Call("no_answer", metadata={"sip_response_code": "480"})], {}),
    # Not called.
    ("not_attempted", [], {"state": "pending", "next_attempt_at": NOON}),
    ("not_attempted", [NEVER_RANG, NEVER_RANG], {"state": "pending", "next_attempt_at": NOON}),
    ("no_answer", [NEVER_RANG, NOT_ANSWERED], {}),
]


@pytest.mark.parametrize(("expected", "calls", "values"), JUDGED)
def test_histories_that_were_judged_by_hand(campaign, expected, calls, values):
    assert judge(make_contact(campaign, calls, **values)) == expected


def test_every_disposition_was_judged_by_hand():
    assert {expected for expected, *_ in JUDGED} == set(DISPOSITIONS)


def test_only_current_answers_to_questions_that_are_asked_count_and_nothing_that_was_passed_over(campaign):
    contact = make_contact(campaign, [BROKE_OFF])
    attempt = contact.attempts.get()
    first, second, third, _, withdrawn = campaign.questions.all()
    answers = Answer.objects.bulk_create(
        [
            answer(contact, attempt, first),
            answer(contact, attempt, second, is_current=False),
            answer(contact, attempt, third, value=""),
            answer(contact, attempt, withdrawn),
        ]
    )
    assert judge(contact) == "break_off"
    Answer.objects.filter(pk=answers[1].pk).update(is_current=True)
    assert judge(contact) == "partial"


def test_words_that_were_erased_were_answered(campaign):
    contact = make_contact(campaign, [BROKE_OFF], answers=2)
    QuestionVersion.objects.update(type="free_text")
    assert judge(contact) == "partial"
    with transaction.atomic():
        anonymise([contact], now=NOON)
    assert not Answer.objects.exclude(value="")
    assert judge(contact) == "partial"


def test_without_questions_nobody_has_answered_half_of_them():
    assert judge(make_contact(CampaignFactory(), [BROKE_OFF])) == "break_off"


def test_who_was_erased_before_a_call_was_not_attempted(campaign):
    erased = {"phone_number": None, "erased_at": NOON}
    assert judge(make_contact(campaign, state=EXCLUDED, **erased)) == "not_attempted"
    assert judge(make_contact(campaign, state=EXCLUDED, do_not_call=True, **erased)) == "excluded"


def test_who_may_still_be_called_is_told_apart(campaign):
    make_contact(campaign, [BUSY], next_attempt_at=NOON)
    make_contact(campaign, [BUSY])
    make_contact(campaign, [BUSY, Call("")], state="in_progress")
    make_contact(CampaignFactory(), [BUSY])
    assert count_dispositions(campaign)["busy"] == (3, 2)


def test_what_few_have_may_take_long_to_find_and_nothing_after_it(campaign, monkeypatch):
    contact = make_contact(campaign, [BUSY])
    monkeypatch.setattr(dispositions, "SAMPLE", 1)
    monkeypatch.setattr(dispositions, "FREQUENT", 2)
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as queries:
        cursor.execute("SET LOCAL statement_timeout = '5s'")
        assert [*filter_contacts(Contact.objects.all(), campaign.pk, ["busy"])] == [contact]
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("5s",)
    assert any("'20s'" in query["sql"] for query in queries)


def test_each_symbol_but_unknown_other_comes_from_a_disposition():
    assert {one.symbol for one in DISPOSITIONS.values()} == {*SYMBOLS} - {"UO"}


# Random histories

calls = st.builds(
    Call,
    outcome=st.sampled_from(["no_answer", "no_answer", "busy", "failed", "completed", "refused"]),
    answered=st.booleans(),
    consented=st.sampled_from([False, False, False, True]),
    metadata=st.sampled_from([{}, {}, MACHINE, FAX, GONE, {"answered_by": "human"}]),
    given_back=st.sampled_from([False, False, False, True]),
)


@st.composite
def histories(draw):
    """A contact's values, its calls, and how many questions it has answered; what no contact can be is left out."""
    values = {"state": draw(st.sampled_from(ContactState.values))}
    can_wait = values["state"] in (PENDING, NOT_REACHED)
    values["do_not_call"] = not can_wait and draw(st.booleans())
    values["number_rejected"] = draw(st.sampled_from([False, False, True]))
    is_waiting = can_wait and not values["number_rejected"] and draw(st.booleans())
    values["next_attempt_at"] = NOON if is_waiting else None
    made = draw(st.lists(calls, max_size=4))
    if values["state"] == ContactState.IN_PROGRESS:
        made.append(draw(calls)._replace(outcome="", given_back=False))
    return values, made, draw(st.integers(0, QUESTIONS))


def get_second_opinion(values, made, answers):
    """By the table of docs/rates.md, row by row."""
    over = [call for call in made if not call.given_back and call.outcome not in ("", "completed", "refused")]
    if values["state"] in ("completed", "refused"):
        return "complete" if values["state"] == "completed" else "refusal"
    if any(call.consented for call in over):
        return "partial" if answers >= QUESTIONS / 2 else "break_off"
    if over and values["state"] == "excluded" and values["do_not_call"] and not values["number_rejected"]:
        return "refusal"
    answered_by = [(call, call.metadata.get("answered_by", "")) for call in over if call.answered]
    by_people = [call for call, by in answered_by if by not in ("machine_start", "fax")]
    if by_people:
        return "other" if any(call.outcome == "failed" for call in by_people) else "non_contact"
    if answered_by:
        return "machine" if any(by == "machine_start" for _, by in answered_by) else "fax"
    alive = [call for call in over if call.outcome == "busy" or (call.outcome == "no_answer" and call.metadata != GONE)]
    if values["number_rejected"] or (any(call.metadata == GONE for call in over) and not alive):
        return "not_working"
    if over:
        outcomes = {call.outcome for call in alive}
        return "no_answer" if "no_answer" in outcomes else "busy" if outcomes else "failed"
    return "excluded" if values["state"] == "excluded" and values["do_not_call"] else "not_attempted"


def list_ids(campaign, *names):
    """As a list finds them, whether few or many of those that it looks at first have it."""
    ways = []
    for sample, share, most in ((2000, 0.1, 10_000), (1, 2, 10_000), (1, 2, 0), (1, 0, 10_000)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dispositions, "SAMPLE", sample)
            patch.setattr(dispositions, "FREQUENT", share)
            patch.setattr(dispositions, "MOST_COUNTED", most)
            ways.append({*filter_contacts(Contact.objects.all(), campaign.pk, names).values_list("pk", flat=True)})
    assert ways == ways[:1] * 4
    return ways[0]


@settings(max_examples=settings.default.max_examples // 4)
@given(people=st.lists(histories(), min_size=1, max_size=12))
def test_every_contact_has_exactly_one_disposition_and_all_add_up(people):
    with transaction.atomic():
        campaign = CampaignFactory()
        questions = [QuestionFactory(campaign=campaign) for _ in range(QUESTIONS)]
        freeze_questions(campaign)
        numbers = count()
        contacts = Contact.objects.bulk_create(
            Contact(campaign=campaign, phone_number=make_number(next(numbers)), **values) for values, *_ in people
        )
        attempts, answers = [], []
        for contact, (_, made, answered) in zip(contacts, people, strict=True):
            own = [call.make(contact, number) for number, call in enumerate(made, start=1)]
            attempts += own
            answers += [answer(contact, own[0], question) for question in questions[: answered if own else 0]]
        CallAttempt.objects.bulk_create(attempts)
        Answer.objects.bulk_create(answers)
        expected = {
            contact.pk: get_second_opinion(values, made, answered if made else 0)
            for contact, (values, made, answered) in zip(contacts, people, strict=True)
        }

        found = find_dispositions(campaign.pk, [*expected])
        assert {contact: one.name for contact, one in found.items()} == expected
        counts = count_dispositions(campaign)
        listed = {name: list_ids(campaign, name) for name in DISPOSITIONS}
        assert listed == {name: {contact for contact, its in expected.items() if its == name} for name in DISPOSITIONS}
        by_symbol = {symbol: list_ids(campaign, *list_names(symbol)) for symbol in SYMBOLS}
        assert {symbol: len(ids) for symbol, ids in by_symbol.items() if ids} == +add_up(counts)
        assert {name: one.contacts for name, one in counts.items()} == {name: len(ids) for name, ids in listed.items()}
        assert sum(one.contacts for one in counts.values()) == sum(add_up(counts).values()) == len(people)
        assert sum(one.unfinished for one in counts.values()) == campaign.contacts.unfinished().count()
        broken_off = counts["partial"], counts["break_off"]
        results = read_results(campaign, list_asked(campaign), clock=FakeClock(NOON))
        assert results.broken_off.total() == sum(one.contacts for one in broken_off)
        assert results.called_again == sum(one.unfinished for one in broken_off)
        transaction.set_rollback(True)
