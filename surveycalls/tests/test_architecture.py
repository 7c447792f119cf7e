"""The rooms of the house and the arrows between them, read from the source."""

import ast
from pathlib import Path

import pytest

from surveycalls.tests.processes import ROOT

APPS = ("campaigns", "contacts", "calls")
PROJECT = {*APPS, "surveycalls"}

# What each room may import of the project at run time, beside itself. surveycalls wires all three.
ARROWS = {
    "campaigns": set(),
    "contacts": {"campaigns"},
    "calls": {"campaigns", "contacts"},
    "surveycalls": {"campaigns", "contacts", "calls"},
}
SEALED = ("calls/providers", "calls/simulator")
PURE = (
    "calls/events/backoff.py",
    "calls/events/refusals.py",
    "calls/events/signing.py",
    "campaigns/emails.py",
    "campaigns/holidays.py",
    "campaigns/retries.py",
    "campaigns/spellings.py",
    "calls/charts.py",
    "calls/distributions.py",
    "calls/hearing.py",
    "calls/rates.py",
    "calls/rehearsal.py",
    "campaigns/windows.py",
    "contacts/numbering.py",
    "contacts/phones.py",
    "calls/pacing.py",
    "calls/sharing.py",
    "calls/simulator/answering.py",
    "calls/simulator/gathering.py",
    "calls/simulator/hearing.py",
    "calls/simulator/people.py",
    "calls/simulator/phrases.py",
    "calls/simulator/twiml.py",
    "calls/simulator/ledger.py",
)
NAMES_THAT_SAY_NOTHING = {"utils.py", "helpers.py", "services.py", "common.py", "misc.py"}


def find_modules(folder):
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [path for path in paths if "tests" not in path.parts and "migrations" not in path.parts]


def find_imports(source, package):
    """Dotted names of what is imported at run time, on top or within functions, as (line, name).

    ``package`` is where the source stands; "from a import b" gives a.b. What stands under TYPE_CHECKING is
    left out, so a name that is imported at run time as well still counts.
    """
    imports = []

    class Visitor(ast.NodeVisitor):
        def visit_If(self, node):
            children = (
                node.orelse
                if ast.unparse(node.test).endswith("TYPE_CHECKING")
                else [node.test, *node.body, *node.orelse]
            )
            for child in children:
                self.visit(child)

        def visit_Import(self, node):
            imports.extend((node.lineno, alias.name) for alias in node.names)

        def visit_ImportFrom(self, node):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            imports.extend((node.lineno, f"{origin}.{alias.name}") for alias in node.names)

    Visitor().visit(ast.parse(source))
    return imports


def imports_of(path):
    package = ".".join(path.parent.relative_to(ROOT).parts)
    return [
        (f"{path.relative_to(ROOT)}:{line} imports {name}", name)
        for line, name in find_imports(path.read_text(), package)
    ]


def is_within(name, module):
    return name == module or name.startswith(f"{module}.")


def name_module(path):
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("room", ARROWS)
def test_rooms_are_imported_along_the_arrows_only(room):
    allowed = {room, *ARROWS[room]}
    wrong = [
        text
        for path in find_modules(room)
        for text, name in imports_of(path)
        if (top := name.split(".")[0]) in PROJECT and top not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", SEALED)
def test_sealed_rooms_import_nothing_of_the_project_but_themselves(folder):
    assert find_modules(folder)
    wrong = [
        text
        for path in find_modules(folder)
        for text, name in imports_of(path)
        if name.split(".")[0] in PROJECT and not is_within(name, name_module(folder))
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", SEALED)
def test_sealed_rooms_import_no_model(folder):
    wrong = [
        text
        for path in find_modules(folder)
        for text, name in imports_of(path)
        if is_within(name, "django.db") or is_within(name, "django.apps") or "models" in name.split(".")
    ]
    assert wrong == []


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_no_django_and_only_pure_modules(module):
    """But for the words of what they refuse, which are in the language of whoever reads them."""
    pure = [name_module(path) for path in PURE]
    wrong = [
        text
        for text, name in imports_of(ROOT / module)
        if ((top := name.split(".")[0]) == "django" and not is_within(name, "django.utils.translation"))
        or (top in PROJECT and not any(is_within(name, other) for other in pure))
    ]
    assert wrong == []


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_ask_no_clock(module):
    source = (ROOT / module).read_text()
    for clock in ("datetime.now", "utcnow", "time.time(", "time.monotonic(", "date.today"):
        assert clock not in source


def test_modules_are_named_after_what_they_are_about():
    found = [path for room in PROJECT for path in (ROOT / room).rglob("*.py") if path.name in NAMES_THAT_SAY_NOTHING]
    assert found == []


def test_imports_within_functions_and_relative_ones_are_found():
    source = """
import contacts.models
def ring():
    from campaigns import lifecycle
    from .base import ProviderError
    from ..models import CallAttempt
"""
    names = [name for _, name in find_imports(source, "calls.providers")]
    assert names == [
        "contacts.models",
        "campaigns.lifecycle",
        "calls.providers.base.ProviderError",
        "calls.models.CallAttempt",
    ]


def test_an_import_for_type_checkers_is_found_only_when_it_is_made_at_run_time_too():
    hidden = "if TYPE_CHECKING:\n    from calls.models import CallAttempt\n"
    assert find_imports(hidden, "calls") == []
    assert find_imports(f"{hidden}else:\n    import calls.models\n", "calls") == [(4, "calls.models")]
    assert find_imports(f"{hidden}def find():\n    import calls.models\n", "calls") == [(4, "calls.models")]


def test_every_package_of_the_apps_is_read():
    read = {path for room in PROJECT for path in find_modules(room)}
    assert {Path(ROOT / module) for module in PURE} <= read


def test_no_two_advisory_locks_have_the_same_number():
    """Else whoever holds the one keeps everybody from the other."""
    named = [
        (node.targets[0].id, ast.literal_eval(node.value))
        for room in PROJECT
        for path in (ROOT / room).rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id.endswith("_LOCK")
    ]
    numbers = [number for _name, number in named]
    assert len(numbers) >= 3
    assert len(set(numbers)) == len(numbers), named
