"""Serve users who come and go for an hour: does a Hub grow, or become slower, is anything left?

Two Hubs run side by side, each on a real PostgreSQL: the one of `stub_hub` with a spawner that does
nothing, and the one with ours. Each second, a server is stopped and another one is started; of
ours, every fifth that goes ends by itself. Two more wait in the queue for all the time: somebody
looks at the page of one, and opens that of the other again and again. `/metrics` is read, too.

`rss_mb` is the Hub's memory, `python_kblocks` what Python has allocated in it, in thousands, after
a search for garbage; `tasks` those of its event loop, `descriptors` its open files, both without
connections, `rows` those of its database. `cpu_s_per_min` is its processor time. `api_p50` and
`api_p99` are its answers to one user's model, as a multiple of those of its first quarter: they do
not tell how fast the machine is. `server_kb` is by how much the Hub's memory has grown with each of
the second half of the servers. In the end, when all servers are stopped: `tasks_left` and
`descriptors_left` are those more than before the first start; `disagreeing` counts users of whom
the Hub's database and the scheduler did not know the same, before that.
usage: python benchmarks/soak.py [MINUTES [SERVERS]]
"""

from __future__ import annotations

import collections
import concurrent.futures
import json
import random
import re
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests

from benchmarks.measuring import report, used
from benchmarks.sampler import Sampler
from benchmarks.stub_hub import FLOOR, OURS, WAITING, Jobs, hub_with, inside, start
from tests.hubs import Hub, wait_for
from tests.postgresql import PASSWORD, PostgreSQL, unavailable

QUARTERS = 4
CHANGE_INTERVAL_S = 1.0
METRICS_INTERVAL_S = 15.0
REOPEN_INTERVAL_S = 60.0
SAMPLE_INTERVAL_S = 0.2
SETTLE_TIMEOUT_S = 180.0
SERVERS_AT_ONCE = 100
CONNECTION = "HTTP1ServerConnection._server_request_loop"
ENDS_BY_ITSELF = 5
"""Of so many servers that go, one ends by itself."""

CONFIG = """
c.JupyterHub.db_url = {url!r}
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0, "slow_stop_timeout": 0}}
c.Spawner.poll_interval = 30
c.Spawner.start_timeout = 86400
"""


class Loop(threading.Thread):
    """Thread that does a step again and again, until it is over; it counts those that failed."""

    interval_s = 0.0

    def __init__(self, hub: Hub) -> None:
        super().__init__(daemon=True)
        self.hub, self.over = hub, threading.Event()
        self.steps = self.failed = 0

    def run(self) -> None:
        while not self.over.wait(self.interval_s):
            self.steps += 1
            try:
                self.step()
            except (AssertionError, requests.RequestException) as error:
                self.failed += 1
                print(f"{type(self).__name__}: {error}", file=sys.stderr)

    def step(self) -> None:
        """Do what is done again and again."""
        raise NotImplementedError

    def end(self) -> None:
        self.over.set()
        self.join()


class Visitors(Loop):
    """Users who come and go: in each step, one of those who are there, and one who is not."""

    interval_s = CHANGE_INTERVAL_S

    def __init__(self, hub: Hub, jobs: Jobs | None, here: list[str], away: list[str]) -> None:
        super().__init__(hub)
        self._jobs, self.here, self._away = jobs, here, collections.deque(away)
        self._chance = random.Random(1)

    def step(self) -> None:
        leaving = self.here.pop(self._chance.randrange(len(self.here)))
        if self._jobs and self.steps % ENDS_BY_ITSELF == 0 and leaving in self._jobs.ids:
            self._jobs.end(leaving)
        else:
            stop(self.hub, leaving)
        self._away.append(leaving)
        coming = self._away.popleft()
        accepted(self.hub.begin(coming))
        self.here.append(coming)


class Prometheus(Loop):
    """A monitoring system that reads the Hub's metrics."""

    interval_s = METRICS_INTERVAL_S

    def step(self) -> None:
        headers = {"Authorization": f"token {self.hub.token}"}
        requests.get(f"{self.hub.url}/hub/metrics", headers=headers, timeout=120).raise_for_status()


