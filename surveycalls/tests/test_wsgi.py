from io import BytesIO

import pytest
from django.test import RequestFactory

from surveycalls.wsgi import application

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("charset", ["utf-8", "nonsense", "base64", "rot13", "zip"])
def test_a_charset_that_is_none_of_text_is_no_servers_error(charset):
    statuses = []
    environ = RequestFactory().post("/webhooks/telephony/events?call_id=x").environ
    body = b"CallStatus=ringing"
    environ |= {
        "CONTENT_TYPE": f"application/x-www-form-urlencoded; charset={charset}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
        "SERVER_NAME": "127.0.0.1",
    }
    application(environ, lambda status, headers: statuses.append(status)).close()
    assert statuses == ["403 Forbidden"]
