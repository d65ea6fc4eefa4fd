"""A whole JupyterHub, its servers being one HTTP server, with one of three spawners.

The floor's spawner does nothing but return the address of that server. Ours and the peer submit to
a Slurm whose commands answer in no time; a thread in their place does what a job does: it tells the
Hub's API its port.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.server
import os
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests

from benchmarks.measuring import fake_squeue, listed, peers_python
from tests.hubs import Hub, wait_for

FLOOR, OURS, PEER = "floor", "batchspawner 2", "batchspawner 1.3.0"
POLL_INTERVAL_S = 5

WAITING = "waiting"
"""How the names of users begin whose servers wait until they are stopped."""

CONFIG = """
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.log_level = "INFO"
c.JupyterHub.init_spawners_timeout = 60
c.Spawner.poll_interval = {interval}
c.Spawner.start_timeout = 300
c.Spawner.cmd = ["nothing"]
c.Spawner.environment = {{"PATH": {path!r}}}
"""
SPAWNER = {
    FLOOR: """
import asyncio
from jupyterhub.spawner import Spawner
class Nothing(Spawner):
    runs = False
    def get_state(self):
        return {{**super().get_state(), "runs": self.runs}}
    def load_state(self, state):
        super().load_state(state)
        self.runs = state.get("runs", False)
    async def start(self):
        self.runs = True
        if self.user.name.startswith("{waiting}"):
            await asyncio.Event().wait()
        return "http://127.0.0.1:{port}"
    async def poll(self):
        return None if self.runs else 0
    async def stop(self, now=False):
        self.runs = False
c.JupyterHub.spawner_class = Nothing
""",
    OURS: """
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
""",
    PEER: """
import batchspawner
c.JupyterHub.spawner_class = "batchspawner.SlurmSpawner"
c.SlurmSpawner.state_exechost_re = r"\\s+(\\S+)$"
""",
}
BATCH = """
import os, pwd
# The users of this Hub have no accounts.
account = pwd.getpwuid(os.getuid())
pwd.getpwnam = lambda name: account
c.BatchSpawnerBase.exec_prefix = ""
"""
INSIDE = """
import asyncio, collections, gc, sys, tracemalloc
from tornado.web import RequestHandler
class Inside(RequestHandler):
    def get(self):
        gc.collect()
        work = [one.get_coro() for one in asyncio.all_tasks()]
        tasks = collections.Counter(getattr(one, "__qualname__", str(type(one))) for one in work)
        heap = {"blocks": sys.getallocatedblocks(), "traced": tracemalloc.get_traced_memory()[0]}
        self.finish({"tasks": dict(tasks), **heap})
c.JupyterHub.extra_handlers = [("/inside", Inside)]
"""

END_OF_START = re.compile(rb" seconds to start|(?:Not|rror) starting (\S+)'s server", re.IGNORECASE)
"""What the Hub logs when a start has ended; one that has failed with the user."""

# Numbers of processes would come again while the jobs run.
SBATCH = """#!/bin/sh
cat > /dev/null
exec 9>> {folder}/lock
flock 9
read id < {folder}/last
id=$((id + 1))
echo $id > {folder}/last
exec 9>&-
echo "$JUPYTERHUB_API_URL $JUPYTERHUB_API_TOKEN $JUPYTERHUB_USER" > {folder}/new/.$id
mv {folder}/new/.$id {folder}/new/$id
echo $id
"""
SCANCEL = """#!/bin/sh
for id; do :; done
: > {folder}/cancelled/$id
"""
SCONTROL = """#!/bin/sh
for id; do :; done
if [ -e {folder}/ended/$id ]; then
    echo "JobId=$id JobState=COMPLETED ExitCode=0:0 EndTime=$(date +%s) Partition=day"
else
    echo "slurm_load_jobs error: Invalid job id specified" >&2
    exit 1
fi
"""
SACCT = """#!/bin/sh
"""


class Answers(http.server.BaseHTTPRequestHandler):
    """A server of every user, which answers everything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        """Say nothing."""


