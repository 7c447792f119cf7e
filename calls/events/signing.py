"""PURE: the signature of a webhook, as Standard Webhooks describes it (https://www.standardwebhooks.com)."""

import hmac
from base64 import b64decode, b64encode
from datetime import datetime
from hashlib import sha256

PREFIX = "whsec_"


def make_headers(secret: str, message_id: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """What proves that the body is ours and new; ``secret`` is ``whsec_`` and a key in base64."""
    timestamp = str(int(now.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{_sign(secret, message_id, timestamp, body)}",
    }


def _sign(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    key = b64decode(secret.removeprefix(PREFIX))
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    return b64encode(hmac.digest(key, signed, sha256)).decode()
