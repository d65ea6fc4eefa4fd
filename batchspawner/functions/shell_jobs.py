"""Shell commands as jobs: `shell`, `sbatch` and `srun`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dispatch import shell_command
from .dispatch.current import get_dispatcher
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
    """Run a shell command as a job, print its output here, and wait for its end."""
    return get_dispatcher().srun(command, _options(conf, simple_slurm_kwargs))


def sbatch(
    command: str | Sequence[str],
    conf: Mapping[str, object] | None = None,
    simple_slurm_kwargs: Mapping[str, object] | None = None,
) -> JobFuture:
    """Submit a shell command as a job, and return its future at once."""
    return get_dispatcher().sbatch(command, _options(conf, simple_slurm_kwargs))


def _options(*given: Mapping[str, object] | None) -> dict[str, object]:
    """Return the options of `shell` with those of one command on top."""
    conf, more = (one or {} for one in given)
    return {**shell.options, **dict(**conf, **more)}
