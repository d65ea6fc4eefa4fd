"""What PBS Pro, OpenPBS, Torque and Moab have in common: ``#PBS`` lines, qsub, qdel, qsig."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..commands import Command
from .base import Carrier, Scheduler
from .option_lines import resource_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@%+-]{0,1000}")
"""Values that every release of PBS, Torque and Moab passes on unchanged by ``-v NAME``.

OpenPBS turns ``"`` into a backslash, doubles backslashes and refuses a job with ``'``; Torque 4.2
cuts a value at a comma. https://github.com/jupyterhub/batchspawner/issues/300
"""


SCRIPT_OPTIONS = tuple(f"-{name}*" for name in "AMNPRSaejklmopqrv")
"""Options of scripts that neither copy files of the login host nor replace the prefix (-W, -C)."""


@dataclass(frozen=True)
class PBSScripts(Scheduler):
    """Lines of job scripts that are the same for PBS Pro and Torque, and for Moab before it."""

    carrier: ClassVar[Carrier] = Carrier.SCRIPT
    carried_values: ClassVar[re.Pattern[str]] = PLAIN_VALUE
    log_directive: ClassVar[re.Pattern[str]] = re.compile(
        r"^#?PBS -[oe] (?P<path>\S+)", re.MULTILINE
    )
    log_job_id: ClassVar[re.Pattern[str]] = re.compile(r"\$PBS_JOBID")
    log_is_replaced: ClassVar[bool] = True
    own_options: ClassVar[frozenset[str]] = frozenset({"walltime", "ncpus", "ngpus"})

    def option(self, name: str, value: object) -> str:
        return resource_option(name, value)


@dataclass(frozen=True)
class PBSFamily(PBSScripts):
    """Commands that are the same for PBS Pro and Torque."""

    directives: ClassVar[tuple[str, ...]] = ("#PBS",)
    # It costs the server as much as a listing of all jobs.
    own_jobs_interval_s: ClassVar[float] = 60.0
    job_id_variable: ClassVar[str] = "PBS_JOBID"
    job_variables: ClassVar[re.Pattern[str]] = re.compile("PBS_.*")
    finds_all: ClassVar[bool] = True
    arrays: ClassVar[bool] = True
    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"[0-9]+(?:\[[0-9]*\])?(?:\.[A-Za-z0-9_.-]+)?"
    )

    def element(self, job_id: str, index: str) -> str:
        return job_id.replace("[]", f"[{index}]", 1)

    def dependencies(self, jobs: Mapping[str, Sequence[str]]) -> str | None:
        if "singleton" in jobs:
            return None
        return f"-W depend={','.join(':'.join([method, *ids]) for method, ids in jobs.items())}"

    def signal(self, job_id: str, number: int) -> Command[None]:
        return Command(("qsig", "-s", str(number), self.checked(job_id)), self.answered)


def matching_ids(wanted: Iterable[str], listed: Iterable[str]) -> dict[str, str]:
    """Return, for each wanted id, the listed one that stands for the same job.

    A server has a short name and a long one, and an id may lack it; but several servers in one
    listing have jobs of the same number.
    """
    by_number: dict[str, list[str]] = {}
    for one in listed:
        by_number.setdefault(_number(one), []).append(one)
    found = {}
    for job_id in wanted:
        same = by_number.get(_number(job_id), [])
        if job_id in same or len(same) == 1:
            found[job_id] = job_id if job_id in same else same[0]
            continue
        near = [
            one
            for one in same
            if f"{one}.".startswith(f"{job_id}.") or f"{job_id}.".startswith(f"{one}.")
        ]
        if len(near) == 1:
            found[job_id] = near[0]
    return found


def _number(job_id: str) -> str:
    """Return 12 of ``12.server``, but ``Moab.12`` as it is."""
    return job_id.partition(".")[0] if job_id[:1].isdigit() else job_id
