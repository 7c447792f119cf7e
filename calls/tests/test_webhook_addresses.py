"""Webhooks lead into the internet, and not into the network that the site stands in."""

import socket

import pytest
from django.core.exceptions import ValidationError

from calls.events import addresses
from calls.events.addresses import IN_THE_CLEAR, REFUSED, AddressRefused, check_url, is_public
from calls.events.delivering import deliver_for_a_while
from calls.models import WebhookDelivery

from .factories import WebhookDeliveryFactory, WebhookSubscriptionFactory
from .subscriber import Subscriber

PUBLIC = "93.184.215.14"


def lead(monkeypatch, *answers):
    """Names lead to the next of these addresses, and to the last one from then on."""
    left = list(answers)
    real = socket.getaddrinfo

    def look_up(host, port, *args, **kwargs):
        if not host.endswith(".example.org"):
            return real(host, port, *args, **kwargs)
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1"),
        # Those in which an address of version 4 hides.
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::"),
    ],
)
def test_addresses_of_private_networks_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "crm.example.org",
            "ftp://crm.example.org/",
            "https://",
            "https:///surveys",
            "https://crm.example.org:x/",
        ),
        *(
            "https://user:word@crm.example.org/",
            "https://crm.example.org/#a",
            "https://crm. example.org/",
            "javascript:x",
        ),
        *(
            "http://crm.example.org/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://localhost/",
            "https://2130706433/",
        ),
        *("https://0x7f.1/", "https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]:8443/"),
    ],
)
def test_an_address_that_leads_nowhere_or_inwards_is_refused(url, monkeypatch):
    lead(monkeypatch, PUBLIC)
    with pytest.raises(AddressRefused):
        check_url(url)


def test_a_name_that_leads_inwards_is_refused_and_one_that_does_not_is_taken(monkeypatch):
    lead(monkeypatch, "10.0.0.1")
    with pytest.raises(AddressRefused):
        check_url("https://crm.example.org/surveys?a=b")
    lead(monkeypatch, PUBLIC)
    check_url("https://crm.example.org:8443/surveys?a=b")


@pytest.mark.django_db
def test_a_model_is_not_valid_with_such_an_address():
    with pytest.raises(ValidationError):
        WebhookSubscriptionFactory.build(url="https://127.0.0.1/").full_clean(exclude=["campaign"])


def test_the_own_network_is_allowed_by_a_setting(settings):
    settings.WEBHOOKS_TO_PRIVATE_NETWORKS = True
    check_url("http://127.0.0.1:8000/surveys")


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "rebound.example.org"])
def test_what_leads_inwards_by_the_time_of_the_delivery_is_not_spoken_to(host, clock, monkeypatch):
    """Also a name that led elsewhere when it was looked at."""
    lead(monkeypatch, "127.0.0.1")
    subscriber = Subscriber()
    url = subscriber.url.replace("127.0.0.1", host).replace("http:", "https:")
    subscription = WebhookSubscriptionFactory(url=url)
    WebhookDeliveryFactory(subscription=subscription)
    assert deliver_for_a_while(subscription.pk, clock=clock) == 0
    subscriber.close()
    assert subscriber.requests == []
    assert WebhookDelivery.objects.get().last_error == REFUSED


@pytest.mark.django_db
@pytest.mark.parametrize("scheme", ["http", "HTTP"])
def test_an_address_that_was_saved_while_it_was_allowed_is_sent_nothing_in_the_clear(
    scheme, clock, monkeypatch, settings
):
    lead(monkeypatch, "127.0.0.1")
    monkeypatch.setattr(addresses, "is_public", lambda address: True)
    subscriber = Subscriber()
    url = subscriber.url.replace("http://127.0.0.1", f"{scheme}://crm.example.org")
    subscription = WebhookSubscriptionFactory(url=url)
    WebhookDeliveryFactory(subscription=subscription)
    assert deliver_for_a_while(subscription.pk, clock=clock) == 0
    assert subscriber.requests == []
    assert WebhookDelivery.objects.get().last_error == IN_THE_CLEAR
    settings.WEBHOOKS_TO_PRIVATE_NETWORKS = True
    clock.sleep(60)
    assert deliver_for_a_while(subscription.pk, clock=clock) == 1
    subscriber.close()


def test_the_connection_goes_to_the_address_that_was_looked_at(monkeypatch):
    """And to no other one that the name leads to when it is looked up once more."""
    lead(monkeypatch, PUBLIC, "127.0.0.1")
    asked = []
    monkeypatch.setattr(
        addresses.HTTPConnection, "_new_conn", lambda self: asked.append(self._dns_host) or socket.socket()
    )
    connection = addresses._Http("crm.example.org", 80)
    connection._new_conn().close()
    assert asked == [PUBLIC]
    assert connection.host == "crm.example.org"


def test_proxies_and_credentials_of_the_machine_are_not_used():
    assert addresses.make_session().trust_env is False


def test_of_several_addresses_the_first_that_there_is_a_way_to_is_taken(monkeypatch):
    monkeypatch.setattr(
        addresses, "_look_up", lambda host, port: [(0, "2606:4700:4700::1111"), (0, "10.0.0.1"), (0, PUBLIC)]
    )

    def connect(self):
        if ":" in self._dns_host:
            raise addresses.NewConnectionError(self, "no way")
        asked.append(self._dns_host)
        return socket.socket()

    asked = []
    monkeypatch.setattr(addresses.HTTPConnection, "_new_conn", connect)
    addresses._Http("crm.example.org", 80)._new_conn().close()
    assert asked == [PUBLIC]
