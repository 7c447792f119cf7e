import json

import pytest

from surveycalls.logs import _mask_line, mask_phone_number
from surveycalls.tests.processes import run_python

PREPARE = """
import logging, structlog
from surveycalls.logs import configure_logging
configure_logging({format!r}, {level!r})
log = structlog.get_logger("calls.outcomes")
number = "+12025550123"
token = "secret-" + "token"
"""


def log_lines(code, format="json", level="INFO"):
    """What the code writes to stderr; it has a ``log``, a ``number`` and a ``token``."""
    finished = run_python(PREPARE.format(format=format, level=level) + code)
    assert finished.returncode == 0, finished.stderr
    return finished.stderr.splitlines()


def log_one(code):
    (line,) = log_lines(code)
    return json.loads(line)


def test_a_line_is_one_json_object():
    event = log_one("log.info('call.ended', outcome='busy')")
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "call.ended", "outcome": "busy", "level": "info", "logger": "calls.outcomes"}


def test_lines_about_a_call_carry_its_call_id():
    event = log_one("""
with structlog.contextvars.bound_contextvars(call_id="a-call"):
    log.info("webhook.forged")
""")
    assert event["call_id"] == "a-call"


def test_lines_of_libraries_carry_it_too():
    event = log_one("""
with structlog.contextvars.bound_contextvars(call_id="a-call"):
    logging.getLogger("django.request").warning("Not Found: %s", "/somewhere")
""")
    assert (event["call_id"], event["event"], event["logger"]) == ("a-call", "Not Found: /somewhere", "django.request")


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize(
    "statement",
    [
        "log.info('call.placed', to=number)",
        "log.info('ringing ' + number)",
        "log.info('ringing +12025550123abc')",
        "log.info('GET /Calls.json?To=%2B12025550123&PageSize=100')",
        "log.info('GET /Calls.json?To=%2b12025550123')",
        "log.info('GET /login?next=%2FCalls.json%3FTo%3D%252B12025550123')",
        "logging.getLogger('requests').warning('no route for %s', number)",
        "logging.getLogger('requests').warning('no route', extra={'to': number})",
        "log.info('+12025550123, 12025550123')",
    ],
)
def test_phone_numbers_are_masked(format, statement):
    (line,) = log_lines(statement, format)
    assert "2025550123" not in line
    assert "+120******23" in line


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("logger", ["log", "logging.getLogger('django.request')"])
def test_tracebacks_are_logged_with_numbers_masked_and_without_local_variables(format, logger):
    text = "\n".join(
        log_lines(
            f"""
def place(credential, to):
    raise ValueError(f"cannot ring {{to}}")
try:
    place(token, number)
except ValueError:
    {logger}.exception("call.placing_failed")
""",
            format,
        )
    )
    assert "ValueError" in text and "place" in text
    assert "cannot ring +120******23" in text
    assert "2025550123" not in text
    assert "secret-token" not in text


def test_what_is_below_the_level_is_not_logged():
    assert log_lines("log.info('call.placed'); log.warning('breaker.open')", level="ERROR") == []


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize(
    "text",
    [
        "12025550123",
        "The number 12025550123 is not valid.",
        "refused: 12025550123.",
        "(12025550123)",
        "To=12025550123&PageSize=100",
        "sip:12025550123@example.org",
        "one line\n12025550123",
        '{"to": "12025550123"}',
    ],
)
def test_a_number_without_a_plus_is_masked(format, text):
    line = "\n".join(log_lines(f"log.info({text!r}); log.info('call.placed', to={text!r})", format))
    assert "2025550123" not in line
    assert line.count("120******23") == 2


def test_a_number_without_a_plus_is_masked_on_a_terminal():
    assert "2025550123" not in _mask_line(None, "", "\x1b[36mto\x1b[0m=\x1b[35m12025550123\x1b[0m")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T18:00:00+00:00",
        "1+1",
        "202555012",
        "1202555012312025",
        "CA12025550123",
        "12025550123ab",
        "call_12025550123",
        "0192f3a4-5b6c-7d8e-9f01-120255501234",
        "12025550-1234-4234-8234-123456789012",
        "12025550123-abc",
        "0.12025550123",
        "1772625600.125",
    ],
)
def test_what_only_looks_like_a_number_stays(text):
    event = log_one(f"log.info({text!r}, id={text!r})")
    assert (event["event"], event["id"]) == (text, text)


def test_a_number_to_reckon_with_stays_one():
    event = log_one("log.info('12025550123', bytes=12025550123, sizes=[12025550123, 1.5])")
    assert (event["event"], event["bytes"], event["sizes"]) == ("120******23", 12025550123, [12025550123, 1.5])


@pytest.mark.parametrize(
    ("number", "masked"), [("+12025550123", "+120******23"), ("+390699999", "+390****99"), ("+1234567", "+123**67")]
)
def test_a_masked_number_can_be_recognised_but_not_rung(number, masked):
    assert mask_phone_number(number) == masked
