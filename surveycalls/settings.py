"""All settings, one block per subsystem, every value from the environment (see .env.example)."""

import contextlib
import os
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import environ
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from surveycalls.database import configure_database, is_embedded
from surveycalls.environment import (
    read_bool,
    read_directory,
    read_http_url,
    read_int,
    read_list,
    read_redis_url,
    read_site_url,
    read_text,
    read_time_zone,
)
from surveycalls.logs import configure_logging

BASE_DIR = Path(__file__).resolve().parent.parent
if (BASE_DIR / ".env").exists():
    environ.Env.read_env(BASE_DIR / ".env")
DATA_DIR = read_directory("DATA_DIR", default=BASE_DIR / ".data")


def _read_or_make_secret_key() -> str:
    """A key of this machine's own for trying the product out; `check --deploy` refuses it."""
    path = DATA_DIR / "secret_key"
    if not path.exists():
        # Written first and named then: of processes that start at once none may read half a key.
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as draft, contextlib.suppress(FileExistsError):
            draft.write(secrets.token_urlsafe(50))
            draft.flush()
            os.link(draft.name, path)
    return path.read_text()


# The site
DEBUG = read_bool("DEBUG", default=False)
SECRET_KEY_FROM_ENVIRONMENT = read_text("SECRET_KEY")
SECRET_KEY = SECRET_KEY_FROM_ENVIRONMENT or _read_or_make_secret_key()
PUBLIC_BASE_URL = read_site_url("PUBLIC_BASE_URL", default="http://127.0.0.1:8000")
_public_host = urlsplit(PUBLIC_BASE_URL).hostname
ALLOWED_HOSTS = read_list("ALLOWED_HOSTS") or ["127.0.0.1", "localhost", _public_host]
ROOT_URLCONF = "surveycalls.urls"
LOGIN_REDIRECT_URL = "admin:index"
WSGI_APPLICATION = "surveycalls.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "surveycalls",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "campaigns",
    "contacts",
    "calls",
    "axes",
    "django_q",  # behind calls, whose qcluster is the one that counts
]