class Jobs(threading.Thread):
    """The jobs of a Slurm that starts them at once: each tells the Hub its port.

    Those of `WAITING` users wait in the queue.
    """

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(daemon=True)
        self.folder, self.port, self.over = folder, port, threading.Event()
        self._users: dict[str, str] = {}
        for name in ("new", "cancelled", "ended"):
            (folder / name).mkdir()
        (folder / "last").write_text("0\n")
        fake_squeue(folder, 0, "localhost")
        commands = {"sbatch": SBATCH, "scancel": SCANCEL, "scontrol": SCONTROL, "sacct": SACCT}
        for name, text in commands.items():
            program = folder / name
            program.write_text(text.format(folder=folder))
            program.chmod(0o755)

    @property
    def ids(self) -> dict[str, str]:
        """The job of each user who has one."""
        return {user: job_id for job_id, user in list(self._users.items())}

    def end(self, user: str) -> None:
        """End the job of a user, as if the server had ended by itself."""
        if job_id := self.ids.get(user):
            (self.folder / "cancelled" / job_id).touch()

    def run(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            while not self.over.wait(0.02):
                # In this order: a job is submitted before it is cancelled.
                cancelled = list((self.folder / "cancelled").iterdir())
                new = [self._submitted(file) for file in (self.folder / "new").glob("[0-9]*")]
                for file in cancelled:
                    self._users.pop(file.name, None)
                    file.rename(self.folder / "ended" / file.name)
                if new or cancelled:
                    self._list()
                for job_id, *report in new:
                    if not self._users.get(job_id, WAITING).startswith(WAITING):
                        pool.submit(self._report, job_id, *report)

    def _submitted(self, file: Path) -> tuple[str, str, str]:
        """Return of a new job its id, where it reports to, and its code."""
        url, code, self._users[file.name] = file.read_text().split()
        file.unlink()
        return file.name, f"{url}/batchspawner", code

    def _list(self) -> None:
        lines = (
            f"{job_id}|PENDING|n/a|N/A|N/A|day|Priority\n"
            if user.startswith(WAITING)
            else listed(job_id, "localhost")
            for job_id, user in self._users.items()
        )
        draft = self.folder / "listing.new"
        draft.write_text("".join(lines))
        draft.replace(self.folder / "listing")

    def _report(self, job_id: str, url: str, code: str) -> None:
        """Do what the wrapper of ours does; the peer has no claims, and ignores what it says."""
        following = f"{secrets.token_urlsafe(32)}.claim-{job_id}"
        claim = {"claim": secrets.token_hex(32), "next": following, "job_id": job_id}
        answer = self._post(url, code, {"port": self.port, "confirms": True, **claim})
        if "environment" in answer:
            token = answer["environment"]["JUPYTERHUB_API_TOKEN"]
            self._post(url, token, {"port": self.port, "listening": True})

    def _post(self, url: str, token: str, body: dict[str, object]) -> dict:
        headers = {"Authorization": f"token {token}"}
        while not self.over.is_set():
            answer = requests.post(url, json=body, headers=headers, timeout=60)
            if answer.status_code != 503:
                answer.raise_for_status()
                return answer.json()
            time.sleep(0.5)
        return {}


@contextlib.contextmanager
def hub_with(which: str, users: tuple[str, ...], more: str = "", **environment: str):
    """Start a Hub with one of the three spawners; its servers answer at once.

    `more` is added to its configuration. Yields it and its jobs.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    # The Hub's many commits would measure the disk.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="bench", dir=memory))
    jobs = Jobs(folder, port)
    jobs.start()
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    config = CONFIG.format(interval=POLL_INTERVAL_S, path=path)
    config += SPAWNER[which].format(port=port, waiting=WAITING)
    config += (BATCH if which != FLOOR else "") + INSIDE + more
    hub = Hub(folder, config, users, **{**environment, "PATH": path})
    if which == PEER:
        hub.python = peers_python()
    hub.start()
    try:
        hub.add_users()
        yield hub, jobs
    finally:
        hub.stop()
        jobs.over.set()
        jobs.join()
        server.shutdown()
        shutil.rmtree(folder)


def start(hub: Hub, users: tuple[str, ...]) -> None:
    """Start servers at once, and wait until all have started; those that fail are started again."""

    def ask(user: str) -> None:
        wait_for(lambda: hub.begin(user).status_code in (201, 202), 60, f"a start of {user}")

    while users:
        before = hub.log.stat().st_size
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(ask, users))
        users = _failed(hub, before, len(users))
    # Their routes are added after that.
    time.sleep(2)


def _failed(hub: Hub, before: int, servers: int) -> tuple[str, ...]:
    """Wait for the ends of starts by the Hub's log, which does not show in the figures.

    Return the users whose servers have not started.
    """

    def ends() -> list[bytes]:
        time.sleep(0.5)
        with hub.log.open("rb") as log:
            log.seek(before)
            found = END_OF_START.findall(log.read())
        return found if len(found) >= servers else []

    found = wait_for(ends, 120, f"{servers} servers")
    return tuple(user.decode() for user in found if user)


def inside(hub: Hub) -> dict:
    """Return what the Hub's process has after a search for garbage.

    `tasks` counts its tasks by their functions, `blocks` are those of Python's memory, and `traced`
    are bytes, if PYTHONTRACEMALLOC is set.
    """
    answer = requests.get(f"{hub.url}/hub/inside", timeout=120)
    answer.raise_for_status()
    return answer.json()
