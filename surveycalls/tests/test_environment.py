import pytest
from django.core.exceptions import ImproperlyConfigured

from surveycalls.environment import (
    read_bool,
    read_http_url,
    read_int,
    read_list,
    read_redis_url,
    read_site_url,
    read_text,
    read_time_zone,
)
from surveycalls.tests.processes import PRODUCTION, run_manage

SITE = "https://calls.example.org"


def test_text_is_the_value_without_space_around_it(monkeypatch):
    monkeypatch.setenv("SOME_TEXT", "  words and words ")
    assert read_text("SOME_TEXT") == "words and words"


def test_text_that_begins_with_a_dollar_sign_is_not_the_name_of_another_variable(monkeypatch):
    monkeypatch.setenv("SOME_SECRET", "$HOME")
    assert read_text("SOME_SECRET") == "$HOME"


@pytest.mark.parametrize(
    "read",
    [
        lambda name: read_text(name, "default"),
        lambda name: read_text(name, "default", choices=("default", "other")),
        lambda name: read_bool(name, True),
        lambda name: read_bool(name, False),
        lambda name: read_int(name, 7),
        lambda name: read_int(name, None),
        read_list,
        lambda name: read_http_url(name, SITE),
        lambda name: read_site_url(name, SITE),
        read_redis_url,
        lambda name: read_time_zone(name, "UTC"),
    ],
)
def test_an_empty_variable_counts_as_unset(monkeypatch, read):
    monkeypatch.delenv("SOME_NAME", raising=False)
    unset = read("SOME_NAME")
    monkeypatch.setenv("SOME_NAME", " ")
    assert read("SOME_NAME") == unset


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("YES", True), ("1", True), ("On", True), ("false", False), ("no", False), ("0", False)],
)
def test_flags(monkeypatch, value, expected):
    monkeypatch.setenv("SOME_FLAG", value)
    assert read_bool("SOME_FLAG", default=not expected) is expected


def test_whole_numbers(monkeypatch):
    monkeypatch.setenv("SOME_NUMBER", "30")
    assert read_int("SOME_NUMBER", default=1, maximum=30) == 30


def test_lists_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("SOME_LIST", "a.example.org, b.example.org,,")
    assert read_list("SOME_LIST") == ["a.example.org", "b.example.org"]


def test_urls_lose_their_trailing_slash(monkeypatch):
    monkeypatch.setenv("SOME_URL", "https://space.example.org/api/")
    assert read_http_url("SOME_URL", SITE) == "https://space.example.org/api"


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1", "rediss://:secret@redis.example.org:6380/1", "unix:///run/redis.sock"]
)
def test_redis_urls(monkeypatch, url):
    monkeypatch.setenv("SOME_QUEUE", url)
    assert read_redis_url("SOME_QUEUE") == url


@pytest.mark.parametrize(
    ("read", "value", "advice"),
    [
        (lambda name: read_text(name, choices=("json", "console")), "xml", "one of: json, console"),
        (lambda name: read_bool(name, False), "maybe", "true or false"),
        (lambda name: read_int(name, 1), "many", "whole number, at least 1"),
        (lambda name: read_int(name, 1), "1.5", "whole number, at least 1"),
        (lambda name: read_int(name, 1), "0", "whole number, at least 1"),
        (lambda name: read_int(name, 30, minimum=5, maximum=600), "601", "from 5 to 600"),
        (lambda name: read_http_url(name, SITE), "calls.example.org", "a URL such as"),
        (lambda name: read_http_url(name, SITE), "ftp://calls.example.org", "a URL such as"),
        (lambda name: read_http_url(name, SITE), "https://", "a URL such as"),
        (lambda name: read_http_url(name, SITE), "https://[calls", "a URL such as"),
        (lambda name: read_http_url(name, SITE), "https://calls.example.org:https", "a URL such as"),
        (lambda name: read_http_url(name, SITE), "https://calls.example.org/?a=b", "a URL such as"),
        (lambda name: read_site_url(name, SITE), "https://example.org/calls", "without a path"),
        (read_redis_url, "redis.example.org:6379", "a URL such as redis://"),
        (read_redis_url, "http://redis.example.org", "a URL such as redis://"),
        (read_redis_url, "redis://redis.example.org:port", "a URL such as redis://"),
        (lambda name: read_time_zone(name, "UTC"), "Mars/Olympus", "IANA time zone"),
        (lambda name: read_time_zone(name, "UTC"), "../../etc/passwd", "IANA time zone"),
    ],
)
def test_a_wrong_value_names_its_variable_and_says_what_is_right(monkeypatch, read, value, advice):
    monkeypatch.setenv("WRONG_VARIABLE", value)
    with pytest.raises(ImproperlyConfigured, match=f"^WRONG_VARIABLE.*{advice}"):
        read("WRONG_VARIABLE")


def test_the_message_about_a_wrong_queue_holds_no_password(monkeypatch):
    monkeypatch.setenv("SOME_QUEUE", "http://:hunter2@redis.example.org")
    with pytest.raises(ImproperlyConfigured) as caught:
        read_redis_url("SOME_QUEUE")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEBUG", "perhaps"),
        ("PUBLIC_BASE_URL", "calls.example.org"),
        ("BEHIND_PROXY", "2"),
        ("TIME_ZONE", "Mars/Olympus"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("TWILIO_API_BASE_URL", "twilio"),
        ("TWILIO_READ_TIMEOUT_SECONDS", "ten"),
        ("CALL_SEND_DEADLINE_SECONDS", "1"),
        ("CALL_RING_TIMEOUT_SECONDS", "900"),
        ("SCHEDULER_INTERVAL_SECONDS", "-5"),
        ("SCHEDULER_MAX_CONCURRENT_CALLS", "0"),
        ("QCLUSTER_WORKERS", "0"),
        ("REDIS_URL", "localhost:6379"),
        ("DATABASE_URL", "sqlite:///db.sqlite3"),
    ],
)
def test_manage_names_the_wrong_variable_in_one_line_without_a_traceback(variable, value):
    finished = run_manage("check", **PRODUCTION | {variable: value})
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert line.startswith(f"surveycalls is not configured: {variable}")


@pytest.mark.parametrize("command", ["migrate", "run_scheduler", "qcluster"])
def test_every_command_says_so_in_one_line(command):
    finished = run_manage(command, **PRODUCTION | {"TIME_ZONE": "Mars/Olympus"})
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert "TIME_ZONE='Mars/Olympus'" in line
