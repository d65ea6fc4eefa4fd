"""Write what the launcher may run on a site: the rules that root puts beside it.

The commands are those of the scheduler layer, so that both say the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ..errors import BatchError, CommandNotFound, SchedulerError
from ..jobs import JobRequest
from ..launcher import Rules
from ..runners import tool_environment
from ..schedulers import scheduler_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..commands import Command
    from ..schedulers.base import Scheduler

# Values that come in no command by themselves, and what stands for them in the rules.
_TAG, _JOB, _SIGNAL, _VARIABLE = "jh-0123456789ab", "4711001", 40711, "BATCHSPAWNER_NAMES"
_PLACES = {_TAG: "{tag}", _JOB: "{job_id}", str(_SIGNAL): "{signal}", _VARIABLE: "{names}"}

# What prints a job's name or comment, where its tag is, as the job's owner.
_SHOW: Mapping[str, tuple[str, ...]] = {
    "gridengine": ("qstat", "-j", "{job_id}"),
    "htcondor": ("condor_q", "{job_id}", "-af", "BatchspawnerTag"),
    "lsf": ("bjobs", "-noheader", "-o", "job_name", "{job_id}"),
    "moab": ("checkjob", "--xml", "{job_id}"),
    "oar": ("oarstat", "-f", "-j", "{job_id}"),
    "pbspro": ("qstat", "-f", "{job_id}"),
    "slurm": ("squeue", "-h", "-a", "-t", "all", "--me", "-j", "{job_id}", "-o", "%k %j"),
    "torque": ("qstat", "-f", "{job_id}"),
}

# Where it is in what that prints: a job that was submitted from a notebook by `qsub -V` has the tag
# of the notebook's job among its variables.
_SHOWN: Mapping[str, str] = {
    "gridengine": r"(?m)^job_name: +(\S+)$",
    "moab": r'(?i)\bjobname="([^"]*)"',
    "oar": r"(?m)^ *name = (\S+)$",
    "pbspro": r"(?m)^ *Job_Name = (\S+)$",
    "torque": r"(?m)^ *Job_Name = (\S+)$",
}

# Where the packaged templates let a job write.
_LOGS: Mapping[str, str] = {
    "gridengine": "{home}/.jupyterhub.sge.out",
    "htcondor": "{home}/.jupyterhub.condor.err",
    "lsf": "{home}/.jupyterhub.lsf.err",
    "moab": "",
    "oar": "{home}/.jupyterhub.oar.{job_id}.out",
    "pbspro": "{home}/.jupyterhub.pbs.err",
    "slurm": "{home}/jupyterhub_slurmspawner_{number}.log",
    "torque": "{home}/.jupyterhub.torque.err",
}

_OAR_OTHER = (
    r"(?m)^#OAR (?![ \t]*(?:-[lqpdnaOEt]|--(?:resource|queue|property|directory|name|anterior"
    r"|stdout|stderr|type|project|checkpoint|signal|hold)\b))"
)

# What has a submit command run something here, and not in the job.
_REFUSED: Mapping[str, tuple[str, ...]] = {
    # https://manpages.debian.org/bookworm/gridengine-client/qsub.1: another prefix, options from a
    # file, a script that judges jobs.
    "gridengine": (r"(?m)^#\$(?:.*\s)?-(?:C|jsv|@)",),
    # https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html: the output of a
    # command as a part of the description, or as its list of jobs, and universes whose jobs run
    # beside the queue. Macros and lines that go on in the next one can hide each of them.
    "htcondor": (
        r"\\\s*\n",
        r"(?im)^(?![ \t\r]*(?:#.*|(?!queue\b)[+\w.]+[ \t]*=.*|queue(?:[ \t]+\d+)?[ \t\r]*)?$).+$",
        r"(?im)^\s*@?include\b",
        r"(?im)^\s*universe\s*=(?!\s*(?:vanilla|container|docker|parallel)\s*$)",
        r"(?i)jobuniverse",
    ),
    # https://oar-documentation.readthedocs.io/en/2.5/user/commands.html: --notify exec:…, what
    # reads and writes files here, --array-param-file by a shell; types of jobs of a frontend.
    "oar": (
        _OAR_OTHER,
        r"(?m)^#OAR [ \t]*(?:-t|--type)\W*(?:deploy|cosystem)",
    ),
}

# Its job ids name the cluster where there are several: a word of a command that names a part which
# an id does not have is left out.
_SLURM_ID = r"(?P<number>[0-9]+(?:[_+][0-9]+)?)(?:;(?P<cluster>[A-Za-z0-9_.-]+))?"


def rules_for(name: str, group: str) -> dict[str, Any]:
    """Return the rules for a scheduler. Raises BatchError where its commands are not found."""
    scheduler = _scheduler(name)
    calls = _calls(scheduler)
    commands = {verb: [_placed(word) for word in call.argv] for verb, call in calls.items()}
    commands["show"] = list(_SHOW[name])
    if name == "slurm":
        commands = {verb: _with_cluster(words) for verb, words in commands.items()}
    settings = {key: value for call in calls.values() for key, value in call.environment.items()}
    usual = Rules({"group": group})
    return {
        "group": group,
        "smallest_uid": usual.smallest_uid,
        "tag": usual.tag.pattern,
        "keep": usual.keep,
        "job_id": _SLURM_ID if name == "slurm" else scheduler.job_id_pattern.pattern,
        "shown": _SHOWN.get(name, usual.shown.pattern),
        "environment": {**_tool_variables(scheduler, settings), "PATH": _path(commands)},
        **{verb: [_found(words[0]), *words[1:]] for verb, words in commands.items()},
        "log": _LOGS[name],
        "refused": list(_REFUSED.get(name, ())),
    }


def tools_of(name: str) -> list[str]:
    """Return the full paths of the commands that are run as the owner of jobs."""
    scheduler = _scheduler(name)
    calls: list[Command[Any]] = [*_calls(scheduler).values(), *scheduler.query([_JOB])]
    calls.append(scheduler.find(_TAG))
    return sorted({_found(call.argv[0]) for call in calls})


def _scheduler(name: str) -> Scheduler:
    if name not in _SHOW:
        known = ", ".join(sorted(_SHOW))
        raise BatchError(f"there are no rules for {name!r}; known are {known}")
    return scheduler_class(name)()


def _calls(scheduler: Scheduler) -> dict[str, Command[Any]]:
    request = JobRequest("", _TAG, {_VARIABLE: ""})
    calls: dict[str, Command[Any]] = {
        "submit": scheduler.submit(request),
        "cancel": scheduler.cancel(_JOB),
    }
    # Not every scheduler has a command for signals.
    with contextlib.suppress(SchedulerError):
        calls["signal"] = scheduler.signal(_JOB, _SIGNAL)
    return calls


def _placed(word: str) -> str:
    for value, place in _PLACES.items():
        word = word.replace(value, place)
    return word


def _with_cluster(words: list[str]) -> list[str]:
    if "{job_id}" not in words:
        return words
    plain = [word.replace("{job_id}", "{number}") for word in words[1:]]
    return [words[0], "--clusters={cluster}", *plain]


def _tool_variables(scheduler: Scheduler, settings: Mapping[str, str]) -> dict[str, str]:
    """Return what the scheduler's commands need of this environment, and what we set for them."""
    given = tool_environment(scheduler.tool_variables)
    usual = tool_environment()
    found = {name: value for name, value in given.items() if name not in usual}
    return {**found, **{name: value for name, value in settings.items() if name != _VARIABLE}}


def _path(commands: Mapping[str, list[str]]) -> str:
    tools = [words[0] for words in commands.values()]
    # The text that a shell runs has the name of its command as its first argument.
    tools += [words[3] for words in commands.values() if words[:2] == ["sh", "-c"]]
    folders = [str(PurePath(_found(tool)).parent) for tool in tools]
    return os.pathsep.join(dict.fromkeys([*folders, "/usr/bin", "/bin"]))


def _found(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        raise CommandNotFound(
            f"{tool} is not on PATH. Run this on the host of the Hub, with PATH as it is there."
        )
    return str(Path(path).absolute())
