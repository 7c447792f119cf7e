"""PURE: the texts of e-mails to contacts, in which a few words stand for what differs from one to the other.

A template language could read whatever the site knows; these are words and no more.
"""

import re
from collections.abc import Mapping

PLACEHOLDERS = ("campaign", "reference", "date")

_BRACES = re.compile(r"\{([^{}]*)\}")


def find_unknown(text: str) -> list[str]:
    """What stands in braces and for nothing, each once, and braces without an end or a beginning."""
    unknown = [f"{{{name}}}" for name in _BRACES.findall(text) if name not in PLACEHOLDERS]
    return list(dict.fromkeys([*unknown, *re.findall(r"[{}]", _BRACES.sub("", text))]))


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """What is filled in is not looked at again, whatever stands in it."""
    return _BRACES.sub(lambda found: values.get(found[1], found[0]), text)


def fill_in_line(text: str, values: Mapping[str, str]) -> str:
    return " ".join(fill_in(text, values).split())
