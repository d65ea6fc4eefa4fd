"""The list of jobs in JupyterLab and Notebook 7, as a user sees it."""

from __future__ import annotations

import time

import pytest

from tests.browser.accessibility import violations
from tests.hubs import wait_for
from tests.labextension.servers import EAT, Server, little_memory
from tests.sites import LocalSite

PANEL = "#batchspawner-jobs"
CALLS = """
from batchspawner.functions import Executor
def wait(number):
    import os, time
    while number and not os.path.exists("go"):
        time.sleep(0.05)
executor = Executor("local", 1)
calls = [executor.submit(wait, number) for number in range(4)]
"""


@pytest.fixture
def queue(tmp_path):
    site = LocalSite(tmp_path / "site")
    site.start()
    yield site
    site.stop()


@pytest.fixture
def start(tmp_path, queue):
    """Start a server in a job of so many minutes."""
    started = []

    def start_one(kind: str, minutes: int) -> Server:
        if kind == "notebook":
            pytest.importorskip("notebook", reason="Notebook 7 is not installed")
        one = Server(
            tmp_path / "server",
            queue,
            kind,
            BATCHSPAWNER_QUEUE_JOB_ID=queue.queue("submit", "--name=server").strip(),
            JOB_START_TIME=str(int(time.time())),
            JOB_RUN_TIME=str(minutes),
            CPU_LIMIT="2",
            MEM_LIMIT=str(4 * 1024**3),
        )
        started.append(one)
        return one

    yield start_one
    for one in started:
        one.stop()


def open_panel(page) -> None:
    page.wait_for_selector(".jp-bs-Status button")
    page.keyboard.press("Alt+Shift+J")
    page.wait_for_selector(f"{PANEL} [data-job=server]")


def row(kind: str, state: str) -> str:
    return f"{PANEL} li[data-kind={kind}][data-state={state}]"


def click(page, where: str, what: str) -> None:
    """Press one of the buttons of a row."""
    page.click(f"{where} [title^='{what}']")


def run(page, code: str) -> None:
    page.click(".jp-Notebook .cm-content >> nth=-1")
    page.wait_for_selector(".jp-Notebook .cm-editor.cm-focused")
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")


@pytest.mark.kernels
def test_jobs_of_all_kinds_come_wait_run_and_end(page, start, queue, picture):
    server = start("jupyterlab", 125)
    page.goto(f"{server.url}/lab?token={server.token}")
    page.wait_for_selector(".jp-Launcher")
    open_panel(page)
    assert "2 h 4 min left" in page.inner_text(".jp-bs-Status")
    assert " of 4.0 GB" in page.inner_text(".jp-bs-Status")
    queue.queue("submit", "--name=simulation", "--slots=2")
    page.wait_for_selector(row("other", "RUNNING"))

    # A kernel that has to wait.
    page.click(f"{PANEL} [title^='New kernel']")
    page.fill(".jp-bs-Form input[name=title]", "Small")
    page.fill(".jp-bs-Form input[name=nprocs]", "1")
    page.fill(".jp-bs-Form input[name=runtime]", "1:00:00")
    page.wait_for_selector(".jp-bs-Estimate[data-answer=busy]")
    picture("lab-new-kernel")
    assert violations(page, ".jp-bs-Form") == []
    page.click(".jp-Dialog button.jp-mod-accept")
    page.wait_for_selector(row("kernel", "PENDING"))
    said = page.inner_text(f"{row('kernel', 'PENDING')} .jp-bs-Job-words")
    assert said.startswith("pending: it needs 1 of the queue's slots, and 0 are free")

    # The job that it waits for is cancelled.
    click(page, row("other", "RUNNING"), "Cancel")
    assert "simulation" in page.inner_text(".jp-Dialog")
    page.click(".jp-Dialog button.jp-mod-warn")
    page.wait_for_selector(row("kernel", "RUNNING"))
    page.wait_for_selector(row("other", "RUNNING"), state="detached")

    # Functions, with their progress, and where they come from.
    page.wait_for_selector(".jp-Notebook .cm-content")
    run(page, CALLS)
    page.wait_for_selector(f"{row('executor', 'RUNNING')} >> text=1 of 4 calls done")
    run(page, "%load_ext batchspawner.magics")
    page.click(f"{row('executor', 'RUNNING')} .jp-bs-Job-name")
    assert page.locator(f"{row('executor', 'RUNNING')} li").count() == 1
    assert "Untitled.ipynb cell 1" in page.inner_text(f"{row('executor', 'RUNNING')} dl")
    picture("lab-jobs")
    assert violations(page, PANEL) == []
    page.keyboard.press("Control+s")
    server.set("apputils-extension/themes", theme="JupyterLab Dark")
    page.reload()
    page.wait_for_selector("body[data-jp-theme-name='JupyterLab Dark']", state="attached")
    open_panel(page)
    page.wait_for_selector(row("executor", "RUNNING"))
    page.wait_for_selector("text=Small | Idle")
    picture("lab-jobs-dark")
    assert violations(page, PANEL) == []
    (server.work / "go").touch()
    run(page, "executor.shutdown()")

    # A cell, and what it has printed.
    run(page, "%%execute --wlm=local\necho printed; while test ! -e stop; do sleep 0.05; done")
    page.wait_for_selector(row("cell", "RUNNING"))
    (server.work / "stop").touch()
    page.wait_for_selector(row("cell", "RUNNING"), state="detached")
    page.click(f"{PANEL} summary:has-text('Ended')")
    page.wait_for_selector(row("cell", "COMPLETED"))
    page.wait_for_selector(f"{PANEL} li[data-kind=executor] >> text=4 of 4 calls done")

    click(page, row("kernel", "RUNNING"), "Show the log")
    page.wait_for_selector(".jp-bs-Log pre")


