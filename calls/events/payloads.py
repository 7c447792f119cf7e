"""What a subscriber is told of an event, looked up when it is told.

So an erased person is found in no outbox, and what was sent again says what is true now. What an event is about does
not change: its type, its instant, and the ids of the contact and of the attempt.
"""

import json
from datetime import datetime
from typing import Any

from calls.answer_wording import say_question, say_value
from calls.events.models import SurveyEvent, WebhookSubscription
from calls.models import Answer
from campaigns.models import Language, QuestionType


def make_body(event: SurveyEvent, subscription: WebhookSubscription) -> bytes:
    return write_body(event, subscription).encode()


def write_body(event: SurveyEvent, subscription: WebhookSubscription, *, indent: int | None = None) -> str:
    """JSON, with instants in ISO 8601 and UTC."""
    payload = {"type": event.type, "timestamp": _write(event.occurred_at), "data": _describe(event, subscription)}
    return json.dumps(payload, ensure_ascii=False, indent=indent)


def _describe(event: SurveyEvent, subscription: WebhookSubscription) -> dict[str, Any]:
    contact, attempt = event.contact, event.attempt
    data: dict[str, Any] = {
        "campaign_id": str(contact.campaign_id),
        "campaign_name": contact.campaign.name,
        "contact_id": str(contact.pk),
        "external_contact_id": contact.external_contact_id,
        "is_erased": contact.erased_at is not None,
        "attempt_id": str(attempt.pk),
        "attempt_count": attempt.attempt_number,
        "outcome": event.type.removeprefix("survey."),
        "started_at": _write(attempt.started_at),
        "answered_at": _write(attempt.answered_at),
        "consented_at": _write(attempt.consented_at),
    }
    if subscription.sends_phone_number:
        data["phone_number"] = contact.phone_number
    if subscription.sends_answers:
        data["answers"] = [] if contact.erased_at else [_describe_answer(answer) for answer in _find_answers(event)]
    return data


def _find_answers(event: SurveyEvent) -> list[Answer]:
    """In the order of the questions. Of one who was not reached those given before a call broke off."""
    current = Answer.objects.filter(contact=event.contact_id, is_current=True).select_related("version", "question")
    return sorted(current, key=lambda answer: (answer.question.position, answer.question_id))


def _describe_answer(answer: Answer) -> dict[str, Any]:
    """``value`` is None where the question was passed over; of a choice ``label`` says which it is."""
    version = answer.version
    is_choice = version.type == QuestionType.SINGLE_CHOICE and answer.value
    return {
        "question_id": str(answer.question_id),
        "question_version": version.number,
        "question_type": version.type,
        "question": say_question(version, Language.ENGLISH),
        "value": answer.value or None,
        "label": say_value(version, answer.value, Language.ENGLISH) if is_choice else None,
        "answered_at": _write(answer.answered_at),
    }


def _write(instant: datetime | None) -> str | None:
    return instant and instant.isoformat().replace("+00:00", "Z")
