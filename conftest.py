"""For every test."""

import os

import pytest
from django.utils import translation
from hypothesis import HealthCheck, settings

# Without deadlines, because the database and the machine's other work slow examples down; nothing is kept in the tree.
_ANYWHERE = {"database": None, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("suite", derandomize=True, max_examples=100, stateful_step_count=20, **_ANYWHERE)
settings.register_profile("thorough", max_examples=3000, stateful_step_count=50, print_blob=True, **_ANYWHERE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(autouse=True)
def fast_passwords(settings):
    """A password's hash is slow on purpose; tests that log in need not wait for it."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    """What pages keep for a moment is of another test."""
    from calls.recollection import recollection

    recollection.forget()


@pytest.fixture(autouse=True)
def language_of_the_deployment():
    """The language of the last request stays with its thread."""
    yield
    translation.deactivate()


def pytest_collection_modifyitems(items):
    """Those in a browser first: they wait most, and the last ones to begin would have the machine for themselves."""
    items.sort(key=lambda item: "browser" not in item.path.parts)
