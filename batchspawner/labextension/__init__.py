"""Server extension that gives JupyterLab the end of its job, so that our page can warn the user.

The Jupyter server in the job loads it. It reads the variables JOB_START_TIME, in seconds since the
epoch, and JOB_RUN_TIME, in minutes, and does nothing without them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE_KEY = "batchspawnerEnd"
"""Key of JupyterLab's page configuration: the end of the job, in seconds since the epoch."""


class WebApplication(Protocol):
    """What we use of tornado's Application."""

    settings: dict[str, dict[str, str]]


class JupyterServer(Protocol):
    """What we use of Jupyter's ServerApp."""

    web_app: WebApplication


def end_of_job(environment: Mapping[str, str]) -> int | None:
    """Return when the job ends, in seconds since the epoch, or None if that is unknown."""
    try:
        return int(environment["JOB_START_TIME"]) + 60 * int(environment["JOB_RUN_TIME"])
    except (KeyError, ValueError):
        return None


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Return the modules of this extension; the Jupyter server calls it."""
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: JupyterServer) -> None:
    """Add the end of the job to the page configuration; the Jupyter server calls it at start."""
    end = end_of_job(os.environ)
    if end is not None:
        server.web_app.settings.setdefault("page_config_data", {})[PAGE_KEY] = str(end)
