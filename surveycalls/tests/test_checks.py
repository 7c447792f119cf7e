import ast
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from calls import pacing
from contacts.exclusion import keep_as_hash
from surveycalls.tests.processes import PRODUCTION, ROOT, run_manage, run_python

KEY = "a-key-for-tests-0123456789abcdefghij"
SOUND = {
    "SECRET_KEY_FROM_ENVIRONMENT": PRODUCTION["SECRET_KEY"],
    "DATABASE_IS_EMBEDDED": False,
    "PUBLIC_BASE_URL": "https://calls.example.org",
    "ALLOWED_HOSTS": ["calls.example.org"],
    "TWILIO_API_BASE_URL": "https://api.twilio.com",
    "TWILIO_ACCOUNT_SID": "AC0123",
    "TWILIO_AUTH_TOKEN": "token",
    "TWILIO_API_KEY_SID": "",
    "TWILIO_API_KEY_SECRET": "",
    "TWILIO_CONNECT_TIMEOUT_SECONDS": 3,
    "TWILIO_READ_TIMEOUT_SECONDS": 10,
    "CALL_SEND_DEADLINE_SECONDS": 5,
    "CALL_RING_TIMEOUT_SECONDS": 30,
    "CALL_SILENCE_SECONDS": 60,
    "Q_CLUSTER": {"timeout": 120, "retry": 180},
    "DO_NOT_CALL_HASH_KEY": "",
    "WEBHOOKS_TO_PRIVATE_NETWORKS": False,
}
ONLY_WITH_DEPLOY = {
    "surveycalls.E001",
    "surveycalls.E002",
    "surveycalls.E003",
    "surveycalls.E004",
    "surveycalls.E005",
    "surveycalls.E006",
    "surveycalls.W002",
}
FAULTS = [
    ("surveycalls.E001", {"SECRET_KEY_FROM_ENVIRONMENT": ""}, "Set SECRET_KEY"),
    ("surveycalls.E002", {"DATABASE_IS_EMBEDDED": True}, "Set DATABASE_URL"),
    ("surveycalls.E003", {"PUBLIC_BASE_URL": "http://calls.example.org"}, "set PUBLIC_BASE_URL to its https address"),
    ("surveycalls.E004", {"PUBLIC_BASE_URL": "https://127.0.0.1", "ALLOWED_HOSTS": ["*"]}, "Set PUBLIC_BASE_URL"),
    ("surveycalls.E004", {"PUBLIC_BASE_URL": "https://localhost", "ALLOWED_HOSTS": ["*"]}, "Set PUBLIC_BASE_URL"),
    ("surveycalls.E004", {"PUBLIC_BASE_URL": "https://[::1]:8000", "ALLOWED_HOSTS": ["*"]}, "Set PUBLIC_BASE_URL"),
    ("surveycalls.E005", {"TWILIO_ACCOUNT_SID": ""}, "Set both"),
    ("surveycalls.E005", {"TWILIO_AUTH_TOKEN": ""}, "Set both"),
    (
        "surveycalls.E005",
        {"TWILIO_AUTH_TOKEN": "", "TWILIO_API_KEY_SID": "SK0123", "TWILIO_API_KEY_SECRET": "secret"},
        "beside an API key",
    ),
    ("surveycalls.E006", {"TWILIO_API_BASE_URL": "http://127.0.0.1:8100"}, "https address"),
    ("surveycalls.W002", {"WEBHOOKS_TO_PRIVATE_NETWORKS": True}, "Leave WEBHOOKS_TO_PRIVATE_NETWORKS unset"),
    ("surveycalls.E007", {"ALLOWED_HOSTS": ["other.example.org"]}, "Add calls.example.org to ALLOWED_HOSTS"),
    ("surveycalls.E008", {"TWILIO_API_KEY_SID": "SK0123"}, "Set both, or neither"),
    ("surveycalls.E008", {"TWILIO_API_KEY_SECRET": "secret"}, "Set both, or neither"),
    ("surveycalls.E009", {"Q_CLUSTER": {"timeout": 120, "retry": 120}}, "Raise retry above timeout"),
    ("surveycalls.E010", {"TWILIO_READ_TIMEOUT_SECONDS": 115}, "Lower TWILIO_CONNECT_TIMEOUT_SECONDS"),
    ("surveycalls.E011", {"DO_NOT_CALL_HASH_KEY": "0123456789abcdef0123456789abcde"}, "at least 32 random characters"),
    ("surveycalls.W001", {"CALL_SILENCE_SECONDS": 30}, "Raise CALL_SILENCE_SECONDS"),
]


