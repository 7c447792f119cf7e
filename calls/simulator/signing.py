"""HTTP requests to the client's own server, signed like Twilio's."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from twilio.request_validator import RequestValidator
from yarl import URL

ANSWER_TIMEOUT_SECONDS = 15.0
"""Of the real clock, whatever the speed of the network: how long Twilio waits for an answer."""


class DeliveryError(Exception):
    """The other side gave no HTTP answer; says why. `may_retry` unless it was merely too slow."""

    def __init__(self, reason: str, *, may_retry: bool) -> None:
        super().__init__(reason)
        self.may_retry = may_retry


@dataclass(frozen=True)
class Answer:
    """What the client's server said."""

    status: int
    body: bytes


class SignedSender:
    """Sends signed requests.

    With `base_url` they go there instead of to the host in their URL, as through a tunnel or a reverse proxy:
    the signature is always the one for the public URL.
    """

    def __init__(self, session: aiohttp.ClientSession, auth_token: str, base_url: str | None) -> None:
        self._session = session
        self._validator = RequestValidator(auth_token)
        self._base_url = base_url

    async def send(self, url: str, params: Mapping[str, str], method: str = "POST") -> Answer:
        """Send `params` as the form of a POST or the query of a GET; raises DeliveryError."""
        form = dict(params)
        if method == "GET":
            url, form = f"{url}{'&' if '?' in url else '?'}{urlencode(form)}", {}
        headers = {
            "X-Twilio-Signature": self._validator.compute_signature(url, form),
            "User-Agent": "TwilioProxy/1.1",
        }
        try:
            # encoded=True sends the URL as it was signed; otherwise yarl would quote it anew.
            target = URL(reroute_url(url, self._base_url), encoded=True)
            data = form if method == "POST" else None
            async with self._session.request(
                method, target, data=data, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, await response.read())
        except TimeoutError as exc:
            raise DeliveryError("no answer in time", may_retry=False) from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise DeliveryError(type(exc).__name__, may_retry=True) from exc


def open_session() -> aiohttp.ClientSession:
    """Return the HTTP session for all callbacks and TwiML fetches, without a limit on connections.

    Idle connections are given up after a second: sooner than servers do it, or a POST would sometimes meet
    a connection that is just being closed.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=1.0),
        timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_SECONDS),
        trust_env=False,
    )


def reroute_url(url: str, base_url: str | None) -> str:
    """Return `url` at the host (and below the path) of `base_url`."""
    if base_url is None:
        return url
    parts, base = urlsplit(url), urlsplit(base_url)
    return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + parts.path, parts.query, ""))
