"""What a newcomer does with the demo."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

from tests.hubs import wait_for


def jobs(demo) -> list[str]:
    """Return the states of the demo's jobs."""
    done = subprocess.run(
        [sys.executable, "-m", "batchspawner.localqueue", "query"],
        env={**os.environ, "BATCHSPAWNER_QUEUE_DIR": str(demo.folder / "queue")},
        capture_output=True,
        text=True,
    )
    return [job["state"] for job in json.loads(done.stdout)["jobs"]]


def run_until_output(page, text: str) -> None:
    """Run the first cell, and again if the kernel was not ready."""
    for _ in range(30):
        page.click(".jp-Notebook .cm-content >> nth=0")
        page.keyboard.press("Control+Enter")
        with contextlib.suppress(Exception):
            page.wait_for_selector(f".jp-OutputArea-output:has-text('{text}')", timeout=10_000)
            return
    raise AssertionError(f"the cell did not print {text!r}")


def test_log_in_start_a_server_run_a_cell_and_stop(page, demo, picture):
    page.goto(demo.url)
    page.fill("#username_input", demo.user)
    page.fill("#password_input", demo.password)
    picture("login")
    page.click("#login_submit")

    page.wait_for_url("**/hub/spawn-pending/**")
    page.wait_for_selector("#progress-message:has-text('Job 1')")
    picture("progress")
    page.wait_for_url("**/user/demo/lab**")
    page.wait_for_selector(".jp-Launcher")
    assert jobs(demo) == ["RUNNING"]
    picture("lab")

    page.click(".jp-LauncherCard[data-category='Notebook'] >> nth=0")
    page.wait_for_selector(".jp-Notebook .cm-content")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    page.click(".jp-Notebook .cm-content >> nth=0")
    page.keyboard.type("import os; print('in job', os.environ['BATCHSPAWNER_QUEUE_JOB_ID'])")
    run_until_output(page, "in job 1")
    picture("cell")

    page.goto(f"{demo.url}/hub/home")
    page.click("#stop")
    page.wait_for_selector("#start:has-text('Start')")
    wait_for(lambda: jobs(demo) == [], 20, "the end of the job")

    demo.stop()
    assert demo.process.returncode == 0
    assert not demo.folder.exists()
