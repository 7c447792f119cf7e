"""SQL that PostgreSQL reads and plans once in a connection, for what is asked hundreds of times a second.

There planning costs it more than doing, and putting the query together costs us more than all of its work.
"""

from collections.abc import Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

Row = TypeVar("Row", bound=Model)

# A connection of the driver: what was prepared in it ends with it.
_prepared: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


class Statement:
    """One statement with its parameters $1, $2 ... of the types that ``types`` lists.

    The same plan serves all values. So where an index has a condition the statement must state it in words:
    that $1 happens to fulfil it is not known when it is planned.
    """

    def __init__(self, name: str, types: str, sql: str) -> None:
        self._name = f"surveycalls_{name}"
        self._prepare = f"PREPARE {self._name} ({types}) AS {sql}"
        self._execute = f"EXECUTE {self._name} ({', '.join(['%s'] * len(types.split(',')))})"

    def fetch(self, *values: Any) -> tuple[Any, ...] | None:
        """Its first row."""
        with connection.cursor() as cursor:
            self._run(cursor, values)
            return cursor.fetchone()

    def count(self, *values: Any) -> int:
        """How many rows it changed."""
        with connection.cursor() as cursor:
            self._run(cursor, values)
            return cursor.rowcount

    def _run(self, cursor: CursorWrapper, values: Sequence[Any]) -> None:
        prepared = _prepared.setdefault(connection.connection, set())
        if self._name not in prepared:
            cursor.execute(self._prepare)
            prepared.add(self._name)
        cursor.execute(self._execute, values)


class Columns:
    """Some of a model's columns, for a statement to name and to make rows of its answers.

    The others are fetched when somebody asks for them. None of them may need converting, as JSON does.
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def __str__(self) -> str:
        return ", ".join(f'"{name}"' for name in self._names)

    def make(self, model: type[Row], values: Sequence[Any]) -> Row:
        return model.from_db(connection.alias, self._names, values)
