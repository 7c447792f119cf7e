import pytest
from django.dispatch import Signal
from django.utils.translation import override

from campaigns import lifecycle


@pytest.fixture(autouse=True)
def nothing_in_the_way(monkeypatch):
    """What stands in the way of all campaigns is none of theirs: calls/tests/test_obstacles.py."""
    monkeypatch.setattr(lifecycle, "obstacles_wanted", Signal())


@pytest.fixture
def italian_client(admin_client):
    """Of an operator who reads Italian; a request leaves its language behind."""
    admin_client.cookies["django_language"] = "it"
    with override("it"):
        yield admin_client
