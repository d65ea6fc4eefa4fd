"""Run the tiny job, and gather all that it and the scheduler tell."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import shlex
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..concurrency import within
from ..errors import SchedulerError
from ..jobs import JobRequest
from . import probe
from .hub_host import look_at_package, render

if TYPE_CHECKING:
    from ..jobs import JobInfo
    from .findings import Finding
    from .hub_host import Bench
    from .report_listener import ReportListener

FILE = "BATCHSPAWNER_PRIVATE_FILE"
"""The variable that names the file in which a claim code may travel."""

_LOOK = 0.3
_GRACE = 20.0
"""Seconds that a job which runs, or has ended, may take to tell what it saw."""


@dataclass
class Course:
    """Hold how the job went, as far as it came."""

    script: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    job_id: str = ""
    submit_error: SchedulerError | None = None
    cancel_error: SchedulerError | None = None
    status: JobInfo | None = None
    facts: dict[str, Any] | None = None
    log: str = ""
    log_text: str = ""
    submit_seconds: float = 0.0
    wait_seconds: float | None = None
    report_seconds: float | None = None
    visit: Visit | None = None
    ended: bool = False


@dataclass(frozen=True)
class Visit:
    """Hold how the Hub came to the job's port; `skew` is by how many seconds its clock is ahead."""

    address: str
    error: str = ""
    seconds: float = 0.0
    skew: float | None = None


def command_of(wishes: dict[str, Any], wrapper: str) -> str:
    """Return the shell command that runs the probe with nothing installed.

    The name of the wrapper stands in it, because a script without one gets no claim code.
    """
    source = Path(probe.__file__).read_text(encoding="utf-8") + "\nmain(read_wishes())\n"
    packed = base64.b64encode(zlib.compress(source.encode(), 9)).decode()
    code = f'import base64,zlib;exec(zlib.decompress(base64.b64decode("{packed}")))'
    return shlex.join(["python3", "-c", code, json.dumps(wishes).encode().hex(), wrapper])


async def run_job(
    bench: Bench, listener: ReportListener, patience: float, folder: str
) -> tuple[Course, list[Finding]]:
    """Submit the job, wait for what it tells, visit it and cancel it. Raises Broken."""
    spawner, course = bench.spawner, Course()
    nonce = secrets.token_hex(8)
    course.log = f"{folder}/.batchspawner-check-{nonce}.log"
    wrapper = spawner.batchspawner_singleuser_cmd.split(" ")[0]
    wishes = {
        "nonce": nonce,
        "api_url": spawner.hub.api_url,
        "reply": listener.url,
        "ports": list(spawner.port_range),
        "secret": spawner.api_token,
        "wrapper": wrapper,
        "server": spawner.cmd[0],
    }
    package = await render(bench, command_of(wishes, wrapper), course.log)
    course.script, course.environment = package.script, dict(package.environment)
    found = look_at_package(bench, package)
    await _submit(bench, course)
    if course.submit_error is None:
        try:
            await _follow(bench, course, listener, patience)
            if course.facts is not None and course.status is not None:
                course.visit = await visit(bench, course.status.host, course.facts, nonce)
        finally:
            await _end(bench, course)
            await _forget(bench, course)
    return course, found


async def _submit(bench: Bench, course: Course) -> None:
    request = JobRequest(course.script, f"check-{secrets.token_hex(6)}", course.environment)
    began = time.monotonic()
    try:
        course.job_id = await bench.client.submit(request)
    except SchedulerError as error:
        course.submit_error = error
    course.submit_seconds = time.monotonic() - began


async def _follow(bench: Bench, course: Course, listener: ReportListener, patience: float) -> None:
    """Wait until the job has told its facts, has ended without, or has waited too long."""
    began = time.monotonic()
    watch = bench.client.watch(course.job_id, 0.5)
    limit = began + patience
    try:
        while time.monotonic() < limit:
            course.status = status = watch.status
            if status is not None and not status.state.is_waiting and course.wait_seconds is None:
                course.wait_seconds = time.monotonic() - began
                limit = min(limit, time.monotonic() + _GRACE)
            course.facts = listener.facts or await _read_log(bench, course)
            # Where the job runs is for the scheduler to say; the job may be quicker than that.
            if course.facts is not None and status is not None and status.host:
                course.report_seconds = time.monotonic() - began
                return
            if status is not None and status.is_final:
                limit = min(limit, time.monotonic() + 2)
            await asyncio.sleep(_LOOK)
    finally:
        watch.close()


async def _read_log(bench: Bench, course: Course) -> dict[str, Any] | None:
    """Read what the job has printed, as ourselves, or as the user."""
    text = ""
    with contextlib.suppress(OSError):
        text = Path(course.log).read_text(errors="replace")
    if not text and not bench.client.runner.is_this_user:
        with contextlib.suppress(SchedulerError):
            result = await bench.client.runner.run(("cat", course.log), timeout=5)
            text = result.stdout if result.ok else ""
    course.log_text = text
    for line in text.splitlines():
        if line.startswith(probe.MARK):
            with contextlib.suppress(ValueError):
                return dict(json.loads(line[len(probe.MARK) :]))
    return None


async def visit(bench: Bench, host: str, facts: dict[str, Any], nonce: str) -> Visit:
    """Connect to the job's port, as the Hub will to a server's."""
    reported = (facts.get("hub") or {}).get("own_address", "")
    trusted = bench.spawner.trust_reported_host and reported
    where = reported if trusted else bench.spawner.connect_host(host)
    port = facts.get("port") or 0
    address = f"{where}:{port}"
    if not port:
        return Visit(address, "the job has no port")
    began = time.time()
    try:
        said = await within(8, _fetch(where, port, f"/{nonce}"))
        ended = time.time()
        skew = json.loads(said)["time"] - (began + ended) / 2
    except (OSError, ValueError, KeyError, asyncio.TimeoutError) as error:
        return Visit(address, str(error) or "no answer within 8 s")
    return Visit(address, "", ended - began, skew)


async def _fetch(host: str, port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        await writer.drain()
        answer = await reader.read(65536)
    finally:
        writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def _end(bench: Bench, course: Course) -> None:
    """Cancel the job and see it end."""
    try:
        await bench.client.cancel(course.job_id)
        await within(_GRACE, bench.client.wait(course.job_id, 0.5))
        course.ended = True
    except SchedulerError as error:
        course.cancel_error = error
    except asyncio.TimeoutError:
        return


async def _forget(bench: Bench, course: Course) -> None:
    """Remove what the job has left in the user's folder."""
    for path in filter(None, (course.log, course.environment.get(FILE, ""))):
        if bench.client.runner.is_this_user:
            with contextlib.suppress(OSError):
                Path(path).unlink()
        else:
            with contextlib.suppress(SchedulerError):
                await bench.client.runner.run(("rm", "-f", path), timeout=5)
