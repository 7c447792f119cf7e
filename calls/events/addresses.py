"""Where webhooks may go: to the internet, and not into the network that this site stands in.

Whoever may set an address could else have the site talk to machines that only the site can reach.
"""

import ipaddress
import socket
import threading
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 addresses that carry an IPv4 one, in which a private one could hide.
_CARRYING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
LONGEST_ANSWER_SECONDS = 15.0
# As they are stored; pages translate them.
REFUSED = gettext_noop("The address is in a private network")
IN_THE_CLEAR = gettext_noop("The address does not begin with https://")


class AddressRefused(ValueError):
    """Why nothing is sent there, in words for operators."""


def check_url(url: str) -> None:
    """Raises AddressRefused. A name that is not known yet passes here: each delivery looks again."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("https", "http") or parts.username is not None or parts.fragment:
        raise AddressRefused(_("Write an address such as https://crm.example.org/surveys."))
    if settings.WEBHOOKS_TO_PRIVATE_NETWORKS:
        return
    if parts.scheme != "https":
        raise AddressRefused(_("It must begin with https://: what people answered may not travel in the clear."))
    try:
        found = _look_up(parts.hostname, parts.port or 443)
    except OSError:
        return
    if not all(is_public(address) for _family, address in found):
        raise AddressRefused(_("It leads into a private network, to which nothing is sent."))


def is_public(address: str) -> bool:
    """Whether it is an address of the internet, and not of a private network, this machine or many at once."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 4:
        return _is_global(ip)
    if ip.ipv4_mapped:
        return _is_global(ip.ipv4_mapped)
    return _is_global(ip) and not any(ip in network for network in _CARRYING)


def _is_global(ip: IpAddress) -> bool:
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def make_session() -> requests.Session:
    """Goes where it is told, by no proxy and with no credentials of this machine.

    Never into private networks, nor in the clear, unless the settings allow both.
    """
    session = requests.Session()
    session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter())
    return session


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (raises ValueError)
    except ValueError:
        return None
    return parts if parts.hostname and not any(char.isspace() for char in url) else None


def _look_up(host: str, port: int) -> list[tuple[int, str]]:
    """The families and addresses of a host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a name with an empty part, or one that is too long
        raise OSError(str(error)) from error
    return [(family, sockaddr[0]) for family, _type, _protocol, _name, sockaddr in found]


class _Careful:
    """For a connection: goes to an address that was looked at, and not to what the name leads to a moment later.

    And waits no longer for an answer that comes letter by letter, each in time, than for one that does not come.
    """

    def getresponse(self) -> Any:
        # Of the plain socket: what TLS knows of it is in use by whoever reads.
        end = threading.Timer(LONGEST_ANSWER_SECONDS, socket.socket.shutdown, [self.sock, socket.SHUT_RDWR])
        end.daemon = True
        end.start()
        try:
            return super().getresponse()
        finally:
            end.cancel()

    def _new_conn(self) -> socket.socket:
        if settings.WEBHOOKS_TO_PRIVATE_NETWORKS:
            return super()._new_conn()
        try:
            found = _look_up(self.host, self.port)
        except OSError as error:
            raise NewConnectionError(self, "The name is not known") from error
        public = [address for _family, address in found if is_public(address)]
        if not public:
            raise NewConnectionError(self, REFUSED)
        return self._connect_to(public)

    def _connect_to(self, addresses: list[str]) -> socket.socket:
        """To the first of them that there is a way to; the name stays what a certificate must be for."""
        first, *others = addresses
        name, self._dns_host = self._dns_host, first
        try:
            return super()._new_conn()
        except NewConnectionError:
            if not others:
                raise
        finally:
            self._dns_host = name
        return self._connect_to(others)


class _Http(_Careful, HTTPConnection):
    pass


class _Https(_Careful, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Also of an address that was saved while it was allowed."""
        if not (request.url.startswith("https://") or settings.WEBHOOKS_TO_PRIVATE_NETWORKS):
            raise InvalidSchema(IN_THE_CLEAR)
        return super().send(request, *args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
