import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from calls.tests.factories import AnswerFactory, CallAttemptFactory
from campaigns import lifecycle
from campaigns.models import EmailText, Question, QuestionType, QuestionVersion
from campaigns.question_admin import SOMEBODY_HAS_REMOVED_IT
from campaigns.questions import find_faults, freeze_questions, list_questions, list_versions
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from campaigns.tests.test_admin import form_of, page_of
from campaigns.tests.test_lifecycle import NOW
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db

NO_LIMITS = {"lowest": None, "highest": None}


def make_ready(**fields):
    campaign = CampaignFactory(status="draft", **fields)
    ContactFactory(campaign=campaign)
    return campaign


def problems_of(campaign):
    with pytest.raises(lifecycle.LifecycleError) as raised:
        lifecycle.activate(campaign, now=NOW)
    return raised.value.problems


def write(questions, **changes):
    """The fields of a campaign's form with these questions, each a mapping, the stored ones first."""
    stored = sum("id" in question for question in questions)
    data = {"questions-TOTAL_FORMS": len(questions), "questions-INITIAL_FORMS": stored}
    for number, question in enumerate(questions):
        fields = {"position": number + 1, "type": "scale", "text_en": "How was it?", "lowest": 1, "highest": 5}
        for name, value in (fields | {"is_required": "on"} | question).items():
            data[f"questions-{number}-{name}"] = "" if value is None else value
    return data | changes


def errors_of(response):
    (formset,) = (inline.formset for inline in response.context["inline_admin_formsets"])
    return formset.errors


# What can be asked


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"type": "scale", "lowest": 0, "highest": 10}, set()),
        ({"type": "scale", "lowest": 1, "highest": 11}, {"highest"}),
        ({"type": "scale", "lowest": None, "highest": 5}, {"lowest"}),
        ({"type": "scale", **NO_LIMITS}, {"lowest", "highest"}),
        ({"type": "scale", "lowest": 5, "highest": 5}, {"highest"}),
        ({"type": "numeric", **NO_LIMITS}, set()),
        ({"type": "numeric", "lowest": 18, "highest": None}, set()),
        ({"type": "numeric", "lowest": 18, "highest": 17}, {"highest"}),
        ({"type": "yes_no", **NO_LIMITS}, set()),
        ({"type": "free_text", **NO_LIMITS}, set()),
        ({"type": "single_choice", **NO_LIMITS, "choices_en": ["A", "B"]}, set()),
        ({"type": "single_choice", **NO_LIMITS, "choices_en": ["A"]}, {"choices_en"}),
        ({"type": "single_choice", **NO_LIMITS, "choices_en": list("ABCDEFGHI")}, {"choices_en"}),
        ({"type": "single_choice", **NO_LIMITS, "choices_en": ["Yes", "yes"]}, {"choices_en"}),
        ({"type": "single_choice", **NO_LIMITS, "choices_en": ["A", "B"], "choices_it": ["A", "B"]}, set()),
        (
            {"type": "single_choice", **NO_LIMITS, "choices_en": ["A", "B"], "choices_it": ["A", "B", "C"]},
            {"choices_it"},
        ),
    ],
)
def test_what_is_at_fault_with_a_question(fields, faults):
    assert find_faults(QuestionFactory.build(**fields)).keys() == faults


@pytest.mark.parametrize("model", [Question, QuestionVersion])
@pytest.mark.parametrize(
    "fields", [{"lowest": 5, "highest": 5}, {"type": "scale", **NO_LIMITS}, {"type": "scale", "highest": 11}]
)
def test_the_database_keeps_no_limits_without_sense(model, fields):
    question = QuestionFactory()
    freeze_questions(question.campaign)
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.update(**fields)


def test_a_version_has_its_number_alone():
    question = QuestionFactory()
    for expected in (1, 0):
        assert freeze_questions(question.campaign) == expected
    with pytest.raises(IntegrityError), transaction.atomic():
        QuestionVersion.objects.create(question=question, number=1, lowest=1, highest=2)


# Starting


def test_activation_names_each_text_that_is_missing():
    campaign = make_ready(language="it", intro_script_other="Good day.")
    QuestionFactory(campaign=campaign, position=1, text_it="Com'è?", text_en="How is it?")
    QuestionFactory(campaign=campaign, position=2, text_it="", text_en="And that?")
    QuestionFactory(
        campaign=campaign, position=3, type="single_choice", **NO_LIMITS, text_it="Quale?", choices_it=["A", "B"]
    )
    assert problems_of(campaign) == [
        "Question 2: It has no text in Italian.",
        "Question 3: It has no choices in English.",
    ]


