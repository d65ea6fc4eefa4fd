"""Options of functions as resources of a job, on any scheduler.

Resources that every scheduler knows have one name (``queue``, ``memory``, ``runtime``, ``nprocs``,
``gpus``, ``account`` …). All other options go to the scheduler as they are: ``constraint="x"`` is
Slurm's ``--constraint=x``, ``exclusive=True`` its ``--exclusive``.
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


def job_resources(scheduler: Scheduler, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resources of a job for `job_scripts.job_request`. Raises OptionsError."""
    common: dict[str, Any] = {}
    native: dict[str, Any] = {}
    for name, value in options.items():
        known = scheduler.resource_names.get(name, name)
        (common if known in RESOURCES else native)[known] = value
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
    if "\n" in f"{name}{value}":
        raise OptionsError(name, value, "an option has no line breaks")
    line = scheduler.option(name, value)
    if not line:
        log.info("%s has no such option: %s=%r is ignored", scheduler.title, name, value)
    return line
