"""What may have been in force when: the log knows each change only to lie between two instants."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

T = TypeVar("T")

BEGINNING = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


class EvidenceError(Exception):
    """The evidence does not suffice for a judgement: a fault of the run, not of what was judged in it."""


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[T]):
    """A value that was certainly not in force before ``from_``, and certainly was at ``to``.

    ``to`` is None when nobody knows whether the change was committed.
    """

    from_: datetime
    to: datetime | None
    value: T

    @property
    def over_at(self) -> datetime:
        """When whoever made the change had done with it."""
        return self.to or self.from_


@dataclass(frozen=True, kw_only=True)
class _Span(Generic[T]):
    first: datetime
    last: datetime
    value: T


class History(Generic[T]):
    """The values that one thing had in turn. ``initially`` is in force until the first change."""

    def __init__(self, name: str, settings: Iterable[Setting[T]], *, initially: T | None = None) -> None:
        self._name = name
        settings = list(settings)
        self._spans = [
            _Span(first=setting.from_, last=_find_end(setting, settings), value=setting.value) for setting in settings
        ]
        if initially is not None:
            end = min((setting.to for setting in settings if setting.to), default=NEVER)
            self._spans.append(_Span(first=BEGINNING, last=end, value=initially))

    def possible(self, from_: datetime, to: datetime) -> list[T]:
        """Every value that may have been in force at some instant from ``from_`` to ``to``, both included.

        At the very instant of a change either value will do. Raises EvidenceError when none is on record: a run
        that forgot to log something must not pass for clean.
        """
        values = [span.value for span in self._spans if span.first <= to and span.last >= from_]
        if not values:
            raise EvidenceError(f"nothing is on record about {self._name} up to {to}")
        return values

    @property
    def values(self) -> Sequence[T]:
        return [span.value for span in self._spans]


def _find_end(setting: Setting[T], settings: Iterable[Setting[T]]) -> datetime:
    """When another value was certainly in force whose change began after this one was over."""
    others = [other for other in settings if other is not setting and other.from_ >= setting.over_at]
    later = (other.to for other in others if other.to)
    return min(later, default=NEVER)
