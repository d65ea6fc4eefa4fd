from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

from batchspawner.spawners.backends.http_probe import answers_http, probe
from tests.filtered import drops_connections
from tests.ports import free_port


@asynccontextmanager
async def server(answer: bytes):
    async def handle(reader, writer):
        await reader.readline()
        writer.write(answer)
        writer.close()

    one = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield one.sockets[0].getsockname()[1]
    finally:
        one.close()


async def test_a_server_that_speaks_http_answers():
    async with server(b"HTTP/1.1 302 Found\r\n\r\n") as port:
        assert await answers_http("127.0.0.1", port)


async def test_one_that_says_something_else_or_nothing_does_not():
    for said in (b"SSH-2.0-x\r\n", b"", b"HT"):
        async with server(said) as port:
            assert not await answers_http("127.0.0.1", port)


async def test_a_port_that_is_only_held_does_not():
    with socket.create_server(("127.0.0.1", 0)) as held:
        look = asyncio.ensure_future(answers_http("127.0.0.1", held.getsockname()[1]))
        await asyncio.sleep(0.1)
        assert not look.done()
    assert not await look


async def test_a_closed_port_and_an_unknown_host_do_not():
    assert not await answers_http("127.0.0.1", free_port())
    assert not await answers_http("no-such-host.invalid", 80)


async def test_what_keeps_the_hub_from_a_server_is_told_apart():
    assert await probe("127.0.0.1", free_port()) == "refused"
    assert await probe("no-such-host.invalid", 80) == "name"
    async with server(b"SSH-2.0-x\r\n") as port:
        assert await probe("127.0.0.1", port) == "silent"
        # With TLS, only JupyterHub can ask.
        assert await probe("127.0.0.1", port, only_port=True) == ""
    async with server(b"HTTP/1.1 302 Found\r\n\r\n") as port:
        assert await probe("127.0.0.1", port) == ""
    with drops_connections("127.0.0.1") as port:
        assert await probe("127.0.0.1", port) == "filtered"
