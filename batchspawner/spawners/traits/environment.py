"""Environment variables of a user's server and of the scheduler's commands."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING

from ...private_environment import PrivateEnvironment

if TYPE_CHECKING:
    from .resources import JobOwner

# JupyterHub 5.2 dropped these from its own default. Jobs of existing sites find their commands
# by this PATH.
ENV_KEEP = (
    "JUPYTERHUB_SINGLEUSER_APP",
    "PATH",
    "PYTHONPATH",
    "CONDA_ROOT",
    "CONDA_DEFAULT_ENV",
    "VIRTUAL_ENV",
    "LANG",
    "LC_ALL",
)

# What the commands of a scheduler may need of the Hub's environment.
COMMAND_ENV_KEEP = (
    "LC_*",
    "LD_LIBRARY_PATH",
    "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR",
    "CONDOR_*",
    "_CONDOR_*",
    "KRB5*",
    "LSB_*",
    "LSF_*",
    "MOAB*",
    "MUNGE_*",
    "OAR*",
    "PBS_*",
    "SGE_*",
    "SLURM_*",
)


class UserEnvMixin:
    """Mixin of spawners whose server gets the variables that a login would set."""

    user: JobOwner

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
        return PrivateEnvironment(self.user_env(env))
