"""Extension of JupyterLab, Notebook 7 and Jupyter Server: the jobs of this user.

The server part is loaded by the Jupyter server in a job, or on a login host. It lists the jobs of
this user, their logs, and what the scheduler offers; docs/jupyterlab.md describes it. The sources
of the part in the browser are in ``ui/``, and what is built of them in ``share/``.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Return the modules of this extension; the Jupyter server calls it."""
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Add our paths to a server; the Jupyter server calls it at start."""
    from tornado.ioloop import IOLoop, PeriodicCallback

    from ..client import blocking_client
    from .collector import Collector
    from .ending import announce_end_at
    from .handlers import handlers
    from .kernel_deaths import LOOK_INTERVAL_S, KernelDeaths

    web_app: Any = server.web_app
    root = str(getattr(server.contents_manager, "root_dir", ""))
    collector = Collector(os.environ, root)
    web_app.add_handlers(".*$", handlers(web_app.settings["base_url"], collector))
    # The server sets its own handlers of signals after it has loaded its extensions.
    IOLoop.current().add_callback(announce_end_at, signal.SIGTERM, collector)

    def announce(kernel_id: str) -> None:
        blocking_client.start(collector.announce_kernel_death(kernel_id))

    deaths = KernelDeaths(server.kernel_manager, announce)
    PeriodicCallback(deaths.look, 1000 * LOOK_INTERVAL_S).start()
