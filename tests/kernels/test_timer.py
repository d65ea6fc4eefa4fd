"""Environment of a kernel, which JupyterLab's extension for the time left reads."""

from __future__ import annotations

import json
import secrets
import time

import pytest

from tests.ports import free_port

from .driving import value

pytest.importorskip("jupyterlab_server_timer", reason="jupyterlab-server-timer is not installed")

SERVE = """
import os, subprocess, sys, time, urllib.request

server = subprocess.Popen(
    [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1",
     "--ServerApp.port={port}", "--ServerApp.port_retries=0",
     "--ServerApp.jpserver_extensions=jupyterlab_server_timer=True"],
    env={{**os.environ, "JUPYTER_TOKEN": "{token}"}}, stderr=subprocess.DEVNULL,
)
url = "http://127.0.0.1:{port}/jupyterlab-server-timer/get-life-span?token={token}"
try:
    for _ in range(300):
        try:
            print(urllib.request.urlopen(url).read().decode())
            break
        except OSError:
            time.sleep(0.1)
finally:
    server.terminate()
    server.wait()
"""


async def test_a_server_in_the_job_counts_down_from_its_limit(started, site):
    if site.name != "local":
        pytest.skip("the same agent tells it everywhere")
    _, client = await started(runtime="2:00:00")
    code = SERVE.format(port=free_port(), token=secrets.token_hex(8))
    ended, printed = await value(client, code)
    told = json.loads(printed)
    assert (ended, told["run-time"]) == ("ok", 7200)
    assert abs(told["end-time"] - told["start-time"]) == 7200
    assert abs(told["start-time"] - time.time()) < 60
