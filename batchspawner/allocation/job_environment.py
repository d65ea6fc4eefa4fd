"""The part of our own environment that a job gets: not what is about this job, host or login."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

from ..schedulers import scheduler_classes

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXCLUDED = re.compile(
    # A job that was submitted from within another one must not think that it is that one.
    r"(PMI|PMIX|PMIX?_|OMPI|PRTE|MPI|HYDRA|PALS)_.*|JOB_START_TIME|JOB_RUN_TIME"
    r"|(MEM|CPU)_(LIMIT|GUARANTEE)"
    # This host, this login, this terminal.
    r"|HOSTNAME|HOST|DISPLAY|XDG_.*|DBUS_.*|SSH_.*|TMPDIR|TMP|TEMP|TERM.*|COLUMNS|LINES|PWD|OLDPWD"
    r"|SHLVL|_|WINDOWID|TTY|GPG_.*|LS_COLORS|PS1|STY|TMUX.*|CUDA_VISIBLE_DEVICES|ROCR_.*"
    # What a Jupyter server may do is for the server alone.
    r"|JUPYTERHUB_.*|JUPYTER_TOKEN|JUPYTER_GATEWAY_.*|JPY_.*|BATCHSPAWNER_CLAIM.*"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ALWAYS_INCLUDED = frozenset(
    {
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
    }
)


def own_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that a job should get, of `environment` or of our own environment."""
    everything = os.environ if environment is None else environment
    return {
        name: value
        for name, value in everything.items()
        if name in _ALWAYS_INCLUDED or not (_EXCLUDED.fullmatch(name) or is_of_a_job(name))
    }


def exports(environment: Mapping[str, str], cwd: str) -> str:
    """Return shell commands that enter a folder, if one is given, and set variables.

    Variables whose names no shell can set are left out.
    """
    lines = [f"cd {shlex.quote(cwd)}"] if cwd else []
    lines += [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(environment.items())
        if _NAME.fullmatch(name) and "\0" not in value
    ]
    return "".join(f"{line}\n" for line in lines)


def is_of_a_job(name: str) -> bool:
    """Return whether a scheduler sets a variable of this name in its jobs."""
    return any(one.job_variables.fullmatch(name) for one in scheduler_classes())
