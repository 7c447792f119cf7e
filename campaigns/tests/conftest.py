import pytest
from django.dispatch import Signal

from campaigns import lifecycle


@pytest.fixture(autouse=True)
def nothing_in_the_way(monkeypatch):
    """What stands in the way of all campaigns is none of theirs: calls/tests/test_obstacles.py."""
    monkeypatch.setattr(lifecycle, "obstacles_wanted", Signal())
