"""Say to the user why there is no server."""

from __future__ import annotations


class SpawnFailure(RuntimeError):
    """Report a server that did not come up; JupyterHub shows `jupyterhub_message` to its user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.jupyterhub_message = message
