"""A program for a login host that forwards connections of compute nodes to a port of that host.

An sshd forwards ports for its own host only, and jobs run on others. The program is one file, for
any Python from 3.8, with the standard library only: ``relay.py PORT``. It prints the addresses at
which it listens, as JSON, and runs until its standard input ends.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time

ACCEPT_RETRY_S = 0.5


def listen(port: int = 0) -> socket.socket:
    """Listen at a port, 0 for a free one, on every address of this host."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
        )
    return socket.create_server(("", port), backlog=1024)


def own_addresses() -> list[str]:
    """Return the addresses and names of this host, the most likely to be reachable first."""
    found = [_outward("192.0.2.1", socket.AF_INET), _outward("2001:db8::1", socket.AF_INET6)]
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        found += [str(one[4][0]) for one in socket.getaddrinfo(name, None)]
    return list(dict.fromkeys(filter(None, [*found, name, "127.0.0.1"])))


def _outward(target: str, family: socket.AddressFamily) -> str:
    """Return the address from which this host reaches others; nothing is sent for that."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
        one.connect((target, 9))
        return str(one.getsockname()[0])
    return ""


def serve(server: socket.socket, target: int) -> None:
    """Connect every client of the server with the port `target` of this host."""
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            # Anybody may connect, and so many that this process may open no more files.
            time.sleep(ACCEPT_RETRY_S)
            continue
        try:
            forward = socket.create_connection(("127.0.0.1", target), 10)
            forward.settimeout(None)
            for pair in ((client, forward), (forward, client)):
                threading.Thread(target=copy, args=pair, daemon=True).start()
        except (OSError, RuntimeError):  # the latter if there are too many threads
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy bytes in one direction until there are no more."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 18):
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Run the program."""
    server = listen()
    arguments = (server, int(sys.argv[1]))
    threading.Thread(target=serve, args=arguments, daemon=True).start()
    port = server.getsockname()[1]
    print(json.dumps([(name, port) for name in own_addresses()]), flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
