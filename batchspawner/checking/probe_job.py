"""The test job: submit it, collect what it and the scheduler report, and cancel it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import json
import secrets
import shlex
import time
import zlib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypedDict, cast

from ..concurrency import within
from ..errors import SchedulerError
from . import page_probe, probe
from .job_report import HubFacts, facts_in
from .job_script import check_package, render, take_written_command

if TYPE_CHECKING:
    from ..jobs import JobInfo
    from ..spawners.hub.jupyterhub import HubSpawner
    from .configuration import CheckedSpawner
    from .findings import Finding
    from .hub_host import Target
    from .job_report import Facts, ReportListener

FILE = "BATCHSPAWNER_PRIVATE_FILE"
"""The variable that names the file in which a claim code may travel."""

_POLL_INTERVAL_S = 0.3
_REPORT_TIMEOUT_S = 20.0
"""Seconds that a job which runs, or was cancelled, may take to report, or to end."""
_MAX_PAGE_TIMEOUT_S = 120.0
_LATE_REPORT_TIMEOUT_S = 2.0
"""Seconds that the report of a job which has ended may take."""
_HOST_TIMEOUT_S = 8.0
_VISIT_TIMEOUT_S = 8.0


class Request(TypedDict):
    """What `probe` has to check."""

    nonce: str
    api_url: str
    reply: str
    ports: list[int]
    secret: str
    wrapper: str
    server: str
    command: str
    claimed: dict[str, str]
    page_timeout_s: float


@dataclass(frozen=True)
class Visit:
    """The Hub's connection to the job's port; `skew` is how many seconds its clock is ahead."""

    address: str
    error: str = ""
    seconds: float = 0.0
    skew: float | None = None


@dataclass
class ProbeRun:
    """What is known of the test job, as far as it got."""

    script: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    job_id: str = ""
    submit_error: SchedulerError | None = None
    query_error: SchedulerError | None = None
    cancel_error: SchedulerError | None = None
    status: JobInfo | None = None
    facts: Facts | None = None
    log: str = ""
    log_text: str = ""
    submit_seconds: float = 0.0
    wait_seconds: float | None = None
    report_seconds: float | None = None
    visit: Visit | None = None
    ended: bool = False


def command_of(request: Request, wrapper: str) -> str:
    """Return the shell command that runs the probe, of which nothing is installed.

    It contains the name of the wrapper, because a script without one gets no claim code.
    """
    parts = [inspect.getsource(one) for one in (page_probe, probe)]
    source = "\n".join([*parts, "main(read_request(), open_page)\n"])
    packed = base64.b64encode(zlib.compress(source.encode(), 9)).decode()
    code = f'import base64,zlib;exec(zlib.decompress(base64.b64decode("{packed}")))'
    return shlex.join(["python3", "-c", code, json.dumps(request).encode().hex(), wrapper])


def server_command(target: Target) -> str:
    """Return the shell command that the site's job script would run."""
    spawner = target.spawner
    plain = " ".join([spawner.batchspawner_singleuser_cmd, *spawner.cmd, *spawner.get_args()])
    formatted = spawner.cmd_formatted_for_batch()
    scheduler = target.control.scheduler
    return plain if scheduler and scheduler.embedded(plain) == formatted else formatted


def page_timeout_s(spawner: CheckedSpawner) -> float:
    """Return the seconds that a server may take to answer, as the Hub would wait."""
    return min(max(spawner.http_timeout, 1), _MAX_PAGE_TIMEOUT_S)


def _claimed(spawner: CheckedSpawner) -> dict[str, str]:
    """Return the variables of the Hub's own that a job gets for its claim code, without tokens.

    A site's own secrets are not part of the test.
    """
    if spawner.secret_transport != "claim":  # noqa: S105  (a way, not a secret)
        return {}
    return {
        name: value
        for name, value in spawner.get_env().items()
        if name.startswith("JUPYTERHUB_")
        and not name.endswith("_TOKEN")
        and any(fnmatchcase(name, pattern) for pattern in spawner.secret_variables)
    }


