"""Numbers of the do-not-call list that were made unreadable, because their people were erased.

There are so few telephone numbers that all of them can be hashed in minutes. So a secret goes into the hash that the
database never sees: whoever has a copy of it, without the key, learns nothing.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from django.conf import settings
from django.utils.translation import gettext as _


class HashKeyMissing(Exception):
    """Its message names the setting."""


def is_hashing_possible() -> bool:
    return bool(settings.DO_NOT_CALL_HASH_KEY)


def hash_number(number: str) -> str:
    """Of an E.164 number, by the deployment's key: always the same. Raises HashKeyMissing."""
    return sha256(_read_key() + number.encode()).hexdigest()


def find_fingerprint() -> str:
    """By which the key is told from others, without telling it. Raises HashKeyMissing."""
    return sha256(b"fingerprint of " + _read_key()).hexdigest()[:16]


def hash_numbers(numbers: Iterable[str]) -> Mapping[str, str]:
    """Hash -> number. Empty without a key; whether the list has hashes even so, exclusion.is_list_readable() says."""
    return {hash_number(number): number for number in numbers} if is_hashing_possible() else {}


def _read_key() -> bytes:
    if not is_hashing_possible():
        raise HashKeyMissing(
            _(
                "A number can only be kept on the do-not-call list without being readable when the setting "
                "DO_NOT_CALL_HASH_KEY is set, to a secret of at least 32 characters that never changes."
            )
        )
    return settings.DO_NOT_CALL_HASH_KEY.encode()
