"""Checks of the pipeline's own database."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from typing import Any

from vigil.database import connected, in_transaction, statement
from vigil.migrations import pending_migrations
from vigil.settings import NO_CERTIFICATES
from vigil.setup.findings import Look, failing, fine, not_applicable
from vigil.setup.grants import covers
from vigil.setup.ground import Ground

_OLDEST = {"MariaDB": (10, 11), "Aurora MySQL": (3,), "MySQL": (8, 4)}
_PRIVILEGES = ("ALTER", "CREATE", "DELETE", "DROP", "INDEX", "INSERT", "SELECT", "UPDATE")
_GRANT = re.compile(r"GRANT (?P<privileges>.+?) ON (?P<where>\S+) TO ", re.IGNORECASE)
_SMALLEST_PACKET = 16 * 1024**2
_CLOCKS_APART_S = 5
# MariaDB and MySQL name the isolation differently.
_SESSION = {
    "time_zone": "+00:00",
    "tx_isolation": "READ-COMMITTED",
    "transaction_isolation": "READ-COMMITTED",
}


def connection(ground: Ground) -> Look:
    """Look whether Airflow has the connection, complete."""
    database = ground.database
    return fine(f"{database.user}@{database.host}:{database.port}/{database.name}")


def server(ground: Ground) -> Look:
    """Look whether the server answers, and is new enough."""
    version = str(_one(ground, "setup/select_version"))
    aurora = _variables(ground).get("aurora_version")
    kind = "MariaDB" if "mariadb" in version.lower() else "Aurora MySQL" if aurora else "MySQL"
    number = tuple(int(part) for part in re.findall(r"\d+", aurora or version)[:2])
    seen = f"{kind} {aurora or version}"
    if number < _OLDEST[kind]:
        oldest = ".".join(map(str, _OLDEST[kind]))
        return failing(seen, f"take {kind} {oldest} or newer: what Vigil's SQL was tried with")
    return fine(seen)


def session(ground: Ground) -> Look:
    """Look whether the server lets a session be as Vigil needs it: UTC, strict, READ COMMITTED."""
    found = _variables(ground)
    wrong = [f"{name} is {found[name]}" for name, want in _SESSION.items() if found.get(name, want) != want]
    if "STRICT_ALL_TABLES" not in found["sql_mode"]:
        wrong.append(f"sql_mode is {found['sql_mode']}")
    if wrong:
        return failing(", ".join(wrong), "let clients set their session: remove what undoes it")
    return fine("UTC, strict, READ COMMITTED")


def encryption(ground: Ground) -> Look:
    """Look whether the connection is encrypted, unless it stays on this machine."""
    database = ground.database
    if _is_this_machine(database.host) or ground.settings.database_ca_file == NO_CERTIFICATES:
        return not_applicable("the server is on this machine")
    cipher = _rows(ground, "setup/select_cipher")[0][1]
    if cipher and database.ca_file:
        return fine(f"{cipher}, server checked by {database.ca_file}")
    return failing(
        "the server is not checked" if cipher else "the connection is not encrypted",
        "set database_ca_file to the certificates that the server is checked by",
    )


def grants(ground: Ground) -> Look:
    """Look whether the login may do in the schema what migrations and tasks do."""
    schema = ground.database.name
    held = set()
    for (line,) in _rows(ground, "setup/select_grants"):
        grant = _GRANT.match(line)
        if grant and covers(grant["where"], schema):
            held |= {privilege.strip().upper() for privilege in grant["privileges"].split(",")}
    if held & {"ALL", "ALL PRIVILEGES"}:
        return fine(f"all on {schema}")
    missing = sorted(set(_PRIVILEGES) - held)
    if missing:
        listed = ", ".join(missing)
        return failing(
            f"{listed} is missing on {schema}", f"GRANT {listed} ON `{schema}`.* TO '{ground.database.user}'"
        )
    return fine(f"{', '.join(_PRIVILEGES)} on {schema}")


def migrations(ground: Ground) -> Look:
    """Look whether every migration has been applied."""
    pending = pending_migrations(ground.database)
    if pending:
        names = ", ".join(f"{migration.number:04d}_{migration.name}" for migration in pending)
        return failing(f"missing: {names}", "run the DAG migrate_database; on a laptop, make up does it")
    return fine("up to date")


def packets(ground: Ground) -> Look:
    """Look whether the server takes statements as long as Vigil's."""
    size = int(_variables(ground)["max_allowed_packet"])
    if size < _SMALLEST_PACKET:
        return failing(f"max_allowed_packet is {size:,} bytes", f"set it to {_SMALLEST_PACKET} or more")
    return fine(f"statements of up to {size // 1024**2} MB")


def clock(ground: Ground) -> Look:
    """Look whether the server's clock goes with this one."""
    theirs: datetime = _one(ground, "setup/select_time")
    apart = abs((ground.now() - theirs).total_seconds())
    if apart > _CLOCKS_APART_S:
        return failing(
            f"{apart:.0f} s apart from the database's",
            f"let both keep time by NTP: {_CLOCKS_APART_S} s are the most",
        )
    return fine(f"{apart:.1f} s apart from the database's")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _variables(ground: Ground) -> dict[str, str]:
    return dict(_rows(ground, "setup/select_variables"))


def _one(ground: Ground, name: str) -> Any:
    ((value,),) = _rows(ground, name)
    return value


def _rows(ground: Ground, name: str) -> list[tuple[Any, ...]]:
    with connected(ground.database) as opened:
        return in_transaction(opened, partial(_select, name=name))


def _select(cursor: Any, name: str) -> list[tuple[Any, ...]]:
    cursor.execute(statement(name))
    return list(cursor.fetchall())
