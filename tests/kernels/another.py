"""Program of another server process, which prints the info of its kernel.

It ends when it reads "shutdown" or "leave".

python -m tests.kernels.another KERNELS NAME
"""

from __future__ import annotations

import asyncio
import json
import sys

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager


async def main(kernels, name):
    manager = AsyncKernelManager(
        kernel_name=name,
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[kernels]),
        connection_file=f"{kernels}/another.json",
    )
    await manager.start_kernel()
    loop = asyncio.get_running_loop()
    while True:
        info = await manager.provisioner.get_provisioner_info()
        print(json.dumps(info), flush=True)
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if line.strip() == "leave":
            # As a console does: the client asks the kernel to end, and the process ends.
            client = manager.client()
            client.start_channels()
            await client.wait_for_ready(60)
            client.shutdown()
            await asyncio.sleep(0.5)
            client.stop_channels()
            return
        if line.strip() == "shutdown":
            await manager.shutdown_kernel()
            return


asyncio.run(main(*sys.argv[1:]))
