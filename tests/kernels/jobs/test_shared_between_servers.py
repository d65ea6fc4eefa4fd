"""Kernels of a Jupyter server that others speak with (VS Code, for one), and of a command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shlex
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from tornado.websocket import websocket_connect

from batchspawner.client import blocking_client
from batchspawner.client.batch_client import BatchClient
from batchspawner.jobs import JobRequest
from batchspawner.schedulers import scheduler_class
from tests.hubs import BUSY_FACTOR, wait_for
from tests.ports import free_port, listens

from ..driving import eventually

KNOWN = ("PATH", "JUPYTER_PATH", "JUPYTER_RUNTIME_DIR", "BATCHSPAWNER_CALL_DIR")
"""What a program in a job has to know to start our kernels."""

REQUEST_TIMEOUT_S = 60 * BUSY_FACTOR

pytest.importorskip("jupyter_server", reason="jupyter_server is not installed")


@pytest.fixture
def share(jobs, specs, tmp_path, monkeypatch):
    """A kernel called batch that programs find."""
    specs("batch")
    (tmp_path / "share").mkdir()
    (tmp_path / "specs").rename(tmp_path / "share" / "kernels")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))


class Server:
    """A Jupyter server, as a client far away knows it: an address and a token."""

    def __init__(self, folder, *options):
        self.token, port = secrets.token_hex(8), free_port()
        self.address = f"127.0.0.1:{port}/api/kernels"
        self.log = folder / "server.log"
        command = [
            "-m",
            "jupyter_server",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0",
            *options,
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=folder,
                stdout=log,
                stderr=log,
                env={**os.environ, "JUPYTER_TOKEN": self.token},
            )
        wait_for(lambda: listens(port), 60, f"the server; its log is {self.log}")

    async def ask(self, method, path="", **body):
        return await asyncio.get_running_loop().run_in_executor(None, self._ask, method, path, body)

    def _ask(self, method, path, body):
        request = urllib.request.Request(
            f"http://{self.address}{path}",
            json.dumps(body).encode() if body else None,
            {"Authorization": f"token {self.token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
            return json.loads(answer.read() or "null")

    @contextlib.asynccontextmanager
    async def open(self, kernel):
        """Open the one connection on which all channels of a kernel travel."""
        url = f"ws://{self.address}/{kernel}/channels?token={self.token}"
        channels = await websocket_connect(url)
        try:
            yield channels
        finally:
            channels.close()
            while await channels.read_message() is not None:
                pass

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def serve(share, tmp_path):
    """Start Jupyter servers."""
    running = []

    def start(*options):
        running.append(Server(tmp_path, *options))
        return running[-1]

    yield start
    for one in running:
        one.stop()


async def run(channels, code, shown=None):
    """Run code; return how it ended and what it printed. Its first output sets `shown`."""
    message = secrets.token_hex(8)
    header = {
        "msg_id": message,
        "msg_type": "execute_request",
        "username": "",
        "session": "s",
        "version": "5.3",
        "date": "",
    }
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    await channels.write_message(
        json.dumps(
            {
                "channel": "shell",
                "header": header,
                "parent_header": {},
                "metadata": {},
                "content": content,
                "buffers": [],
            }
        )
    )
    printed, ended, idle = "", "", False
    while not (ended and idle):
        heard = json.loads(await asyncio.wait_for(channels.read_message(), REQUEST_TIMEOUT_S))
        if heard["parent_header"].get("msg_id") != message:
            continue
        content = heard["content"]
        if heard["msg_type"] == "clear_output":  # what it has waited for
            printed = ""
        printed += content["text"] if heard["msg_type"] == "stream" else ""
        if printed and shown is not None:
            shown.set()
        ended = content["status"] if heard["msg_type"] == "execute_reply" else ended
        idle = idle or content.get("execution_state") == "idle"
    return ended, printed


async def test_a_client_of_a_server_runs_interrupts_restarts_and_ends_a_kernel(serve, jobs):
    server = serve()
    kernel = (await server.ask("POST", name="batch"))["id"]
    async with server.open(kernel) as channels:
        assert await run(channels, "x = 7; print(6 * x)") == ("ok", "42\n")
        before = jobs()
        code, shown = "print('on', flush=True); __import__('time').sleep(600)", asyncio.Event()
        sleeps = asyncio.ensure_future(run(channels, code, shown))
        await asyncio.wait_for(shown.wait(), REQUEST_TIMEOUT_S)
        busy = until(server, f"/{kernel}", lambda model: model["execution_state"] == "busy")
        await asyncio.wait_for(busy, REQUEST_TIMEOUT_S)
        await server.ask("POST", f"/{kernel}/interrupt")
        assert await sleeps == ("error", "on\n")
    await server.ask("POST", f"/{kernel}/restart")
    async with server.open(kernel) as channels:
        assert await run(channels, "print('x' in globals())") == ("ok", "False\n")
    assert jobs() == before
    await server.ask("DELETE", f"/{kernel}")
    await eventually(lambda: jobs() == [])


async def test_the_log_of_a_server_says_why_a_kernel_is_gone(serve, jobs, site):
    server = serve()
    kernel = (await server.ask("POST", name="batch"))["id"]
    async with server.open(kernel) as channels:
        assert await run(channels, "print(6 * 7)") == ("ok", "42\n")
    ((job_id, _),) = jobs()
    site.cancel(job_id)
    await eventually(lambda: f"job {job_id} ended: cancelled" in server.log.read_text())
    # The server may have noticed by itself that it is dead.
    with contextlib.suppress(urllib.error.HTTPError):
        await server.ask("DELETE", f"/{kernel}")


async def until(server, path, happens):
    while not happens(await server.ask("GET", path)):
        await asyncio.sleep(0.05)


async def test_a_kernel_that_nobody_uses_is_culled_and_gives_its_job_back(serve, jobs):
    idle = ("--MappingKernelManager.cull_idle_timeout=1", "--MappingKernelManager.cull_interval=1")
    server = serve(*idle)
    kernel = (await server.ask("POST", name="batch"))["id"]
    async with server.open(kernel) as channels:
        assert await run(channels, "print(6 * 7)") == ("ok", "42\n")
    await eventually(lambda: jobs() == [])
    await asyncio.wait_for(until(server, "", lambda kernels: kernels == []), REQUEST_TIMEOUT_S)


def test_a_command_runs_a_file_in_a_kernel(share, jobs, tmp_path):
    (tmp_path / "file.py").write_text("import os\nprint(os.environ['JOB_START_TIME'].isdecimal())")
    command = [sys.executable, "-m", "jupyter_client.runapp", "--kernel=batch", "file.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    wait_for(lambda: jobs() == [], 30, "the end of the job")


def test_a_command_in_a_job_has_its_kernel_in_another_job(share, jobs, site, tmp_path):
    variable = scheduler_class(site.name).job_id_variable
    (tmp_path / "file.py").write_text(f"import os; print(os.environ[{variable!r}])")
    seen = {**site.environment, **{name: os.environ[name] for name in KNOWN}}
    body = [f"export {name}={shlex.quote(value)}" for name, value in seen.items()]
    command = f"{sys.executable} -m jupyter_client.runapp --kernel=batch file.py"
    body += [f"cd {tmp_path}", f"{command} > printed 2> errors"]
    request = JobRequest(site.script("\n".join(body)), arguments=site.quiet)
    outer = blocking_client.run(BatchClient(site.name).submit(request))
    wait_for(lambda: jobs() == [] and (tmp_path / "printed").exists(), 90, "the end of both jobs")
    inner = (tmp_path / "printed").read_text()
    assert scheduler_class(site.name).job_id_pattern.fullmatch(inner.strip()), (
        tmp_path / "errors"
    ).read_text()
    assert inner.strip() != outer
