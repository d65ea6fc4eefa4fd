"""The server extension in a real Jupyter server, on the embedded queue."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

import pytest
import requests
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from batchspawner.concurrency import within
from tests.hubs import wait_for
from tests.labextension.servers import EAT, Server, little_memory
from tests.sites import LocalSite

pytest.importorskip("jupyter_server", reason="jupyter_server is not installed")

FUNCTIONS = """
import time
from batchspawner.functions import Executor

def wait(path):
    import os, time
    while not os.path.exists(path):
        time.sleep(0.05)

with Executor("local", 1) as executor:
    list(executor.map(abs, range(5)))
    executor.submit(wait, "go").result()
"""


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    site = LocalSite(tmp_path_factory.mktemp("site"))
    site.start()
    yield site
    site.stop()


@pytest.fixture(scope="module")
def server(queue, tmp_path_factory):
    one = Server(tmp_path_factory.mktemp("server"), queue)
    yield one
    one.stop()


def listed(server, job: str, state: str):
    """Wait until a job is listed in this state; return its row."""

    def look():
        row = server.jobs().get(f"local:{job}")
        return row if row and row["state"] == state else None

    return wait_for(look, 60, f"job {job} to be {state}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "jobs"),
        ("POST", "jobs"),
        ("DELETE", "jobs/local:1"),
        ("GET", "jobs/local:1/log"),
        ("GET", "queues"),
        ("GET", "estimate"),
        ("POST", "kernels"),
    ],
)
def test_nobody_without_the_servers_token_gets_anything(server, method, path):
    assert server.ask(method, path, token="wrong").status_code == 403


@pytest.mark.parametrize(
    ("is_signed_in", "origin", "status"),
    [(False, "", 403), (True, "http://evil.example", 403), (True, "", 101)],
)
def test_only_the_users_own_pages_open_the_channel(server, is_signed_in, origin, status):
    browser = requests.Session()
    if is_signed_in:
        browser.get(f"{server.url}/api/status?token={server.token}", timeout=60)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
        "Sec-WebSocket-Version": "13",
        "Origin": origin or server.url,
    }
    url = f"{server.url}/batchspawner/channel"
    with browser.get(url, headers=headers, timeout=60, stream=True) as answer:
        assert answer.status_code == status


@pytest.fixture
def group():
    with little_memory() as one:
        yield one


def oom_kills_of(group: Path) -> bool:
    return "oom_kill 0" not in (group / "memory.oom_control").read_text().splitlines()


def pid_of(kernel: str, before: int = 0) -> int:
    """Return the process of a kernel, another one than before."""

    def find() -> int:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if kernel.encode() in file.read_bytes() and int(file.parent.name) != before:
                    return int(file.parent.name)
        return 0

    return wait_for(find, 120, "the kernel")


async def test_a_kernel_that_was_killed_for_memory_is_announced_and_not_one_that_was_killed_by_hand(
    queue, tmp_path, group
):
    client_class = pytest.importorskip("jupyter_client").AsyncKernelClient
    server = Server(tmp_path / "server", queue)
    headers = {"Authorization": f"token {server.token}"}
    (group / "cgroup.procs").write_text(str(server.process.pid))
    channel = await websocket_connect(
        HTTPRequest(f"ws{server.url[4:]}/batchspawner/channel", headers=headers)
    )
    kernel = requests.post(f"{server.url}/api/kernels", headers=headers, timeout=120).json()["id"]
    client = client_class()
    try:
        loop = asyncio.get_running_loop()
        killed = pid_of(kernel)
        os.kill(killed, signal.SIGKILL)
        # The server looks every 3 s whether its kernels live, and restarts this one.
        await loop.run_in_executor(None, pid_of, kernel, killed)
        runtime = server.folder / "data" / "runtime"
        client.load_connection_file(str(runtime / f"kernel-{kernel}.json"))
        client.start_channels()
        client.execute(EAT)
        told = [json.loads(await within(300, channel.read_message()))]
        while told[-1]["type"] != "ending":
            if told[-1]["type"] == "killed" and oom_kills_of(group):
                server.process.send_signal(signal.SIGTERM)
            told.append(json.loads(await within(300, channel.read_message())))
        killed_ones = [one for one in told if one["type"] == "killed"]
        assert killed_ones == [{"type": "killed", "kernel": kernel}]
    finally:
        client.stop_channels()
        channel.close()
        server.stop()


def test_a_job_of_the_user_is_listed_with_its_name_and_can_be_cancelled(server, queue):
    job = queue.queue("submit", "--name=simulation").strip()
    row = listed(server, job, "RUNNING")
    assert (row["kind"], row["name"], row["can_cancel"]) == ("other", "simulation", True)
    assert server.ask("DELETE", f"jobs/local:{job}").status_code == 202
    wait_for(lambda: f"local:{job}" not in server.jobs(), 30, "the end of the job")


def test_a_job_that_is_not_listed_is_not_cancelled(server):
    answer = server.ask("DELETE", "jobs/local:4711")
    assert (answer.status_code, answer.json()["message"]) == (404, "you have no such job")


def test_a_job_that_waits_says_why_in_words(server, queue):
    filler = queue.queue("submit", "--slots=3").strip()
    waiting = queue.queue("submit", "--slots=2").strip()
    row = listed(server, waiting, "PENDING")
    assert row["words"].startswith("pending: it needs 2 of the queue's slots, and 0 are free")
    assert row["advice"] == "Stop another server of yours, or wait until one ends."
    queue.queue("cancel", waiting, filler)
    queue.queue("wait", waiting, filler)


def test_an_executor_is_one_row_with_its_progress_and_its_workers_below_it(server):
    program = server.run(FUNCTIONS)
    rows = wait_for(
        lambda: (
            [one for one in server.jobs().values() if one["calls"] == [6, 5, 0] and one["started"]]
            or [one for one in server.jobs().values() if one["calls"] == [6, 5, 0]]
        ),
        60,
        "five calls",
    )
    (row,) = rows
    assert (row["kind"], row["ended"]) == ("executor", False)
    assert Path(row["origin"]["script"]).parent == server.work
    workers = [one for one in server.jobs().values() if one["parent"] == row["id"]]
    assert [(one["kind"], one["state"]) for one in workers] == [("function", "RUNNING")]
    (server.work / "go").touch()
    assert program.wait(120) == 0
    wait_for(lambda: server.jobs()[row["id"]]["ended"], 60, "the end of the executor")
    assert server.jobs()[workers[0]["id"]]["ended"]


def test_a_notebook_runs_in_a_job_and_its_result_is_beside_it(server):
    (server.work / "below").mkdir()
    server.write_notebook("below/sums.ipynb", "x = 6", "print(7 * x)")
    answer = server.ask(
        "POST", "jobs", json={"path": "below/sums.ipynb", "resources": {"runtime": "0:10:00"}}
    )
    assert answer.status_code == 201, answer.text
    done = answer.json()
    wait_for(lambda: server.jobs()[done["id"]]["ended"], 120, "the notebook")
    row = server.jobs()[done["id"]]
    assert (row["kind"], row["state"], row["name"]) == ("notebook", "COMPLETED", "sums.ipynb")
    assert row["origin"]["notebook"] == str(server.work / "below/sums.ipynb")
    written = json.loads((server.work / done["result"]).read_text())
    assert written["cells"][1]["outputs"][0]["text"] == ["42\n"]
    assert Path(done["result"]).parent == Path("below")
    log = server.ask("GET", f"jobs/{done['id']}/log").json()
    assert log["text"].endswith("cell 1 of 2 is done\ncell 2 of 2 is done\n")
    for offset in ("9" * 5000, "-1", "\u0663", "1e5"):
        assert server.ask("GET", f"jobs/{done['id']}/log?offset={offset}").status_code == 400
    more = server.ask("GET", f"jobs/{done['id']}/log?offset={log['offset']}").json()
    assert (more["text"], more["offset"]) == ("", log["offset"])
    assert server.ask("GET", f"jobs/{done['id']}/log?file=../call.json").status_code == 404


def test_a_notebook_whose_cell_fails_is_written_as_far_as_it_came(server):
    server.write_notebook("fails.ipynb", "print('first')", "1 / 0", "print('never')")
    done = server.ask("POST", "jobs", json={"path": "fails.ipynb"}).json()
    wait_for(lambda: server.jobs()[done["id"]]["ended"], 120, "the notebook")
    assert server.jobs()[done["id"]]["words"] == "failed (exit status 1)"
    cells = json.loads((server.work / done["result"]).read_text())["cells"]
    assert [bool(one["outputs"]) for one in cells] == [True, True, False]
    assert cells[1]["outputs"][0]["ename"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"path": "../secret.ipynb"}, 404),
        ({"path": "missing.ipynb"}, 400),
        ({"path": "a.txt"}, 400),
        ({"path": "sums.ipynb", "resources": {"options": "--x"}}, 400),
        ({"path": "sums.ipynb", "resources": {"prologue": "\ud800"}}, 400),
    ],
)
def test_what_is_no_notebook_or_no_resource_is_refused(server, given, status):
    server.write_notebook("sums.ipynb", "1")
    assert server.ask("POST", "jobs", json=given).status_code == status


@pytest.mark.parametrize("path", ["jobs", "kernels"])
def test_what_is_no_request_is_refused(server, path):
    for body in (b"\xff\xfe", b"[" * 100_000, b"[]", b""):
        assert server.ask("POST", path, data=body).status_code == 400


def test_a_page_of_another_site_changes_nothing(server):
    """It can make the user's browser send their cookies, but does not know the XSRF token."""
    browser = requests.Session()
    browser.get(f"{server.url}/api/status?token={server.token}", timeout=60)
    for method, path in (("POST", "jobs"), ("POST", "kernels"), ("DELETE", "jobs/local:1")):
        for headers in ({}, {"X-XSRFToken": "x" * 20}):
            url = f"{server.url}/batchspawner/{path}"
            answer = browser.request(method, url, json={}, headers=headers, timeout=60)
            assert answer.status_code == 403


