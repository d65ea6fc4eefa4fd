"""What it costs to look: at all jobs of a big Hub, at one's own server, and at JupyterLab's list.

A real Hub finds N running servers in its database; all are one HTTP server that answers everything,
and their jobs are those of a `squeue` that answers in no time. `first_s` is the time until the
table of all jobs is answered to an administrator's page that is opened, `again_s` to one more.
`update` is what that page gets when 10 jobs have changed. The Hub's processor time and its queries
are counted without any page, and with the home pages of so many users and the administrator's page.
Last, a Jupyter server in a browser whose list of jobs is open: its share of a core.
usage: python benchmarks/admin.py [SERVERS [PAGES [JOBS [SECONDS]]]]
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tornado.websocket import websocket_connect

from benchmarks.measuring import calls, fake_squeue, listed, report, used
from benchmarks.stub_hub import BATCH, Answers
from tests.hubs import Hub, wait_for
from tests.labextension.servers import Server

UPDATE_INTERVAL_S = 10
"""How often a page asks: `UPDATE_MS` in templates/hub."""

CHANGED = 10

CONFIG = """
import batchspawner
batchspawner.use_pages(c)
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.JupyterHub.log_level = "WARN"
c.Spawner.poll_interval = 30
c.Spawner.environment = {{"PATH": {path!r}}}
"""


@contextlib.contextmanager
def temporary_folder():
    # The Hub's commits would measure the disk.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="bench", dir=memory))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def add_servers(hub: Hub, port: int) -> None:
    """Write a running server of each user into the database of a Hub that does not run."""
    from jupyterhub import orm
    from jupyterhub.utils import utcnow

    session = orm.new_session_factory(f"sqlite:///{hub.folder}/hub.sqlite")()
    known = {one.name: one for one in session.query(orm.User)}
    for number, name in enumerate(hub.users, 1):
        user = known.get(name) or orm.User(name=name)
        url = f"/user/{name}/"
        server = orm.Server(proto="http", ip="127.0.0.1", port=port, base_url=url)
        state = {"job_id": str(number), "job_status": "RUNNING node1", "job_host": "127.0.0.1"}
        state |= {"job_port": port, "job_tag": f"jh-{number:012x}"}
        moment = utcnow(with_tz=False)
        row = orm.Spawner(
            name="", user=user, server=server, state=state, started=moment, last_activity=moment
        )
        session.add_all([user, server, row])
    session.commit()
    session.get_bind().dispose()


@contextlib.contextmanager
def hub_with(folder: Path, servers: int):
    """Start a Hub that finds so many running servers, and wait until it has found them all."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fake_squeue(folder, servers)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    users = tuple(f"user{number}" for number in range(servers))
    hub = Hub(folder, CONFIG.format(path=path) + BATCH, users, PATH=path)
    hub.start()
    try:
        hub.kill()
        add_servers(hub, server.server_address[1])
        hub.start()

        def all_known() -> bool:
            time.sleep(2)
            rows = table(hub)["jobs"]
            return len(rows) == servers and all(row["state"] == "ready" for row in rows)

        wait_for(all_known, 100, "all servers")
        yield hub
    finally:
        hub.stop()
        server.shutdown()


def table(hub: Hub, cursor: str = "") -> dict:
    """Return what the administrator's page is told of all jobs."""
    answer = hub.api("GET", f"batchspawner/jobs?cursor={cursor}")
    answer.raise_for_status()
    return {**answer.json(), "bytes": len(answer.content), "s": answer.elapsed.total_seconds()}


def change_jobs(folder: Path, servers: int) -> None:
    """Suspend some of the jobs."""
    lines = [listed(number, f"node{number % 500}") for number in range(1, servers + 1)]
    lines[:CHANGED] = [one.replace("RUNNING", "SUSPENDED") for one in lines[:CHANGED]]
    draft = folder / "listing.new"
    draft.write_text("".join(lines))
    draft.replace(folder / "listing")