def test_only_the_languages_that_are_spoken_are_needed():
    campaign = make_ready(language="en")
    QuestionFactory(campaign=campaign, text_en="How is it?", text_it="")
    assert lifecycle.activate(campaign, now=NOW).status == "running"


def test_a_campaign_asks_what_it_had_when_it_started_and_what_was_edited_since():
    campaign = make_ready()
    first, second = (QuestionFactory(campaign=campaign, position=place, text_en="Old") for place in (1, 2))
    assert list_versions(campaign) == []
    lifecycle.activate(campaign, now=NOW)
    assert [(version.question, version.number) for version in list_versions(campaign)] == [(first, 1), (second, 1)]
    Question.objects.filter(pk=first.pk).update(text_en="New", position=3)
    freeze_questions(campaign)
    assert [(version.text_en, version.number) for version in list_versions(campaign)] == [("Old", 1), ("New", 2)]
    assert QuestionVersion.objects.get(question=first, number=1).text_en == "Old"


def test_a_pause_without_an_edit_makes_no_version():
    campaign = make_ready()
    QuestionFactory(campaign=campaign)
    for step in (lifecycle.activate, lifecycle.pause, lifecycle.resume):
        step(campaign, now=NOW)
    assert QuestionVersion.objects.count() == 1


# The page


def test_questions_are_written_on_the_page_of_the_campaign(admin_client):
    campaign = CampaignFactory(status="draft")
    choice = {"type": "single_choice", **NO_LIMITS, "choices_en": " Books \n\nMusic\n", "choices_it": ""}
    choice["position"] = ""  # the last one
    data = form_of(campaign, **write([choice, {"position": 7}, {"type": "yes_no", "choices_en": "left over"}]))
    assert admin_client.post(page_of(campaign), data).status_code == 302
    stored = list_questions(campaign)
    assert [(question.position, question.type) for question in stored] == [
        (1, QuestionType.YES_NO),
        (2, QuestionType.SCALE),
        (3, QuestionType.SINGLE_CHOICE),
    ]
    assert (stored[0].lowest, stored[0].choices_en) == (None, [])
    assert stored[2].choices_en == ["Books", "Music"]
    assert "Added question" in LogEntry.objects.get().get_change_message()
    assert not QuestionVersion.objects.exists()


def test_a_dragged_question_comes_first_though_counting_begins_with_0(admin_client):
    campaign = CampaignFactory(status="draft")
    first, second = (QuestionFactory(campaign=campaign, position=place) for place in (1, 2))
    data = form_of(campaign, **write([{"id": first.pk, "position": 1}, {"id": second.pk, "position": 0}]))
    assert admin_client.post(page_of(campaign), data).status_code == 302
    stored = list_questions(campaign)
    assert [(question.pk, question.position) for question in stored] == [(second.pk, 1), (first.pk, 2)]


def test_the_history_says_what_was_changed_in_which_question(admin_client):
    campaign = CampaignFactory(status="draft")
    questions = [QuestionFactory(campaign=campaign, position=place, text_en="Same?") for place in (1, 2)]
    fields = [{"id": question.pk, "text_en": "Same?", "position": place} for place, question in enumerate(questions, 1)]
    fields[1] |= {"highest": 7, "text_en": "Or not?"}
    data = form_of(campaign, **write([*fields, {"position": "", "text_en": "New?"}]))
    assert admin_client.post(page_of(campaign), data).status_code == 302
    assert LogEntry.objects.get().get_change_message() == (
        "Added question “New?”. Changed Text in English (Same? → Or not?) and Highest (5 → 7) for question “Or not?”."
    )


@pytest.mark.parametrize(
    ("moves", "order"),
    [
        ({0: 2}, "bac"),
        ({0: 3}, "bca"),
        ({2: 1}, "cab"),
        ({2: 0}, "cab"),
        ({0: ""}, "bca"),
        ({0: 99, 1: 98}, "cba"),
        ({0: 3, 1: 1, 2: 2}, "bca"),
        ({}, "abc"),
    ],
)
def test_a_question_comes_to_the_place_that_was_typed(admin_client, moves, order):
    campaign = CampaignFactory(status="draft")
    questions = [
        QuestionFactory(campaign=campaign, position=place, text_en=name) for place, name in enumerate("abc", 1)
    ]
    fields = [{"id": question.pk, "text_en": question.text_en} for question in questions]
    for index, position in moves.items():
        fields[index]["position"] = position
    assert admin_client.post(page_of(campaign), form_of(campaign, **write(fields))).status_code == 302
    stored = list_questions(campaign)
    assert ("".join(question.text_en for question in stored), [each.position for each in stored]) == (order, [1, 2, 3])


