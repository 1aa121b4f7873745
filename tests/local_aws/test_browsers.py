"""Pages in a browser reach 127.0.0.1, and the embedded AWS knows no login."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

ACTION = "/?Action=ListUsers&X-Amz-Credential=AKID%2F20260101%2Fus-east-1%2Fiam%2Faws4_request"


def status(url: str, method: str, path: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.example:80"},
        {"Host": ""},
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize(("method", "path"), [("GET", ACTION), ("POST", "/_faults"), ("OPTIONS", "/bucket")])
def test_a_page_of_another_site_is_refused(
    local_aws: str, headers: dict[str, str], method: str, path: str
) -> None:
    assert status(local_aws, method, path, headers) == 403


@pytest.mark.parametrize("headers", [{}, {"Host": "localhost:80"}, {"Sec-Fetch-Site": "none"}], ids=str)
def test_clients_and_the_address_bar_are_answered(local_aws: str, headers: dict[str, str]) -> None:
    assert status(local_aws, "GET", ACTION, headers) == 200
    assert status(local_aws, "GET", "/_health", headers) == 200
