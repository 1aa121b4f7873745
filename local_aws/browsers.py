"""Keeps pages out: the embedded AWS knows no login, and a page in any browser can send it requests.

A page that a name of its own leads here (DNS rebinding) is known by the host that it asks for, every other
one by what browsers say of where a request comes from. AWS clients say nothing of that.
"""

from __future__ import annotations

import re
from typing import Any

_LOCAL = re.compile(r"(127\.0\.0\.1|\[::1\]|([a-z0-9.-]+\.)?localhost)(:\d+)?", re.IGNORECASE)
_OWN_SITES = ("none", "same-origin")


def is_from_a_strange_page(environ: dict[str, Any]) -> bool:
    """Tell whether a WSGI request comes from a page that this server has not served itself."""
    host = environ.get("HTTP_HOST", "")
    return (
        _LOCAL.fullmatch(host) is None
        or environ.get("HTTP_ORIGIN", f"http://{host}") != f"http://{host}"
        or environ.get("HTTP_SEC_FETCH_SITE", "none") not in _OWN_SITES
    )