def test_records_that_nobody_can_read_cost_the_list_nothing_else(server, queue):
    job = queue.queue("submit", "--name=beside-them").strip()
    for number, text in enumerate(("", "null", "[" * 100_000, '{"scheduler": 5, "name": null}')):
        folder = server.folder / "calls" / "functions" / f"spoilt-{number}"
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(text)
    folder = server.folder / "calls" / "functions" / "spoilt"
    folder.mkdir()
    os.mkfifo(folder / "job.json")
    assert listed(server, job, "RUNNING")["name"] == "beside-them"
    queue.queue("cancel", job)
    queue.queue("wait", job)


def test_a_kernel_spec_is_written_for_kernels_that_run_in_jobs(server):
    given = {"display_name": "Big Python", "resources": {"runtime": "1:00:00", "nprocs": "2"}}
    assert server.ask("POST", "kernels", json=given).json() == {"name": "big-python"}
    file = server.folder / "data" / "kernels" / "big-python" / "kernel.json"
    spec = json.loads(file.read_text())
    assert spec["display_name"] == "Big Python"
    assert spec["metadata"]["kernel_provisioner"] == {
        "provisioner_name": "batch-provisioner",
        "config": {"runtime": "1:00:00", "nprocs": "2"},
    }
    again = server.ask("POST", "kernels", json=given)
    assert again.status_code == 400
    assert "a kernel of this name exists" in again.json()["message"]


