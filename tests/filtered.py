"""A port that behaves as one behind a firewall: whoever connects gets no answer."""

from __future__ import annotations

import contextlib
import socket


@contextlib.contextmanager
def drops_connections(host: str, port: int = 0):
    """Yield a port whose queue of connections is full, so that Linux drops further ones."""
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(socket.socket())
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
        held.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(held.getsockname())
        yield held.getsockname()[1]
