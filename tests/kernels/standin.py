"""Stand in for the agent until it is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

from batchspawner.jobs import JobRequest


class Listener:
    @classmethod
    async def open(cls):
        return cls()

    def expect(self, folder, python="python3"):
        return Call(folder)


class Call:
    def __init__(self, folder):
        self.folder = folder

    def request(self, scheduler, nprocs="1", **_):
        f = self.folder
        script = f"""#!/bin/bash
#QUEUE --slots={nprocs}
#QUEUE --output={f}/job.log
trap 'touch {f}/gone' EXIT
trap 'exit 1' TERM
touch {f}/here
while ! [ -e {f}/finish ] && [ -e {f} ]; do sleep 0.05; done
"""
        return JobRequest(script, "bs-1")

    async def next_agent(self):
        while not (self.folder / "here").exists():
            await asyncio.sleep(0.02)
        return Agent(self.folder)


class Agent:
    host = "127.0.0.1"
    ends = None

    def __init__(self, folder):
        self.folder = folder
        self.children = []
        self.gone = asyncio.ensure_future(self._gone())

    async def _gone(self):
        while not (self.folder / "gone").exists() and self.folder.exists():
            await asyncio.sleep(0.02)
        for one in self.children:
            one.send(signal.SIGKILL)

    def finish(self):
        (self.folder / "finish").touch()

    async def start(self, argv, env=None, cwd=None, stdin=None, files=(), ports=0):
        folder = self.folder / os.urandom(4).hex()
        folder.mkdir()
        socks = [socket.socket() for _ in range(ports)]
        [s.bind(("127.0.0.1", 0)) for s in socks]
        numbers = [s.getsockname()[1] for s in socks]
        [s.close() for s in socks]

        def fill(text):
            for n, p in enumerate(numbers):
                text = text.replace(f"{{port{n}}}", str(p))
            return text.replace("{host}", self.host).replace("{folder}", str(folder))

        for name, data in dict(files).items():
            (folder / name).write_text(fill(data.decode()))
        p = await asyncio.create_subprocess_exec(
            *map(fill, argv),
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        one = Process(p, numbers)
        self.children.append(one)
        return one


class Process:
    def __init__(self, p, ports):
        self.p, self.ports = p, ports

    @property
    async def output(self):
        while data := await self.p.stdout.read(4096):
            yield "stdout", data

    def send(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.p.pid, number)

    async def wait(self):
        return await self.p.wait()
