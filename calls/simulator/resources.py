"""Calls and errors as Twilio's REST API writes them in JSON."""

import time
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from multidict import MultiMapping

from .callbacks import measure_duration
from .network import API_VERSION, Call, PhoneNetwork
from .orders import RestError

DEFAULT_PAGE_SIZE = 50
LARGEST_PAGE_SIZE = 1000


def write_call(network: PhoneNetwork, call: Call) -> dict[str, Any]:
    """Return Twilio's call resource; duration is a string, as there."""
    order, account = call.order, network.settings.account_sid
    uri = f"/{API_VERSION}/Accounts/{account}/Calls/{call.sid}"
    return {
        "sid": call.sid,
        "account_sid": account,
        "api_version": API_VERSION,
        "to": order.to,
        "to_formatted": order.to,
        "from": order.from_,
        "from_formatted": order.from_,
        "direction": "outbound-api",
        "status": call.status,
        "date_created": _write_date(call.created_at),
        "date_updated": _write_date(call.ended_at or call.answered_at or call.ringing_at or call.created_at),
        "start_time": _write_date(call.ringing_at),
        "end_time": _write_date(call.ended_at),
        "duration": str(measure_duration(network, call)) if call.is_ended else None,
        "answered_by": call.answered_by,
        "annotation": None,
        "caller_name": None,
        "forwarded_from": None,
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": None,
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "trunk_sid": None,
        "uri": f"{uri}.json",
        "subresource_uris": {"notifications": f"{uri}/Notifications.json"},
    }


def write_error(error: RestError) -> dict[str, Any]:
    """Return the body of an answer that refuses a request."""
    return {
        "code": error.code,
        "message": str(error),
        "more_info": f"https://www.twilio.com/docs/errors/{error.code}",
        "status": error.status,
    }


def find_calls(network: PhoneNetwork, query: MultiMapping[str], hidden_seconds: float) -> list[Call]:
    """Return the calls that match the query, newest first, without those younger than `hidden_seconds`.

    Raises RestError for dates that are none. Start times are compared by their day in UTC.
    """
    to = query.get("To")
    calls = network.calls.values() if to is None else network.calls_by_number.get(to, [])
    first_day, last_day = _read_days(query)
    return [
        call
        for call in reversed(list(calls))
        if query.get("From") in (None, call.order.from_)
        and query.get("Status") in (None, call.status)
        and _started_within(call, first_day, last_day)
        and time.monotonic() - call.created_steady >= hidden_seconds
    ]


def write_page(network: PhoneNetwork, calls: list[Call], query: MultiMapping[str], uri: str) -> dict[str, Any]:
    """Return one page of a list of calls, with the address of the next one."""
    size = min(max(_read_number(query, "PageSize", DEFAULT_PAGE_SIZE), 1), LARGEST_PAGE_SIZE)
    page = max(_read_number(query, "Page", 0), 0)
    start = page * size
    shown = calls[start : start + size]
    filters = [(name, value) for name, value in query.items() if name not in ("Page", "PageSize")]
    return {
        "calls": [write_call(network, call) for call in shown],
        "page": page,
        "page_size": size,
        "start": start,
        "end": start + max(len(shown) - 1, 0),
        "uri": _write_uri(uri, filters, page, size),
        "first_page_uri": _write_uri(uri, filters, 0, size),
        "next_page_uri": _write_uri(uri, filters, page + 1, size) if start + size < len(calls) else None,
        "previous_page_uri": _write_uri(uri, filters, page - 1, size) if page else None,
    }


def _read_days(query: MultiMapping[str]) -> tuple[date | None, date | None]:
    """`StartTime>=day` arrives as a parameter named "StartTime>"."""
    try:
        only, first, last = (
            date.fromisoformat(query[name][:10]) if query.get(name) else None
            for name in ("StartTime", "StartTime>", "StartTime<")
        )
    except ValueError as exc:
        raise RestError(400, 20001) from exc
    return (only or first, only or last)


def _started_within(call: Call, first_day: date | None, last_day: date | None) -> bool:
    if first_day is None and last_day is None:
        return True
    if call.ringing_at is None:
        return False
    day = call.ringing_at.astimezone(UTC).date()
    return (first_day is None or first_day <= day) and (last_day is None or day <= last_day)


def _read_number(query: MultiMapping[str], name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError as exc:
        raise RestError(400, 20001) from exc


def _write_uri(uri: str, filters: list[tuple[str, str]], page: int, size: int) -> str:
    query = urlencode([*filters, ("PageSize", str(size)), ("Page", str(page))])
    return f"{uri}?{query}"


def _write_date(moment: datetime | None) -> str | None:
    return format_datetime(moment.replace(microsecond=0)) if moment else None
