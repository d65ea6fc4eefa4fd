"""Tell JupyterLab when the time of its job is over; a page of ours then warns its user.

A server extension, loaded by the Jupyter server in the job. It needs nothing but the variables
JOB_START_TIME, in seconds since the epoch, and JOB_RUN_TIME, in minutes, and does nothing without
them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE_KEY = "batchspawnerEnd"
"""Under which name a page finds the moment of the end, in seconds since the epoch."""


def end_of_job(environment: Mapping[str, str]) -> int | None:
    """Return when the job ends, in seconds since the epoch, where that is known."""
    try:
        return int(environment["JOB_START_TIME"]) + 60 * int(environment["JOB_RUN_TIME"])
    except (KeyError, ValueError):
        return None


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Name this module to the Jupyter server, which calls this."""
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Put the end of the job where pages find it; the Jupyter server calls this at its start."""
    end = end_of_job(os.environ)
    if end is not None:
        server.web_app.settings.setdefault("page_config_data", {})[PAGE_KEY] = str(end)
