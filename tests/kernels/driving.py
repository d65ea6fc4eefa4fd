"""Drive kernels as a notebook does."""

from __future__ import annotations

import asyncio
import time


async def value(client, code, timeout=30, waits=False):
    """Run code, and return how it ended and what it printed, also what was cleared again."""
    printed, cleared = [], []

    def output(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])
        elif message["msg_type"] == "clear_output":
            cleared.extend(printed)
            printed.clear()

    reply = await client.execute_interactive(code, timeout=timeout, output_hook=output)
    return (reply["content"]["status"], "".join(printed), *({"".join(cleared)} if waits else ()))


async def eventually(happens, seconds=20):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.05)
