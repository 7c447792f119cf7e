"""The settings are documented by .env.example and the README, and both know all of them."""

import ast
import json
import re
from itertools import pairwise

from surveycalls.tests.processes import PRODUCTION, ROOT, VARIABLES, run_python

READERS = re.compile(r"read_[a-z_]+$")
DUMP_SETTINGS = """
import json, os, django
django.setup()
from django.conf import settings
names = [name for name in dir(settings) if name.isupper() and name not in ("DATABASES", "UNFOLD")]
print(json.dumps({name: str(getattr(settings, name)) for name in names}))
"""


def read_sources(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "tests" not in path.parts and "migrations" not in path.parts:
                yield path, ast.parse(path.read_text())


def read_example():
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))


def find_variables_read(tree):
    """The names in read_…("NAME"), os.environ.get("NAME"), os.environ["NAME"] and os.getenv("NAME")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func)
            if READERS.fullmatch(called) or called in {"os.environ.get", "os.getenv", "environ.get"}:
                yield node.args[0].value
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and ast.unparse(node.value) == "os.environ"
            and isinstance(node.slice, ast.Constant)
        ):
            yield node.slice.value


def load_settings(**environment):
    finished = run_python(DUMP_SETTINGS, DJANGO_SETTINGS_MODULE="surveycalls.settings", **environment)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_env_example_names_exactly_the_variables_that_are_read():
    read = {name for _, tree in read_sources("surveycalls") for name in find_variables_read(tree)}
    assert sorted(VARIABLES) == sorted(read)


def test_the_apps_read_no_variable_of_their_own():
    for path, tree in read_sources("campaigns", "contacts", "calls"):
        unknown = set(find_variables_read(tree)) - set(VARIABLES)
        assert not unknown, f"{path.relative_to(ROOT)} reads {unknown}"


def test_every_variable_has_a_line_of_explanation():
    lines = (ROOT / ".env.example").read_text().splitlines()
    for before, line in pairwise(lines):
        if re.match(r"[A-Z_]+=", line):
            assert re.fullmatch(r"# .+\.", before), f"{line} is not explained"


def test_the_values_in_env_example_are_the_defaults():
    minimum = {name: PRODUCTION[name] for name in ("SECRET_KEY", "DATABASE_URL")}
    assert load_settings(**read_example() | minimum) == load_settings(**minimum)


def test_the_readme_has_a_table_of_the_same_variables_and_defaults():
    table = re.findall(r"^\| `([A-Z_]+)` \| `?([^`|]*?)`? \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [(name, default.strip()) for name, default in table] == list(read_example().items())


def test_the_readme_names_only_tests_that_exist():
    named = re.findall(r"`((?:\w+/)+test_\w+\.py)(?:::(test_\w+))?`", (ROOT / "README.md").read_text())
    assert named
    for path, test in named:
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"
