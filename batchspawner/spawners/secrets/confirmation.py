"""Wait until a job has confirmed that the server which answers is its own.

Between the wrapper's letting its port go and the server's opening it, somebody else on the node
could open it, and would be sent all that the user's browser sends. So the wrapper leaves a process
behind that looks who listens, and tells the Hub; nobody is sent there before. A certificate does
not make that needless: whoever else has a server on the node has one for the same name.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..failures.spawn_failure import SpawnFailure

CONFIRM = "BATCHSPAWNER_CONFIRM"
"""The variable that asks the wrapper to confirm."""

_LOOK = 0.1


def patience(spawner: Any) -> float:
    """Return for how many seconds a server may take to open its port, once it was reported."""
    # JupyterHub itself looks for as long again.
    return float(spawner.http_timeout) * (2 if spawner.unconfirmed_port else 1)


async def until_confirmed(spawner: Any) -> None:
    """Wait for the confirmation of a job that has promised one. Raises SpawnFailure."""
    for _ in range(round(patience(spawner) / _LOOK)):
        if not spawner.unconfirmed_port:
            return
        await asyncio.sleep(_LOOK)
    check_confirmed(spawner)


def check_confirmed(spawner: Any) -> None:
    """Raise SpawnFailure where a job has promised to confirm its server, and has not."""
    if spawner.unconfirmed_port:
        raise SpawnFailure(
            f"Job {spawner.job_id} has not confirmed within {patience(spawner):g} s that what "
            f"listens on port {spawner.unconfirmed_port} of its node is its own server. Where the "
            "node cannot tell, the administrator can set confirm_server to False."
        )
