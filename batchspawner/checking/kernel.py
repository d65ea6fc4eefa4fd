"""Check a kernel that runs in jobs, as its own user: ``batchspawner check --kernel NAME``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from ..concurrency import within
from ..errors import BatchError, SchedulerError
from ..runners import LocalRunner, ask
from .findings import Finding, fine, wrong
from .site import Broken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..kernels.kernelspecs import BatchSpec

_CODE = """
import json, platform, sys
print(json.dumps([platform.node(), sys.executable, platform.python_version()]))
"""


async def check_kernel(name: str, patience: float) -> AsyncIterator[Finding]:
    """Yield what is found of a kernel: its kernel.json, its scheduler, its start, its end."""
    try:
        spec, language = _find(name)
        yield fine("kernel", f"{spec.folder}/kernel.json is in order")
        yield await _look_at_scheduler(spec)
        async for finding in _run(name, language, patience):
            yield finding
    except Broken as broken:
        yield broken.finding


def _find(name: str) -> tuple[BatchSpec, str]:
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        from ..kernels import kernelspecs
    except ImportError as error:
        cure = 'pip install "batchspawner[kernels]"'
        raise Broken(wrong("kernel", f"{error.name} is not installed", cure)) from error
    try:
        spec = kernelspecs.find(name)
    except BatchError as error:
        cure = f"batchspawner kernel install {name} --kernel python3"
        raise Broken(wrong("kernel", str(error), cure)) from error
    if spec.trouble:
        cure = f"batchspawner kernel edit {name}   (--help lists what it can be given)"
        raise Broken(wrong("kernel", spec.trouble, cure))
    return spec, str(KernelSpecManager().get_kernel_spec(name).language)


async def _look_at_scheduler(spec: BatchSpec) -> Finding:
    from ..client.job_scripts import find_scheduler

    scheduler = find_scheduler(str(spec.config.get("scheduler") or "auto"))
    began = time.monotonic()
    try:
        await ask(scheduler, scheduler.find("batchspawner-check"), LocalRunner())
    except SchedulerError as error:
        cure = f"batchspawner kernel edit {spec.name} --scheduler NAME   (is it {scheduler.title}?)"
        raise Broken(wrong("scheduler", str(error), cure)) from error
    seconds = time.monotonic() - began
    text = f"{scheduler.title} answers in {seconds * 1000:.0f} ms"
    return fine("scheduler", text, answer_seconds=round(seconds, 3))


async def _run(name: str, language: str, patience: float) -> AsyncIterator[Finding]:
    from jupyter_client.manager import AsyncKernelManager

    manager: Any = AsyncKernelManager(kernel_name=name)
    began = time.monotonic()
    try:
        client = await _start(manager, patience)
        seconds = time.monotonic() - began
        text = f"the kernel is ready {seconds:.1f} s after its start"
        yield fine("start", text, start_seconds=round(seconds, 1))
        if language == "python":
            yield await _ask_kernel(client)
        client.stop_channels()
    except Exception as error:
        text = f"the kernel has not started: {str(error) or type(error).__name__}"
        cure = f"batchspawner jobs   (is its job there?)\nbatchspawner kernel edit {name}"
        raise Broken(wrong("start", text, cure)) from error
    finally:
        with contextlib.suppress(RuntimeError, asyncio.TimeoutError):
            if manager.has_kernel:
                await within(30, manager.shutdown_kernel(now=True))
        manager.context.destroy(linger=0)
    yield fine("end", "the kernel has ended")


async def _start(manager: Any, patience: float) -> Any:
    await within(patience, manager.start_kernel())
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=patience)
    except RuntimeError:
        client.stop_channels()
        raise
    return client


async def _ask_kernel(client: Any) -> Finding:
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])

    await client.execute_interactive(_CODE, timeout=30, output_hook=hear)
    host, program, version = json.loads("".join(said))
    return fine("node", f"it runs on {host}, with {program}, Python {version}")
