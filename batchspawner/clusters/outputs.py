"""Wait until a new client gets what its engines print."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipyparallel import Client

_PATIENCE = 5.0
"""Seconds after which we go on: an engine may be busy with somebody else's work."""

_ASK = 0.3
"""Seconds between two questions, whose answers may be lost."""


def await_outputs(client: Client) -> None:
    """Return when the outputs of all engines arrive.

    They have a connection of their own, which may be there later than that of the tasks, most of
    all through ssh; what is printed before that is lost.
    """
    end = time.monotonic() + _PATIENCE
    while client.ids and time.monotonic() < end:
        asked = client[:].execute("", silent=True, block=False)
        if asked.wait_for_output(_ASK):
            return
