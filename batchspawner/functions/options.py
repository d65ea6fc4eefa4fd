"""Options of functions as resources of a job, on any scheduler.

Resources that every scheduler knows have one name (``queue``, ``memory``, ``runtime``, ``nprocs``,
``gpus``, ``account`` …). All other options go to the scheduler as they are: ``constraint="x"`` is
Slurm's ``--constraint=x``, ``exclusive=True`` its ``--exclusive``. ``output``, ``error`` and
``chdir`` are honoured by the worker, which is what prints.
"""

from __future__ import annotations

import datetime
import json
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client.resources import OTHER_NAMES, RESOURCES, resource_text, unknown_resource
from ..errors import OptionsError
from .protocol import worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..schedulers.base import Scheduler

log = logging.getLogger(__name__)

_SBATCH_OPTIONS = frozenset(
    """
    account acctg_freq array batch bb bbf begin clusters cluster_constraint comment
    constraint container contiguous core_spec cores_per_socket cpu_freq cpus_per_gpu
    cpus_per_task deadline delay_boot dependency distribution exclude exclusive export
    export_file extra extra_node_info get_user_env gid gpu_bind gpu_freq gpus gpus_per_node
    gpus_per_socket gpus_per_task gres gres_flags hint hold ignore_pbs input job_name
    kill_on_invalid_dep licenses mail_type mail_user mcs_label mem mem_bind mem_per_cpu
    mem_per_gpu mincpus network nice no_kill no_requeue nodefile nodelist nodes ntasks
    ntasks_per_core ntasks_per_gpu ntasks_per_node ntasks_per_socket open_mode overcommit
    oversubscribe parsable partition power prefer priority profile propagate qos quiet
    reboot requeue reservation segment signal sockets_per_node spread_job stepmgr switches
    thread_spec threads_per_core time time_min tmp tres_bind tres_per_task uid use_min_nodes
    verbose wait wait_all_nodes wckey wrap x11
    """.split()  # noqa: SIM905  (a hundred lines otherwise)
)
"""Options that scripts for Slurm have; a machine without a scheduler leaves them out.

https://slurm.schedmd.com/sbatch.html
"""

_FILE_OPTIONS = {
    "output": "output",
    "o": "output",
    "error": "error",
    "e": "error",
    "chdir": "chdir",
}


@dataclass(frozen=True)
class JobFiles:
    """Files for what the calls of a job print, and the folder in which they run.

    Each is empty where nothing was asked for. Names have Slurm's patterns, such as ``%j``:
    https://slurm.schedmd.com/sbatch.html#SECTION_%3CB%3Efilename-pattern%3C/B%3E
    """

    output: str = ""
    error: str = ""
    folder: str = ""

    def environment(self, scheduler: Scheduler | None, name: str) -> dict[str, str]:
        """Return the variables that name them to a worker in a job, or in a plain process."""
        if not self.output and not self.error:
            return {}
        found = {
            "output": self.output,
            "error": self.error,
            "folder": self.folder,
            "name": name,
            "job id": scheduler.job_id_variable if scheduler else "",
            "array id": scheduler.array_id_variable if scheduler else "",
            "index": scheduler.index_variable if scheduler else "",
        }
        return {worker.FILES: json.dumps(found)}


def job_files(options: Mapping[str, Any], *, here: bool = True) -> JobFiles:
    """Return the files that options ask for. Raises OptionsError for a value that is no path.

    Unless the job's files are not `here`, relative names are below the current folder, and a
    ``chdir`` has to exist.
    """
    found = {"output": "", "error": "", "chdir": ""}
    for option, value in options.items():
        name = _FILE_OPTIONS.get(option, "")
        if name and value is not None:
            if not isinstance(value, (str, Path)) or "\n" in str(value):
                raise OptionsError(option, value, "it has to be a path, on one line")
            found[name] = str(value)
    folder = found["chdir"]
    if here:
        folder = str(Path(folder).expanduser().absolute()) if folder else ""
        if folder and not Path(folder).is_dir():
            raise OptionsError("chdir", found["chdir"], "there is no such folder")
    return JobFiles(found["output"], found["error"], folder)


def job_resources(scheduler: Scheduler, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resources of a job for `job_scripts.job_request`. Raises OptionsError."""
    common: dict[str, Any] = {}
    native: dict[str, Any] = {}
    for name, given in options.items():
        if name in _FILE_OPTIONS:
            continue
        value = _written(name, given)
        known = scheduler.resource_names.get(name, name)
        if known in RESOURCES:
            common[known] = resource_text(known, value, name)
        else:
            native[known] = value
    warning = scheduler.warning({**common, **native})
    if warning:
        _warn_once(warning)
    lines = [str(common.pop("options", "") or "")]
    lines += [_line(scheduler, name, value) for name, value in native.items()]
    text = "\n".join(filter(None, lines))
    return {**common, **({"options": text} if text else {})}


@cache
def _warn_once(text: str) -> None:
    log.warning("%s", text)


def _line(scheduler: Scheduler, name: str, value: Any) -> str:
    """Return a line of the job script for an option of the scheduler's own."""
    if value is None or value is False:
        return ""
    if name == "array":
        reason = "a job does its calls once; distribute a call for each index, or use an Executor"
        raise OptionsError(name, value, reason)
    if "\n" in f"{name}{value}":
        raise OptionsError(name, value, "an option has no line breaks")
    line = scheduler.option(name, value)
    own = name in scheduler.own_options or name in _SBATCH_OPTIONS or len(name) == 1
    if not own and (not line or name in OTHER_NAMES):
        raise OptionsError(
            name,
            value,
            f"{scheduler.title} has no such option, nor has any job; {unknown_resource(name)}",
        )
    if not line:
        log.info("%s has no such option: %s=%r is ignored", scheduler.title, name, value)
    return line


def _written(name: str, value: Any) -> Any:
    """Return a value as a scheduler reads it: text, a number, a bool or None.

    Dictionaries, lists, ranges and times are written as the package simple_slurm does.
    """
    if isinstance(value, datetime.timedelta):
        minutes, left = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{left:02}"
    if isinstance(value, range):
        if not value:
            raise OptionsError(name, value, "the range is empty")
        step = f":{value.step}" if value.step != 1 else ""
        return f"{value[0]}-{value[-1]}{step}"
    if isinstance(value, dict):
        return ",".join(f"{key}:{_written(name, one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(str(_written(name, one)) for one in value)
    if hasattr(value, "get_job_id"):
        return str(value.get_job_id())
    if value is None or isinstance(value, (str, int, float, Path)):
        return value
    raise OptionsError(name, value, "write it as text, a number, a list or a dictionary")
