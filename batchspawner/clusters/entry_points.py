"""Launchers for each scheduler by its name: ``slurm_controller``, ``slurm_engines`` and so on.

The entry points of ipyparallel, such as ``batch-slurm``, refer to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from traitlets import Unicode

from ..schedulers import scheduler_class
from .launchers import JobControllerLauncher, JobEngineSetLauncher

if TYPE_CHECKING:
    from .job_launcher import JobLauncher

_KINDS: dict[str, type[JobLauncher]] = {
    "controller": JobControllerLauncher,
    "engines": JobEngineSetLauncher,
}


def __getattr__(name: str) -> type[JobLauncher]:
    scheduler, _, kind = name.rpartition("_")
    try:
        base, title = _KINDS[kind], scheduler_class(scheduler).__name__
    except LookupError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from error
    made = type(
        f"{title}{base.__name__}",
        (base,),
        {
            "__doc__": f"{base.__doc__} Its scheduler is {title}.",
            "__module__": __name__,
            "entrypoint_name": f"batch-{scheduler}",
            "scheduler": Unicode(scheduler).tag(to_dict=True),
        },
    )
    globals()[name] = made
    return made
