"""All checks of a kernel that runs in jobs: ``batchspawner check --kernel NAME``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Protocol, TypedDict, cast

from ..concurrency import within
from ..errors import BatchError, SchedulerError
from ..runners import LocalRunner, ask
from .findings import CheckAborted, Finding, ok, wrong

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from ..kernels.kernelspecs import BatchSpec

_CELL_TIMEOUT_S = 30.0
_SHUTDOWN_TIMEOUT_S = 30.0

_CODE = """
import json, platform, sys
print(json.dumps([platform.node(), sys.executable, platform.python_version()]))
"""


class Content(TypedDict):
    """The content of a message that a kernel printed."""

    text: str


class Message(TypedDict):
    """A message of a kernel."""

    msg_type: str
    content: Content


class Client(Protocol):
    """What the check uses of Jupyter's client of a kernel."""

    def start_channels(self) -> None: ...

    def stop_channels(self) -> None: ...

    def wait_for_ready(self, timeout: float) -> Awaitable[None]: ...

    def execute_interactive(
        self, code: str, *, timeout: float, output_hook: Callable[[Message], None]
    ) -> Awaitable[object]: ...


class Context(Protocol):
    """The context of a manager's ZMQ sockets."""

    def destroy(self, linger: int) -> None: ...


class Manager(Protocol):
    """What the check uses of Jupyter's manager of a kernel."""

    @property
    def has_kernel(self) -> bool: ...

    @property
    def context(self) -> Context: ...

    def start_kernel(self) -> Coroutine[object, object, None]: ...

    def shutdown_kernel(self, now: bool) -> Coroutine[object, object, None]: ...

    def client(self) -> Client: ...


async def check_kernel(name: str, start_timeout_s: float) -> AsyncIterator[Finding]:
    """Yield the findings about a kernel: its kernel.json, its scheduler, its start, its end."""
    try:
        spec, language = _find(name)
        yield ok("kernel", f"{spec.folder}/kernel.json is correct")
        yield await _check_scheduler(spec)
        async for finding in _run(name, language, start_timeout_s):
            yield finding
    except CheckAborted as aborted:
        yield aborted.finding


def _find(name: str) -> tuple[BatchSpec, str]:
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        from ..kernels import kernelspecs
    except ImportError as error:
        cure = 'pip install "batchspawner[kernels]"'
        raise CheckAborted(wrong("kernel", f"{error.name} is not installed", cure)) from error
    try:
        spec = kernelspecs.find(name)
    except BatchError as error:
        cure = f"batchspawner kernel install {name} --kernel python3"
        raise CheckAborted(wrong("kernel", str(error), cure)) from error
    if spec.trouble:
        cure = f"batchspawner kernel edit {name}   (--help lists the settings)"
        raise CheckAborted(wrong("kernel", spec.trouble, cure))
    return spec, str(KernelSpecManager().get_kernel_spec(name).language)


async def _check_scheduler(spec: BatchSpec) -> Finding:
    from ..client.job_scripts import find_scheduler

    scheduler = find_scheduler(str(spec.config.get("scheduler") or "auto"))
    began = time.monotonic()
    try:
        await ask(scheduler, scheduler.find("batchspawner-check"), LocalRunner())
    except SchedulerError as error:
        cure = f"batchspawner kernel edit {spec.name} --scheduler NAME   (is it {scheduler.title}?)"
        raise CheckAborted(wrong("scheduler", str(error), cure)) from error
    seconds = time.monotonic() - began
    text = f"{scheduler.title} answers in {seconds * 1000:.0f} ms"
    return ok("scheduler", text, answer_seconds=round(seconds, 3))


async def _run(name: str, language: str, start_timeout_s: float) -> AsyncIterator[Finding]:
    from jupyter_client.manager import AsyncKernelManager

    manager = cast("Manager", AsyncKernelManager(kernel_name=name))
    began = time.monotonic()
    try:
        client = await _start(manager, start_timeout_s)
        seconds = time.monotonic() - began
        text = f"the kernel is ready {seconds:.1f} s after its start"
        yield ok("start", text, start_seconds=round(seconds, 1))
        if language == "python":
            yield await _ask_kernel(client)
        client.stop_channels()
    except Exception as error:
        text = f"the kernel has not started: {str(error) or type(error).__name__}"
        cure = f"batchspawner jobs list   (is its job there?)\nbatchspawner kernel edit {name}"
        raise CheckAborted(wrong("start", text, cure)) from error
    finally:
        with contextlib.suppress(RuntimeError, asyncio.TimeoutError):
            if manager.has_kernel:
                await within(_SHUTDOWN_TIMEOUT_S, manager.shutdown_kernel(now=True))
        manager.context.destroy(linger=0)
    yield ok("end", "the kernel has ended")


async def _start(manager: Manager, start_timeout_s: float) -> Client:
    await within(start_timeout_s, manager.start_kernel())
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=start_timeout_s)
    except RuntimeError:
        client.stop_channels()
        raise
    return client


async def _ask_kernel(client: Client) -> Finding:
    printed: list[str] = []

    def collect(message: Message) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    await client.execute_interactive(_CODE, timeout=_CELL_TIMEOUT_S, output_hook=collect)
    answer: list[str] = json.loads("".join(printed))
    host, program, version = answer
    return ok("node", f"it runs on {host}, with {program}, Python {version}")
