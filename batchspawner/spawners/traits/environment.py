"""Environment variables of a user's server and of the scheduler's commands."""

from __future__ import annotations

import pwd
from typing import Protocol

from ...private_environment import PrivateEnvironment

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
    "BATCHSPAWNER_QUEUE_*",
    "LC_*",
    "LD_LIBRARY_PATH",
    "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
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


class JobOwner(Protocol):
    """What a job needs to know of a user of JupyterHub."""

    @property
    def name(self) -> str: ...


class NoAccount(KeyError):
    """A user of the Hub who has no account on its machine; JupyterHub shows the message."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.jupyterhub_message = (
            f"There is no account {name} on the Hub's machine, and jobs run as the user: ask the "
            "administrator for one."
        )

    def __str__(self) -> str:
        return self.jupyterhub_message


def account_of(name: str) -> pwd.struct_passwd:
    """Return the entry of an account in the system's user database. Raises NoAccount."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise NoAccount(name) from None


class UserEnvMixin:
    """Mixin of spawners whose server gets the variables that a login would set."""

    user: JobOwner

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Set USER, HOME and SHELL from the system's user database; subclasses override it.

        Raises NoAccount, which is a KeyError as in batchspawner 1.x.
        """
        env["USER"] = self.user.name
        entry = account_of(self.user.name)
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
