"""Cells that a spreadsheet would take for formulas.

Whoever opens our CSV in a spreadsheet must not run what somebody else has written into it (OWASP, CSV Injection). Such
a cell gets an apostrophe in front, which an import takes off again. Numbers of phones stay as they are.
"""

import re

_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d\s().-]*\Z)")
_DEFUSED = re.compile(r"'+[=@\t\r+-]")


def defuse(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) or _DEFUSED.match(cell) else cell


def restore(cell: str) -> str:
    """What defuse was given. Also takes off an apostrophe that somebody else has put in front of a sign."""
    return cell[1:] if _DEFUSED.match(cell) else cell
