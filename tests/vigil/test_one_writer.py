from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vigil.one_writer import OneWriter

WRITING, READING = ("POST", "PUT", "PATCH", "DELETE"), ("GET", "HEAD", "OPTIONS")


class Application:
    """Notes how many requests it serves at once, and lets others come meanwhile."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        self.now -= 1
        if scope.get("path") == "/fails":
            raise RuntimeError("it went wrong")

    def serve(self, *scopes: dict[str, Any]) -> list[BaseException | None]:
        """Serve all at once; return how each ended."""

        async def all_of_them() -> list[BaseException | None]:
            one_writer: Any = OneWriter(self)  # type: ignore[arg-type]
            ended = (one_writer(scope, None, None) for scope in scopes)
            return await asyncio.gather(*ended, return_exceptions=True)

        return asyncio.run(all_of_them())


def request(method: str, path: str = "/") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path}


def test_requests_that_may_write_wait_for_each_other() -> None:
    application = Application()
    application.serve(*(request(method) for method in WRITING * 3))
    assert application.most == 1


@pytest.mark.parametrize("scope", [{"type": "lifespan"}, *(request(method) for method in READING)])
def test_whoever_only_reads_waits_for_nobody(scope: dict[str, Any]) -> None:
    application = Application()
    application.serve(scope, scope, request("POST"))
    assert application.most == 3


def test_a_request_that_fails_keeps_nobody_waiting() -> None:
    failed, served = Application().serve(request("POST", "/fails"), request("POST"))
    assert isinstance(failed, RuntimeError)
    assert served is None
