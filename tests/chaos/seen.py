"""What is seen of servers in the Hub, its database and its proxy."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, NamedTuple

import requests

if TYPE_CHECKING:
    from tests.chaos.databases import Database
    from tests.hubs import Hub

ANSWER_S = 5.0
"""How long a user waits for an answer of the Hub."""


class Saved(NamedTuple):
    """What the Hub's database has about a server: the state of its spawner, and its port."""

    state: dict
    port: int | None


class Servers:
    """The servers of a Hub, by user and name: ``ada/lab``."""

    def __init__(self, hub: Hub, database: Database) -> None:
        self.hub, self.database = hub, database

    def saved(self) -> dict[str, Saved]:
        """Return what the Hub's database has of each server, by its name."""
        query = (
            "select users.name, spawners.name, spawners.state, servers.port from spawners"
            " join users on users.id = spawners.user_id"
            " left join servers on servers.id = spawners.server_id"
        )
        rows = self.database.rows(query)
        return {f"{row[0]}/{row[1]}": Saved(json.loads(row[2] or "{}"), row[3]) for row in rows}

    def job_ids(self) -> dict[str, str]:
        """Return the id of each server's job."""
        saved = self.saved().items()
        return {one: found.state["job_id"] for one, found in saved if "job_id" in found.state}

    def models(self) -> dict[str, dict]:
        """Return the Hub's model of each server that there is."""
        users = self._answer("users")
        return {
            f"{user['name']}/{name}": model
            for user in users
            for name, model in user["servers"].items()
            if model["ready"] or model["pending"]
        }

    def ready(self) -> dict[str, str]:
        """Return the id of the job of each server that is ready."""
        ids = self.job_ids()
        return {
            one: ids[one] for one, model in self.models().items() if model["ready"] and one in ids
        }

    def routes(self) -> dict[str, str]:
        """Return the address to which the proxy sends requests for each server."""
        answer = self._answer("proxy")
        return {
            f"{data['user']}/{data.get('server_name', '')}": target.rstrip("/")
            for one in answer.values()
            if (data := one["data"]) and "user" in data and (target := one["target"])
        }

    def _answer(self, path: str):
        """Return what the Hub answers to a request of its API. Raises RequestException."""
        answer = self.hub.api("GET", path)
        answer.raise_for_status()
        return answer.json()

    def identity(self, server: str) -> dict:
        """Return what a server says of itself, through the proxy; empty if it says nothing."""
        url = f"{self.hub.url}/user/{server}"
        with contextlib.suppress(requests.RequestException, ValueError):
            return requests.get(url, timeout=ANSWER_S).json()
        return {}
