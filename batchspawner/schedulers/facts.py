"""Values that a scheduler's class is described with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Carrier(Enum):
    """The ways by which a secret can reach a job."""

    ENVIRONMENT = "environment"
    """The environment of the submit command."""
    SCRIPT = "script"
    """The text of the job script."""
    FILE = "file"
    """A file in the owner's home that only the owner can read; the nodes share the homes."""


@dataclass(frozen=True)
class Detection:
    """The command, and the file if there is one, by which a scheduler is recognised on a machine.

    `file_variable` names an environment variable that may hold another path for the file.
    `ambiguous` says that other schedulers have a command of this name, too: it is looked for
    after the commands that belong to one scheduler only.
    """

    command: str
    file: str = ""
    file_variable: str = ""
    ambiguous: bool = False


@dataclass(frozen=True)
class LauncherRules:
    """What the launcher of a site has to know about a scheduler: see `batchspawner.launcher`.

    `show` is the command that prints the name or comment of the user's own job, and `shown` the
    pattern whose group finds the tag in its output: a job that was submitted from a notebook by
    `qsub -V` has the tag of the notebook's job among its variables, so the whole output is not
    searched. `log` is the path to which the packaged template lets a job write. `refused` are
    patterns of scripts with which a submit command would run something on the login host.

    `job_id` is a pattern for job ids, by default that of the scheduler. Its named groups can be
    used in `job_id_word`, which stands for the id in commands, and in `job_options`, which are
    inserted behind the name of each command about one job; a word that names a group that an id
    does not have is left out.
    """

    show: tuple[str, ...]
    shown: str = r"([\w.-]+)"
    log: str = ""
    refused: tuple[str, ...] = ()
    job_id: str = ""
    job_id_word: str = "{job_id}"
    job_options: tuple[str, ...] = ()
