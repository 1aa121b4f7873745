from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pymysql.constants import CLIENT

from tests.certificates import ServerCertificate, make_certificate
from vigil.database import Database, connected
from vigil.errors import DatabaseError


@pytest.fixture
def encrypted(database: Database, server_certificate: ServerCertificate) -> Database:
    return replace(database, host="localhost", ca_file=str(server_certificate.authority))


def run(database: Database, statement: str) -> None:
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def cipher(database: Database) -> str:
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        return str(cursor.fetchone()[1])


def test_with_certificates_a_connection_is_encrypted(database: Database, encrypted: Database) -> None:
    assert cipher(encrypted)
    assert cipher(database) == ""


def test_a_server_that_demands_encryption_says_what_to_set(database: Database, encrypted: Database) -> None:
    run(database, "SET GLOBAL require_secure_transport = ON")
    try:
        with pytest.raises(DatabaseError, match="database_ca_file"):
            database.connect()
        assert cipher(encrypted)
    finally:
        run(encrypted, "SET GLOBAL require_secure_transport = OFF")
    assert cipher(database) == ""


def test_a_server_by_another_name_is_not_trusted(encrypted: Database) -> None:
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:\d+ is not trusted .*IP address mismatch"):
        replace(encrypted, host="127.0.0.1").connect()


def test_a_server_that_somebody_else_vouches_for_is_not_trusted(encrypted: Database, tmp_path: Path) -> None:
    stranger = make_certificate(tmp_path)
    with pytest.raises(DatabaseError, match=r"is not trusted .*certificate verify failed"):
        replace(encrypted, ca_file=str(stranger.authority)).connect()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_missing_or_spoilt_certificates_are_told_with_the_way_out(
    encrypted: Database, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(DatabaseError, match=r"ca\.pem cannot be read .*put the file there") as caught:
        replace(encrypted, ca_file=str(file)).connect()
    assert encrypted.password not in str(caught.value)


def test_a_server_that_says_it_cannot_encrypt_is_told_no_login(encrypted: Database) -> None:
    with somebody_between(encrypted) as somebody:
        with pytest.raises(DatabaseError, match=r"is not trusted .*does not encrypt.*no login was told"):
            replace(encrypted, port=somebody.port).connect()
        # PyMySQL alone would have gone on, as it does for whoever asks for no encryption.
        with pytest.raises(DatabaseError, match="cannot be reached"):
            replace(encrypted, port=somebody.port, ca_file=None).connect()
    assert [len(sent) > 0 for sent in somebody.heard] == [False, True]


@dataclass
class Somebody:
    """Stands between client and server.

    Attributes:
        port: that it pretends to be the server on.
        heard: what each client sent.
    """

    port: int
    heard: list[bytes] = field(default_factory=list)


@contextmanager
def somebody_between(database: Database) -> Iterator[Somebody]:
    """Hand on the server's greeting without the word that it can encrypt, hear the answer, and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        somebody = Somebody(listening.getsockname()[1])

        def listen() -> None:
            for _ in range(2):
                client, _ = listening.accept()
                with client, socket.create_connection(("127.0.0.1", database.port)) as server:
                    client.settimeout(20)
                    client.sendall(_without_encryption(server.recv(4096)))
                    somebody.heard.append(client.recv(4096))

        thread = threading.Thread(target=listen)
        thread.start()
        yield somebody
        thread.join(timeout=20)


def _without_encryption(greeting: bytes) -> bytes:
    """Clear the flag in the lower capabilities: they follow the version, a thread id, salt and a filler."""
    place = greeting.index(b"\0", 5) + 1 + 4 + 8 + 1
    (capabilities,) = struct.unpack_from("<H", greeting, place)
    changed = struct.pack("<H", capabilities & ~CLIENT.SSL)
    return greeting[:place] + changed + greeting[place + 2 :]
