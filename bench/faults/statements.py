"""What a statement of the product is about, told by its SQL and its values.

Only tables, columns and statuses are known here, and nothing of the product's code; test_victim.py sends its real
statements through.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any


class About(Enum):
    LOCK = "the provider's row, by whoever claims"
    CLAIM = "new attempts"
    PLACING = "attempts about to be sent"
    RECORD = "the provider's answer for attempts"
    CHANGE = "anything else that becomes of attempts, and what was answered in them"


_PREPARE = re.compile(r"PREPARE (\w+) .*? AS (.*)", re.DOTALL)
_EXECUTE = re.compile(r"EXECUTE (\w+)")
_INSERT = re.compile(r'\bINSERT INTO\s+"?calls_callattempt\b')
_ANSWER = re.compile(r'\bINSERT INTO\s+"?calls_answer\b')
_UPDATE = re.compile(r'\bUPDATE\s+"?calls_callattempt\b.*?\bSET\b(?P<set>.*?)(?:\bWHERE\b(?P<where>.*)|$)', re.DOTALL)
_STATUS = re.compile(r"""(?<![\w."])"?status"?\s*=\s*(?:CASE\b.*?\bTHEN\s*)?'(\w+)'""", re.DOTALL)
_CALL_ID = re.compile(r'(?<!\w)call_id"?\s*=')


class StatementReader:
    """Of one process; it remembers what was prepared, because EXECUTE only names it."""

    def __init__(self) -> None:
        self._prepared: dict[str, str] = {}

    def read(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None) -> About | None:
        """None for what is about neither attempts nor the claim's lock."""
        sql = sql.strip()
        if prepared := _PREPARE.match(sql):
            self._prepared[prepared[1]] = prepared[2]
            return None
        if _EXECUTE.match(sql):
            # Several may be sent in one message; the last one is what the others are for.
            last = sql.split("; ")[-1]
            values = list(params or ())[-last.count("%s") :]
            sql = _fill_in_numbered(self._prepared.get(_EXECUTE.match(last)[1], ""), values)
        elif "calls_callattempt" in sql:
            sql = _fill_in(sql, params)
        return _tell(sql)


def _tell(sql: str) -> About | None:
    # The sign of life skips the locked row as well, but in an UPDATE.
    if sql.startswith("SELECT") and "calls_providerconfig" in sql and "SKIP LOCKED" in sql:
        return About.LOCK
    if _INSERT.search(sql):
        return About.CLAIM
    if _ANSWER.search(sql):
        return About.CHANGE
    if update := _UPDATE.search(sql):
        status = _STATUS.search(update["set"])
        if status and status[1] == "placing":
            return About.PLACING
        # Reports write this status too; they know a call by the name that the provider was told.
        if status and status[1] == "queued" and not _CALL_ID.search(update["where"] or ""):
            return About.RECORD
        return About.CHANGE
    return None


def _fill_in(sql: str, params: Sequence[Any] | Mapping[str, Any] | None) -> str:
    if not params:
        return sql
    if isinstance(params, Mapping):
        return sql % {name: _write(value) for name, value in params.items()}
    return sql % tuple(map(_write, params))


def _fill_in_numbered(sql: str, values: Sequence[Any]) -> str:
    return re.sub(r"\$(\d+)", lambda number: _write(values[int(number[1]) - 1]), sql)


def _write(value: Any) -> str:
    """As one word, so that no value is taken for SQL."""
    return "'" + re.sub(r"\W+", "_", str(value)) + "'"
