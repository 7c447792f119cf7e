"""Read settings from the environment, and name the variable when its value is wrong.

django-environ parses; what it adds here is strictness: a number out of range or a flag that is
neither true nor false stops the process instead of becoming a surprising default. A variable that is
set to nothing counts as unset.
"""

import os
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def read_text(name: str, default: str = "", choices: tuple[str, ...] = ()) -> str:
    value = _read(name) or default
    if choices and value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} must be one of: {', '.join(choices)}.")
    return value


def read_bool(name: str, default: bool) -> bool:
    value = _read(name).lower() or str(default).lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name}={value!r} must be true or false.")


def read_int(name: str, default: int | None, minimum: int = 1, maximum: int | None = None) -> int | None:
    value = _read(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        number = None
    if number is None or number < minimum or (maximum is not None and number > maximum):
        bounds = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ImproperlyConfigured(f"{name}={value!r} must be a whole number, {bounds}.")
    return number


def read_directory(name: str, default: Path) -> Path:
    """An absolute directory that exists and can be written to; made when it is not there."""
    path = Path(read_text(name, str(default))).resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}={str(path)!r} cannot be used: {error.strerror}.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"{name}={str(path)!r} cannot be written to.")
    return path


def read_list(name: str) -> list[str]:
    return [item.strip() for item in _read(name).split(",") if item.strip()]


def read_http_url(name: str, default: str) -> str:
    """An http(s) URL without a trailing slash, query or fragment; it may have a path."""
    value = read_text(name, default).rstrip("/")
    parts = _split_url(value)
    if parts is None or parts.scheme not in {"http", "https"} or parts.query or parts.fragment or parts.username:
        raise ImproperlyConfigured(f"{name}={value!r} must be a URL such as https://calls.example.org.")
    return value


def read_site_url(name: str, default: str) -> str:
    """The http(s) address of a site: a host, perhaps a port, and nothing behind it."""
    value = read_http_url(name, default)
    if urlsplit(value).path:
        raise ImproperlyConfigured(f"{name}={value!r} must end with its host or port, without a path.")
    return value


def read_redis_url(name: str) -> str:
    value = read_text(name)
    if not value or value.startswith("unix://"):
        return value
    parts = _split_url(value)
    if parts is None or parts.scheme not in {"redis", "rediss"}:
        # The value stays out of the message: it may hold a password.
        raise ImproperlyConfigured(f"{name} must be a URL such as redis://redis.example.org:6379/0.")
    return value


def read_time_zone(name: str, default: str) -> str:
    value = read_text(name, default)
    if value not in available_timezones():
        raise ImproperlyConfigured(f"{name}={value!r} is not an IANA time zone such as Europe/Rome.")
    return value


def _read(name: str) -> str:
    # Not env.str(): it takes a value that begins with $, as a secret may, for the name of another variable.
    return env.ENVIRON.get(name, "").strip()


def _split_url(value: str) -> SplitResult | None:
    """None for what has no host, or a port that is no number."""
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018  (raises ValueError)
    except ValueError:
        return None
    return parts if parts.hostname else None
