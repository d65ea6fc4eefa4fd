"""Connection files of a cluster on another host, and the ports in them."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConnectionFailed
from .folders import plain

if TYPE_CHECKING:
    from ..ssh import Ssh

LOCAL = "127.0.0.1"
_BEGIN = "batchspawner-connect"
_ANY_ADDRESS = ("*", "0.0.0.0", "::", "[::]", "")  # noqa: S104  (what others listen on)

# One line of plain sh: the user's login shell may be any.
_OF_JOB = (
    'r=$(grep -lF PATTERN "${XDG_DATA_HOME:-$HOME/.local/share}"/batchspawner/clusters/'
    "*/record.json 2>/dev/null | head -n 1); p=; "
    'if [ -n "$r" ]; then p=$(sed -n \'s/.*"profiles": "\\([^"]*\\)".*/\\1/p\' "$r"); fi; '
    'd="${p:-${IPYTHONDIR:-$HOME/.ipython}}"/PROFILE; '
)
_SHOW = (
    f'echo; echo {_BEGIN}; hostname; echo "$d"; cd "$d" 2>/dev/null || exit 0; '
    "show() { cat \"$1\" 2>/dev/null | tr -d '\\n'; echo; }; "
    "show security/PREFIX-client.json; show security/PREFIX-engine.json; "
    'show "$(ls -t jupyter/jpserver-*.json 2>/dev/null | head -n 1)"'
)


@dataclass(frozen=True)
class Endpoint:
    """Address of a service, as seen from the host that ssh leads to."""

    host: str
    port: int


@dataclass(frozen=True)
class RemoteFiles:
    """Content of the files of a cluster; `engine` and `server` may be empty."""

    hostname: str
    folder: str
    client: dict[str, object]
    engine: dict[str, object]
    server: dict[str, object]

    def endpoints(self, info: dict[str, object]) -> list[Endpoint]:
        """Return the addresses of a controller. Raises ConnectionFailed if ssh cannot reach it."""
        host = self._host(info)
        return [Endpoint(host, port) for ports in ports_of(info).values() for port in ports]

    @property
    def notebook(self) -> Endpoint | None:
        """The address of the job's Jupyter server, if there is one that can be reached."""
        port, name = self.server.get("port"), str(self.server.get("hostname", ""))
        if not isinstance(port, int) or not port:
            return None
        location = str(self.client.get("location") or self.hostname)
        if name in ("localhost", LOCAL):
            return Endpoint(LOCAL, port) if location == self.hostname else None
        return Endpoint(location if name in _ANY_ADDRESS else name, port)

    def _host(self, info: dict[str, object]) -> str:
        interface, location = str(info.get("interface", "")), str(info.get("location") or "")
        transport, _, address = interface.partition("://")
        if transport != "tcp":
            raise ConnectionFailed(
                f"the controller listens on {interface or 'nothing'}, which ssh cannot forward; "
                "start it with --ip='*'"
            )
        if location in ("", self.hostname) and address in (*_ANY_ADDRESS, "localhost"):
            return LOCAL
        if address in _ANY_ADDRESS:
            return location
        if address.startswith("127.") and location not in ("", self.hostname):
            raise ConnectionFailed(
                f"the controller on {location} listens to that host only; start it with --ip='*'"
            )
        return address


def ports_of(info: dict[str, object]) -> dict[str, list[int]]:
    """Return the ports in a connection file, by name; some names have several."""
    found = {}
    for name, value in info.items():
        values: list[object] = value if isinstance(value, list) else [value]
        ports = [one for one in values if isinstance(one, int) and not isinstance(one, bool)]
        if ports and len(ports) == len(values):
            found[name] = ports
    return found


def rewritten(info: dict[str, object], ports: dict[int, int]) -> dict[str, object]:
    """Return a connection file with the local ports that lead to those in it."""
    changed = {**info, "ssh": "", "interface": f"tcp://{LOCAL}", "location": LOCAL}
    for name, value in ports_of(info).items():
        local = [ports[one] for one in value]
        changed[name] = local if isinstance(info[name], list) else local[0]
    return changed


async def find(ssh: Ssh, where: str, cluster_id: str = "") -> RemoteFiles:
    """Return the files of a job's cluster, or of a profile's folder.

    Raises ConnectionFailed if the host has no such files.
    """
    prefix = f"ipcontroller-{cluster_id}" if cluster_id else "ipcontroller"
    result = await ssh.run(_where(where) + _SHOW.replace("PREFIX", shlex.quote(prefix)))
    # Before it there may be what the login shell prints.
    _, begin, answer = result.stdout.partition(f"{_BEGIN}\n")
    if not begin:
        error = result.stderr.strip() or f"exit status {result.returncode}"
        raise ConnectionFailed(f"cannot look for the cluster on {ssh.host}: {error}")
    hostname, folder, *texts = answer.splitlines()
    client, engine, server = map(_values, [*texts, "", "", ""][:3])
    if not ports_of(client):
        raise ConnectionFailed(
            f"there is no {folder}/security/{prefix}-client.json on {ssh.host}. "
            "The controller has not started yet, or its job has ended; "
            "on that host, see: batchspawner cluster list"
        )
    return RemoteFiles(hostname, folder, client, engine, server)


def is_folder(where: str) -> bool:
    """Return whether a text names a profile's folder, and not a job."""
    return "/" in where or where.startswith("~") or where in (".", "..")


def _where(where: str) -> str:
    if not where or not where.isprintable():
        raise ConnectionFailed(f"{where!r} is neither a job's id nor the folder of a profile")
    if where.startswith("~/"):
        return f'd="$HOME"/{shlex.quote(where[2:])}; '
    if is_folder(where):
        return f"d={shlex.quote(where)}; "
    pattern = f'"job_id": {json.dumps(where)}'
    profile = f"profile_job_{plain(where)}"
    return _OF_JOB.replace("PATTERN", shlex.quote(pattern)).replace("PROFILE", shlex.quote(profile))


def _values(text: str) -> dict[str, object]:
    try:
        found: object = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
