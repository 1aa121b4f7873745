"""Let Airflow's API server serve one request that writes at a time, where its metadata lie in SQLite.

SQLite has one writer. Airflow notes who asked for what on its event loop, and waits there for whoever writes;
is that another request, which needs the event loop to end, then neither goes on until SQLite's time limit has
passed, and the one that waited is answered by error 500. Two clicks at once suffice, or a click while a task
reports its state.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_READING = ("GET", "HEAD", "OPTIONS")


class OneWriter:
    """An ASGI middleware (https://asgi.readthedocs.io): requests that may write wait for each other.

    Args:
        app: what serves the requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._writing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, after those that write if it may write itself."""
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        async with self._writing:
            await self._app(scope, receive, send)