def test_the_history_says_that_a_question_became_the_last_one(admin_client):
    campaign = CampaignFactory(status="draft")
    first, second = (QuestionFactory(campaign=campaign, position=place) for place in (1, 2))
    data = form_of(campaign, **write([{"id": first.pk, "position": ""}, {"id": second.pk, "position": 2}]))
    assert admin_client.post(page_of(campaign), data).status_code == 302
    assert "Position (1 → the last one)" in LogEntry.objects.get().get_change_message()


def test_what_the_page_does_not_show_is_no_reason_to_refuse(admin_client):
    campaign = CampaignFactory(status="draft")
    data = form_of(
        campaign, **write([{"type": "yes_no", "lowest": "-5", "highest": "2000000000", "choices_it": "x" * 200}])
    )
    assert admin_client.post(page_of(campaign), data).status_code == 302
    (question,) = list_questions(campaign)
    assert (question.lowest, question.highest, question.choices_it) == (None, None, [])


def seen_on(admin_client, campaign):
    """The fields of the questions' forms, as the page shows them now."""
    (formset,) = (inline.formset for inline in admin_client.get(page_of(campaign)).context["inline_admin_formsets"])
    return [
        {
            "id": form.instance.pk,
            "position": form.instance.position,
            "text_en": form.instance.text_en,
            "seen": form["seen"].value(),
        }
        for form in formset.initial_forms
    ]


def test_who_edits_a_text_leaves_the_order_to_who_has_changed_it_meanwhile(admin_client):
    campaign = CampaignFactory(status="draft")
    first, second = (QuestionFactory(campaign=campaign, position=place, text_en="Old") for place in (1, 2))
    fields = seen_on(admin_client, campaign)
    Question.objects.filter(pk=first.pk).update(position=2)
    Question.objects.filter(pk=second.pk).update(position=1)
    fields[0]["text_en"] = "New"
    assert admin_client.post(page_of(campaign), form_of(campaign, **write(fields))).status_code == 302
    assert [(question.pk, question.text_en) for question in list_questions(campaign)] == [
        (second.pk, "Old"),
        (first.pk, "New"),
    ]
    assert "Position" not in LogEntry.objects.get().get_change_message()


def remove_elsewhere(question, has_run):
    """As another operator does while the page is open: one that was asked stays, withdrawn."""
    if has_run:
        Question.objects.filter(pk=question.pk).update(is_withdrawn=True)
    else:
        question.delete()


@pytest.mark.parametrize("has_run", [False, True])
def test_a_question_that_somebody_else_has_removed_is_told_if_it_was_edited_here(admin_client, has_run):
    campaign = CampaignFactory(status="draft")
    gone, other = (QuestionFactory(campaign=campaign, position=place, text_en="Old") for place in (1, 2))
    fields = seen_on(admin_client, campaign)
    remove_elsewhere(gone, has_run)
    fields[0]["text_en"], fields[1]["text_en"] = "Mine", "New"
    response = admin_client.post(page_of(campaign), form_of(campaign, **write(fields)))
    assert errors_of(response) == [{}, {"text_en": [str(SOMEBODY_HAS_REMOVED_IT)]}]
    again = [fields[1], {name: value for name, value in fields[0].items() if name != "id"}]
    assert admin_client.post(page_of(campaign), form_of(campaign, **write(again))).status_code == 302
    stored = list_questions(campaign)
    assert sorted(question.text_en for question in stored) == ["Mine", "New"]
    assert other in stored and gone not in stored


@pytest.mark.parametrize("has_run", [False, True])
def test_a_question_that_somebody_else_has_removed_is_gone_if_it_was_left_alone_here(admin_client, has_run):
    campaign = CampaignFactory(status="draft")
    gone, other = (QuestionFactory(campaign=campaign, position=place, text_en="Old") for place in (1, 2))
    fields = seen_on(admin_client, campaign)
    remove_elsewhere(gone, has_run)
    fields[1]["text_en"] = "New"
    assert admin_client.post(page_of(campaign), form_of(campaign, **write(fields))).status_code == 302
    assert [(question.pk, question.text_en) for question in list_questions(campaign)] == [(other.pk, "New")]


