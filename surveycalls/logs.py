"""Structured logs: one event per line, call_id on every line about a call, phone numbers masked."""

import logging.config
import re
import sys
from typing import Any

import structlog

# As in E.164, but of any length: rather too much is masked than too little. URLs may be encoded twice.
_PHONE_NUMBER = re.compile(r"(?:\+|%(?:25)*2B)([1-9]\d{6,})", re.IGNORECASE)

# Providers and libraries also write them without the plus. Digits within something longer, such as a sid, a
# UUID, a date or a fraction, are none. Before them \n may be a new line as JSON writes it, and m the end of a
# terminal's colour.
_BARE_NUMBER = re.compile(r"(?:(?<!\w)(?<!\w[.-])|(?<=\\[nrt])|(?<=\x1b\[\dm)|(?<=\x1b\[\d\dm))\d{10,15}(?!\w|[.-]\w)")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def mask_phone_number(number: str) -> str:
    """+12025550123 -> +120******23: enough to recognise, not enough to ring."""
    return f"{number[:4]}{'*' * (len(number) - 6)}{number[-2:]}"


def mask_text(text: str) -> str:
    """Whatever looks like a phone number in it."""
    text = _PHONE_NUMBER.sub(lambda match: mask_phone_number(f"+{match.group(1)}"), text)
    return _BARE_NUMBER.sub(lambda match: mask_phone_number(f"+{match.group()}")[1:], text)


def _mask_line(_logger: Any, _method: str, line: str) -> str:
    """Comes after the renderer, so that exceptions and library messages are masked too."""
    return mask_text(line)


def _mask_json(_logger: Any, _method: str, line: str) -> str:
    """As above, but leaves what JSON takes for a number a number."""
    return _JSON_STRING.sub(lambda match: mask_text(match.group()), line)


def configure_logging(log_format: str, level: str) -> None:
    """Send structlog's and every library's lines to stderr, for people ("console") or machines ("json")."""
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks without local variables, which both renderers show by default: credentials are among them.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    renderers = {
        "json": [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(),
            _mask_json,
        ],
        "console": [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
            _mask_line,
        ],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *renderers[log_format],
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": level},
            # The HTTP client names full URLs with numbers in them on every connection.
            "loggers": {"urllib3": {"level": "WARNING"}},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
