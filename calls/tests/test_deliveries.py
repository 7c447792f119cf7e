"""Events reach their subscribers, over a real network: at least once, signed, and tried again when not taken."""

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django_q.models import OrmQ

from calls import tasks
from calls.erasure import Person, erase_person
from calls.events import addresses, delivering, keeping
from calls.events.backoff import DELAYS, JITTER, MOST_TRIES, find_next_try
from calls.events.delivering import LEASE, PAUSE, deliver_for_a_while, hand_out_events, request_deliveries
from calls.events.signing import make_headers
from calls.models import Answer, SurveyEvent, WebhookDelivery
from calls.tallies import smallest_id
from calls.tests.threads import in_thread
from campaigns.models import EventType
from campaigns.questions import freeze_questions
from campaigns.tests.factories import CampaignFactory, QuestionFactory
from contacts.tests.factories import ContactFactory

from .conftest import NOON
from .factories import (
    AnswerFactory,
    CallAttemptFactory,
    SurveyEventFactory,
    WebhookDeliveryFactory,
    WebhookSubscriptionFactory,
)
from .subscriber import Subscriber

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_network(settings):
    settings.WEBHOOKS_TO_PRIVATE_NETWORKS = True


@pytest.fixture
def subscriber():
    subscriber = Subscriber()
    yield subscriber
    subscriber.close()


@pytest.fixture
def subscription(subscriber):
    return WebhookSubscriptionFactory(url=subscriber.url)


def make_delivery(subscription, **values):
    return WebhookDeliveryFactory(subscription=subscription, **{"next_try_at": NOON} | values)


def read(delivery):
    return (
        WebhookDelivery.objects.filter(pk=delivery.pk)
        .values("state", "attempts", "response_status", "last_error")
        .get()
    )


def told(subscriber):
    _path, headers, body = subscriber.requests[-1]
    return headers, json.loads(body)


# To whom


def test_an_event_is_handed_out_once_to_each_who_wants_it():
    event = SurveyEventFactory(type=EventType.REFUSED)
    wanted = [WebhookSubscriptionFactory(), WebhookSubscriptionFactory(campaign=event.contact.campaign)]
    WebhookSubscriptionFactory(events=[EventType.COMPLETED, EventType.NOT_REACHED])
    WebhookSubscriptionFactory(campaign=CampaignFactory())
    WebhookSubscriptionFactory(is_active=False)
    assert hand_out_events(now=NOON) == 1
    WebhookSubscriptionFactory()  # later
    assert hand_out_events(now=NOON) == 0
    deliveries = WebhookDelivery.objects.order_by("pk")
    assert [(one.event, one.subscription, one.next_try_at) for one in deliveries] == [
        (event, one, NOON) for one in wanted
    ]


def test_events_are_handed_out_chunk_by_chunk_and_their_subscribers_get_a_job_each(clock, monkeypatch, subscription):
    monkeypatch.setattr(delivering, "CHUNK_SIZE", 2)
    WebhookSubscriptionFactory(events=[EventType.COMPLETED])
    SurveyEventFactory.create_batch(5)
    assert delivering.hand_out_for_a_while(clock=clock) == 5
    assert [job.func() for job in OrmQ.objects.all()] == ["calls.tasks.deliver_webhooks"]


@pytest.mark.django_db(transaction=True)
def test_two_workers_hand_out_different_events():
    WebhookSubscriptionFactory()
    SurveyEventFactory()
    with transaction.atomic():
        assert hand_out_events(now=NOON) == 1
        assert in_thread(lambda: hand_out_events(now=NOON))() == 0
    assert WebhookDelivery.objects.count() == 1


def test_a_webhook_that_is_switched_off_is_sent_nothing(clock, subscriber, subscription):
    delivery = make_delivery(subscription)
    subscription.is_active = False
    subscription.save()
    assert deliver_for_a_while(subscription.pk, clock=clock) == 0
    assert request_deliveries(now=NOON) == 0
    assert (read(delivery)["state"], subscriber.requests) == ("dead", [])


# What