class Page(Loop):
    """The page of a server that is starting, opened again after some seconds, or never."""

    interval_s = 1.0

    def __init__(self, hub: Hub, user: str, seconds: float) -> None:
        super().__init__(hub)
        self._seconds = seconds
        self._url = f"{hub.url}/hub/api/users/{user}/server/progress"

    def step(self) -> None:
        end = time.monotonic() + self._seconds
        headers = {"Authorization": f"token {self.hub.token}"}
        with requests.get(self._url, headers=headers, stream=True, timeout=120) as answer:
            answer.raise_for_status()
            # JupyterHub sends an empty line every 8 s.
            for _ in answer.iter_lines():
                if self.over.is_set() or time.monotonic() > end:
                    return


class Database(PostgreSQL):
    """The database of a Hub, also as somebody else sees it."""

    def start(self) -> None:
        super().start()
        # Commits would measure the disk.
        self.client("psql", "-c", "alter system set synchronous_commit = off")
        self.client("psql", "-c", "select pg_reload_conf()")

    def ask(self, query: str) -> list[tuple]:
        import psycopg

        where = {"host": "127.0.0.1", "port": self.port, "dbname": "jupyterhub"}
        with psycopg.connect(user="jupyterhub", password=PASSWORD, **where) as connection:
            return connection.execute(query).fetchall()

    def servers(self) -> dict[str, dict]:
        """Return the state of each user's server."""
        rows = self.ask(
            "select users.name, spawners.state from spawners join users"
            " on users.id = spawners.user_id where spawners.server_id is not null"
        )
        return {user: json.loads(state or "{}") for user, state in rows}

    def rows(self) -> int:
        tables = self.ask("select tablename from pg_tables where schemaname = 'public'")
        return sum(self.ask(f'select count(*) from "{name}"')[0][0] for (name,) in tables)


def accepted(answer: requests.Response) -> None:
    assert answer.status_code in (201, 202, 204), f"{answer.status_code}: {answer.text}"


def stop(hub: Hub, user: str) -> None:
    accepted(hub.api("DELETE", f"users/{user}/server"))


def rss_mb(hub: Hub) -> float:
    text = Path(f"/proc/{hub.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+) kB", text)[1]) / 1000


def look(hub: Hub) -> dict:
    """Return what `inside` does, and the number of open files; both without open connections.

    The proxy opens some more when it has much to do, and uses them again.
    """
    now = inside(hub)
    connections = now["tasks"].pop(CONNECTION, 0)
    files = len(list(Path(f"/proc/{hub.process.pid}/fd").iterdir()))
    return {**now, "tasks": collections.Counter(now["tasks"]), "descriptors": files - connections}


def figures(hub: Hub, database: Database) -> dict[str, float]:
    now = look(hub)
    return {
        "rss_mb": round(rss_mb(hub), 1),
        "python_kblocks": round(now["blocks"] / 1000),
        "tasks": sum(now["tasks"].values()),
        "descriptors": now["descriptors"],
        "rows": database.rows(),
    }


def warm_up(hub: Hub, database: Database, user: str) -> dict:
    """Return what `look` does at a Hub that has started a server and stopped it."""
    start(hub, (user,))
    stop(hub, user)
    wait_for(lambda: not database.servers(), 60, "the end of the first server")
    return look(hub)


def fill(hub: Hub, users: list[str]) -> float:
    """Start servers, and return by how many kB each of the second half has made the Hub larger."""
    half, before = len(users) // 2, 0.0
    for number in range(0, len(users), SERVERS_AT_ONCE):
        if number <= half < number + SERVERS_AT_ONCE:
            inside(hub)
            before, half = rss_mb(hub), number
        start(hub, tuple(users[number : number + SERVERS_AT_ONCE]))
    inside(hub)
    return round(1000 * (rss_mb(hub) - before) / (len(users) - half), 1)


def quarter(hub: Hub, database: Database, minutes: float) -> dict[str, float]:
    """Return what is known after some minutes."""
    sampler = Sampler(hub, hub.users[0], SAMPLE_INTERVAL_S)
    sampler.start()
    begun = used(hub.process.pid)
    time.sleep(60 * minutes)
    spent = used(hub.process.pid) - begun
    answers = sampler.end()
    return {
        **figures(hub, database),
        "cpu_s_per_min": round(spent / minutes, 2),
        "api_p50": answers["api_p50_s"],
        "api_p99": answers["api_p99_s"],
    }


