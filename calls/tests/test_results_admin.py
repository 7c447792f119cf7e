"""The pages of a campaign's results."""

import re
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.erasure import anonymise
from calls.models import Answer
from calls.recollection import recollection
from calls.tests.conftest import NOON
from calls.tests.surveyed import AGE, COLOURS, WORDS, YES_NO, ask, change, survey
from campaigns import long_lists
from campaigns.models import Question
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.models import Contact

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    recollection.forget()


@pytest.fixture
def campaign():
    return CampaignFactory(name="Spring")


def page_of(campaign, question=None):
    page = f"/admin/campaigns/campaign/{campaign.pk}/results/"
    return f"{page}{question.pk}/" if question else page


def text_of(response):
    """What is read in the page itself, in one line."""
    assert response.status_code == 200
    main = response.content.decode().partition('id="content"')[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def read(client, campaign, question=None, **query):
    return text_of(client.get(page_of(campaign, question), query))


def test_the_head_says_how_many_completed_refused_and_broke_off_and_how_long_it_took(admin_client, campaign):
    scale = ask(campaign).versions.get()
    for seconds in (60, 125, 300):
        survey(campaign, answers=[(scale, "4")], seconds=seconds)
    survey(campaign, "refused")
    survey(campaign, "refused", consented_at=None)
    survey(campaign, "no_answer", [(scale, "")], next_attempt_at=NOON)
    text = read(admin_client, campaign)
    assert "Results: Spring" in text
    assert "Completed surveys 3 60% of those who agreed to take part" in text
    assert "Answers 3 to the questions as they are asked now" in text
    assert "Refused 2 1 of them after agreeing" in text
    assert "Broken off 1 1 of them will be called again" in text
    assert "Duration of a survey 2 min 5 s the median" in text
    assert "Half of them took between 1 min 32 s and 3 min 32 s; the shortest 1 min 0 s, the longest 5 min 0 s" in text
    assert "Wednesday 4 March 2026 3" in text


def test_each_question_is_told_in_words_and_numbers(admin_client, campaign):
    values = ({"text_en": "How was it?"}, YES_NO, COLOURS, AGE, WORDS)
    scale, again, colour, age, words = (ask(campaign, position=n, **one).versions.get() for n, one in enumerate(values))
    survey(campaign, answers=[(scale, "4"), (again, "yes"), (colour, "2"), (age, "30"), (words, "All good.")])
    survey(campaign, answers=[(scale, "5"), (again, "no"), (colour, "2"), (age, "40"), (words, "")])
    text = read(admin_client, campaign)
    assert "1. How was it? 2 answers, 0 passed over · Scale from 1 to 5" in text
    assert "3 0 0% 4 1 50% 5 1 50% Median 4.5 Mean 4.5" in text
    assert "2. Again? 2 answers, 0 passed over · Yes or no Yes 1 50% No 1 50%" in text
    assert "Red 0 0% Blue 2 100%" in text
    assert "Median 35 Mean 35 Middle half 32.5 to 37.5 Least 30 Most 40" in text
    assert "5. What else? 1 answer, 1 passed over · In own words Read and search the answers" in text


def test_break_offs_are_told_by_question(admin_client, campaign):
    first = ask(campaign, text_en="How was it?", position=1).versions.get()
    ask(campaign, text_en="And now?", position=2)
    survey(campaign, answers=[(first, "4")])
    for _ in range(3):
        survey(campaign, "no_answer", [(first, "4")])
    survey(campaign, "no_answer")
    text = read(admin_client, campaign)
    assert "1. How was it? 1 25% 20% 2. And now? 3 75% 100%" in text


def test_a_campaign_that_has_asked_nothing_says_so(admin_client, campaign):
    QuestionFactory(campaign=campaign)
    text = read(admin_client, campaign)
    assert "Nothing has been asked yet." in text
    assert "nobody has agreed to take part yet" in text
    assert "Completed surveys over time" not in text


def test_a_version_can_be_looked_at_alone(admin_client, campaign):
    question = ask(campaign, **COLOURS)
    old = question.versions.get()
    new = change(question, text_en="Which one?", choices_en=["Green", "Red"])
    survey(campaign, answers=[(old, "1")])
    survey(campaign, answers=[(new, "2")])
    text = read(admin_client, campaign)
    assert "All 2 versions Version 1 Version 2 Green 0 0% Red 2 100% Blue 0 0%" in text
    assert "How it was asked 1 Which? One of several, since 2 Feb 2026, 12:00:00 1: Red 2: Blue 2 Which one?" in text
    alone = read(admin_client, campaign, version=old.pk)
    assert "1. Which? 1 answer" in alone and "Red 1 100% Blue 0 0%" in alone and "Green 0" not in alone
    assert read(admin_client, campaign, version="nonsense") == text
    assert read(admin_client, campaign, version=uuid4()) == text
    page = admin_client.get(page_of(campaign), {"version": old.pk}).content.decode()
    assert re.search(rf'\?version={old.pk}#question-{question.pk}" aria-current="true"', page)


def test_answers_to_another_scale_stand_apart(admin_client, campaign):
    question = ask(campaign)
    old = question.versions.get()
    new = change(question, lowest=0, highest=10)
    survey(campaign, answers=[(old, "5")])
    survey(campaign, answers=[(new, "5")])
    text = read(admin_client, campaign)
    assert "Version 2: Scale from 0 to 10 1 answer" in text
    assert "Version 1: Scale from 1 to 5 1 answer" in text
    assert "Answers 1 to the questions as they are asked now" in text


def test_a_withdrawn_question_is_marked(admin_client, campaign):
    version = ask(campaign, text_en="How was it?").versions.get()
    survey(campaign, answers=[(version, "5")])
    Question.objects.update(is_withdrawn=True)
    assert "1. How was it? asked no more 1 answer" in read(admin_client, campaign)


def test_what_people_wrote_into_questions_is_no_markup(admin_client, campaign):
    choices = {**COLOURS, "choices_en": ["<b>Red</b>", "Blue"]}
    ask(campaign, **choices | {"text_en": "<script>alert(1)</script>"})
    page = admin_client.get(page_of(campaign)).content.decode()
    assert "<script>alert" not in page and "<b>Red" not in page


def test_it_takes_as_many_queries_whatever_is_asked_and_however_many_have_answered(admin_client, campaign):
    def count():
        admin_client.get(page_of(campaign))
        recollection.forget()
        with CaptureQueriesContext(connection) as queries:
            read(admin_client, campaign)
        return len(queries)

    version = ask(campaign).versions.get()
    few = count()
    for values in (YES_NO, COLOURS, AGE, WORDS, {}):
        change(ask(campaign, **values), text_en="Otherwise?")
    for outcome in ("completed", "refused", "no_answer"):
        for _ in range(4):
            survey(campaign, outcome, [(version, "3")])
    assert count() == few


def test_the_campaigns_page_leads_to_its_results(admin_client, campaign):
    page = admin_client.get(f"/admin/campaigns/campaign/{campaign.pk}/change/").content.decode()
    assert f'href="{page_of(campaign)}"' in page


# Own words


def test_own_words_are_listed_the_newest_first_with_their_calls(admin_client, campaign):
    words = ask(campaign, **WORDS).versions.get()
    first = survey(campaign, answers=[(words, "All good.")])
    survey(campaign, answers=[(words, "Too loud, by far.")])
    survey(campaign, answers=[(words, "")])
    Answer.objects.filter(attempt=first).update(confidence=0.54)
    text = read(admin_client, campaign, words.question)
    assert text.index("Too loud, by far.") < text.index("All good.")
    assert "2 answers" in text
    assert "All good. Call of 4 Mar 2026, 12:00:00 · recognised with 54%" in text
    page = admin_client.get(page_of(campaign, words.question)).content.decode()
    assert f'href="/admin/calls/callattempt/{first.pk}/change/"' in page


def test_own_words_are_searched(admin_client, campaign):
    words = ask(campaign, **WORDS).versions.get()
    for value in ("All good.", "Too LOUD.", "100% loud"):
        survey(campaign, answers=[(words, value)])
    text = read(admin_client, campaign, words.question, q=" loud ")
    assert "2 answers" in text and "Too LOUD." in text and "All good." not in text
    assert "1 answer" in read(admin_client, campaign, words.question, q="0%")
    assert "0 answers" in read(admin_client, campaign, words.question, q="\x00<b>")


def test_long_lists_of_words_have_pages_that_keep_the_search(admin_client, campaign, monkeypatch):
    monkeypatch.setattr("calls.results_admin.WORDS_PER_PAGE", 2)
    words = ask(campaign, **WORDS).versions.get()
    for number in range(5):
        survey(campaign, answers=[(words, f"Number {number}")])
    first = admin_client.get(page_of(campaign, words.question), {"q": "number"})
    assert "Page 1 of 3" in text_of(first)
    assert 'href="?q=number&amp;p=2"' in first.content.decode()
    last = read(admin_client, campaign, words.question, q="number", p=3)
    assert "Number 0" in last and "Number 1" not in last
    assert "Page 3 of 3" in read(admin_client, campaign, words.question, p="99")
    assert "Page 1 of 3" in read(admin_client, campaign, words.question, p="x")


def test_words_of_one_version_alone(admin_client, campaign):
    question = ask(campaign, **WORDS)
    old = question.versions.get()
    new = change(question, text_en="Anything else?")
    survey(campaign, answers=[(old, "All good.")])
    survey(campaign, answers=[(new, "Too loud.")])
    text = read(admin_client, campaign, question, version=old.pk)
    assert "What else?" in text and "Of version 1 alone." in text and "Too loud." not in text
    both = read(admin_client, campaign, question)
    assert "Anything else?" in both and "12:00:00 · Version 2" in both


def test_of_whoever_is_erased_no_words_are_listed(admin_client, campaign):
    words = ask(campaign, **WORDS).versions.get()
    survey(campaign, answers=[(words, "I am Bruna.")])
    anonymise(list(Contact.objects.all()), now=NOON)
    text = read(admin_client, campaign, words.question)
    assert "0 answers" in text and "Bruna" not in text
    assert "1 answer, 0 passed over · In own words" in read(admin_client, campaign)


def test_a_search_that_takes_too_long_is_given_up(admin_client, campaign, monkeypatch):
    words = ask(campaign, **WORDS).versions.get()
    survey(campaign, answers=[(words, "All good.")])
    with connection.cursor() as cursor:
        cursor.execute("CREATE FUNCTION pg_temp.slow(text) RETURNS text LANGUAGE sql AS 'SELECT $1 FROM pg_sleep(0.2)'")
    monkeypatch.setattr(long_lists, "MOST_SECONDS", 0.05)

    def find_slowly(*args, **kwargs):
        return Answer.objects.extra(where=["pg_temp.slow(value) <> ''"])

    monkeypatch.setattr("calls.results_admin.find_words", find_slowly)
    assert "takes too long" in read(admin_client, campaign, words.question, q="x")


def test_only_a_question_in_own_words_of_this_campaign_has_a_list(admin_client, campaign):
    scale, elsewhere = ask(campaign), ask(CampaignFactory(), **WORDS)
    assert admin_client.get(page_of(campaign, scale)).headers["Location"] == page_of(campaign)
    assert admin_client.get(page_of(campaign, elsewhere)).status_code == 404
    assert admin_client.get(f"/admin/campaigns/campaign/{uuid4()}/results/").status_code == 404


# Who may see them


@pytest.mark.parametrize(("role", "status"), [("", 403), ("viewer", 200), ("campaign_manager", 200), ("admin", 200)])
def test_whoever_sees_campaigns_and_calls_sees_the_results(client, campaign, role, status):
    user = User.objects.create_user("somebody", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    client.force_login(user)
    question = ask(campaign, **WORDS)
    assert client.get(page_of(campaign)).status_code == status
    assert client.get(page_of(campaign, question)).status_code == status
    if role:
        page = client.get(f"/admin/campaigns/campaign/{campaign.pk}/change/").content.decode()
        assert page_of(campaign) in page


@pytest.mark.parametrize(
    ("missing", "results", "words"),
    [("view_campaign", 403, 403), ("view_callattempt", 403, 403), ("view_contact", 200, 403)],
)
def test_own_words_are_for_whoever_sees_contacts_too(client, campaign, missing, results, words):
    user = User.objects.create_user("somebody", is_staff=True)
    allowed = {"view_campaign", "view_callattempt", "view_contact"} - {missing}
    user.user_permissions.set(Permission.objects.filter(codename__in=allowed))
    client.force_login(user)
    question = ask(campaign, **WORDS)
    survey(campaign, answers=[(question.versions.get(), "More chairs")])
    assert client.get(page_of(campaign, question)).status_code == words
    page = client.get(page_of(campaign))
    assert page.status_code == results
    assert page_of(campaign, question) not in page.content.decode()


def test_who_may_read_own_words_is_led_to_them(admin_client, campaign):
    question = ask(campaign, **WORDS)
    survey(campaign, answers=[(question.versions.get(), "More chairs")])
    assert page_of(campaign, question) in admin_client.get(page_of(campaign)).content.decode()


def test_who_is_not_signed_in_is_sent_to_do_so(client, campaign):
    assert client.get(page_of(campaign)).headers["Location"].startswith("/admin/login/")


def test_figures_are_remembered_for_a_moment(admin_client, campaign, monkeypatch):
    version = ask(campaign).versions.get()
    monkeypatch.setattr("calls.recollection.REST", 1_000_000)
    assert "Completed surveys 0" in read(admin_client, campaign)
    survey(campaign, answers=[(version, "1")], at=NOON + timedelta(hours=1))
    assert "Completed surveys 0" in read(admin_client, campaign)
    recollection.forget()
    assert "Completed surveys 1" in read(admin_client, campaign)