def test_what_is_sent_has_the_signature_of_standard_webhooks(clock, subscriber, subscription):
    delivery = make_delivery(subscription)
    assert deliver_for_a_while(subscription.pk, clock=clock) == 1
    [(path, headers, body)] = subscriber.requests
    assert (path, headers["Content-Type"]) == ("/surveys", "application/json")
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (str(delivery.event.pk), str(int(NOON.timestamp())))
    # As docs/webhooks.md tells subscribers to.
    key = base64.b64decode(subscription.secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"


def test_the_signature_of_the_example_of_standard_webhooks():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    now = NOON.fromtimestamp(1614265330, tz=NOON.tzinfo)
    headers = make_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', now=now)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def make_answered():
    """Of three questions one was answered, one passed over and one not reached."""
    campaign = CampaignFactory(name="Library")
    questions = [QuestionFactory(campaign=campaign, position=position) for position in (1, 2, 3)]
    freeze_questions(campaign)
    contact = ContactFactory(campaign=campaign, external_contact_id="P-1701", phone_number="+12025550123")
    attempt = CallAttemptFactory(contact=contact, attempt_number=2, answered_at=NOON)
    for question, value in zip(questions[1::-1], ["", "4"], strict=True):
        version = question.versions.get()
        Answer.objects.create(
            contact=contact, attempt=attempt, question=question, version=version, means="keys", value=value,
            answered_at=NOON,
        )  # fmt: skip
    return SurveyEventFactory(attempt=attempt, occurred_at=NOON, type=EventType.COMPLETED), questions


def test_the_body_tells_who_what_and_when_and_no_number(clock, subscriber, subscription):
    event, questions = make_answered()
    make_delivery(subscription, event=event)
    deliver_for_a_while(subscription.pk, clock=clock)
    _headers, body = told(subscriber)
    assert (body["type"], body["timestamp"]) == ("survey.completed", "2026-03-04T12:00:00Z")
    data, answers = body["data"], body["data"].pop("answers")
    assert (data["contact_id"], data["attempt_id"]) == (str(event.contact.pk), str(event.attempt.pk))
    assert (data["external_contact_id"], data["campaign_name"]) == ("P-1701", "Library")
    assert (data["outcome"], data["attempt_count"]) == ("completed", 2)
    assert data["answered_at"] == "2026-03-04T12:00:00Z"
    assert [(one["question_id"], one["value"]) for one in answers] == [
        (str(questions[0].pk), "4"),
        (str(questions[1].pk), None),
    ]
    assert b"2025550123" not in subscriber.requests[0][2]


def test_of_a_choice_its_name_is_told_as_it_was_asked(clock, subscriber, subscription):
    limits = {"lowest": None, "highest": None}
    question = QuestionFactory(type="single_choice", choices_it=["rosso", "blu"], choices_en=["red", "blue"], **limits)
    freeze_questions(question.campaign)
    version, contact = question.versions.get(), ContactFactory(campaign=question.campaign)
    question.choices_en = ["blue", "red"]
    question.save()
    attempt = CallAttemptFactory(contact=contact)
    AnswerFactory(attempt=attempt, version=version, value="2")
    make_delivery(subscription, event=SurveyEventFactory(attempt=attempt))
    deliver_for_a_while(subscription.pk, clock=clock)
    (answer,) = told(subscriber)[1]["data"]["answers"]
    assert (answer["value"], answer["label"]) == ("2", "blue")


def test_the_number_is_sent_and_the_answers_are_not_when_that_is_wanted(clock, subscriber):
    event, _questions = make_answered()
    subscription = WebhookSubscriptionFactory(url=subscriber.url, sends_phone_number=True, sends_answers=False)
    make_delivery(subscription, event=event)
    deliver_for_a_while(subscription.pk, clock=clock)
    data = told(subscriber)[1]["data"]
    assert data["phone_number"] == "+12025550123"
    assert "answers" not in data


def test_of_an_erased_person_there_are_ids_and_instants_and_nothing_else(clock, subscriber):
    event, _questions = make_answered()
    subscription = WebhookSubscriptionFactory(url=subscriber.url, sends_phone_number=True)
    make_delivery(subscription, event=event)
    event.contact.state, event.contact.next_attempt_at = "completed", None
    event.contact.save()
    erase_person(Person(phone_number="+12025550123"), keeps_off=False, reason="-", now=NOON)
    deliver_for_a_while(subscription.pk, clock=clock)
    data = told(subscriber)[1]["data"]
    assert (data["is_erased"], data["phone_number"], data["external_contact_id"]) == (True, None, "")
    assert (data["answers"], data["contact_id"]) == ([], str(event.contact.pk))


# How often


def test_a_try_in_vain_is_followed_by_another_until_it_is_a_dead_letter(clock, subscriber, subscription):
    subscriber.answers = [500]
    delivery = make_delivery(subscription)
    for tries, delay in enumerate([*DELAYS, None], start=1):
        assert deliver_for_a_while(subscription.pk, clock=clock) == 0
        assert deliver_for_a_while(subscription.pk, clock=clock) == 0  # not sooner
        state = "pending" if delay else "dead"
        assert read(delivery) == {"state": state, "attempts": tries, "response_status": 500, "last_error": "HTTP 500"}
        clock.sleep(delay.total_seconds() * (1 + JITTER) if delay else timedelta(days=9).total_seconds())
    assert deliver_for_a_while(subscription.pk, clock=clock) == 0
    assert len(subscriber.requests) == MOST_TRIES
    assert set(subscriber.ids) == {str(delivery.event.pk)}


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410, 429, 500, 503])
def test_whatever_is_not_2xx_is_not_taken_and_no_redirect_is_followed(clock, subscriber, subscription, status):
    subscriber.answers = [status]
    delivery = make_delivery(subscription)
    deliver_for_a_while(subscription.pk, clock=clock)
    assert (read(delivery)["state"], read(delivery)["response_status"]) == ("pending", status)
    assert [path for path, *_ in subscriber.requests] == ["/surveys"]


