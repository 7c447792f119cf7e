from datetime import UTC, datetime, timedelta

import factory

from calls.models import (
    Answer,
    AnswerMeans,
    CallAttempt,
    ProviderConfig,
    SurveyEvent,
    WebhookDelivery,
    WebhookSubscription,
)
from calls.states import AttemptStatus
from campaigns.models import EventType
from contacts.models import SETTLING_OUTCOMES, CallOutcome, ContactState
from contacts.tests.factories import ContactFactory

CLAIMED_AT = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


class ProviderConfigFactory(factory.django.DjangoModelFactory):
    """There is one row, made by the migration: its values are set, it is never made twice."""

    class Meta:
        model = ProviderConfig

    outbound_number = "+12025550199"

    @classmethod
    def _create(cls, model_class, *args, **kwargs):
        provider, _ = model_class.objects.update_or_create(defaults=kwargs)
        return provider


class CallAttemptFactory(factory.django.DjangoModelFactory):
    """Ended in no answer; open when given another status, or with one of the traits."""

    class Meta:
        model = CallAttempt

    class Params:
        claimed = factory.Trait(status=AttemptStatus.CLAIMED, started_at=None, provider_call_id="")
        ringing = factory.Trait(status=AttemptStatus.RINGING)
        answered = factory.Trait(
            status=AttemptStatus.ANSWERED,
            answered_at=factory.LazyAttribute(lambda o: o.claimed_at + timedelta(seconds=8)),
        )

    contact = factory.SubFactory(ContactFactory)
    campaign = factory.SelfAttribute("contact.campaign")
    phone_number = factory.SelfAttribute("contact.phone_number")
    attempt_number = 1
    call_id = factory.Sequence(lambda n: f"call-{n}")
    status = AttemptStatus.ENDED
    claimed_at = CLAIMED_AT
    start_at = factory.SelfAttribute("claimed_at")
    send_before = factory.LazyAttribute(lambda o: o.claimed_at + timedelta(seconds=5))
    started_at = factory.SelfAttribute("claimed_at")
    check_at = factory.LazyAttribute(lambda o: o.claimed_at + timedelta(seconds=60))
    provider_call_id = factory.Sequence(lambda n: f"CA{n:032x}")

    @factory.lazy_attribute
    def outcome(self):
        return CallOutcome.NO_ANSWER if self.status == AttemptStatus.ENDED else ""

    @factory.lazy_attribute
    def decided_at(self):
        return self.claimed_at + timedelta(seconds=28) if self.outcome in SETTLING_OUTCOMES else None

    @factory.lazy_attribute
    def ended_at(self):
        return self.claimed_at + timedelta(seconds=30) if self.status == AttemptStatus.ENDED else None


class AnswerFactory(factory.django.DjangoModelFactory):
    """Pressed in an attempt, as an answer to a version of a question."""

    class Meta:
        model = Answer

    attempt = factory.SubFactory(CallAttemptFactory)
    contact = factory.SelfAttribute("attempt.contact")
    question = factory.SelfAttribute("version.question")
    value = "4"
    raw = factory.SelfAttribute("value")
    means = factory.LazyAttribute(lambda o: AnswerMeans.KEYS if o.raw else AnswerMeans.NOTHING)
    answered_at = factory.LazyAttribute(lambda o: o.attempt.claimed_at + timedelta(seconds=20))


class SurveyEventFactory(factory.django.DjangoModelFactory):
    """Of somebody who was not reached by the only try."""

    class Meta:
        model = SurveyEvent

    type = EventType.NOT_REACHED
    attempt = factory.SubFactory(
        CallAttemptFactory,
        contact__state=ContactState.NOT_REACHED,
        contact__attempts_count=1,
        contact__next_attempt_at=None,
    )
    contact = factory.SelfAttribute("attempt.contact")
    occurred_at = factory.SelfAttribute("attempt.ended_at")


class WebhookSubscriptionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = WebhookSubscription

    name = factory.Sequence(lambda n: f"Subscriber {n}")
    url = "https://crm.example.org/surveys"


class WebhookDeliveryFactory(factory.django.DjangoModelFactory):
    """Due, and not tried yet."""

    class Meta:
        model = WebhookDelivery

    event = factory.SubFactory(SurveyEventFactory)
    subscription = factory.SubFactory(WebhookSubscriptionFactory)
    next_try_at = CLAIMED_AT
