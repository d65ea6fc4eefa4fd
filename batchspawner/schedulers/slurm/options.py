"""Options of sbatch: those that users set for all their jobs, and those that scripts may have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Which jobs users let run where, and on whose account; not what sbatch does with a job, such as
# SBATCH_EXPORT. https://slurm.schedmd.com/sbatch.html#SECTION_INPUT-ENVIRONMENT-VARIABLES
_USUAL = {
    "SBATCH_ACCOUNT": ("account", "A"),
    "SBATCH_CLUSTERS": ("clusters", "M"),
    "SBATCH_CONSTRAINT": ("constraint", "C"),
    "SBATCH_PARTITION": ("partition", "p"),
    "SBATCH_QOS": ("qos", "q"),
    "SBATCH_RESERVATION": ("reservation", ""),
    "SBATCH_TIMELIMIT": ("time", "t"),
    "SBATCH_WCKEY": ("wckey", ""),
}

_SCRIPT_OPTIONS = """
-A* -C* -D* -G* -J* -L* -M* -N* -c* -d* -e* -n* -o* -p* -q* -t* -w* -x* --account --acctg-freq
--begin --chdir --clusters --constraint --contiguous --core-spec --cores-per-socket --cpu-freq
--cpus-per-gpu --cpus-per-task --deadline --dependency --error --exclude --exclusive --export
--get-user-env --gpu-bind --gpu-freq --gpus --gpus-per-node --gpus-per-socket --gpus-per-task
--gres --gres-flags --hint --job-name --kill-on-invalid-dep --licenses --mail-type --mail-user
--mem --mem-bind --mem-per-cpu --mem-per-gpu --mincpus --network --nice --no-requeue --nodelist
--nodes --ntasks --ntasks-per-core --ntasks-per-gpu --ntasks-per-node --ntasks-per-socket
--open-mode --output --oversubscribe --partition --prefer --qos --requeue --reservation --signal
--sockets-per-node --switches --thread-spec --threads-per-core --time --time-min --tmp
--use-min-nodes --wckey
"""
SCRIPT_OPTIONS = tuple(_SCRIPT_OPTIONS.split())
"""Options of scripts that make sbatch read no file: not --export-file, --bbf, --nodefile."""


def usual_options(environment: Mapping[str, str], given: Sequence[str]) -> tuple[str, ...]:
    """Return the options that variables such as SBATCH_ACCOUNT stand for.

    `given` are the texts with options of a job: what is there already is left out. As variables
    they would override what the script asks for, and reach the job.
    """
    return tuple(
        f"--{name}={environment[variable]}"
        for variable, (name, short) in _USUAL.items()
        if environment.get(variable) and not any(_sets(text, name, short) for text in given)
    )


def _sets(options: str, name: str, short: str) -> bool:
    """Check whether a text with options of sbatch has this one."""
    other = f"|-{short}" if short else ""
    return bool(re.search(rf"(?:^|\s)(?:--{name}(?![\w-]){other})", options))
