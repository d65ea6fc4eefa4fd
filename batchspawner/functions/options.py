"""Turn the options of functions into what a job asks for, on any scheduler.

What every scheduler knows has one name (``queue``, ``memory``, ``runtime``, ``nprocs``, ``gpus``,
``account`` …). What is left goes to the scheduler as it is: ``constraint="x"`` is Slurm's
``--constraint=x``, ``exclusive=True`` its ``--exclusive``.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from ..client.job_scripts import RESOURCES
from ..errors import OptionsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..schedulers.base import Scheduler

log = logging.getLogger(__name__)

_AS_ELSEWHERE = {
    "partition": "queue",
    "mem": "memory",
    "time": "runtime",
    "cpus_per_task": "nprocs",
    "ntasks": "nprocs",
    "c": "nprocs",
    "t": "runtime",
    "p": "queue",
}
"""Slurm's words for what every scheduler knows, so that a script for Slurm runs on others."""


def job_resources(scheduler: Scheduler, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resources of a job for `scripts.job_request`. Raises OptionsError."""
    common: dict[str, Any] = {}
    native: dict[str, Any] = {}
    for name, value in options.items():
        known = name if scheduler.name == "slurm" else _AS_ELSEWHERE.get(name, name)
        (common if known in RESOURCES else native)[known] = value
    several = common.get("nprocs") not in (None, "", 1, "1")
    named = common.get("parallel_environment") or "pe" in native
    if scheduler.name == "gridengine" and several and not named:
        _warn_once(
            "On Grid Engine a job has one core, whatever its nprocs, unless "
            "parallel_environment names where it may have more (qconf -spl lists the names)."
        )
    lines = [str(common.pop("options", "") or "")]
    lines += [_line(scheduler.name, name, value) for name, value in native.items()]
    text = "\n".join(filter(None, lines))
    return {**common, **({"options": text} if text else {})}


@cache
def _warn_once(text: str) -> None:
    log.warning("%s", text)


def _line(scheduler: str, name: str, value: Any) -> str:
    """Return a line of the job script for an option that is the scheduler's own."""
    if value is None or value is False:
        return ""
    if "\n" in f"{name}{value}":
        raise OptionsError(name, value, "an option has no line breaks")
    if scheduler == "local":
        log.info("Without a scheduler, %s=%r has no meaning", name, value)
        return ""
    if scheduler == "htcondor":
        return f"{name} = {value}"
    dashes = "-" if len(name) == 1 else "--"
    option = dashes + name.replace("_", "-")
    if scheduler in ("gridengine", "torque", "pbspro", "lsf", "moab"):
        if len(name) > 1:
            return f"-l {name}={value}"
        return option if value is True else f"{option} {value}"
    if value is True:
        return option
    return f"{option} {value}" if len(name) == 1 else f"{option}={value}"
