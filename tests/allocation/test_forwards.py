"""Connections to programs of a job that its agent carries."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys

import pytest

from batchspawner.allocation.call_folder import CallFolder
from batchspawner.allocation.forwards import Forwards
from batchspawner.allocation.listener import Listener
from batchspawner.concurrency import within

SECONDS = 20
# A server that answers each connection with what it was sent, in capital letters.
ECHO = """
import socket, sys, threading
server = socket.socket(socket.AF_UNIX) if "/" in sys.argv[1] else socket.socket()
server.bind(sys.argv[1] if "/" in sys.argv[1] else ("127.0.0.1", int(sys.argv[1])))
server.listen()
print("ready", flush=True)
def serve(one):
    while data := one.recv(1 << 16):
        one.sendall(data.upper())
    one.close()
while True:
    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""


@pytest.fixture
async def agent(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(tmp_path / "calls"))
    listener = await Listener.open("127.0.0.1")
    call = CallFolder.create(tmp_path / "call", linger=20)
    listener.expect(call)
    job = subprocess.Popen(call.command, shell=True, start_new_session=True)
    found = await within(SECONDS, call.next_agent())
    yield found
    for process in found.processes.values():
        process.send_signal(9)
    found.finish()
    await asyncio.get_running_loop().run_in_executor(None, job.wait, SECONDS)
    await listener.close()


async def listening(agent, target):
    process = agent.begin([sys.executable, "-c", ECHO, target], files={"any": ""}, ports=1)
    printed = b""
    async for _, data in process.output():
        printed += data
        if printed == b"ready\n":
            return process
    raise AssertionError(printed)


@pytest.fixture(params=["{folder}/channel-1", "{port0}"])
async def forwards(agent, request):
    process = await within(SECONDS, listening(agent, request.param))
    target = "channel-1" if "/" in request.param else 0
    one = Forwards(agent, process, {"shell": target})
    yield one
    await one.close()


async def answer(path, data):
    """Send something to a forwarded socket, and return what comes back."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writing = asyncio.ensure_future(writer.drain())
    found = await reader.readexactly(len(data))
    await writing
    writer.close()
    return found


async def test_a_connection_reaches_the_program_and_back(forwards):
    path = forwards.paths["shell"]
    assert await within(SECONDS, answer(path, b"hello")) == b"HELLO"
    large = os.urandom(1 << 16).hex().encode() * 64
    several = asyncio.gather(answer(path, large), answer(path, b"beside"))
    assert await within(SECONDS, several) == [large.upper(), b"BESIDE"]


async def test_nothing_is_lost_if_the_connection_of_the_agent_is_cut(agent, forwards):
    reader, writer = await asyncio.open_unix_connection(forwards.paths["shell"])
    for number in range(5):
        writer.write(b"number %d;" % number)
        agent._connection.writer.transport.abort()
        data = await within(SECONDS, reader.readexactly(9))
        assert data == b"NUMBER %d;" % number
        await within(SECONDS, agent.online.wait())
    writer.close()


async def test_nobody_else_can_connect(forwards):
    folder = os.path.dirname(forwards.paths["shell"])
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    await forwards.close()
    assert not os.path.exists(folder)


async def test_who_connects_before_the_program_listens_is_hung_up_on(agent):
    process = agent.begin(["sleep", "99"], files={"any": ""}, ports=1)
    await within(SECONDS, process.started())
    for target in ("channel-1", 0):
        one = Forwards(agent, process, {"shell": target})
        reader, writer = await asyncio.open_unix_connection(one.paths["shell"])
        assert await within(SECONDS, reader.read()) == b""
        writer.close()
        await one.close()


async def test_a_connection_ends_with_the_program(agent, forwards):
    reader, writer = await asyncio.open_unix_connection(forwards.paths["shell"])
    writer.write(b"x")
    assert await within(SECONDS, reader.readexactly(1)) == b"X"
    next(iter(agent.processes.values())).send_signal(9)
    assert await within(SECONDS, reader.read()) == b""
    writer.close()
