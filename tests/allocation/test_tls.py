"""What agents and their driver say is encrypted, with a certificate made for that alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import stat
import subprocess
import sys

import pytest

from batchspawner.allocation import tls
from batchspawner.allocation.call_folder import CallFolder
from batchspawner.allocation.listener import Listener
from batchspawner.concurrency import within
from batchspawner.errors import BatchError
from tests.folders import mode
from tests.wire import Wire, can_listen

pytest.importorskip("cryptography")

SCRIPT = """
import batchspawner.functions as f
from batchspawner.client import blocking_client
from batchspawner.functions.session import shared_listener

@f.slurmify
def square(number):
    return number * number

if __name__ == "__main__":
    job = square.distribute(7).result(50)
    with f.Executor("local", workers=1) as executor:
        called = sum(executor.map(square, range(10), timeout=50))
    print(job, called, blocking_client.run(shared_listener()).certificate.split()[1])
"""


@pytest.fixture(autouse=True)
def calls(tmp_path, monkeypatch):
    """The folder of all calls."""
    folder = tmp_path / "calls"
    monkeypatch.setenv("BATCHSPAWNER_CALL_DIR", str(folder))
    monkeypatch.delenv(tls.VARIABLE, raising=False)
    return folder


@pytest.fixture
async def listener():
    one = await Listener.open("127.0.0.1")
    yield one
    await one.close()


@pytest.fixture
def call(tmp_path, listener):
    one = CallFolder.create(tmp_path / "call", linger=20)
    listener.expect(one)
    return one


@pytest.fixture
async def start():
    """Start agents, as jobs do, with a Python that has no module ssl if `plain` is true."""
    started = []

    async def start(call, *, plain=False):
        words = shlex.split(call.command)
        if plain:
            hide = "import runpy, sys; sys.modules['ssl'] = None; del sys.argv[0]; "
            words[3:4] = ["-c", f"{hide}runpy.run_path(sys.argv[0], run_name='__main__')", words[3]]
        pipe = asyncio.subprocess.PIPE
        started.append(await asyncio.create_subprocess_exec(*words, stderr=pipe))
        return started[-1]

    yield start
    for one in started:
        if one.returncode is None:
            one.kill()
        await one.communicate()


async def test_an_agent_that_has_the_certificate_is_heard(call, listener, start):
    process = await start(call)
    agent = await within(20, call.next_agent())
    assert agent.is_private
    agent.finish()
    assert await within(20, process.wait()) == 0
    assert call._settings["certificate"] == listener.certificate
    assert listener.certificate.startswith("-----BEGIN CERTIFICATE-----")


async def test_an_agent_calls_nobody_who_has_another_certificate(call, start, tmp_path):
    _, call._settings["certificate"] = tls.own_certificate(tmp_path / "another")
    call._write_settings()
    process = await start(call)
    said = await within(20, process.stderr.readline())
    assert b"certificate verify failed" in said
    assert call.agents == {}


async def test_an_agent_that_can_encrypt_says_nothing_to_who_does_not(call, start):
    """Nobody on the way makes a connection plain: not even the id of the call is sent."""
    heard = asyncio.get_running_loop().create_future()

    async def impostor(reader, writer):
        if not heard.done():
            heard.set_result(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(impostor, "127.0.0.1", 0)
    call._settings["addresses"] = [server.sockets[0].getsockname()]
    call._write_settings()
    async with server:
        await start(call)
        assert (await within(20, asyncio.shield(heard)))[:2] == b"\x16\x03"
    assert call.id not in heard.result()


async def test_where_encryption_is_required_who_does_not_encrypt_is_not_answered(
    tmp_path, monkeypatch, start
):
    monkeypatch.setenv(tls.VARIABLE, "1")
    listener = await Listener.open("127.0.0.1")
    call = CallFolder.create(tmp_path / "call", linger=20)
    listener.expect(call)
    reader, writer = await asyncio.open_connection(*listener.addresses[0])
    writer.write(b"BSC1" + call.id + bytes(32))
    with contextlib.suppress(ConnectionResetError):  # what it has not read is lost
        assert await within(20, reader.read()) == b""
    writer.close()
    process = await start(call, plain=True)
    said = await within(20, process.stderr.readline())
    assert b"this Python cannot encrypt the connection" in said
    await listener.close()


async def test_an_agent_that_cannot_encrypt_gets_its_secrets_through_the_private_folder(
    call, start, listener
):
    """Its orders arrive once each, also if the connection is cut."""
    command = 'cat >/dev/null; echo "$WORD" >>"$0"; sed s/zebra/crossed/ {folder}/file'
    with Wire() if can_listen() else contextlib.nullcontext() as wire:
        await start(call, plain=True)
        agent = await within(20, call.next_agent())
        assert not agent.is_private
        for number in range(3):
            process = await within(
                20,
                agent.start(
                    ["sh", "-c", command, str(call.folder / "all")],
                    env={"WORD": f"zebra-{number}"},
                    files={"file": f"zebra file {number}\n"},
                    stdin=b"zebra input",
                ),
            )
            shown = b"".join([data async for _, data in process.output()])
            assert shown.decode() == f"crossed file {number}\n"
            agent._connection.writer.transport.abort()
    assert (call.folder / "all").read_text().split() == ["zebra-0", "zebra-1", "zebra-2"]
    if wire is not None:
        assert wire.carried(b"crossed file")
        assert not wire.carried(b"zebra")


async def test_a_job_elsewhere_is_not_reached_without_encryption(call, start, listener):
    """Its folder is not ours: there is no private way for the orders."""
    call.seen_as = call.folder / "elsewhere"
    call.attach(listener)
    call.seen_as = call.folder
    process = await start(call, plain=True)
    said = await within(20, process.stderr.readline())
    assert b"this Python cannot encrypt the connection" in said


def test_jobs_of_functions_call_home_encrypted(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {
        **os.environ,
        "BATCHSPAWNER_SCHEDULER": "local",
        "BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue"),
    }
    argv = [sys.executable, str(script)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("49 285 CERTIFICATE-----\n", "")


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        ("", tls.Encryption.POSSIBLE),
        ("0", tls.Encryption.OFF),
        ("1", tls.Encryption.REQUIRED),
        ("yes", tls.Encryption.REQUIRED),
    ],
)
def test_a_variable_turns_encryption_off_or_requires_it(value, choice, monkeypatch):
    monkeypatch.setenv(tls.VARIABLE, value)
    assert tls.wanted() is choice


async def test_without_the_library_it_is_said_what_is_missing(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    listener = await Listener.open("127.0.0.1")
    await listener.close()
    assert "pip install cryptography" in caplog.text
    monkeypatch.setenv(tls.VARIABLE, "1")
    with pytest.raises(BatchError, match="pip install cryptography"):
        await Listener.open("127.0.0.1")


def test_a_certificate_is_kept_where_only_its_user_can_read_it(calls):
    _, first = tls.own_certificate(calls)
    (file,) = calls.iterdir()
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (calls, file)]
    assert (file.name, modes) == (tls.FILE_NAME, [0o700, 0o600])
    assert tls.own_certificate(calls)[1] == first


def expire(file):
    os.utime(file, (0, 0))


def expose(file):
    file.chmod(0o640)


def damage(file):
    file.write_text("no certificate")


def link(file):
    file.rename(file.with_name("other"))
    file.symlink_to("other")


def give_away(file):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(file, 65534, -1)


def test_folders_above_a_new_certificate_are_private(tmp_path, group_umask):
    folder = tmp_path / "state" / "calls"
    tls.own_certificate(folder)
    assert [mode(one) for one in (folder, folder.parent)] == [0o700] * 2


@pytest.mark.parametrize("spoil", [expire, expose, damage, link, give_away])
def test_a_certificate_that_is_old_or_may_be_known_to_others_is_not_used(calls, spoil):
    _, first = tls.own_certificate(calls)
    spoil(calls / tls.FILE_NAME)
    _, second = tls.own_certificate(calls)
    assert second != first
    assert tls.own_certificate(calls)[1] == second