MIDDLEWARE = [
    "surveycalls.probes.ProbesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "surveycalls.headers.HeadersMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "surveycalls.headers.IdleLimitMiddleware",
    "surveycalls.fragments.FragmentsMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "surveycalls.audit.AuditMiddleware",
    "surveycalls.refusals.RefusalsMiddleware",
    "surveycalls.operator_zone.OperatorZoneMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# The database
DATABASE_IS_EMBEDDED = is_embedded()
DATABASES = {"default": configure_database(DATA_DIR)}

# Metrics: what the processes of this machine count for one database is kept together, and shown to who knows the token.
METRICS_DIR = DATA_DIR / "metrics" / quote(DATABASES["default"]["NAME"], safe="")
METRICS_TOKEN = read_text("METRICS_TOKEN")

# Transport security follows from the public address: a site reached over https insists on it.
_https = PUBLIC_BASE_URL.startswith("https://")
SECURE_SSL_REDIRECT = _https
SESSION_COOKIE_SECURE = _https
CSRF_COOKIE_SECURE = _https
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https and read_bool("HSTS_WHOLE_DOMAIN", default=False)
# They ask for the two above, which speak for hosts that are not ours: the owner of the domain decides.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL]
CSRF_FAILURE_VIEW = "surveycalls.error_pages.show_forged"
BEHIND_PROXY = read_bool("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Whoever opens no page for a shift signs in again (surveycalls/headers.py).
SESSION_COOKIE_AGE = 8 * 3600

# Who guesses passwords of one user from one address is locked out for a while.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "surveycalls.addresses.find_address"
AXES_LOCKOUT_CALLABLE = "surveycalls.error_pages.show_locked_out"
AXES_ENABLE_ADMIN = AXES_VERBOSE = False

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Language and time: UTC inside; on operators' pages their own language and zone, and these as long as theirs are not
# known. What is written down for all, such as the history, is in this language.
LANGUAGE_CODE = read_text("SITE_LANGUAGE", "en-gb", choices=("en-gb", "it"))
LANGUAGES = [("en-gb", "English"), ("it", "Italiano")]
LOCALE_PATHS = [BASE_DIR / "surveycalls" / "locale_of_libraries"]
LANGUAGE_COOKIE_SECURE = _https
LANGUAGE_COOKIE_SAMESITE = "Lax"
USE_I18N = True
USE_TZ = True
TIME_ZONE = read_time_zone("TIME_ZONE", "UTC")
FORMAT_MODULE_PATH = "surveycalls.formats"

# Static files
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True

# Logs
LOGGING_CONFIG = None
LOG_FORMAT = read_text("LOG_FORMAT", "console", choices=("console", "json"))
LOG_LEVEL = read_text("LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
configure_logging(LOG_FORMAT, LOG_LEVEL)

# The telephone provider. Numbers and limits are rows that operators edit; credentials live only here.
TWILIO_API_BASE_URL = read_http_url("TWILIO_API_BASE_URL", default="https://api.twilio.com")
TWILIO_ACCOUNT_SID = read_text("TWILIO_ACCOUNT_SID")
TWILIO_AUTH_TOKEN = read_text("TWILIO_AUTH_TOKEN")
TWILIO_API_KEY_SID = read_text("TWILIO_API_KEY_SID")
TWILIO_API_KEY_SECRET = read_text("TWILIO_API_KEY_SECRET")
TWILIO_CONNECT_TIMEOUT_SECONDS = read_int("TWILIO_CONNECT_TIMEOUT_SECONDS", default=3)
TWILIO_READ_TIMEOUT_SECONDS = read_int("TWILIO_READ_TIMEOUT_SECONDS", default=10)

# The life of one call, in seconds
CALL_SEND_DEADLINE_SECONDS = read_int("CALL_SEND_DEADLINE_SECONDS", default=5, minimum=2, maximum=30)
CALL_RING_TIMEOUT_SECONDS = read_int("CALL_RING_TIMEOUT_SECONDS", default=30, minimum=5, maximum=600)
CALL_TIME_LIMIT_SECONDS = read_int("CALL_TIME_LIMIT_SECONDS", default=600)
CALL_QUEUE_SECONDS = read_int("CALL_QUEUE_SECONDS", default=60)
CALL_SILENCE_SECONDS = read_int("CALL_SILENCE_SECONDS", default=60)
CALL_LOOKUP_SECONDS = read_int("CALL_LOOKUP_SECONDS", default=15)

# The scheduler service
SCHEDULER_INTERVAL_SECONDS = read_int("SCHEDULER_INTERVAL_SECONDS", default=60)
SCHEDULER_BATCH_SIZE = read_int("SCHEDULER_BATCH_SIZE", default=50)
SCHEDULER_MAX_CONCURRENT_CALLS = read_int("SCHEDULER_MAX_CONCURRENT_CALLS", default=None)

# django-q2. A job may not come back while its first run can still be working: retry > timeout.
Q_CLUSTER = {
    "name": "surveycalls",
    "workers": read_int("QCLUSTER_WORKERS", default=4),
    "timeout": 120,
    "retry": 180,
    "max_attempts": 2,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": 250,
    "label": _("Background jobs"),
}
if REDIS_URL := read_redis_url("REDIS_URL"):
    Q_CLUSTER["redis"] = REDIS_URL
else:
    # Its broker waits by itself until there is a job; a pause after that would come on top.
    Q_CLUSTER |= {"orm": "default", "broker_class": "calls.queue.WokenBroker", "poll": 0}


# Contacts
IMPORT_MAX_BYTES = read_int("IMPORT_MAX_MEGABYTES", default=200) * 1_000_000
DO_NOT_CALL_HASH_KEY = read_text("DO_NOT_CALL_HASH_KEY")
RETENTION_DAYS = read_int("RETENTION_DAYS", default=None)

# What became of people, told to others
EVENT_RETENTION_DAYS = read_int("EVENT_RETENTION_DAYS", default=30)
WEBHOOKS_TO_PRIVATE_NETWORKS = read_bool("WEBHOOKS_TO_PRIVATE_NETWORKS", default=False)
EMAIL_HOST = read_text("EMAIL_HOST")  # unset: nobody is written to
EMAIL_PORT = read_int("EMAIL_PORT", default=587, maximum=65535)
EMAIL_SECURITY = read_text("EMAIL_SECURITY", "starttls", choices=("starttls", "tls", "none"))
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_SECURITY == "starttls", EMAIL_SECURITY == "tls"
EMAIL_HOST_USER = read_text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = read_text("EMAIL_HOST_PASSWORD")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = read_text("EMAIL_FROM", f"surveys@{_public_host}")

# The admin's looks
UNFOLD = {
    "SITE_TITLE": "surveycalls",
    "SITE_HEADER": "surveycalls",
    "SITE_SUBHEADER": _("Voice-survey campaigns"),
    "SITE_SYMBOL": "call",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("surveycalls/favicon.svg")},
    ],
    "DASHBOARD_CALLBACK": "calls.live_pages.add_home",
    "SHOW_HISTORY": True,
    "SHOW_LANGUAGES": True,
    "STYLES": [
        lambda request: static("surveycalls/timeline.css"),
        lambda request: static("surveycalls/figures.css"),
        lambda request: static("surveycalls/results.css"),
        lambda request: static("surveycalls/accessibility.css"),
        lambda request: static("surveycalls/header.css"),
        lambda request: static("surveycalls/pages.css"),
        lambda request: static("surveycalls/lists.css"),
        lambda request: static("surveycalls/forms.css"),
    ],
    "SCRIPTS": [
        lambda request: static("surveycalls/time_zone.js"),
        lambda request: static("surveycalls/accessibility.js"),
        lambda request: static("surveycalls/dialogs.js"),
        lambda request: static("surveycalls/lists.js"),
        lambda request: static("surveycalls/live.js"),
    ],
    "ENVIRONMENT": "calls.admin.show_dialling",
    "SIDEBAR": {
        "navigation": "surveycalls.navigation.list_pages",
    },
}
