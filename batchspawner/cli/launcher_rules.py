"""Rules for the launcher of a site: the file that root installs beside it.

The commands in it are those of the scheduler layer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ..client.batch_client import private_file_command
from ..errors import BatchError, CommandNotFound, SchedulerError
from ..jobs import JobRequest
from ..launcher import Rules
from ..processes import tool_environment
from ..schedulers import scheduler_class, scheduler_classes, scheduler_names
from ..schedulers.base import Carrier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..commands import Command
    from ..schedulers.base import LauncherRules, Scheduler

# Values that no command contains by itself, and their placeholders in the rules.
_TAG, _JOB, _SIGNAL, _VARIABLE = "jh-0123456789ab", "4711001", 40711, "BATCHSPAWNER_NAMES"
_PLACES = {_TAG: "{tag}", _JOB: "{job_id}", str(_SIGNAL): "{signal}", _VARIABLE: "{names}"}


def rules_for(name: str, group: str) -> dict[str, Any]:
    """Return the content of the rules file for a scheduler.

    Raises BatchError if the launcher cannot be used with it, or if its commands are not found.
    """
    scheduler = _scheduler(name)
    known = _known_rules(scheduler)
    calls = _calls(scheduler)
    commands = {verb: [_placed(word) for word in call.argv] for verb, call in calls.items()}
    commands["show"] = list(known.show)
    settings = {key: value for call in calls.values() for key, value in call.environment.items()}
    usual = Rules({"group": group})
    return {
        "group": group,
        "smallest_uid": usual.smallest_uid,
        "tag": usual.tag.pattern,
        "keep": usual.keep,
        "job_id": known.job_id or scheduler.job_id_pattern.pattern,
        "shown": known.shown,
        "environment": {**_tool_variables(scheduler, settings), "PATH": _path(commands)},
        **{
            verb: [_found(words[0]), *_with_options(words[1:], known)]
            for verb, words in commands.items()
        },
        "log": known.log,
        "directives": list(known.directives),
        "options": list(known.options),
        "refused": list(known.refused),
    }


def tools_of(name: str) -> list[str]:
    """Return the full paths of the commands that are run as the owner of jobs.

    Raises BatchError for an unknown scheduler, or if a command is not found.
    """
    scheduler = _scheduler(name)
    calls: list[Command[Any]] = [*_calls(scheduler).values(), *scheduler.query([_JOB])]
    calls.append(scheduler.find(_TAG))
    tools = {call.argv[0] for call in calls}
    if scheduler.carrier is Carrier.FILE:
        tools.add(private_file_command("", "")[0])
    return sorted(map(_found, tools))


def _scheduler(name: str) -> Scheduler:
    if name not in scheduler_names():
        raise BatchError(f"there are no rules for {name!r}; known are {_names_with_rules()}")
    return scheduler_class(name)()


def _known_rules(scheduler: Scheduler) -> LauncherRules:
    """Return the rules of the scheduler's class. Raises BatchError if it has none."""
    if scheduler.launcher_rules is not None:
        return scheduler.launcher_rules
    refusal = f"there are no rules for {scheduler.name!r}; known are {_names_with_rules()}"
    if scheduler.shared:
        raise BatchError(f"{refusal}. Its class would have to set launcher_rules.")
    raise BatchError(
        f"{refusal}. {scheduler.title} shows each user only their own jobs, and the launcher does "
        "not list jobs: use exec_prefix (batchspawner sudoers --scheduler prints the rule)."
    )


def _names_with_rules() -> str:
    return ", ".join(sorted(one.name for one in scheduler_classes() if one.launcher_rules))


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


def _with_options(words: list[str], known: LauncherRules) -> list[str]:
    if "{job_id}" not in words:
        return words
    return [*known.job_options, *(word.replace("{job_id}", known.job_id_word) for word in words)]


def _tool_variables(scheduler: Scheduler, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the scheduler's commands need, from here and set by us."""
    given = tool_environment(scheduler.tool_variables)
    usual = tool_environment()
    found = {name: value for name, value in given.items() if name not in usual}
    return {**found, **{name: value for name, value in settings.items() if name != _VARIABLE}}


def _path(commands: Mapping[str, list[str]]) -> str:
    tools = [words[0] for words in commands.values()]
    # A text that is run by a shell has the name of its main command as its first argument.
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
