from __future__ import annotations

import socket

from local_stack.ports import free_port, is_free


def test_a_port_that_is_taken_is_not_given() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]
        assert not is_free(taken)
        assert free_port(taken) != taken


def test_a_wanted_port_that_is_free_is_given() -> None:
    port = free_port()
    assert free_port(port) == port
