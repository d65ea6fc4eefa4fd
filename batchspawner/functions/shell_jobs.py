"""Shell commands as jobs: `shell`, `sbatch` and `srun`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dispatch import shell_command
from .dispatch.current_dispatcher import get_dispatcher
from .function import slurmify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .futures import JobFuture

shell = slurmify(shell_command.shell)


def srun(
    command: str | Sequence[str],
    conf: Mapping[str, object] | None = None,
    simple_slurm_kwargs: Mapping[str, object] | None = None,
) -> JobFuture:
    """Run a shell command, or a list of words, as a job, print its output, and wait for its end.

    `conf` and `simple_slurm_kwargs` are options of the job, as of `slurmify`. Returns a future
    whose value is 0. Raises CommandFailed for another exit status, SubmitError if the scheduler
    refuses the job, and what says how a job ended otherwise, such as JobTimeout.
    """
    return get_dispatcher().srun(command, _options(conf, simple_slurm_kwargs))


def sbatch(
    command: str | Sequence[str],
    conf: Mapping[str, object] | None = None,
    simple_slurm_kwargs: Mapping[str, object] | None = None,
) -> JobFuture:
    """Submit a shell command, or a list of words, as a job, and return its future at once.

    `conf` and `simple_slurm_kwargs` are options of the job, as of `slurmify`. The value of the
    future is 0; for another exit status its `result` raises CommandFailed. Raises SubmitError if
    the scheduler refuses the job.
    """
    return get_dispatcher().sbatch(command, _options(conf, simple_slurm_kwargs))


def _options(*given: Mapping[str, object] | None) -> dict[str, object]:
    """Return the options of `shell` with those of one command on top."""
    conf, more = (one or {} for one in given)
    return {**shell.options, **dict(**conf, **more)}