def test_the_queues_and_an_estimate_are_those_of_the_scheduler(server):
    told = server.ask("GET", "queues").json()
    assert (told["scheduler"], [one["all_cores"] for one in told["queues"]]) == ("local", [3])
    for asked, answer in {
        "nprocs=1": "free",
        "nprocs=4": "impossible",
        "nprocs=x": "impossible",
        f"nprocs={'9' * 5000}": "impossible",
        f"memory={'9' * 400}G": "impossible",
        f"runtime={'9' * 5000}": "impossible",
    }.items():
        assert server.ask("GET", f"estimate?{asked}").json()["answer"] == answer


class Channel:
    """A browser's connection."""

    def __init__(self, connection) -> None:
        self.connection, self.rows = connection, {}

    async def until(self, condition):
        while not condition(self.rows):
            message = json.loads(await within(120, self.connection.read_message()))
            if message["type"] == "all":
                self.rows = {row["id"]: row for row in message["rows"]}
            elif message["type"] == "changes":
                self.rows.update({row["id"]: row for row in message["changed"]})
                for removed in message["removed"]:
                    del self.rows[removed]


async def test_an_open_panel_is_told_what_changes(server, queue):
    url = server.url.replace("http", "ws") + f"/batchspawner/channel?token={server.token}"
    connection = await websocket_connect(url)
    channel = Channel(connection)
    await connection.write_message('{"open": true}')
    server.write_notebook("short.ipynb", "1")
    loop = asyncio.get_running_loop()
    answer = await loop.run_in_executor(
        None, lambda: server.ask("POST", "jobs", json={"path": "short.ipynb"})
    )
    job = answer.json()["id"]
    await channel.until(lambda rows: job in rows)
    await channel.until(lambda rows: rows[job]["state"] == "COMPLETED")
    assert channel.rows[job]["ended"]
    connection.close()
    while await connection.read_message() is not None:
        pass


async def test_each_reader_is_told_in_their_own_language(server, queue):
    filler = queue.queue("submit", "--slots=3").strip()
    waiting = f"local:{queue.queue('submit', '--slots=2').strip()}"
    url = server.url.replace("http", "ws") + f"/batchspawner/channel?token={server.token}"
    said = {}
    for language in ("de-DE", "en", "fr-FR"):
        connection = await websocket_connect(f"{url}&language={language}")
        channel = Channel(connection)
        await connection.write_message('{"open": true}')
        await channel.until(lambda rows: rows.get(waiting, {}).get("state") == "PENDING")
        said[language] = channel.rows[waiting]["words"].partition(",")[0]
        connection.close()
    assert said == {
        "de-DE": "wartend: er braucht 2 der Plätze der Warteschlange",
        "en": "pending: it needs 2 of the queue's slots",
        "fr-FR": "en attente : il a besoin de 2 des places de la file",
    }
    queue.queue("cancel", filler, waiting.partition(":")[2])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("nprocs=4", "Ein Job in der Warteschlange bekommt höchstens 3 Kerne."),
        ("nprocs=x", "nprocs: 'x' ist nicht erlaubt; geben Sie eine ganze Zahl an"),
    ],
)
def test_an_estimate_and_a_refusal_are_in_the_language_of_the_request(server, asked, words):
    told = server.ask("GET", f"estimate?{asked}", language="de-CH, en;q=0.5").json()
    assert told["words"] == words
    answer = server.ask("DELETE", "jobs/local:4711", language="de")
    assert answer.json()["message"] == "Sie haben keinen solchen Job"
    answer = server.ask("POST", "jobs", language="de", json={"path": "none.ipynb"})
    assert answer.json()["message"].endswith("ist nicht erlaubt; es gibt kein solches Notebook")
