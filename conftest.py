"""For every test."""

import pytest


@pytest.fixture(autouse=True)
def fast_passwords(settings):
    """A password's hash is slow on purpose; tests that log in need not wait for it."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
