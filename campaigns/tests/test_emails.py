import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from campaigns.emails import fill_in, fill_in_line, find_unknown
from campaigns.models import EmailText, EventType
from campaigns.tests.factories import CampaignFactory

VALUES = {"campaign": "Library", "reference": "P-17", "date": "2026-03-04"}


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("Thank you.", []),
        ("{campaign}, {reference}, {date}, {date}", []),
        ("{name} and {name} and {campaign}", ["{name}"]),
        ("{campaign.created_by}", ["{campaign.created_by}"]),
        ("{}", ["{}"]),
        ("{campaign!r} {0}", ["{campaign!r}", "{0}"]),
        ("{ campaign }", ["{ campaign }"]),
        ("a { b", ["{"]),
        ("{{campaign}}", ["{", "}"]),
    ],
)
def test_only_a_few_words_stand_for_something(text, unknown):
    assert find_unknown(text) == unknown


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{campaign}: {reference}, {date}", "Library: P-17, 2026-03-04"),
        ("{% if a %} {{ b }} %s", "{% if a %} {{ b }} %s"),
    ],
)
def test_words_are_replaced_and_nothing_else_is(text, filled):
    assert fill_in(text, VALUES) == filled


def test_what_is_filled_in_is_not_filled_in_again():
    assert fill_in("{campaign}", VALUES | {"campaign": "{reference}"}) == "{reference}"


def test_a_line_stays_a_line():
    assert fill_in_line("To {campaign}", {"campaign": "A\r\nBcc: b@example.org"}) == "To A Bcc: b@example.org"


@pytest.mark.django_db
@pytest.mark.parametrize("values", [{"subject": "{name}"}, {"body": "{name}"}, {"subject": "a\nb"}])
def test_a_text_with_other_words_or_lines_is_not_valid(values):
    text = EmailText(campaign=CampaignFactory(), **{"subject": "Thank you", "body": "Thank you."} | values)
    with pytest.raises(ValidationError) as refusal:
        text.full_clean()
    assert list(refusal.value.message_dict) == list(values)


@pytest.mark.django_db
def test_a_campaign_has_one_text_for_an_event_in_a_language():
    campaign = CampaignFactory()
    EmailText.objects.create(campaign=campaign, event=EventType.COMPLETED, language="it", subject="A", body="B")
    EmailText.objects.create(campaign=campaign, event=EventType.COMPLETED, language="en", subject="A", body="B")
    with pytest.raises(IntegrityError, match="email_text_is_one_per_language"), transaction.atomic():
        EmailText.objects.create(campaign=campaign, event=EventType.COMPLETED, language="it", subject="A", body="B")