@pytest.mark.parametrize(
    ("tries", "chance", "delay"),
    [
        (1, 0, timedelta(seconds=10)),
        (1, 1, timedelta(seconds=12)),
        (2, 0, timedelta(minutes=1)),
        (3, 0, timedelta(minutes=5)),
        (4, 0, timedelta(minutes=30)),
        (5, 0, timedelta(hours=2)),
        (6, 0.5, timedelta(hours=6.6)),
        (7, 0, timedelta(days=1)),
    ],
)
def test_tries_lie_ever_further_apart(tries, chance, delay):
    assert find_next_try(tries, chance=chance, now=NOON) == NOON + delay


def test_after_the_last_try_there_is_none():
    assert find_next_try(MOST_TRIES, chance=0, now=NOON) is None


def test_an_event_that_is_refused_holds_up_no_other(clock, subscriber, subscription):
    subscriber.answers = [500, 204]
    deliveries = [make_delivery(subscription, next_try_at=NOON - timedelta(seconds=later)) for later in (2, 1)]
    assert deliver_for_a_while(subscription.pk, clock=clock) == 1
    assert [read(one)["state"] for one in deliveries] == ["pending", "delivered"]


def test_an_address_that_does_not_answer_is_tried_with_one_event(clock):
    with socket.socket() as taken:  # nobody listens
        taken.bind(("127.0.0.1", 0))
        subscription = WebhookSubscriptionFactory(url=f"http://127.0.0.1:{taken.getsockname()[1]}/")
        first, second = make_delivery(subscription), make_delivery(subscription, next_try_at=NOON)
        assert deliver_for_a_while(subscription.pk, clock=clock) == 0
    assert {read(first)["attempts"], read(second)["attempts"]} == {0, 1}
    assert WebhookDelivery.objects.get(attempts=1).last_error == "No answer: ConnectionError"


