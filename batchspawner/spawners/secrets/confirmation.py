"""The confirmation of a job that the server which answers is its own.

Between the wrapper's closing its port and the server's opening it, somebody else on the node could
open it, and would be sent everything that the user's browser sends. So the wrapper leaves a process
behind that looks who listens, and tells the Hub; nobody is sent there before. A certificate does
not replace that: whoever else has a server on the node has one for the same name.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...message import Message
from ..failures.spawn_failure import SpawnFailure

if TYPE_CHECKING:
    from ..hub.jupyterhub import JobSpawner

CONFIRM = "BATCHSPAWNER_CONFIRM"
"""The variable that asks the wrapper to confirm."""

_POLL_INTERVAL_S = 0.1


def open_timeout(spawner: JobSpawner) -> float:
    """Return for how many seconds a server may take to open its port, once it was reported."""
    # JupyterHub itself looks for as long again.
    return float(spawner.http_timeout * (2 if spawner.job.unconfirmed_port else 1))


async def until_confirmed(spawner: JobSpawner) -> None:
    """Wait for the confirmation of a job that has promised one. Raises SpawnFailure."""
    for _ in range(round(open_timeout(spawner) / _POLL_INTERVAL_S)):
        if not spawner.job.unconfirmed_port:
            return
        await asyncio.sleep(_POLL_INTERVAL_S)
    check_confirmed(spawner)


def check_confirmed(spawner: JobSpawner) -> None:
    """Raise SpawnFailure if a job has promised to confirm its server, and has not."""
    if spawner.job.unconfirmed_port:
        raise SpawnFailure(say_unconfirmed(spawner))


def say_unconfirmed(spawner: JobSpawner) -> Message:
    """Return in words that a job has not confirmed its server."""
    job = spawner.job
    return Message(
        "Job %(job)s has not confirmed within %(seconds)s s that what listens on port %(port)s of "
        "its node is its own server. If it starts slowly, the administrator can set http_timeout "
        "to more; where the node cannot tell, confirm_server to False.",
        job=job.id,
        seconds=f"{open_timeout(spawner):g}",
        port=job.unconfirmed_port,
    )