def test_a_position_that_is_none_is_refused(admin_client):
    campaign = CampaignFactory(status="draft")
    response = admin_client.post(page_of(campaign), form_of(campaign, **write([{"position": "40000"}])))
    assert list(errors_of(response)[0]) == ["position"]


def test_what_is_wrong_is_told_beside_its_field(admin_client):
    campaign = CampaignFactory(status="draft")
    response = admin_client.post(page_of(campaign), form_of(campaign, **write([{"lowest": 7}])))
    assert errors_of(response) == [{"highest": ["It must be larger than the lowest."]}]
    assert not Question.objects.exists()


def test_an_active_campaign_keeps_no_question_that_it_cannot_ask(admin_client):
    campaign = make_ready()
    question = QuestionFactory(campaign=campaign)
    lifecycle.activate(campaign, now=NOW)
    data = form_of(campaign, **write([{"id": question.pk, "text_en": " "}]))
    assert errors_of(admin_client.post(page_of(campaign), data)) == [{"text_en": ["It has no text in English."]}]
    data = form_of(campaign, intro_script_other="Buongiorno.", **write([{"id": question.pk}]))
    assert errors_of(admin_client.post(page_of(campaign), data)) == [{"text_it": ["It has no text in Italian."]}]


def test_an_edit_of_what_has_run_is_a_new_version(admin_client):
    campaign = make_ready()
    question = QuestionFactory(campaign=campaign, text_en="Old")
    lifecycle.activate(campaign, now=NOW)
    data = form_of(campaign, **write([{"id": question.pk, "text_en": "New"}, {"text_en": "One more"}]))
    assert admin_client.post(page_of(campaign), data).status_code == 302
    asked = [(version.text_en, version.number) for version in list_versions(campaign)]
    assert asked == [("New", 2), ("One more", 1)]


def test_the_first_question_of_a_campaign_that_runs_is_asked_from_then_on(admin_client):
    campaign = CampaignFactory(status="running")
    assert admin_client.post(page_of(campaign), form_of(campaign, **write([{}]))).status_code == 302
    assert [version.number for version in list_versions(campaign)] == [1]


def test_a_campaign_does_not_start_without_a_question_and_keeps_one_as_long_as_it_rings(admin_client):
    campaign = make_ready()
    assert problems_of(campaign) == ["It asks nothing: write at least one question."]
    question = QuestionFactory(campaign=campaign)
    lifecycle.activate(campaign, now=NOW)
    response = admin_client.post(page_of(campaign), form_of(campaign, **write([{"id": question.pk, "DELETE": "on"}])))
    assert "A campaign that rings people keeps a question" in response.content.decode()
    assert [one.pk for one in list_questions(campaign)] == [question.pk]


def test_a_question_that_was_asked_is_withdrawn_and_another_one_goes_away(admin_client):
    campaign = make_ready()
    asked = QuestionFactory(campaign=campaign, position=1)
    lifecycle.activate(campaign, now=NOW)
    lifecycle.pause(campaign, now=NOW)
    new = QuestionFactory(campaign=campaign, position=2)
    gone = [{"id": one.pk, "DELETE": "on"} for one in (asked, new)]
    assert admin_client.post(page_of(campaign), form_of(campaign, **write(gone))).status_code == 302
    assert list(Question.objects.values_list("pk", "is_withdrawn")) == [(asked.pk, True)]
    assert (list_versions(campaign), asked.versions.count()) == ([], 1)
    assert asked.text_en not in admin_client.get(page_of(campaign)).content.decode()


def test_somebody_elses_edit_of_a_question_is_not_taken_back_unasked(admin_client):
    campaign = CampaignFactory(status="draft")
    question = QuestionFactory(campaign=campaign, text_en="First")
    page = admin_client.get(page_of(campaign))
    (form,) = page.context["inline_admin_formsets"][0].formset.initial_forms
    seen = form["seen"].value()
    assert f'name="questions-0-seen" value="{seen}"' in page.content.decode()
    Question.objects.update(text_en="Theirs")
    ours = {"id": question.pk, "text_en": "Ours", "seen": seen}
    response = admin_client.post(page_of(campaign), form_of(campaign, **write([ours])))
    ((_name, (error,)),) = errors_of(response)[0].items()
    assert "Theirs" in error
    assert Question.objects.get().text_en == "Theirs"


