import pytest
from django.test import RequestFactory

from surveycalls.addresses import find_address


def ask(settings, behind_proxy, peer="192.0.2.1", forwarded=None):
    settings.BEHIND_PROXY = behind_proxy
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    return find_address(RequestFactory(REMOTE_ADDR=peer, **headers).get("/"))


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (None, "192.0.2.1"),
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),  # what stands before the last the client has written
        ("2001:DB8::7", "2001:db8::7"),
        ("198.51.100.1, unknown", "192.0.2.1"),
        ("", "192.0.2.1"),
    ],
)
def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(settings, forwarded, address):
    assert ask(settings, behind_proxy=True, forwarded=forwarded) == address


def test_without_a_proxy_nobody_chooses_their_own_address(settings):
    assert ask(settings, behind_proxy=False, forwarded="203.0.113.7") == "192.0.2.1"


@pytest.mark.parametrize("peer", ["", "unix:"])
def test_a_peer_without_an_address_has_none(settings, peer):
    assert ask(settings, behind_proxy=False, peer=peer) is None
