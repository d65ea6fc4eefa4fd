"""What agents and their driver say can be encrypted, with a certificate made for that alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from batchspawner.allocation import tls
from batchspawner.allocation.call_folder import CallFolder
from batchspawner.allocation.listener import Listener
from batchspawner.concurrency import within
from batchspawner.errors import BatchError

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


@pytest.fixture
async def listener(monkeypatch):
    monkeypatch.setenv(tls.VARIABLE, "1")
    one = await Listener.open("127.0.0.1")
    yield one
    await one.close()


@pytest.fixture
def call(tmp_path, listener):
    one = CallFolder.create(tmp_path / "call", linger=20)
    listener.expect(one)
    return one


async def start(call):
    """Start an agent, as a job does."""
    return await asyncio.create_subprocess_shell(
        f"exec {call.command}", stderr=asyncio.subprocess.PIPE
    )


async def test_an_agent_that_has_the_certificate_is_heard(call, listener):
    process = await start(call)
    agent = await within(20, call.next_agent())
    agent.finish()
    assert await within(20, process.wait()) == 0
    assert call._settings["certificate"] == listener.certificate
    assert listener.certificate.startswith("-----BEGIN CERTIFICATE-----")


async def test_an_agent_calls_nobody_who_has_another_certificate(call):
    _, call._settings["certificate"] = tls.own_certificate()
    call._write_settings()
    process = await start(call)
    try:
        said = await within(20, process.stderr.readline())
        assert b"certificate verify failed" in said
        assert call.agents == {}
    finally:
        process.kill()
        await process.wait()


async def test_who_does_not_encrypt_is_not_answered(call, listener):
    reader, writer = await asyncio.open_connection(*listener.addresses[0])
    writer.write(b"BSC1" + call.id + bytes(32))
    # An alert of TLS at most, no proof.
    assert len(await within(20, reader.read())) < 64
    writer.close()


def test_jobs_of_functions_call_home_encrypted(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {
        **os.environ,
        tls.VARIABLE: "1",
        "BATCHSPAWNER_SCHEDULER": "local",
        "BATCHSPAWNER_QUEUE_DIR": str(tmp_path / "queue"),
        "BATCHSPAWNER_CALL_DIR": str(tmp_path / "calls"),
    }
    argv = [sys.executable, str(script)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("49 285 CERTIFICATE-----\n", "")


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("0", False), ("", False)])
def test_encryption_is_asked_for_by_a_variable(value, wanted, monkeypatch):
    monkeypatch.setenv(tls.VARIABLE, value)
    assert tls.is_wanted() is wanted


def test_without_the_library_it_is_said_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(BatchError, match="pip install cryptography, or unset it"):
        tls.own_certificate()


def test_the_key_is_left_in_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tls.own_certificate()
    assert list(tmp_path.iterdir()) == []
