"""A kernel in a job, as a user sees it in JupyterLab."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys

import pytest

from tests.hubs import wait_for
from tests.ports import free_port, listens
from tests.sites import LocalSite

WAITING = "is pending (needs 1 of the slots, 0 free)."


class Lab:
    """A JupyterLab of one user, with a kernel that runs in jobs of the local queue."""

    def __init__(self, folder, site):
        kernel = folder / "data" / "kernels" / "batch"
        kernel.mkdir(parents=True)
        config = {"scheduler": "local", "linger": 0, "runtime": "1:00:00"}
        provisioner = {"provisioner_name": "batch-provisioner", "config": config}
        spec = {
            "argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Batch",
            "language": "python",
            "metadata": {"kernel_provisioner": provisioner},
        }
        (kernel / "kernel.json").write_text(json.dumps(spec))
        (folder / "work").mkdir()
        token, port = secrets.token_hex(8), free_port()
        environment = {
            **os.environ,
            **site.environment,
            "JUPYTER_TOKEN": token,
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "HOME": str(folder),
            "BATCHSPAWNER_CALL_DIR": str(folder / "calls"),
        }
        self.url = f"http://127.0.0.1:{port}/lab?token={token}"
        with (folder / "lab.log").open("w") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "jupyterlab",
                    "--no-browser",
                    "--allow-root",
                    "--ip=127.0.0.1",
                    f"--port={port}",
                    "--port-retries=0",
                ],
                cwd=folder / "work",
                env=environment,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: listens(port), 60, "JupyterLab")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@pytest.fixture
def queue(tmp_path):
    site = LocalSite(tmp_path / "site")
    site.start()
    yield site
    site.stop()


@pytest.fixture
def lab(tmp_path, queue):
    one = Lab(tmp_path, queue)
    yield one
    one.stop()


class Notebook:
    """The open notebook, as a user works with it."""

    def __init__(self, page):
        self.page = page

    def run(self, code):
        """Write code into the last cell, and run it."""
        self.page.click(".jp-Notebook .cm-content >> nth=-1")
        self.page.wait_for_selector(".jp-Notebook .cm-editor.cm-focused")
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")

    def shows(self, text):
        self.page.wait_for_selector(f".jp-OutputArea-output:has-text('{text}')")

    def choose(self, command):
        """Choose from the menu of the kernel."""
        self.page.click("li.lm-MenuBar-item:has-text('Kernel')")
        self.page.click(f"li.lm-Menu-item:has-text('{command}') >> nth=0")

    def is_in_state(self, state):
        self.page.wait_for_selector(f".jp-Notebook-ExecutionIndicator[data-status='{state}']")


@pytest.mark.kernels
def test_a_kernel_waits_runs_is_interrupted_restarted_and_shut_down(page, lab, queue, picture):
    queue.fill()
    page.goto(lab.url)
    page.click(".jp-LauncherCard[data-category='Notebook'][title='Batch']")
    page.wait_for_selector(".jp-Notebook .cm-content")
    page.wait_for_selector("text=Batch | Idle")
    notebook = Notebook(page)

    notebook.run("x = 7; print(6 * x)")
    notebook.shows(WAITING)
    picture("kernel-waits")
    queue.drain()
    notebook.shows("42")
    assert page.locator(f"text={WAITING}").count() == 0

    notebook.run("import time; time.sleep(600)")
    notebook.is_in_state("busy")
    notebook.choose("Interrupt Kernel")
    notebook.shows("KeyboardInterrupt")
    notebook.run("print('still', x)")
    notebook.shows("still 7")

    notebook.choose("Restart Kernel")
    page.click(".jp-Dialog button.jp-mod-accept")
    notebook.is_in_state("idle")
    notebook.run("print('x' in globals())")
    notebook.shows("False")
    assert [state for _, _, state in queue.jobs()] == ["RUNNING"]

    notebook.choose("Shut Down Kernel")
    wait_for(lambda: queue.jobs() == [], 20, "the end of the job")
