"""Make the jobs of the front ends that are not JupyterHub: from a command and what it needs."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from ..errors import OptionsError
from ..jobs import JobRequest
from ..runners import IDENTITY, tool_environment
from ..schedulers import scheduler_class
from ..templating import render_script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..schedulers.base import Scheduler

SCHEDULER_VARIABLE = "BATCHSPAWNER_SCHEDULER"
"""What names the scheduler where a machine has several, or none is to be used ("local")."""

RESOURCES = frozenset(
    (
        *("queue", "partition", "account", "qos", "reservation", "cluster", "host"),
        *("nodes", "nprocs", "memory", "runtime", "gpus", "gres", "parallel_environment"),
        *("options", "prologue", "epilogue"),
    )
)
"""What a job can ask for; a scheduler that does not know one leaves it out."""

_NAME = re.compile(r"[^A-Za-z0-9_.-]+")

COMMANDS = {
    "sbatch": "slurm",
    "condor_submit": "htcondor",
    "bsub": "lsf",
    "oarsub": "oar",
    "msub": "moab",
    "qconf": "gridengine",
    "qsub": "torque",
}
"""The first command that is found tells the scheduler; qsub belongs to four of them."""


def detect() -> str:
    """Return the name of this machine's scheduler, ``local`` where there is none.

    Raises LookupError where the variable BATCHSPAWNER_SCHEDULER names one that does not exist.
    """
    chosen = os.environ.get(SCHEDULER_VARIABLE, "")
    if chosen:
        return scheduler_class(chosen).name
    found = next((name for command, name in COMMANDS.items() if which(command)), "local")
    if found == "torque" and Path(os.environ.get("PBS_CONF_FILE", "/etc/pbs.conf")).exists():
        return "pbspro"
    return found


def find_scheduler(name: str | Scheduler = "auto") -> Scheduler:
    """Return a scheduler by its name, this machine's own for ``auto``. Raises LookupError."""
    if not isinstance(name, str):
        return name
    return scheduler_class(detect() if name == "auto" else name)()


def job_request(
    scheduler: Scheduler,
    command: str,
    *,
    front_end: str,
    name: str,
    log: str,
    folders: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    variables: Mapping[str, object] | None = None,
    arguments: Sequence[str] = (),
    elements: int = 1,
    **resources: object,
) -> JobRequest:
    """Return the job that runs a shell command, from the scheduler's template.

    `front_end` lets a site have templates for it alone, such as ``functions/slurm.j2``. `log` is
    the file for what the job prints, in the scheduler's own form. `environment` is what the job
    gets beside the few variables that any command needs: others may be able to read it.
    `variables` are for a site's or a front end's own templates, `arguments` go to the submit
    command as they are. `elements` are those of an array. Raises OptionsError for a
    resource that does not exist or makes no sense, TemplateError for a template.
    """
    if elements > 1 and not scheduler.arrays:
        raise OptionsError("elements", elements, f"{scheduler.title} has no arrays of jobs here")
    wanted = {key: _text(key, value) for key, value in resources.items()}
    wanted["ngpus"] = wanted.pop("gpus", "")
    home = str(Path.home())
    known = {**dict.fromkeys(RESOURCES - {"gpus"}, ""), "srun": "", "path": "", "homedir": home}
    env = tool_environment(IDENTITY, environment)
    values = {
        **known,
        **wanted,
        **(variables or {}),
        "cmd": scheduler.embedded(command),
        "keepvars": ",".join(sorted(env)),
        "job_name": _NAME.sub("-", name)[:60] or front_end,
        "log": log,
    }
    try:
        script = render_script(f"{scheduler.name}.j2", values, folders, front_end)
    except OptionsError as error:
        # Templates call an amount what spawners call it.
        option = error.option.removeprefix("req_")
        raise OptionsError(option, error.given, error.allowed) from error
    return JobRequest(script, f"bs-{secrets.token_hex(6)}", env, tuple(arguments), elements)


def _text(name: str, value: object) -> str:
    if name not in RESOURCES:
        raise OptionsError(name, value, f"a job can ask for: {', '.join(sorted(RESOURCES))}")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise OptionsError(name, value, "write it as text or as a whole number")
    return str(value)
