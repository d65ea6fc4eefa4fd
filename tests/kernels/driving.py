"""Clients that drive kernels as a notebook does."""

from __future__ import annotations

import asyncio
import time

from tests.hubs import BUSY_FACTOR

TIMEOUT_S = 60 * BUSY_FACTOR


async def value(client, code, timeout=TIMEOUT_S, waits=False, shown=None):
    """Run code, and return how it ended and what it printed, also what was cleared again.

    The event `shown` is set by its first output.
    """
    printed, cleared = [], []

    def output(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])
            if shown is not None:
                shown.set()
        elif message["msg_type"] == "clear_output":
            cleared.extend(printed)
            printed.clear()

    reply = await run(client, code, timeout, output)
    return (reply["status"], "".join(printed), *({"".join(cleared)} if waits else ()))


async def begin(client, code, **kwargs):
    """Run code until it shows something; return the task of its `value`."""
    shown = asyncio.Event()
    running = asyncio.ensure_future(value(client, code, shown=shown, **kwargs))
    await asyncio.wait_for(shown.wait(), TIMEOUT_S)
    return running


async def run(client, code, timeout=TIMEOUT_S, output=lambda message: None):
    """Run code, and return the content of the reply.

    Older versions of jupyter_client have nothing for this that leaves the event loop free.
    """
    cell = client.execute(code)
    while True:
        message = await client.get_iopub_msg(timeout=timeout)
        if message["parent_header"].get("msg_id") == cell:
            output(message)
            if message["content"].get("execution_state") == "idle":
                return await reply_to(client, cell)


async def reply_to(client, cell, timeout=TIMEOUT_S):
    """Return the content of the reply to one request."""
    while True:
        reply = await client.get_shell_msg(timeout=timeout)
        if reply["parent_header"].get("msg_id") == cell:
            return reply["content"]


async def eventually(happens, seconds=20):
    """Wait until something is so, for some seconds of an idle machine."""
    end = time.monotonic() + BUSY_FACTOR * seconds
    while not happens():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.05)
