"""Say to the user why there is no server."""

from __future__ import annotations

from typing import Any

# What batchspawner.singleuser and the shell end with.
_EXIT_MEANINGS = {
    69: "The Hub did not accept its report, or no port was free on its node.",
    75: "Its node could not reach the Hub at {api_url}.",
    78: "Its environment was not complete.",
    126: "A command could not be run on its node.",
    127: "A command was not found on its node.",
}


def exit_meaning(spawner: Any, code: int | None) -> str:
    """Return a sentence about an exit status of a job, where there is something to say."""
    if code not in _EXIT_MEANINGS:
        return ""
    api_url = spawner.get_env().get("JUPYTERHUB_API_URL", "")
    return f" {_EXIT_MEANINGS[code].format(api_url=api_url)} The job's log tells more."


class SpawnFailure(RuntimeError):
    """Report a server that did not come up; JupyterHub shows `jupyterhub_message` to its user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.jupyterhub_message = message