def test_a_subscriber_that_says_nothing_is_not_waited_for_longer_than_agreed(clock, monkeypatch):
    monkeypatch.setattr(delivering, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        subscription = WebhookSubscriptionFactory(url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        delivery = make_delivery(subscription)
        deliver_for_a_while(subscription.pk, clock=clock)
    assert (read(delivery)["state"], read(delivery)["last_error"]) == ("pending", "No answer: ReadTimeout")


def test_an_answer_that_comes_letter_by_letter_is_given_up(clock, monkeypatch):
    monkeypatch.setattr(addresses, "LONGEST_ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _address = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 ")
                for _ in range(200):
                    connection.sendall(b"x")
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        subscription = WebhookSubscriptionFactory(url=f"http://127.0.0.1:{server.getsockname()[1]}/")
        delivery, began = make_delivery(subscription), time.monotonic()
        deliver_for_a_while(subscription.pk, clock=clock)
    assert time.monotonic() - began < 5
    assert (read(delivery)["state"], read(delivery)["response_status"]) == ("pending", None)


class Killed(BaseException):
    pass


@pytest.mark.django_db(transaction=True)
def test_who_is_killed_between_the_answer_and_its_record_sends_it_again_under_the_same_id(
    clock, subscriber, subscription, monkeypatch
):
    delivery = make_delivery(subscription)
    with monkeypatch.context() as killed, pytest.raises(Killed):
        killed.setattr(delivering, "record", lambda *args, **kwargs: (_ for _ in ()).throw(Killed()))
        deliver_for_a_while(subscription.pk, clock=clock)
    assert len(subscriber.requests) == 1
    assert deliver_for_a_while(subscription.pk, clock=clock) == 0  # it may be at it still
    clock.sleep(LEASE.total_seconds())
    assert deliver_for_a_while(subscription.pk, clock=clock) == 1
    assert subscriber.ids == [str(delivery.event.pk)] * 2
    assert (read(delivery)["state"], read(delivery)["attempts"]) == ("delivered", 2)


def test_who_is_killed_at_every_try_leaves_a_dead_letter(clock, subscriber, subscription):
    delivery = make_delivery(subscription, attempts=MOST_TRIES)
    assert deliver_for_a_while(subscription.pk, clock=clock) == 0
    assert (read(delivery)["state"], subscriber.requests) == ("dead", [])


@pytest.mark.django_db(transaction=True)
def test_while_it_is_sent_nobody_else_sends_it_and_no_transaction_is_open(clock, subscriber, subscription):
    delivery = make_delivery(subscription)
    seen = []

    def look():
        seen.append(deliver_for_a_while(subscription.pk, clock=clock))
        with transaction.atomic():
            WebhookDelivery.objects.select_for_update(nowait=True).get(pk=delivery.pk)
        connection.close()

    subscriber.on_request = look
    assert deliver_for_a_while(subscription.pk, clock=clock) == 1
    assert (seen, len(subscriber.requests)) == ([0], 1)


def test_what_a_slow_try_says_later_takes_back_nothing_that_was_delivered(clock, subscription):
    delivery = make_delivery(subscription)
    slow = delivering.claim_next(subscription.pk, now=NOON)
    delivering.record(slow, delivering.Answered(status=200), now=NOON)
    delivering.record(slow, delivering.Answered(status=500), now=NOON)
    assert read(delivery)["state"] == "delivered"


def test_what_takes_longer_than_a_job_is_gone_on_with_by_another(clock, subscriber, subscription, monkeypatch):
    monkeypatch.setattr(delivering, "SLICE_SECONDS", 0)
    make_delivery(subscription)
    make_delivery(subscription)
    assert deliver_for_a_while(subscription.pk, clock=clock) == 1
    assert [(job.func(), job.task["args"]) for job in OrmQ.objects.all()] == [
        ("calls.tasks.deliver_webhooks", (str(subscription.pk),))
    ]


# By whom


def list_jobs():
    return [job.task["args"] for job in OrmQ.objects.all()]


def test_news_after_news_is_one_job_until_it_is_over(clock, subscription, monkeypatch):
    for _ in range(3):
        make_delivery(subscription)
        request_deliveries(now=NOON)
    assert list_jobs() == [(str(subscription.pk),)]
    meanwhile = []

    def send(*args, **kwargs):
        meanwhile.append(request_deliveries(now=NOON))
        return delivering.Answered(status=204)

    monkeypatch.setattr(delivering, "send", send)
    assert deliver_for_a_while(subscription.pk, clock=clock) == 3
    assert meanwhile == [0, 0, 0]
    make_delivery(subscription)
    assert request_deliveries(now=NOON) == 1


def test_what_comes_when_the_job_has_looked_for_the_last_time_is_another(clock, subscription, monkeypatch):
    monkeypatch.setattr(delivering, "_deliver", lambda *args, **kwargs: make_delivery(subscription) and 0)
    request_deliveries(now=NOON)
    deliver_for_a_while(subscription.pk, clock=clock)
    assert list_jobs() == [(str(subscription.pk),)]


def test_a_job_that_was_lost_is_asked_for_again(subscription):
    make_delivery(subscription)
    assert request_deliveries(now=NOON) == 1
    OrmQ.objects.all().delete()
    assert request_deliveries(now=NOON + LEASE - timedelta(seconds=1)) == 0
    assert request_deliveries(now=NOON + LEASE) == 1


@pytest.mark.django_db(transaction=True)
def test_a_slow_subscriber_has_one_worker_and_a_second_one_is_free_at_once(clock, subscriber, subscription):
    deliveries = [make_delivery(subscription) for _ in range(2)]
    other = make_delivery(WebhookSubscriptionFactory(url=subscriber.url))
    seen = []

    def look():
        subscriber.on_request = lambda: None
        seen.extend(deliver_for_a_while(one.subscription.pk, clock=clock) for one in (deliveries[0], other))
        connection.close()

    subscriber.on_request = look
    assert deliver_for_a_while(subscription.pk, clock=clock) == 2
    assert seen == [0, 1]


def test_who_does_not_answer_is_left_alone_for_a_while_whatever_is_due(clock, subscriber, subscription, monkeypatch):
    first, second = (make_delivery(subscription, next_try_at=NOON - timedelta(seconds=later)) for later in (2, 1))
    with monkeypatch.context() as away:
        away.setattr(delivering, "send", lambda *args, **kwargs: delivering.Answered(error="No answer"))
        deliver_for_a_while(subscription.pk, clock=clock)
    clock.sleep(PAUSE.total_seconds() - 1)
    assert request_deliveries(now=clock()) == 0
    assert deliver_for_a_while(subscription.pk, clock=clock) == 0  # a job that was asked for before
    assert (read(first)["attempts"], read(second)["attempts"], subscriber.requests) == (1, 0, [])
    clock.sleep(1)
    assert request_deliveries(now=clock()) == 1
    assert deliver_for_a_while(subscription.pk, clock=clock) == 2


def test_who_refuses_an_event_is_sent_the_next_one_at_once(clock, subscriber, subscription):
    subscriber.answers = [500, 204]
    make_delivery(subscription)
    deliver_for_a_while(subscription.pk, clock=clock)
    make_delivery(subscription)
    assert request_deliveries(now=NOON) == 1
    assert deliver_for_a_while(subscription.pk, clock=clock) == 1


def test_the_jobs_take_an_event_all_the_way(subscriber, subscription):
    SurveyEventFactory()
    assert tasks.tell_others() == "1 events, 0 e-mails"
    assert tasks.hand_out_events() == "0 events"
    assert tasks.deliver_webhooks(str(subscription.pk)) == "1 webhooks"
    assert tasks.deliver_webhooks(str(subscription.pk)) == "0 webhooks"


def test_dead_letters_and_what_was_delivered_are_sent_again_with_all_tries(clock, subscriber, subscription):
    dead = make_delivery(subscription, state="dead", attempts=MOST_TRIES, last_error="HTTP 500")
    delivered = make_delivery(subscription, state="delivered", attempts=1, delivered_at=NOON)
    assert WebhookDelivery.objects.send_again(NOON) == 2
    assert WebhookDelivery.objects.get(pk=delivered.pk).delivered_at == NOON
    assert deliver_for_a_while(subscription.pk, clock=clock) == 2
    assert sorted(subscriber.ids) == sorted([str(dead.event.pk), str(delivered.event.pk)])
    assert read(dead) == {"state": "delivered", "attempts": 1, "response_status": 204, "last_error": ""}


# What is kept


def test_old_events_go_with_their_deliveries(settings, monkeypatch):
    settings.EVENT_RETENTION_DAYS = 30
    monkeypatch.setattr(keeping, "CHUNK_SIZE", 2)
    before, after = (NOON - timedelta(days=30, seconds=seconds) for seconds in (1, -1))
    for number, at in enumerate((before, before, before, after)):
        WebhookDeliveryFactory(event__id=UUID(int=smallest_id(at).int + number))
    assert keeping.delete_old_events(now=NOON) == 3
    assert [one.event.pk for one in WebhookDelivery.objects.all()] == [SurveyEvent.objects.get().pk]


def test_a_subscriber_is_told_of_an_event_in_one_delivery():
    delivery = WebhookDeliveryFactory()
    with pytest.raises(IntegrityError, match="delivery_is_one_per_subscriber"), transaction.atomic():
        WebhookDeliveryFactory(event=delivery.event, subscription=delivery.subscription)


def test_a_delivery_is_in_a_known_state():
    with pytest.raises(IntegrityError, match="delivery_state_is_known"), transaction.atomic():
        WebhookDeliveryFactory(state="waiting")


def test_a_webhook_has_events():
    with pytest.raises(IntegrityError, match="webhook_has_events"), transaction.atomic():
        WebhookSubscriptionFactory(events=[])


def test_what_is_due_is_found_by_its_index():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        due = WebhookDelivery.objects.due(NOON).filter(subscription=WebhookSubscriptionFactory())
        assert "delivery_due" in due.order_by("next_try_at").explain()
