"""Arrays for PostgreSQL, each as one text: the driver takes long to quote the values of a list one by one."""

from collections.abc import Iterable, Sequence
from typing import Any


def write_array(values: Iterable[Any]) -> str:
    """Of ids, E.164 numbers, call_ids and instants, which need no quotes."""
    return f"{{{','.join(map(str, values))}}}"


def write_texts(values: Sequence[str]) -> str:
    """Of texts without line breaks."""
    if not values:
        return "{}"
    joined = "\n".join(values).replace("\\", "\\\\").replace('"', '\\"').replace("\n", '","')
    return f'{{"{joined}"}}'