def disagreeing(database: Database, users: set[str], jobs: Jobs | None) -> set[str]:
    """Return the users of whom the Hub's database, or the scheduler, knows something else."""
    servers = database.servers()
    found = set(servers) ^ users
    if jobs is not None:
        own = {(user, state.get("job_id", "")) for user, state in servers.items()}
        found |= {user for user, _ in own ^ set(jobs.ids.items())}
    return found


def settled(look):
    """Return what a function returns, once it is empty; after some time, whatever it is."""
    end = time.monotonic() + SETTLE_TIMEOUT_S
    while (found := look()) and time.monotonic() < end:
        time.sleep(1)
    return found


def stop_all(hub: Hub, database: Database, users: set[str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda user: stop(hub, user), users))
    wait_for(lambda: not database.servers(), 300, "the end of all servers")


def soak(which: str, database: Database, minutes: float, servers: int) -> dict:
    """Return the figures of one Hub."""
    here = [f"user{number}" for number in range(servers)]
    away = [f"user{number}" for number in range(servers, servers + max(60, servers // 10))]
    waiting = [f"{WAITING}{number}" for number in range(2)]
    columns: dict[str, dict] = {}

    def note(moment: str, measured: dict[str, float]) -> None:
        columns[moment] = measured
        print(f"{time.strftime('%H:%M:%S')} {which} {moment}: {measured}", file=sys.stderr)

    everybody = (*here, *away, *waiting)
    with hub_with(which, everybody, CONFIG.format(url=database.url)) as (hub, all_jobs):
        jobs = all_jobs if which == OURS else None
        before = warm_up(hub, database, away[0])
        server_kb = fill(hub, here)
        for user in waiting:
            accepted(hub.begin(user))
        visitors = Visitors(hub, jobs, here, away)
        pages = [Page(hub, waiting[0], 60 * minutes), Page(hub, waiting[1], REOPEN_INTERVAL_S)]
        loops = [visitors, Prometheus(hub), *pages]
        note("at first", figures(hub, database))
        for one in loops:
            one.start()
        for number in range(1, QUARTERS + 1):
            passed = minutes / QUARTERS
            note(f"after {number * passed:g} min", quarter(hub, database, passed))
        for one in loops:
            one.end()

        users = {*here, *waiting}
        wrong = settled(lambda: disagreeing(database, users, jobs))
        stop_all(hub, database, users)
        more = settled(lambda: look(hub)["tasks"] - before["tasks"])
        note("all stopped", figures(hub, database))
        print(f"{which}: {sorted(wrong)} disagree, {dict(more)} left", file=sys.stderr)
        left = max(0, look(hub)["descriptors"] - before["descriptors"])
    relative_to_first(columns)
    return {
        "spawner": which,
        "servers": servers,
        "changes": visitors.steps,
        "failed_requests": sum(one.failed for one in loops),
        "server_kb": server_kb,
        "disagreeing": len(wrong),
        "tasks_left": sum(more.values()),
        "descriptors_left": left,
        **columns,
    }


def relative_to_first(columns: dict[str, dict[str, float]]) -> None:
    """Give times of answers as multiples of the first ones."""
    for name in ("api_p50", "api_p99"):
        first = next(one[name] for one in columns.values() if name in one)
        for one in columns.values():
            if name in one:
                one[name] = round(one[name] / first, 2)


def with_database(which: str, minutes: float, servers: int) -> dict:
    database = Database()
    try:
        database.start()
        return soak(which, database, minutes, servers)
    finally:
        database.stop()


def main() -> None:
    if unavailable():
        raise SystemExit(f"no soak: {unavailable()}")
    minutes, servers = [*(int(word) for word in sys.argv[1:]), *(60, 2000)[len(sys.argv) - 1 :]]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = [pool.submit(with_database, which, minutes, servers) for which in (FLOOR, OURS)]
        for one in running:
            report("soak", one.result())


if __name__ == "__main__":
    main()
