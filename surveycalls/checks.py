"""System checks: what would make a deployment unsafe or mute, each with what to do about it.

Some are true of any machine; the rest, of `check --deploy`, only of one that rings people.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, InterfaceError
from django.http.request import split_domain_port, validate_host

Apps = Sequence[AppConfig] | None

SHORTEST_HASH_KEY = 32


@register("surveycalls", deploy=True)
def check_secret_key(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    if settings.SECRET_KEY_FROM_ENVIRONMENT:
        return []
    return [
        Error(
            "SECRET_KEY is not set; a key that was made for this machine alone is in use.",
            hint="Set SECRET_KEY to at least 50 random characters, the same for all processes and machines.",
            id="surveycalls.E001",
        )
    ]


@register("surveycalls", deploy=True)
def check_database(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    if not settings.DATABASE_IS_EMBEDDED:
        return []
    return [
        Error(
            "DATABASE_URL is not set; the embedded database is in use, which is for trying out and for tests.",
            hint="Set DATABASE_URL to a PostgreSQL server, 14 or newer, that is backed up.",
            id="surveycalls.E002",
        )
    ]


@register("surveycalls", deploy=True)
def check_public_address(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    address = urlsplit(settings.PUBLIC_BASE_URL)
    problems: list[CheckMessage] = []
    if address.scheme != "https":
        problems.append(
            Error(
                "PUBLIC_BASE_URL is not https: operators' passwords and the provider's reports travel in the clear.",
                hint="Put a proxy with a certificate before the site, and set PUBLIC_BASE_URL to its https address.",
                id="surveycalls.E003",
            )
        )
    if _is_this_machine(address.hostname):
        problems.append(
            Error(
                f"PUBLIC_BASE_URL names this machine itself ({address.hostname}): the provider cannot report on calls.",
                hint="Set PUBLIC_BASE_URL to the address under which the provider reaches the site.",
                id="surveycalls.E004",
            )
        )
    return problems


@register("surveycalls", deploy=True)
def check_credentials(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    missing = [name for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN") if not getattr(settings, name)]
    if not missing:
        return []
    return [
        Error(
            f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not set: nobody can be rung.",
            hint="Set both as the provider's console shows them. The auth token is needed beside an API key too: "
            "the provider signs its reports with it.",
            id="surveycalls.E005",
        )
    ]


@register("surveycalls", deploy=True)
def check_provider_address(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    if settings.TWILIO_API_BASE_URL.startswith("https://"):
        return []
    return [
        Error(
            "TWILIO_API_BASE_URL is not https: the account's credentials and all numbers travel in the clear.",
            hint="Use the provider's https address. The simulator, which has none, rings nobody.",
            id="surveycalls.E006",
        )
    ]


@register("surveycalls")
def check_allowed_hosts(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    domain, _ = split_domain_port(urlsplit(settings.PUBLIC_BASE_URL).netloc)
    if validate_host(domain, settings.ALLOWED_HOSTS):
        return []
    return [
        Error(
            f"ALLOWED_HOSTS lacks {domain}, the host of PUBLIC_BASE_URL: the provider's reports are refused.",
            hint=f"Add {domain} to ALLOWED_HOSTS, or leave ALLOWED_HOSTS unset.",
            id="surveycalls.E007",
        )
    ]


@register("surveycalls")
def check_api_key(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    if bool(settings.TWILIO_API_KEY_SID) == bool(settings.TWILIO_API_KEY_SECRET):
        return []
    return [
        Error(
            "Only one of TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET is set; the API key is not used.",
            hint="Set both, or neither to sign in with the auth token.",
            id="surveycalls.E008",
        )
    ]


@register("surveycalls")
def check_background_jobs(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    from calls.reconciliation import LONGEST_REQUESTS, LONGEST_RUN_SECONDS
    from calls.shifts import SHIFT

    timeout, retry = settings.Q_CLUSTER["timeout"], settings.Q_CLUSTER["retry"]
    request = settings.TWILIO_CONNECT_TIMEOUT_SECONDS + settings.TWILIO_READ_TIMEOUT_SECONDS
    # A shift that ends waits for the reconciliation in it, which ends after the call that it is at.
    longest = SHIFT.total_seconds() + LONGEST_RUN_SECONDS + LONGEST_REQUESTS * request
    problems: list[CheckMessage] = []
    if retry <= timeout:
        problems.append(
            Error(
                f"Q_CLUSTER's retry ({retry} s) is not longer than its timeout ({timeout} s): a job would be given "
                "to a second worker while the first is still at it.",
                hint="Raise retry above timeout in settings.py.",
                id="surveycalls.E009",
            )
        )
    if timeout <= longest:
        problems.append(
            Error(
                f"A shift of the scheduler with the longest waits for the provider ({longest:g} s) does not fit "
                f"into Q_CLUSTER's timeout ({timeout} s): the job would be ended with calls on their way.",
                hint="Lower TWILIO_CONNECT_TIMEOUT_SECONDS and TWILIO_READ_TIMEOUT_SECONDS.",
                id="surveycalls.E010",
            )
        )
    return problems


@register("surveycalls")
def check_silence(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    if settings.CALL_SILENCE_SECONDS > settings.CALL_RING_TIMEOUT_SECONDS:
        return []
    return [
        Warning(
            "CALL_SILENCE_SECONDS is not above CALL_RING_TIMEOUT_SECONDS: the provider is asked about every call "
            "that nobody picks up.",
            hint="Raise CALL_SILENCE_SECONDS above CALL_RING_TIMEOUT_SECONDS.",
            id="surveycalls.W001",
        )
    ]


@register("surveycalls", deploy=True)
def check_webhooks(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    if not settings.WEBHOOKS_TO_PRIVATE_NETWORKS:
        return []
    return [
        Warning(
            "WEBHOOKS_TO_PRIVATE_NETWORKS is set: whoever may add a webhook can have this site talk to machines that "
            "only it can reach, and answers of people may travel in the clear.",
            hint="Leave WEBHOOKS_TO_PRIVATE_NETWORKS unset unless subscribers are in the site's own network.",
            id="surveycalls.W002",
        )
    ]


@register("surveycalls")
def check_hash_key(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    if len(settings.DO_NOT_CALL_HASH_KEY) >= SHORTEST_HASH_KEY or not settings.DO_NOT_CALL_HASH_KEY:
        return []
    return [
        Error(
            f"DO_NOT_CALL_HASH_KEY is shorter than {SHORTEST_HASH_KEY} characters: whoever has a copy of the database "
            "could guess it, and then read the numbers of people who were erased.",
            hint=f"Set DO_NOT_CALL_HASH_KEY to at least {SHORTEST_HASH_KEY} random characters.",
            id="surveycalls.E011",
        )
    ]


@register(Tags.database)
def check_hashed_numbers_at_migration(
    app_configs: Apps, databases: Sequence[str] | None = None, **_kwargs: Any
) -> list[CheckMessage]:
    return check_hashed_numbers(app_configs) if databases else []


@register("surveycalls", deploy=True)
def check_hashed_numbers(app_configs: Apps, **_kwargs: Any) -> list[CheckMessage]:
    """Asks the database, which most commands can do without."""
    from contacts.hashing import find_fingerprint, is_hashing_possible
    from contacts.models import DoNotCallEntry

    try:
        hashed = DoNotCallEntry.objects.exclude(hash_key="")
        others = hashed.exclude(hash_key=find_fingerprint() if is_hashing_possible() else "").count()
    except (DatabaseError, InterfaceError):
        return []  # not migrated yet, or not there: that is not for this check to say
    if not others:
        return []
    return [
        Error(
            f"{others:,} {'number' if others == 1 else 'numbers'} of erased people on the do-not-call list cannot be "
            "recognised: another DO_NOT_CALL_HASH_KEY was set when they were put on it. Nobody is rung.",
            hint="Set DO_NOT_CALL_HASH_KEY to what it was before.",
            id="surveycalls.E012",
        )
    ]


def _is_this_machine(host: str | None) -> bool:
    if host is None or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
