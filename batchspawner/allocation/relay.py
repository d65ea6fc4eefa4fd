"""Hand connections of compute nodes on to a port of this host: what runs on a login host.

An sshd forwards ports for its own host only, and jobs run on others. It runs alone, on any Python
from 3.8, with the standard library only, until its standard input ends: ``relay.py PORT``. It
prints the addresses at which it listens, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading


def listen(port: int = 0) -> socket.socket:
    """Listen at a port, a free one for 0, of every address of this host."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
        )
    return socket.create_server(("", port), backlog=1024)


def own_addresses() -> list[str]:
    """Return what this host may be called by, the likeliest to be reached first."""
    found = [_outward("192.0.2.1", socket.AF_INET), _outward("2001:db8::1", socket.AF_INET6)]
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        found += [str(one[4][0]) for one in socket.getaddrinfo(name, None)]
    return list(dict.fromkeys(filter(None, [*found, name, "127.0.0.1"])))


def _outward(target: str, family: socket.AddressFamily) -> str:
    """Return the address that this host has towards others; nothing is sent for that."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
        one.connect((target, 9))
        return str(one.getsockname()[0])
    return ""


def serve(server: socket.socket, target: int) -> None:
    """Connect whoever comes with the port."""
    while True:
        near, _ = server.accept()
        try:
            far = socket.create_connection(("127.0.0.1", target), 10)
        except OSError:
            near.close()
            continue
        far.settimeout(None)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes one way until there are no more."""
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
