"""Somebody who listens on the loopback network, where the jobs of these tests speak."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time

import pytest


def can_listen() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


needs_wire = pytest.mark.skipif(not can_listen(), reason="only root can listen on a network")

_BUFFER_BYTES = 1 << 26
_ETH_HEADER_BYTES = 14
_OUTGOING = 4
"""Type of a packet that is seen when it is sent: those that arrive are the same again."""


class Wire:
    """Everything that TCP connections of this machine's loopback carried while the block ran."""

    def __init__(self) -> None:
        self._streams: dict[bytes, bytearray] = {}
        self._ended = False

    def __enter__(self) -> Wire:
        every = socket.ntohs(3)  # ETH_P_ALL
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, every)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, _BUFFER_BYTES)  # SO_RCVBUFFORCE
        self._socket.bind(("lo", 0))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # What was sent before this is heard before it.
        mark = os.urandom(16)
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as end,
        ):
            deadline = time.monotonic() + 120
            while not self.carried(mark):
                assert time.monotonic() < deadline, "nothing can be heard"
                end.sendall(mark)
                time.sleep(0.05)
        self._ended = True
        self._thread.join(10)
        self._socket.close()

    def carried(self, needle: bytes) -> bool:
        """Return whether a connection carried these bytes, in one piece or several."""
        return any(needle in stream for stream in list(self._streams.values()))

    def _listen(self) -> None:
        self._socket.settimeout(0.1)
        while not self._ended:
            try:
                data, address = self._socket.recvfrom(1 << 17)
            except socket.timeout:
                continue
            if address[2] == _OUTGOING:
                self._add(data[_ETH_HEADER_BYTES:], address[1])

    def _add(self, packet: bytes, protocol: int) -> None:
        if protocol == 0x0800 and packet[9] == socket.IPPROTO_TCP:
            start, hosts = 4 * (packet[0] & 15), packet[12:20]
            end = struct.unpack_from("!H", packet, 2)[0] or len(packet)
        elif protocol == 0x86DD and packet[6] == socket.IPPROTO_TCP:
            start, hosts, end = 40, packet[8:40], len(packet)
        else:
            return
        data = packet[start + 4 * (packet[start + 12] >> 4) : end]
        key = hosts + packet[start : start + 4]
        self._streams.setdefault(key, bytearray()).extend(data)