def find_ours(deploy, **wrong):
    with override_settings(**SOUND | wrong):
        messages = run_checks(include_deployment_checks=deploy)
    return [message for message in messages if message.id.startswith("surveycalls.")]


pytestmark = pytest.mark.django_db


def test_sound_settings_have_no_faults():
    assert find_ours(deploy=True) == []


@pytest.mark.parametrize(("identity", "wrong", "advice"), FAULTS)
def test_a_fault_is_found_alone_and_its_hint_says_what_to_do(identity, wrong, advice):
    (message,) = find_ours(deploy=True, **wrong)
    assert message.id == identity
    assert advice in message.hint


@pytest.mark.parametrize(("identity", "wrong", "advice"), FAULTS)
def test_what_only_matters_in_production_is_found_with_deploy_alone(identity, wrong, advice):
    found = [message.id for message in find_ours(deploy=False, **wrong)]
    assert found == ([] if identity in ONLY_WITH_DEPLOY else [identity])


@pytest.mark.parametrize("key", ["", "another-key-0123456789abcdefghijklmn"])
def test_numbers_that_another_key_has_hashed_are_a_fault(key):
    with override_settings(DO_NOT_CALL_HASH_KEY=KEY):
        keep_as_hash(["+12025550123"])
    assert find_ours(deploy=True, DO_NOT_CALL_HASH_KEY=KEY) == []
    assert find_ours(deploy=False, DO_NOT_CALL_HASH_KEY=key) == []
    (message,) = find_ours(deploy=True, DO_NOT_CALL_HASH_KEY=key)
    assert (message.id, message.hint) == ("surveycalls.E012", "Set DO_NOT_CALL_HASH_KEY to what it was before.")
    assert message.msg.startswith("1 number of erased people on the do-not-call list cannot be recognised")


def test_a_migration_fails_while_another_key_has_hashed_numbers():
    with override_settings(DO_NOT_CALL_HASH_KEY=KEY):
        keep_as_hash(["+12025550123"])
    with pytest.raises(SystemCheckError, match=r"surveycalls\.E012"):
        call_command("migrate", verbosity=0, skip_checks=False)


def test_every_check_is_tested_and_no_identity_is_used_twice():
    tree = ast.parse((ROOT / "surveycalls" / "checks.py").read_text())
    identities = [
        keyword.value.value for keyword in ast.walk(tree) if isinstance(keyword, ast.keyword) and keyword.arg == "id"
    ]
    assert sorted(identities) == sorted({identity for identity, _, _ in FAULTS} | {"surveycalls.E012"})


def test_the_shortest_send_deadline_is_longer_than_pacing_plans_ahead():
    assert timedelta(seconds=2) > pacing.HORIZON, "the minimum of CALL_SEND_DEADLINE_SECONDS in settings.py"


def test_check_deploy_is_clean_with_production_settings():
    finished = run_manage("check", "--deploy", "--fail-level", "DEBUG", **PRODUCTION)
    assert finished.returncode == 0, finished.stderr
    assert "no issues" in finished.stdout + finished.stderr


def read_transport_security(**variables):
    names = ("SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD")
    code = f"from django.conf import settings; print([int(getattr(settings, name)) for name in {names}])"
    environment = PRODUCTION | {"DJANGO_SETTINGS_MODULE": "surveycalls.settings"} | variables
    return ast.literal_eval(run_python(code, **environment).stdout)


def test_https_is_insisted_on_for_this_host_alone_unless_the_whole_domain_is_ours():
    year = 365 * 24 * 3600
    assert read_transport_security() == [year, 0, 0]
    assert read_transport_security(HSTS_WHOLE_DOMAIN="true") == [year, 1, 1]
    assert read_transport_security(HSTS_WHOLE_DOMAIN="true", PUBLIC_BASE_URL="http://127.0.0.1:8000") == [0, 0, 0]


@pytest.mark.parametrize(
    ("variables", "identity"),
    [
        ({"SECRET_KEY": ""}, "surveycalls.E001"),
        ({"PUBLIC_BASE_URL": "http://calls.example.org"}, "surveycalls.E003"),
        ({"TWILIO_AUTH_TOKEN": ""}, "surveycalls.E005"),
        ({"ALLOWED_HOSTS": "other.example.org"}, "surveycalls.E007"),
        ({"TWILIO_API_KEY_SID": "SK0123"}, "surveycalls.E008"),
    ],
)
def test_check_deploy_fails_with_a_wrong_variable(tmp_path, variables, identity):
    finished = run_manage("check", "--deploy", **PRODUCTION | {"DATA_DIR": tmp_path} | variables)
    assert finished.returncode == 1
    assert f"({identity})" in finished.stderr
