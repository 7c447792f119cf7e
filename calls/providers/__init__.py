"""Telephone providers, by the name that ProviderConfig.adapter gives them."""

from functools import cache

from django.conf import settings

from calls.providers.base import TelephonyProvider
from calls.providers.twilio import TwilioProvider


def _make_twilio() -> TwilioProvider:
    key = (settings.TWILIO_API_KEY_SID, settings.TWILIO_API_KEY_SECRET)
    return TwilioProvider(
        account_sid=settings.TWILIO_ACCOUNT_SID,
        auth_token=settings.TWILIO_AUTH_TOKEN,
        api_key=key if all(key) else None,
        base_url=settings.TWILIO_API_BASE_URL,
        connect_timeout=settings.TWILIO_CONNECT_TIMEOUT_SECONDS,
        read_timeout=settings.TWILIO_READ_TIMEOUT_SECONDS,
    )


_MAKERS = {"twilio": _make_twilio}


@cache
def get_provider(adapter: str = "twilio") -> TelephonyProvider:
    """Kept as long as the process, with its connections. Credentials are the environment's."""
    return _MAKERS[adapter]()
