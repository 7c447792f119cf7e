"""Outcome rates by the AAPOR Standard Definitions (10th edition, 2023, "Calculating Outcome Rates"); pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INTERVIEWS = ("I", "P")
NOT_INTERVIEWED = ("R", "NC", "O")
UNKNOWN = ("UH", "UO")
ELIGIBLE = (*INTERVIEWS, *NOT_INTERVIEWED)
NOT_ELIGIBLE = "NE"
SYMBOLS = (*ELIGIBLE, *UNKNOWN, NOT_ELIGIBLE)

Groups = Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of contacts: groups of symbols over groups of symbols, each group in brackets.

    ``is_estimated``: of those whose eligibility is unknown only the share e counts.
    """

    name: str
    above: Groups
    below: Groups
    is_estimated: bool = False

    def value(self, counts: Mapping[str, int]) -> float | None:
        """From 0 to 1; None while it is not defined."""
        e = find_e(counts) if self.is_estimated else 1.0
        if e is None:
            return None
        below = sum(_add(group, counts) * (e if group == UNKNOWN else 1) for group in self.below)
        return sum(_add(group, counts) for group in self.above) / below if below else None

    def spell(self, words: Mapping[str, Any]) -> str:
        """The formula with a word for each symbol, and for ``e``."""
        above, below = _spell(self.above, words, ""), _spell(self.below, words, words["e"] if self.is_estimated else "")
        return f"{above if len(self.above[0]) == 1 and len(self.above) == 1 else f'({above})'} / ({below})"


def _add(group: Sequence[str], counts: Mapping[str, int]) -> int:
    return sum(counts.get(symbol, 0) for symbol in group)


def _spell(groups: Groups, words: Mapping[str, Any], e: str) -> str:
    parts = []
    for group in groups:
        text = " + ".join(str(words[symbol]) for symbol in group)
        is_bracketed = len(group) > 1 and len(groups) > 1
        parts.append((f"{e} × " if e and group == UNKNOWN else "") + (f"({text})" if is_bracketed else text))
    return " + ".join(parts)


_I, _R, _O, _NC = ("I",), ("R",), ("O",), ("NC",)
_KNOWN = (INTERVIEWS, NOT_INTERVIEWED)
_ALL = (*_KNOWN, UNKNOWN)
_REACHED = (INTERVIEWS, _R, _O)

RATES = {
    "response": (
        Rate(name="RR1", above=(_I,), below=_ALL),
        Rate(name="RR2", above=(INTERVIEWS,), below=_ALL),
        Rate(name="RR3", above=(_I,), below=_ALL, is_estimated=True),
        Rate(name="RR4", above=(INTERVIEWS,), below=_ALL, is_estimated=True),
        Rate(name="RR5", above=(_I,), below=_KNOWN),
        Rate(name="RR6", above=(INTERVIEWS,), below=_KNOWN),
    ),
    "cooperation": (
        Rate(name="COOP1", above=(_I,), below=_REACHED),
        Rate(name="COOP2", above=(INTERVIEWS,), below=_REACHED),
        Rate(name="COOP3", above=(_I,), below=(INTERVIEWS, _R)),
        Rate(name="COOP4", above=(INTERVIEWS,), below=(INTERVIEWS, _R)),
    ),
    "refusal": (
        Rate(name="REF1", above=(_R,), below=_ALL),
        Rate(name="REF2", above=(_R,), below=_ALL, is_estimated=True),
        Rate(name="REF3", above=(_R,), below=_KNOWN),
    ),
    "contact": (
        Rate(name="CON1", above=_REACHED, below=(*_REACHED, _NC, UNKNOWN)),
        Rate(name="CON2", above=_REACHED, below=(*_REACHED, _NC, UNKNOWN), is_estimated=True),
        Rate(name="CON3", above=_REACHED, below=(*_REACHED, _NC)),
    ),
}


def find_e(counts: Mapping[str, int]) -> float | None:
    """The share of those of unknown eligibility that is taken to be eligible: as of the others (the CASRO method).

    None as long as nobody's eligibility is known.
    """
    eligible = _add(ELIGIBLE, counts)
    known = eligible + counts.get(NOT_ELIGIBLE, 0)
    return eligible / known if known else None


def spell_e(words: Mapping[str, Any]) -> str:
    eligible = " + ".join(str(words[symbol]) for symbol in ELIGIBLE)
    return f"({eligible}) / ({eligible} + {words[NOT_ELIGIBLE]})"
