"""Resources that a job can ask for: their names, the names elsewhere, and the check of a value."""

from __future__ import annotations

import difflib
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import OptionsError
from ..units import native_duration, native_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

RESOURCES = frozenset(
    (
        *("queue", "partition", "account", "qos", "reservation", "cluster", "host"),
        *("nodes", "nprocs", "memory", "runtime", "gpus", "gres", "parallel_environment"),
        *("options", "prologue", "epilogue"),
    )
)
"""Resources that a job can ask for; a scheduler that does not know one leaves it out."""

OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("walltime", "wall_time", "timeout_min", "time_limit", "duration"), "runtime"
        ),
        **dict.fromkeys(("cores", "ncores", "ncpus", "cpus", "cores_per_node"), "nprocs"),
        **dict.fromkeys(("mem_gb", "mem_per_node", "ram"), "memory"),
        **dict.fromkeys(("gpu", "ngpus", "num_gpus", "n_gpus"), "gpus"),
        **dict.fromkeys(("nodes_per_block", "num_nodes", "nnodes"), "nodes"),
        "project": "account",
        **dict.fromkeys(("job_extra", "job_extra_directives", "scheduler_options"), "options"),
        **dict.fromkeys(("worker_init", "job_script_prologue"), "prologue"),
    }
)
"""Names that dask-jobqueue, submitit and Parsl have for our resources.

https://jobqueue.dask.org/en/latest/generated/dask_jobqueue.SLURMCluster.html,
https://github.com/facebookincubator/submitit/blob/main/docs/examples.md,
https://parsl.readthedocs.io/en/stable/stubs/parsl.providers.SlurmProvider.html
"""

_NUMBER = "0*[1-9][0-9]{0,8}"
_COUNT = re.compile(f"{_NUMBER}(?:-{_NUMBER})?")
"""A number, or the least and the most, which some schedulers take."""

_GPU = r"(?:\w[\w.-]*:)*[0-9]{1,6}"
_GPUS = re.compile(f"{_GPU}(?:,{_GPU})*", re.ASCII)
"""A number, with a kind such as ``a100`` or ``1g.5gb`` before it; or several of them."""


def resource_text(name: str, value: object, written: str = "") -> str:
    """Return a resource as text, empty for None; `written` is what its user calls it.

    Raises OptionsError for a name that is not in RESOURCES, and for a value that no scheduler
    could take.
    """
    option = written or name
    if name not in RESOURCES:
        raise OptionsError(option, value, unknown_resource(name))
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise OptionsError(option, value, "write it as text or as a whole number")
    text = str(value)
    if not text.strip():
        return text
    if name == "memory":
        native_memory(option, text, "M", expressions=True)
    elif name == "runtime":
        native_duration(option, text, "H:M:S")
    elif name in ("nprocs", "nodes") and not _COUNT.fullmatch(text.strip()):
        raise OptionsError(option, value, "give a whole number from 1")
    elif name == "gpus" and not _GPUS.fullmatch(text.strip()):
        raise OptionsError(option, value, "give a number of GPUs, or a kind and a number: a100:2")
    return text


def unknown_resource(name: str) -> str:
    """Return what a job can ask for in place of an unknown name, the nearest one first."""
    # submitit has "slurm_" before the options of sbatch.
    plain = name.lower().replace("-", "_").removeprefix("slurm_")
    near = [OTHER_NAMES[plain]] if plain in OTHER_NAMES else []
    near += difflib.get_close_matches(plain, RESOURCES)
    known = f"job can ask for: {', '.join(sorted(RESOURCES))}"
    return f"did you mean {near[0]}? A {known}" if near else f"a {known}"
