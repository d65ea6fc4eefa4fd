"""The part of our own environment that a job gets: not what is about this job, host or login."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEFT_BEHIND = re.compile(
    # A job that was submitted from within another one must not think that it is that one:
    # https://slurm.schedmd.com/sbatch.html#SECTION_INPUT-ENVIRONMENT-VARIABLES
    r"(SLURM|SLURMD|SBATCH|SRUN|SALLOC|PMI|PMIX|PMIX?_|OMPI|PRTE|MPI|HYDRA|PALS)_.*"
    r"|PBS_.*|MOAB_.*|LSB_.*|LS_.*|OAR_.*|SGE_(TASK|STDIN|STDOUT|STDERR|JOB|O_|CWD|BINARY).*"
    r"|(_?CONDOR)_(SCRATCH|SLOT|JOB|CHIRP|WRAPPER).*|BATCHSPAWNER_QUEUE_JOB(_ID)?"
    r"|JOB_ID|JOB_NAME|JOB_START_TIME|JOB_RUN_TIME"
    r"|NSLOTS|NHOSTS|NQUEUES|PE_HOSTFILE|PE|TASK_ID|ENVIRONMENT|REQNAME"
    # This host, this login, this terminal.
    r"|HOSTNAME|HOST|DISPLAY|XDG_.*|DBUS_.*|SSH_.*|TMPDIR|TMP|TEMP|TERM.*|COLUMNS|LINES|PWD|OLDPWD"
    r"|SHLVL|_|WINDOWID|TTY|GPG_.*|LS_COLORS|PS1|STY|TMUX.*|CUDA_VISIBLE_DEVICES|ROCR_.*"
    # What a Jupyter server may do is for the server alone.
    r"|JUPYTERHUB_.*|JUPYTER_TOKEN|JUPYTER_GATEWAY_.*|JPY_.*|BATCHSPAWNER_CLAIM.*"
)
_NEEDED = frozenset(
    {
        "SLURM_CONF",
        "SLURM_CLUSTERS",
        "OAR_LIB",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
        "LSB_SHAREDIR",
    }
)


def own_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that a job should get, of `environment` or of our own environment."""
    everything = os.environ if environment is None else environment
    return {
        name: value
        for name, value in everything.items()
        if name in _NEEDED or not _LEFT_BEHIND.fullmatch(name)
    }
