"""Job requests of the front ends other than JupyterHub, made from a command and its resources."""

from __future__ import annotations

import os
import re
import secrets
import shlex
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from ..errors import OptionsError
from ..jobs import JobRequest
from ..processes import IDENTITY, printed_version, tool_environment
from ..schedulers import FALLBACK, scheduler_class, scheduler_classes, template_name
from ..templating import render_script
from .resources import RESOURCES, resource_text
from .script_exports import with_variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..schedulers.base import Detection, Scheduler

SCHEDULER_VARIABLE = "BATCHSPAWNER_SCHEDULER"
"""Chooses the scheduler on a machine that has several, or where none is to be used ("local")."""

_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def detect() -> str:
    """Return the name of this machine's scheduler, ``local`` if there is none.

    Raises LookupError if the variable BATCHSPAWNER_SCHEDULER names one that does not exist.
    """
    chosen = os.environ.get(SCHEDULER_VARIABLE, "")
    if chosen:
        return scheduler_class(chosen).name
    return next((name for name, detection in _detections() if _is_here(detection)), FALLBACK)


def detection_script() -> str:
    """Return shell commands that print the name of the scheduler of the machine they run on.

    They print nothing if there is none, and find what `detect` finds.
    """
    lines = ['test -z "$BATCHSPAWNER_SCHEDULER" || { echo "$BATCHSPAWNER_SCHEDULER"; exit; }']
    for name, one in _detections():
        tests = [f"command -v {shlex.quote(one.command)} >/dev/null"]
        if one.file:
            other = f"${{{one.file_variable}:-{one.file}}}" if one.file_variable else one.file
            test = f'test -e "{other}"'
            if one.version:
                shown = f"$({shlex.quote(one.command)} --version 2>&1 </dev/null)"
                is_it = f'case "{shown}" in *{one.version}*) ;; *) false ;; esac'
                test = f"{{ {test} || {is_it}; }}"
            tests.append(test)
        lines.append(f"if {' && '.join(tests)}; then echo {shlex.quote(name)}; exit; fi")
    return "\n".join(lines)


def _detections() -> list[tuple[str, Detection]]:
    """Return how schedulers are recognised, those with ambiguous commands last."""
    known = [(one.name, one.detection) for one in scheduler_classes() if one.detection]
    return sorted(known, key=lambda pair: pair[1].ambiguous)


def _is_here(detection: Detection) -> bool:
    command = which(detection.command)
    if not command:
        return False
    file = os.environ.get(detection.file_variable) or detection.file
    if not file or Path(file).exists():
        return True
    return bool(detection.version) and detection.version in printed_version(command)


def find_scheduler(name: str | Scheduler = "auto") -> Scheduler:
    """Return a scheduler by its name, the one of this machine for ``auto``. Raises LookupError."""
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

    A site can have templates for one `front_end` alone, such as ``functions/slurm.j2``. `log` is
    the file for the output of the job, in the scheduler's own form. The job gets `environment`
    in addition to the few variables that any command needs: others may be able to read it. Values
    that the scheduler would change on their way are set in the script.
    `variables` are for a site's or a front end's own templates, `arguments` go to the submit
    command as they are. `elements` is the size of an array. Raises OptionsError for an unknown
    resource, a wrong value, and a variable that the job would get otherwise than it is given;
    TemplateError for a template.
    """
    if elements > 1 and not scheduler.arrays:
        raise OptionsError("elements", elements, f"{scheduler.title} has no arrays of jobs here")
    wanted = {key: resource_text(key, value) for key, value in resources.items()}
    wanted["ngpus"] = wanted.pop("gpus", "")
    home = str(Path.home())
    known = {**dict.fromkeys(RESOURCES - {"gpus"}, ""), "srun": "", "path": "", "homedir": home}
    env = tool_environment(IDENTITY, environment)
    carried = scheduler.carried_values
    changed = {key: value for key, value in env.items() if not carried.fullmatch(value)}
    values = {
        **known,
        **wanted,
        **(variables or {}),
        "cmd": scheduler.embedded(command),
        "keepvars": ",".join(sorted(env.keys() - changed.keys())),
        "job_name": _NAME.sub("-", name)[:60] or front_end,
        "log": log,
    }
    script = _rendered(template_name(scheduler.name), values, folders, front_end)
    if changed:
        script = _setting(script, changed, scheduler)
    return JobRequest(script, f"bs-{secrets.token_hex(6)}", env, tuple(arguments), elements)


def _rendered(
    template: str, values: Mapping[str, object], folders: Sequence[str] | None, front_end: str
) -> str:
    try:
        return render_script(template, values, folders, front_end)
    except OptionsError as error:
        # Templates use the names of the spawners' traits.
        option = error.option.removeprefix("req_")
        raise OptionsError(option, error.given, error.allowed) from error


def _setting(script: str, variables: Mapping[str, str], scheduler: Scheduler) -> str:
    """Return a script that sets variables itself. Raises OptionsError if it cannot."""
    # A description of a job, as HTCondor's, is no script.
    setting = with_variables(script, variables) if scheduler.directives else None
    if setting is None:
        reason = f"{scheduler.title} would change its value, and this job script cannot set it"
        raise OptionsError("environment", ", ".join(sorted(variables)), reason)
    return setting
