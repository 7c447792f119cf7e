"""SQL that PostgreSQL reads and plans once in a connection, for what is asked hundreds of times a second.

There planning costs it more than doing, and putting the query together costs us more than all of its work. A plan that
was made while its tables were almost empty stays until they are analysed, which autovacuum does when they have grown.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, connection
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
        self.name = f"surveycalls_{name}"
        self.prepare = f"PREPARE {self.name} ({types}) AS {sql}"
        self.execute = f"EXECUTE {self.name} ({', '.join(['%s'] * len(types.split(',')))})"

    def fetch(self, *values: Any) -> tuple[Any, ...] | None:
        """Its first row."""
        return next(iter(run((self, values))), None)

    def fetch_all(self, *values: Any) -> list[tuple[Any, ...]]:
        return run((self, values))


def run(*steps: tuple[Statement, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Run statements with their values, one after the other in one round trip; returns the rows of the last one.

    They are one transaction, or part of the one that is open. Each sees what others had committed when it began: what
    was locked by one is in the next as it is now.
    """
    with connection.cursor() as cursor:
        prepared = _prepared.setdefault(connection.connection, set())
        for statement, _ in steps:
            if statement.name not in prepared:
                cursor.execute(statement.prepare)
                prepared.add(statement.name)
        # In one message, which the server takes for one transaction.
        script = "; ".join(statement.execute for statement, _ in steps)
        cursor.execute(script, [value for _, values in steps for value in values])
        return cursor.fetchall() if cursor.description else []


class Columns:
    """Some of a model's columns, for a statement to name and to make rows of its answers.

    The others are fetched when somebody asks for them. None of them may need converting, as JSON does.
    """

    def __init__(self, alias: str, *names: str) -> None:
        self._alias, self._names = alias, names

    def __str__(self) -> str:
        return ", ".join(f'{self._alias}."{name}"' for name in self._names)

    def make(self, model: type[Row], values: Iterator[Any]) -> Row:
        """A row of the next of these values."""
        return model.from_db(DEFAULT_DB_ALIAS, self._names, list(islice(values, len(self._names))))