def test_a_copy_writes_the_same_e_mails(admin_user):
    campaign = CampaignFactory()
    EmailText.objects.create(campaign=campaign, language="it", subject="Grazie", body="Grazie {reference}.")
    copy, _is_new = lifecycle.duplicate(campaign, copy_id=Question().pk, created_by=admin_user)
    assert [(text.event, text.language, text.subject, text.body) for text in copy.email_texts.all()] == [
        ("survey.completed", "it", "Grazie", "Grazie {reference}.")
    ]
    assert campaign.email_texts.count() == 1


def test_a_copy_asks_the_same(admin_user):
    campaign = CampaignFactory()
    QuestionFactory(campaign=campaign, position=1, text_en="One")
    QuestionFactory(campaign=campaign, position=2, text_en="Withdrawn", is_withdrawn=True)
    copy, _is_new = lifecycle.duplicate(campaign, copy_id=Question().pk, created_by=admin_user)
    assert [(question.position, question.text_en) for question in list_questions(copy)] == [(1, "One")]


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("campaign_manager", True), ("admin", True)])
def test_who_may_write_questions(client, django_user_model, role, may):
    user = django_user_model.objects.create_user("somebody", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    campaign = CampaignFactory(status="draft")
    QuestionFactory(campaign=campaign, text_en="How is it, then?")
    page = client.get(page_of(campaign)).content.decode()
    assert "How is it, then?" in page
    assert ('name="questions-0-text_en"' in page) == may
    response = client.post(page_of(campaign), form_of(campaign, **write([{"text_en": "Another"}])))
    assert response.status_code == (302 if may else 403)
    assert Question.objects.filter(text_en="Another").exists() == may


def test_a_question_that_was_answered_is_withdrawn_and_keeps_its_answers(admin_client):
    campaign = make_ready()
    asked = QuestionFactory(campaign=campaign, position=1)
    QuestionFactory(campaign=campaign, position=2)
    lifecycle.activate(campaign, now=NOW)
    attempt = CallAttemptFactory(contact=campaign.contacts.get())
    AnswerFactory(attempt=attempt, version=asked.versions.get())
    kept, gone = list_questions(campaign)[1], {"id": asked.pk, "DELETE": "on"}
    data = form_of(campaign, **write([gone, {"id": kept.pk}]))
    assert admin_client.post(page_of(campaign), data).status_code == 302
    asked.refresh_from_db()
    assert (asked.is_withdrawn, asked.answers.count()) == (True, 1)


def test_what_is_asked_in_a_paused_campaign_is_complete_because_calls_may_be_going_on(admin_client):
    campaign = make_ready()
    question = QuestionFactory(campaign=campaign)
    lifecycle.activate(campaign, now=NOW)
    lifecycle.pause(campaign, now=NOW)
    data = form_of(campaign, **write([{"id": question.pk, "text_en": ""}]))
    assert "It has no text in English." in admin_client.post(page_of(campaign), data).content.decode()
    assert [version.text_en for version in list_versions(campaign)] == [question.text_en]


@pytest.mark.parametrize(("status", "versions"), [("completed", 1), ("paused", 2), ("running", 2)])
def test_an_edit_is_a_version_where_calls_may_be_going_on(admin_client, status, versions):
    campaign = make_ready()
    question = QuestionFactory(campaign=campaign)
    lifecycle.activate(campaign, now=NOW)
    type(campaign).objects.update(status=status)
    data = form_of(campaign, **write([{"id": question.pk, "text_en": "How was it, really?"}]))
    assert admin_client.post(page_of(campaign), data).status_code == 302
    assert question.versions.count() == versions


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"text_en": "x" * 1001}, "at most 1000 characters"),
        ({"type": "numeric", "lowest": "", "highest": "0"}, "It must be larger than the lowest."),
        (
            {"type": "single_choice", "lowest": "", "highest": "", "choices_en": "a\n" + "b" * 101},
            "Choice 2 is longer than 100 characters.",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_beside_its_field(admin_client, values, problem):
    campaign = make_ready()
    assert problem in admin_client.post(page_of(campaign), form_of(campaign, **write([values]))).content.decode()


def test_a_question_whose_limits_make_no_sense_keeps_a_campaign_from_starting():
    campaign = make_ready()
    QuestionFactory(campaign=campaign, type="single_choice", lowest=None, highest=None, choices_en=["one"])
    assert problems_of(campaign) == ["Question 1: Write 2 to 8 choices, one a line."]
