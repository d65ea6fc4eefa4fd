"""What a newcomer does with the demo."""

from __future__ import annotations

import contextlib
import json

from batchspawner.cli.demo import QUEUE_SLOTS
from tests.browser.local_queue import queue
from tests.hubs import wait_for


def on_queue(demo, *words: str, script: str = "") -> str:
    """Run a command of the demo's queue and return what it prints."""
    variables = {
        "BATCHSPAWNER_QUEUE_DIR": str(demo.folder / "queue"),
        "BATCHSPAWNER_QUEUE_SLOTS": str(QUEUE_SLOTS),
    }
    return queue(variables, *words, script=script)


def jobs(demo, what: str = "state") -> list[str]:
    """Return the states of the demo's jobs, or something else of each."""
    return [job[what] for job in json.loads(on_queue(demo, "query"))["jobs"]]


def run_until_output(page, text: str) -> None:
    """Run the first cell, and again if the kernel was not ready."""
    for _ in range(30):
        page.click(".jp-CodeCell .cm-content >> nth=0")
        page.keyboard.press("Control+Enter")
        with contextlib.suppress(Exception):
            page.wait_for_selector(f".jp-OutputArea-output:has-text('{text}')", timeout=10_000)
            return
    raise AssertionError(f"the cell did not print {text!r}")


def test_log_in_start_a_server_run_a_cell_and_stop(page, demo, picture):
    page.goto(demo.url)
    page.fill("#username_input", demo.user)
    page.fill("#password_input", demo.password)
    page.click("#login_submit")

    page.wait_for_url("**/hub/spawn")
    page.check("text=A server of your own size")
    assert page.get_by_label("Cores", exact=True).input_value() == "2"
    assert page.get_by_label("Time", exact=True).input_value() == "1:00:00"
    page.check("text=A small server")
    # The job that fills the queue at first may end before a busy machine has shown the page.
    options = ["--name=first", f"--slots={QUEUE_SLOTS}"]
    first = on_queue(demo, "submit", *options, script="#!/bin/sh\nsleep 600\n")
    page.click("button[type=submit]")
    page.wait_for_url("**/hub/spawn-pending/**")
    page.wait_for_selector(".batchspawner-card [data-row=job]:has-text('3 (the local queue)')")
    picture("progress")
    assert jobs(demo, "name")[:2] == ["first", "colleague"]
    on_queue(demo, "cancel", first, "2")
    page.wait_for_url("**/user/demo/lab**")
    page.wait_for_selector(".jp-CodeCell .cm-content")
    assert jobs(demo) == ["RUNNING"]

    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    run_until_output(page, "spawner-jupyterhub")

    page.click("text=File >> nth=0")
    page.click(".lm-Menu-itemLabel:text-is('New Launcher')")
    page.wait_for_selector(".jp-LauncherCard[title*='Python 3 (batch job)'] >> nth=0")

    page.goto(f"{demo.url}/hub/home")
    page.click("#stop")
    page.wait_for_selector("#start:has-text('Start')")
    wait_for(lambda: jobs(demo) == [], 20, "the end of the job")

    demo.stop()
    assert demo.process.returncode == 0
    assert not demo.folder.exists()