def test_the_panel_speaks_the_language_that_jupyterlab_does(page, start, queue, picture):
    pytest.importorskip("jupyterlab_language_pack_de_DE", reason="JupyterLab knows no German here")
    server = start("jupyterlab", 125)
    server.set("translation-extension/plugin", locale="de_DE")
    queue.queue("submit", "--name=simulation", "--slots=2")
    queue.queue("submit", "--name=waiting", "--slots=2")
    page.goto(f"{server.url}/lab?token={server.token}")
    open_panel(page)
    assert "noch 2 Std 4 Min" in page.inner_text(".jp-bs-Status")
    assert " von 4,0 GB" in page.inner_text(".jp-bs-Status")
    said = page.inner_text(f"{row('other', 'PENDING')} .jp-bs-Job-words")
    assert said.startswith("wartend: er braucht 2 der Plätze der Warteschlange, und ")
    assert page.inner_text(f"{row('other', 'RUNNING')} .jp-bs-State") == "läuft"
    page.click(f"{row('other', 'PENDING')} .jp-bs-Job-name")
    assert "Was Sie tun können" in page.inner_text(f"{row('other', 'PENDING')} dl")
    page.click(f"{PANEL} [title='Neuer Kernel als Job …']")
    page.fill(".jp-bs-Form input[name=nprocs]", "9")
    page.wait_for_selector(
        ".jp-bs-Estimate:text-is('Ein Job in der Warteschlange bekommt höchstens 3 Kerne.')"
    )
    picture("lab-german")


def test_a_newer_warning_takes_the_place_of_an_older_one(page, start, picture):
    server = start("jupyterlab", 16)
    page.clock.install()
    page.goto(f"{server.url}/lab?token={server.token}")
    toast = ".Toastify__toast:has-text('This server ends in')"
    page.wait_for_selector(".jp-bs-Status button")
    page.clock.fast_forward(90_000)
    page.wait_for_selector(f"{toast} >> text=/in 1[45] minutes/")
    page.clock.fast_forward(10 * 60_000)
    page.wait_for_selector(f"{toast} >> text=/in [45] minutes/")
    wait_for(lambda: page.locator(toast).count() == 1, 30, "the older warning to go")
    assert page.get_attribute(".jp-bs-Status button", "data-urgent") == "true"
    page.click(".Toastify__toast button:has-text('Save all')")


def test_a_notebook_whose_kernel_was_killed_for_memory_says_so(page, start, picture):
    server = start("jupyterlab", 125)
    server.write_notebook("sums.ipynb", EAT)
    with little_memory() as group:
        (group / "cgroup.procs").write_text(str(server.process.pid))
        page.goto(f"{server.url}/lab/tree/sums.ipynb?token={server.token}")
        page.wait_for_selector(".jp-bs-Status button")
        page.wait_for_selector("text=Python 3 (ipykernel) | Idle")
        page.click(".jp-Notebook .cm-content")
        page.keyboard.press("Shift+Enter")
        told = "A kernel was killed: the job's memory (4.0 GB) is used up. Use less, or start the "
        page.wait_for_selector(f'text="{told}server with more. It was that of sums.ipynb."')
        # JupyterLab's own words cover the page, and ours come in from its side.
        page.click(".jp-Dialog:has-text('appears to have died') button.jp-mod-accept")
        page.wait_for_function(
            "document.querySelector('.Toastify__toast').getBoundingClientRect().right <= innerWidth"
        )
        picture("kernel-killed")
        server.stop()


def test_notebook_7_shows_the_time_and_runs_a_notebook_in_a_job(page, start, picture):
    server = start("notebook", 125)
    server.write_notebook("sums.ipynb", "6 * 7")
    page.goto(f"{server.url}/notebooks/sums.ipynb?token={server.token}")
    page.wait_for_selector(".jp-Notebook .cm-content")
    open_panel(page)
    assert "2 h 4 min left" in page.inner_text(".jp-bs-Status")
    page.click("li.lm-MenuBar-item:has-text('File')")
    page.click("li.lm-Menu-item:has-text('Submit This Notebook as a Job')")
    page.fill(".jp-bs-Form input[name=runtime]", "0:10:00")
    page.click(".jp-Dialog button.jp-mod-accept")
    page.wait_for_selector(f"{PANEL} li[data-kind=notebook]")
    picture("notebook-jobs")
    page.wait_for_selector(f"{PANEL} summary:has-text('Ended')")
    page.click(f"{PANEL} summary:has-text('Ended')")
    page.wait_for_selector(row("notebook", "COMPLETED"))
    (result,) = server.work.glob("sums-job-*.ipynb")
    assert '"42"' in result.read_text()
    click(page, row("notebook", "COMPLETED"), "Show the log")
    page.wait_for_selector(".jp-bs-Log pre:has-text('cell 1 of 1 is done')")
