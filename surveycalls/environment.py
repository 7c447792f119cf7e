"""Read settings from the environment, and name the variable when its value is wrong.

django-environ parses; what it adds here is strictness: a number out of range or a flag that is
neither true nor false stops the process instead of becoming a surprising default.
"""

from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def read_text(name: str, default: str = "", choices: tuple[str, ...] = ()) -> str:
    value = env.str(name, default=default).strip()
    if choices and value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} must be one of: {', '.join(choices)}.")
    return value


def read_bool(name: str, default: bool) -> bool:
    value = env.str(name, default=str(default)).strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name}={value!r} must be true or false.")


def read_int(name: str, default: int | None, minimum: int = 1) -> int | None:
    """The whole number in the variable; ``default`` when it is unset or empty."""
    value = env.str(name, default="").strip()
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        number = None
    if number is None or number < minimum:
        raise ImproperlyConfigured(f"{name}={value!r} must be a whole number, at least {minimum}.")
    return number


def read_list(name: str) -> list[str]:
    return [item.strip() for item in env.str(name, default="").split(",") if item.strip()]


def read_http_url(name: str, default: str) -> str:
    """An http(s) URL without a trailing slash."""
    value = env.str(name, default=default).strip().rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ImproperlyConfigured(f"{name}={value!r} must be a URL such as https://calls.example.org.")
    return value