def update_of(hub: Hub, servers: int) -> dict[str, float]:
    """Return what the page gets when some jobs have changed, in all answers until it knows."""
    known = table(hub)
    change_jobs(hub.folder, servers)
    changed: set[str] = set()
    size, longest = 0, 0.0

    def all_seen() -> bool:
        nonlocal known, size, longest
        time.sleep(1)
        known = table(hub, known["cursor"])
        changed.update(row["user"] for row in known["jobs"])
        size += known["bytes"] if known["jobs"] else 0
        longest = max(longest, known["s"])
        return len(changed) >= CHANGED

    wait_for(all_seen, 60, "the changed jobs")
    return {"rows": len(changed), "kB": round(size / 1000, 1), "s": round(longest, 3)}


def look(hub: Hub, token: str, user: str, over: threading.Event) -> None:
    """Ask for a user's cards, or with no user for the table, as an open page does."""
    cursor = ""
    while not over.wait(UPDATE_INTERVAL_S):
        if user:
            hub.api("GET", f"batchspawner/servers/{user}", token=token).raise_for_status()
        else:
            cursor = table(hub, cursor)["cursor"]


def load(hub: Hub, seconds: float, pages: int) -> dict[str, float]:
    """Return the Hub's share of a core and its queries, with pages of so many users open."""
    over = threading.Event()
    looking = [("", "")] if pages else []
    for user in hub.users[:pages]:
        body = {"scopes": ["inherit"], "expires_in": 3600}
        looking.append((hub.api("POST", f"users/{user}/tokens", json=body).json()["token"], user))
    threads = [threading.Thread(target=look, args=(hub, *one, over)) for one in looking]
    for one in threads:
        one.start()
        time.sleep(UPDATE_INTERVAL_S / len(threads))
    begun, asked = used(hub.process.pid), calls(hub.folder)
    time.sleep(seconds)
    spent, asked = used(hub.process.pid) - begun, calls(hub.folder) - asked
    over.set()
    for one in threads:
        one.join()
    return {"cpu_percent": round(100 * spent / seconds, 2), "queries": asked}


def own_listing(folder: Path, jobs: int) -> None:
    """Make a `squeue` that lists the jobs of one user with their names."""
    lines = (f"{listed(n, f'node{n % 500}').rstrip()}|job {n}\n" for n in range(1, jobs + 1))
    (folder / "own").write_text("JOBID|STATE\n" + "".join(lines))
    program = folder / "squeue"
    program.write_text(f"#!/bin/sh\necho x >> {folder}/calls\nexec cat {folder}/own\n")
    program.chmod(0o755)


async def list_open(folder: Path, jobs: int, seconds: float) -> dict[str, float]:
    """Return the share of a core and the queries of a server whose list of jobs is open."""
    own_listing(folder, jobs)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    site = SimpleNamespace(environment={"PATH": path})
    server = Server(folder / "server", site, BATCHSPAWNER_SCHEDULER="slurm")
    try:
        url = f"ws{server.url[4:]}/batchspawner/channel?token={server.token}"
        channel = await websocket_connect(url, max_message_size=2**28)
        await channel.write_message('{"open": true}')
        rows: set[str] = set()
        while len(rows) < jobs:
            told = json.loads(await channel.read_message())
            rows.update(row["id"] for row in told.get("rows", []) + told.get("changed", []))
        begun, asked = used(server.process.pid), calls(folder)
        await asyncio.sleep(seconds)
        spent, asked = used(server.process.pid) - begun, calls(folder) - asked
        channel.close()
    finally:
        server.stop()
    return {"jobs": jobs, "cpu_percent": round(100 * spent / seconds, 2), "queries": asked}


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    servers, pages, jobs, seconds = [*given, *[5000, 100, 1000, 60][len(given) :]]
    with temporary_folder() as folder, hub_with(folder, servers) as hub:
        time.sleep(UPDATE_INTERVAL_S)
        first = table(hub)
        again = table(hub)
        report(
            "admin",
            {
                "servers": servers,
                "first_s": round(first["s"], 3),
                "again_s": round(again["s"], 3),
                "MB": round(first["bytes"] / 1e6, 2),
                "update": update_of(hub, servers),
                "no page open": load(hub, seconds, 0),
                f"{pages} home pages and one administrator's": load(hub, seconds, pages),
            },
        )
    with temporary_folder() as folder:
        report("admin", {"list open in JupyterLab": asyncio.run(list_open(folder, jobs, seconds))})


if __name__ == "__main__":
    main()
