"""Connection to a cluster on another host: one ssh connection, and a local IPython profile."""

from __future__ import annotations

import asyncio
import atexit
import html
import logging
import webbrowser
from pathlib import PurePath
from typing import TYPE_CHECKING

from ..client.blocking_client import run
from ..errors import ConnectionFailed
from ..ssh import Ssh
from .folders import plain
from .local_profile import LinkFolder, clean
from .outputs import await_outputs, new_client
from .remote_files import LOCAL, find, is_folder, rewritten
from .tunnel import ClusterTunnel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ipyparallel import Client

    from .remote_files import RemoteFiles

log = logging.getLogger(__name__)

_POLL_INTERVAL_S = 2.0
"""How often we look for connection files that do not exist yet."""


class Connection:
    """A connection to a cluster, until `close`; ipyparallel finds it by its `profile`.

    If it is lost, it is made again with the same local ports, so that clients go on. Made by
    `connect`.
    """

    def __init__(self, folder: LinkFolder, tunnel: ClusterTunnel, found: RemoteFiles) -> None:
        self.folder = folder
        self.tunnel = tunnel
        self.found = found
        self.notebook_url = ""
        self.files: dict[str, Path] = {}
        self._tunnel_task: asyncio.Task[None] | None = None
        atexit.register(self.close)

    @property
    def profile(self) -> str:
        """The name of the IPython profile that leads to the cluster."""
        return self.folder.profile.name[len("profile_") :]

    @property
    def connection_file(self) -> Path:
        """The file on this machine by which a client of ipyparallel connects."""
        return self.files["client"]

    @property
    def trouble(self) -> str:
        """Why the connection is down at the moment; empty if it is not."""
        return self.tunnel.trouble

    @property
    def is_over(self) -> bool:
        """Whether the controller has ended, or the connection was closed."""
        return self._tunnel_task is None or self._tunnel_task.done()

    def client(self) -> Client:
        """Return ipyparallel's client of the cluster."""
        client = new_client(self.connection_file, self.folder.profile)
        await_outputs(client)
        return client

    def open_notebook(self) -> str:
        """Open the job's Jupyter server in the browser; return the page that was opened.

        Raises ConnectionFailed if the connection does not lead to one.
        """
        if not self.notebook_url:
            raise ConnectionFailed(
                "this connection does not lead to a Jupyter server; connect with notebook=True"
            )
        # The address has the server's token, and other users can read a command's arguments.
        url = html.escape(self.notebook_url, quote=True)
        page = self.folder.write(
            "notebook.html", f'<meta http-equiv="refresh" content="0; url={url}">\n'
        )
        webbrowser.open(page.as_uri())
        return page.as_uri()

    def wait(self) -> None:
        """Return when the cluster's controller has ended."""
        run(self._over())

    def close(self) -> None:
        """End the connection and remove its files on this machine."""
        atexit.unregister(self.close)
        run(self._end())

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _over(self) -> None:
        if self._tunnel_task is not None:
            await asyncio.shield(self._tunnel_task)

    async def _end(self) -> None:
        task, self._tunnel_task = self._tunnel_task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.tunnel.close()
            self.folder.end()

    async def open(self, *, notebook: bool) -> None:
        """Forward all ports and write the files. Raises ConnectionFailed."""
        found = self.found
        first = found.endpoints(found.client)[0]
        await self.tunnel.add(first)
        await self.tunnel.reach(first)
        for kind, info in (("client", found.client), ("engine", found.engine)):
            if info:
                ports = {end.port: await self.tunnel.add(end) for end in found.endpoints(info)}
                self.files[kind] = self.folder.put(
                    f"ipcontroller-{kind}.json", rewritten(info, ports)
                )
        if notebook:
            await self._forward_notebook()
        self._tunnel_task = asyncio.ensure_future(self.tunnel.keep(first))

    async def _forward_notebook(self) -> None:
        end, server = self.found.notebook, self.found.server
        if end is None:
            raise ConnectionFailed(
                f"there is no Jupyter server in {self.found.folder}/jupyter. Start the cluster "
                "with one (batchspawner cluster start --notebook), or wait until it has started."
            )
        port = await self.tunnel.add(end)
        scheme = "https" if server.get("secure") else "http"
        base, token = str(server.get("base_url", "/")), str(server.get("token", ""))
        self.notebook_url = f"{scheme}://{LOCAL}:{port}{base}{f'?token={token}' if token else ''}"


def connect(
    host: str,
    where: str,
    *,
    notebook: bool = False,
    wait: float = 0.0,
    cluster_id: str = "",
    options: Sequence[str] = (),
    terminal: bool = False,
) -> Connection:
    """Connect to a cluster on another host: by its job's id, or its profile's folder there.

    ``with connect("daint", "1234") as link: rc = link.client()``. With `notebook`, the job's
    Jupyter server can be reached, too. The connection files may take `wait` seconds to appear.
    `options` are those of ssh; with `terminal` it may ask for a password there. Raises
    ConnectionFailed.
    """
    return run(_connect(host, where, notebook, wait, cluster_id, options, terminal))


async def _connect(
    host: str,
    where: str,
    notebook: bool,
    wait: float,
    cluster_id: str,
    options: Sequence[str],
    terminal: bool,
) -> Connection:
    for name in await clean():
        log.info("Cleaned up after the connection to %s, whose process had died", name)
    folder = LinkFolder.create()
    tunnel: ClusterTunnel | None = None
    try:
        folder.begin(host, where, _profile_name(where))
        ssh = Ssh(host, folder.sockets, options, terminal=terminal)
        tunnel = ClusterTunnel(ssh, lambda: folder.note(ssh, tunnel.forwards if tunnel else {}))
        folder.note(ssh, {})
        await ssh.open()
        folder.note(ssh, {})
        found = await _find_files(ssh, where, cluster_id, notebook, wait)
        link = Connection(folder, tunnel, found)
        await link.open(notebook=notebook)
    except BaseException:
        if tunnel is not None:
            await tunnel.close()
        folder.end()
        raise
    return link


async def _find_files(
    ssh: Ssh, where: str, cluster_id: str, notebook: bool, wait: float
) -> RemoteFiles:
    waited = 0.0
    while True:
        try:
            found = await find(ssh, where, cluster_id)
            if not notebook or found.notebook or waited >= wait:
                return found
        except ConnectionFailed:
            if waited >= wait:
                raise
        await asyncio.sleep(_POLL_INTERVAL_S)
        waited += _POLL_INTERVAL_S


def _profile_name(where: str) -> str:
    if not is_folder(where):
        return f"job_{plain(where)}"
    name = PurePath(where).name
    return plain(name[len("profile_") :] if name.startswith("profile_") else name) or "job"
