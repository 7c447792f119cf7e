"""Who does what nobody should: reports that the provider never sent, and a program that keeps to no lock."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

import requests
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from twilio.request_validator import RequestValidator

from bench.world import CALLER_NUMBER
from calls.callback_urls import answer_url, consent_url, events_url
from calls.models import CallAttempt
from calls.providers import get_provider
from calls.providers.base import CallRequest, ProviderError
from calls.states import AttemptStatus

ENDINGS = ("completed", "busy", "failed", "no-answer", "canceled")
PROGRESS = ("ringing", "in-progress")
TIMEOUT_SECONDS = 3


class Strangers:
    """What they send goes out from threads of their own: the site may be frozen."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._senders = ThreadPoolExecutor(4, thread_name_prefix="stranger")

    def close(self) -> None:
        self._senders.shutdown()

    def forge(self, count: int) -> None:
        """Reports on real calls with a signature that is wrong, or none."""
        for attempt in self._choose_open(count):
            form = _write_form(attempt.provider_call_id or "CA" + "0" * 32, self._draw.choice(ENDINGS + PROGRESS))
            address = self._draw.choice([events_url, answer_url, partial(consent_url, is_again=False)])(attempt.call_id)
            signature = self._draw.choice([{}, {"X-Twilio-Signature": _sign(address, form, "not-the-token")}])
            self._senders.submit(_post, address, form, signature)

    def misdirect(self, count: int) -> None:
        """The end of one call, truly signed, at the address of another."""
        open_ones = [attempt for attempt in self._choose_open(2 * count) if attempt.provider_call_id]
        for attempt, other in zip(open_ones[::2], open_ones[1::2], strict=False):
            self._report(attempt.call_id, other.provider_call_id, self._draw.choice(ENDINGS))

    def contradict(self, count: int) -> None:
        """Another end, truly signed, of a call that has ended; or news of it as if it went on."""
        ended = CallAttempt.objects.filter(status=AttemptStatus.ENDED).exclude(provider_call_id="")
        for attempt in self._choose(ended, count):
            self._report(attempt.call_id, attempt.provider_call_id, self._draw.choice(ENDINGS + PROGRESS))

    def ring_again(self, count: int) -> None:
        """Another program, which relies on the database alone, wants to ring somebody who is in a call."""
        for attempt in self._choose_open(count):
            now = timezone.now()
            second = CallAttempt(
                contact_id=attempt.contact_id,
                campaign_id=attempt.campaign_id,
                phone_number=attempt.phone_number,
                attempt_number=attempt.attempt_number + 100,
                status=AttemptStatus.PLACING,
                claimed_at=attempt.claimed_at,
                start_at=attempt.start_at,
                started_at=now,
                send_before=attempt.send_before,
                check_at=attempt.check_at,
            )
            try:
                with transaction.atomic():
                    # Locked, so that the call does not end just before the second one is written.
                    if not CallAttempt.objects.open().select_for_update().filter(pk=attempt.pk).exists():
                        continue
                    second.save(force_insert=True)
            except IntegrityError:
                continue  # it is refused, and so it rings nobody
            except DatabaseError:
                connection.close()
                continue
            self._senders.submit(_ring, second)

    def _report(self, call_id: str, sid: str, status: str) -> None:
        form, address = _write_form(sid, status), events_url(call_id)
        signature = {"X-Twilio-Signature": _sign(address, form, os.environ["TWILIO_AUTH_TOKEN"])}
        self._senders.submit(_post, address, form, signature)

    def _choose_open(self, count: int) -> list[CallAttempt]:
        return self._choose(CallAttempt.objects.open(), count)

    def _choose(self, attempts: Any, count: int) -> list[CallAttempt]:
        try:
            found = list(attempts.order_by("id"))
        except DatabaseError:
            connection.close()
            return []
        return self._draw.sample(found, min(count, len(found)))


def _write_form(sid: str, status: str) -> dict[str, str]:
    return {"CallSid": sid, "AccountSid": os.environ["TWILIO_ACCOUNT_SID"], "CallStatus": status, "SequenceNumber": "0"}


def _sign(address: str, form: dict[str, str], token: str) -> str:
    return RequestValidator(token).compute_signature(address, form)


def _post(address: str, form: dict[str, str], headers: dict[str, str]) -> None:
    with suppress(requests.RequestException):
        requests.post(address, data=form, headers=headers, timeout=TIMEOUT_SECONDS)


def _ring(attempt: CallAttempt) -> None:
    request = CallRequest(
        call_id=attempt.call_id,
        to=attempt.phone_number,
        from_=CALLER_NUMBER,
        answer_url=answer_url(attempt.call_id),
        events_url=events_url(attempt.call_id),
        ring_timeout=5,
        time_limit=2,
    )
    with suppress(ProviderError):
        get_provider().initiate_call(request, leave=lambda: None)
