"""Make the environment in which a user's server finds itself."""

from __future__ import annotations

import pwd
from typing import Any


class UserEnvMixin:
    """Add to a server's environment what a login would set."""

    user: Any

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Set USER, HOME and SHELL from the system's user database; subclasses override it."""
        env["USER"] = self.user.name
        entry = pwd.getpwnam(self.user.name)
        home, shell = entry.pw_dir, entry.pw_shell
        if home:
            env["HOME"] = home
        if shell:
            env["SHELL"] = shell
        return env

    def get_env(self) -> dict[str, str]:
        """Return JupyterHub's environment for the server with the user's own added."""
        env: dict[str, str] = super().get_env()  # type: ignore[misc]
        return self.user_env(env)