async def run_probe(
    target: Target, listener: ReportListener, queue_timeout_s: float
) -> tuple[ProbeRun, list[Finding]]:
    """Submit the job, wait for its report, connect to it and cancel it. Raises CheckAborted."""
    spawner, run = target.spawner, ProbeRun()
    await take_written_command(target)
    nonce = secrets.token_hex(8)
    if target.control.names_log:
        run.log = f"{spawner.req_homedir}/.batchspawner-check-{nonce}.log"
    wrapper = spawner.batchspawner_singleuser_cmd.split(" ")[0]
    request: Request = {
        "nonce": nonce,
        "api_url": spawner.hub.api_url,
        "reply": listener.url,
        "ports": list(spawner.port_range),
        "secret": spawner.api_token,
        "wrapper": wrapper,
        "server": spawner.cmd[0],
        "command": server_command(target),
        "claimed": _claimed(spawner),
        "page_timeout_s": page_timeout_s(spawner),
    }
    command = command_of(request, wrapper)
    package = await render(target, command, run.log, target.control.leave)
    run.script, run.environment = package.script, dict(package.environment)
    found = check_package(target, package)
    await _submit(target, run)
    if run.submit_error is None:
        try:
            await _follow(target, run, listener, queue_timeout_s)
            host = run.status.host if run.status else ""
            if run.facts is not None and (host or spawner.trust_reported_host):
                run.visit = await visit(target, host, run.facts, nonce)
        finally:
            await _cancel(target, run)
            await _clean_up(target, run)
    return run, found


async def _submit(target: Target, run: ProbeRun) -> None:
    from ..spawners.hub.tags import new_tag

    began = time.monotonic()
    try:
        # The launcher submits no other form. A Hub that runs has another word, and so it leaves
        # the job alone.
        tag = new_tag(cast("HubSpawner", target.spawner))
        run.job_id = await target.control.submit(run.script, run.environment, tag)
    except SchedulerError as error:
        run.submit_error = error
    run.submit_seconds = time.monotonic() - began


async def _follow(
    target: Target, run: ProbeRun, listener: ReportListener, queue_timeout_s: float
) -> None:
    """Wait until the job has reported, has ended without a report, or has waited too long."""
    began = time.monotonic()
    limit = began + queue_timeout_s
    needs_host = not target.spawner.trust_reported_host
    while time.monotonic() < limit:
        try:
            run.status = status = await target.control.status()
        except SchedulerError as error:
            run.query_error, status = error, None
        if status is not None and not status.state.is_waiting and run.wait_seconds is None:
            run.wait_seconds = time.monotonic() - began
            limit = time.monotonic() + _REPORT_TIMEOUT_S + page_timeout_s(target.spawner)
        if run.facts is None:
            run.facts = listener.facts or await _read_log(target, run)
            if run.facts is not None:
                run.report_seconds = time.monotonic() - began
                # The scheduler names the host; the job may report before that.
                limit = time.monotonic() + _HOST_TIMEOUT_S
        if run.facts is not None and status is not None and (status.host or not needs_host):
            return
        if status is not None and (status.is_final or status.gone):
            limit = min(limit, time.monotonic() + _LATE_REPORT_TIMEOUT_S)
        await asyncio.sleep(_POLL_INTERVAL_S)


async def _read_log(target: Target, run: ProbeRun) -> Facts | None:
    """Return the facts in the job's log, which is read as this user or as the job's owner."""
    run.log_text = await target.control.read_file(run.log)
    for line in run.log_text.splitlines():
        if line.startswith(probe.MARK):
            with contextlib.suppress(ValueError):
                return facts_in(line[len(probe.MARK) :])
    return None


async def visit(target: Target, host: str, facts: Facts, nonce: str) -> Visit:
    """Connect to the job's port, as the Hub will connect to that of a server."""
    reported = (facts.get("hub") or HubFacts()).get("own_address", "")
    trusted = target.spawner.trust_reported_host and reported
    host_name = reported if trusted else target.spawner.connect_host(host)
    port = facts.get("port") or 0
    address = f"{host_name}:{port}"
    if not port:
        return Visit(address, "the job has no port")
    began = time.time()
    try:
        answer = await within(_VISIT_TIMEOUT_S, _fetch(host_name, port, f"/{nonce}"))
        ended = time.time()
        skew = _time_in(answer) - (began + ended) / 2
    except (OSError, ValueError, KeyError, asyncio.TimeoutError) as error:
        return Visit(address, str(error) or f"no answer within {_VISIT_TIMEOUT_S:g} s")
    return Visit(address, "", ended - began, skew)


def _time_in(answer: bytes) -> float:
    """Return the time on the node in the answer of the job. Raises ValueError or KeyError."""
    clock: dict[str, float] = json.loads(answer)
    return clock["time"]


async def _fetch(host: str, port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        await writer.drain()
        answer = await reader.read(65536)
    finally:
        writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def _cancel(target: Target, run: ProbeRun) -> None:
    """Cancel the job and wait for its end."""
    try:
        await target.control.cancel()
        run.ended = True
    except SchedulerError as error:
        run.cancel_error = error
    except asyncio.TimeoutError:
        return


async def _clean_up(target: Target, run: ProbeRun) -> None:
    """Stop following the job, and remove its files from the user's folder."""
    target.control.close()
    for path in filter(None, (run.log, run.environment.get(FILE, ""))):
        await target.control.remove_file(path)
