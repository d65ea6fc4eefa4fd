"""A program of an ordinary user that gives a secret to a job, and holds the job until told to end.

usage: program.py FRONT_END, with one line of JSON on standard input: the secret, and the paths of
two files, `begun`, which the job creates, and `go`, for which it waits. It prints the id of the
job and the keys that its connections use, and at the end what came back.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

RUNTIME = "10m"
HELD = """
import os, time
open({begun!r}, "w").close()
while not os.path.exists({go!r}):
    time.sleep(0.1)
back = {secret}[::-1]
"""


def hold(secret: str, begun: str, go: str) -> str:
    """Return the secret backwards, as soon as there is a file."""
    Path(begun).touch()
    while not Path(go).exists():
        time.sleep(0.1)
    return secret[::-1]


def tell(job: object, *keys: str) -> None:
    print(json.dumps({"job": str(job), "keys": keys}), flush=True)


def function(secret: str, begun: str, go: str) -> str:
    from batchspawner.functions import slurmify

    future = slurmify(runtime=RUNTIME)(hold).distribute(secret, begun, go)
    tell(future.get_job_id())
    return future.result(300)


def executor(secret: str, begun: str, go: str) -> str:
    from batchspawner.functions import Executor

    scheduler = os.environ["BATCHSPAWNER_SCHEDULER"]
    with Executor(scheduler, workers=1, runtime=RUNTIME) as one:
        future = one.submit(hold, secret, begun, go)
        _wait_for(begun)
        tell(0)
        return future.result(300)


def cell(secret: str, begun: str, go: str) -> str:
    import threading

    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    shell.run_cell("%load_ext batchspawner.magics")
    shell.user_ns["secret"] = secret
    body = HELD.format(begun=begun, go=go, secret="secret")
    backend = os.environ["BATCHSPAWNER_SCHEDULER"]
    line = f"%%execute --python --wlm={backend} --in secret --out back\n"

    def when_it_runs() -> None:
        _wait_for(begun)
        print(json.dumps({"job": "0", "keys": []}), file=answers, flush=True)

    answers = sys.stdout
    threading.Thread(target=when_it_runs, daemon=True).start()
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        result = shell.run_cell(line + body)
    assert result.success, shown.getvalue()
    return str(shell.user_ns["back"])


def kernel(secret: str, begun: str, go: str) -> str:
    return asyncio.run(_kernel(secret, begun, go))


async def _kernel(secret: str, begun: str, go: str) -> str:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    folder = Path(tempfile.mkdtemp(prefix="specs-"))
    (folder / "job").mkdir()
    config = {"scheduler": os.environ["BATCHSPAWNER_SCHEDULER"], "runtime": RUNTIME, "linger": 0}
    spec = {
        # The history of IPython is in the home, and as private as that is.
        "argv": [
            *(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
            "--HistoryManager.enabled=False",
        ],
        "display_name": "job",
        "language": "python",
        "metadata": {
            "kernel_provisioner": {"provisioner_name": "batch-provisioner", "config": config}
        },
    }
    (folder / "job" / "kernel.json").write_text(json.dumps(spec))
    manager = AsyncKernelManager(
        kernel_name="job", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder)])
    )
    await manager.start_kernel()
    try:
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=300)
        body = HELD.format(begun=begun, go=go, secret=repr(secret)) + "print(back)"
        client.execute(body)
        _wait_for(begun)
        connection = manager.get_connection_info()
        keys = [connection.get("key"), connection.get("curve_secretkey")]
        tell(0, *(one.decode() if isinstance(one, bytes) else one for one in keys if one))
        while True:
            message = await client.get_iopub_msg(timeout=300)
            if message["msg_type"] == "stream":
                return str(message["content"]["text"]).strip()
    finally:
        await manager.shutdown_kernel(now=True)


def cluster(secret: str, begun: str, go: str) -> str:
    from batchspawner.clusters import Cluster

    with Cluster(1, runtime=RUNTIME) as one:
        view = one[:]
        view["secret"] = secret
        held = view.execute(HELD.format(begun=begun, go=go, secret="secret"), block=False)
        _wait_for(begun)
        tell(0, one.session.key.decode())
        held.get(300)
        return str(view["back"][0])


def _wait_for(path: str) -> None:
    end = time.monotonic() + 300
    while not Path(path).exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.1)


FRONT_ENDS = {one.__name__: one for one in (function, executor, cell, kernel, cluster)}


def main(front_end: str) -> None:
    order = json.loads(sys.stdin.readline())
    # As a person who has exported it for their jobs.
    os.environ["DB_PASS"] = order["exported"]
    back = FRONT_ENDS[front_end](order["secret"], order["begun"], order["go"])
    print(json.dumps(back), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
